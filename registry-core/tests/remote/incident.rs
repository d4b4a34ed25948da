//! Replays the incident of 2026-06-10 (`docs/post-mortems/2026-06-10-forgejo-retention-orphaned-indexes.md` in
//! https://github.com/ViktorBarzin/infra): a job that kept the newest ten *rows* of each package, `latest`, and what has
//! `cache` in its name. Its recorded outcomes on real servers stand at the assertion of each case, beside those of this program.

use registry_core::retention::Action;
use registry_fixtures::forgejo::{Profile, Server, World};

use crate::laws::{NOW, planned};

const BUILDS: u64 = 12;

/// A recorded case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    /// `latest` moves with each build.
    LatestMoves,
    /// `latest` and `buildcache` stay on the third build.
    LatestStays,
    /// One platform never changes between builds.
    OneUnchanged,
}

/// Gives each row of a push its own second, children first: the order within one second differs between releases.
fn world(profile: Profile, case: Case) -> World {
    let mut world = World::example(profile, NOW - 90 * 86400);
    for build in 1..=BUILDS {
        world.now += 86400;
        let mut children = Vec::new();
        for child in ["amd64", "arm64", "attestation of amd64", "attestation of arm64"] {
            let is_old = case == Case::OneUnchanged && child.contains("arm64") && build > 1;
            let of = if case == Case::OneUnchanged && child.contains("arm64") { 1 } else { build };
            world.now += 1;
            let seed = format!("{child} {of}");
            // A client checks first, and pushes only what is absent.
            let digest =
                if is_old { world.find_image("app", &seed) } else { world.push_image("app", None, &seed) };
            children.push(digest);
        }
        let mut tags = vec![format!("b{build}")];
        match case {
            Case::LatestStays if build == 3 => tags.extend(["latest".into(), "buildcache".into()]),
            Case::LatestMoves | Case::OneUnchanged if build == BUILDS => tags.push("latest".into()),
            _ => {}
        }
        for tag in tags {
            world.now += 1;
            world.push_index_of("app", &[&tag], &children);
        }
    }
    world.now = NOW;
    world
}

/// The numbers of tags, of pullable tags, and of rows.
fn count_tags_and_rows(world: &mut World) -> (usize, usize, usize) {
    let tags = world.tags_of("app");
    let whole = tags.iter().filter(|tag| world.is_pullable("app", tag)).count();
    (tags.len(), whole, world.versions.iter().filter(|row| !row.is_internal).count())
}

fn apply_old_rule(world: &mut World) -> (usize, usize, usize) {
    let mut rows: Vec<_> = world
        .versions
        .iter()
        .filter(|row| !row.is_internal)
        .map(|row| (row.created, row.id, row.name.clone()))
        .collect();
    rows.sort();
    rows.reverse();
    let goes = |name: &str| name != "latest" && !name.contains("cache");
    let gone: Vec<u64> =
        rows.iter().skip(10).filter(|(_, _, name)| goes(name)).map(|(_, id, _)| *id).collect();
    world.versions.retain(|row| !gone.contains(&row.id));
    count_tags_and_rows(world)
}

fn apply_our_rule(world: World) -> (usize, usize) {
    let server = Server::start(world);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let plan = runtime.block_on(async {
        let (forgejo, plan) = planned(&server.url, 10).await.expect("a plan");
        crate::laws::applied(forgejo, &plan).await;
        plan
    });
    assert!(
        plan.packages
            .iter()
            .flat_map(|package| &package.versions)
            .all(|row| row.action != Action::Delete || !row.version.contains(':'))
    );
    let mut world = server.world();
    world.now += 25 * 3600;
    world.cleanup();
    let (tags, whole, _) = count_tags_and_rows(&mut world);
    (tags, whole)
}

#[test]
fn incident_of_2026_06_10_breaks_tags_under_the_old_rule_only() {
    for profile in [Profile::V11, Profile::V15] {
        let play = |case: Case| {
            let mut before = world(profile, case);
            (
                count_tags_and_rows(&mut before.clone()),
                apply_old_rule(&mut before),
                apply_our_rule(world(profile, case)),
            )
        };
        // Recorded of the old rule: 13 tags and 61 rows became 3 tags, 2 of them whole, 10 rows.
        assert_eq!(play(Case::LatestMoves), ((13, 13, 61), (3, 2, 10), (11, 11)), "{profile:?}");
        // Recorded: 14 tags and 62 rows became 4 tags, 2 of them whole, 12 rows.
        assert_eq!(play(Case::LatestStays), ((14, 14, 62), (4, 2, 12), (12, 12)), "{profile:?}");
        // Recorded: 13 tags and 39 rows became 4 tags, none of them whole, 10 rows.
        assert_eq!(play(Case::OneUnchanged), ((13, 13, 39), (4, 0, 10), (11, 11)), "{profile:?}");
    }
}
