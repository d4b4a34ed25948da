//! The cache of rows: the plan is the same with it, and fewer requests are made.

use std::path::Path;

use proptest::prelude::*;
use registry_core::retention::{
    Action, Cache, CollectOptions, CollectedRecord, Plan, collect, collect_with_cache, confirm,
    find_unconfirmed,
};
use registry_fixtures::forgejo::{OWNER, Profile, Server, World};

use crate::laws::{NOW, Push, block_on, forgejo, plan_of, push_all, pushes, reading_options, world};

fn uncached(server: &Server, keep: u32) -> Plan {
    block_on(async {
        let forgejo = forgejo(&server.url).await.expect("a server");
        let record = collect(&forgejo, forgejo.source(), &reading_options(), now()).await.expect("a record");
        plan_of(&record, keep)
    })
}

fn now() -> jiff::Timestamp {
    jiff::Timestamp::from_second(NOW).expect("a time")
}

/// Plans as the program does: known rows are not requested, unless a manifest that stays turns out to be absent; then all are.
fn cached(server: &Server, keep: u32, folder: &Path) -> Plan {
    block_on(async {
        let cache = Cache::open(folder).expect("a folder");
        let options = CollectOptions { cache: Some(&cache), ..reading_options() };
        let forgejo = forgejo(&server.url).await.expect("a server");
        let known = collect_with_cache(&forgejo, forgejo.source(), &options, now()).await;
        let CollectedRecord { record, assumed } = known.expect("a record");
        let plan = plan_of(&record, keep);
        if confirm(&forgejo, &find_unconfirmed(&record, &assumed, &plan), 4).await {
            return plan;
        }
        let record = collect(&forgejo, forgejo.source(), &options, now()).await.expect("a record");
        plan_of(&record, keep)
    })
}

fn text(plan: &Plan) -> String {
    serde_json::to_string_pretty(plan).expect("JSON")
}

/// A change to a server between two runs.
#[derive(Debug, Clone)]
enum Change {
    Pushes(Vec<Push>),
    /// The row at this place is deleted.
    Deleted(u16),
    /// The server's own collector runs, 25 hours later.
    Collected,
    /// The database of the first run is restored, and other pushes get the ids of earlier rows.
    Restored(Vec<Push>),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        pushes().prop_map(Change::Pushes),
        any::<u16>().prop_map(Change::Deleted),
        Just(Change::Collected),
        pushes().prop_map(Change::Restored),
    ];
    prop::collection::vec(change, 0..4)
}

impl Change {
    fn apply(&self, world: &mut World, first: &World) {
        match self {
            Self::Pushes(pushes) => push_all(world, pushes),
            Self::Deleted(at) => {
                let at = usize::from(*at) % world.versions.len().max(1);
                if at < world.versions.len() {
                    world.versions.remove(at);
                }
            }
            Self::Collected => {
                world.now += 25 * 3600;
                world.collect();
            }
            Self::Restored(pushes) => {
                let (now, base) = (world.now + 1, world.base.clone());
                *world = first.clone();
                (world.now, world.base) = (now, base);
                push_all(world, pushes);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn law_4_plan_with_a_cache_equals_plan_without(
        first in pushes(), changes in changes(), keep in 1..4_u32, is_v15 in any::<bool>(),
    ) {
        let profile = if is_v15 { Profile::V15 } else { Profile::V11 };
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(world(profile, &first));
        let before = server.world().clone();
        prop_assert_eq!(text(&cached(&server, keep, folder.path())), text(&uncached(&server, keep)));
        for change in changes {
            change.apply(&mut server.world(), &before);
            prop_assert_eq!(text(&cached(&server, keep, folder.path())), text(&uncached(&server, keep)));
        }
    }

    #[test]
    fn cached_plan_keeps_only_images_that_still_answer(
        first in pushes(), lost in prop::collection::vec(any::<u16>(), 1..4), keep in 1..4_u32, is_v15 in any::<bool>(),
    ) {
        let profile = if is_v15 { Profile::V15 } else { Profile::V11 };
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(world(profile, &first));
        cached(&server, keep, folder.path());
        for at in lost {
            let mut world = server.world();
            let rows: Vec<String> =
                world.versions.iter().filter_map(|row| row.digest().map(str::to_owned)).collect();
            world.remove_object(&rows[usize::from(at) % rows.len()]);
        }
        let (with, without) = (cached(&server, keep, folder.path()), uncached(&server, keep));
        if text(&with) != text(&without) {
            // Only deleted images were lost: the kept ones answer, and as many stay as the policy keeps.
            let kept = with.packages.iter().flat_map(|package| &package.versions);
            let kept: Vec<_> = kept.filter(|row| row.action == Action::Keep && !row.version.contains(':')).collect();
            for row in &kept {
                prop_assert!(server.world().is_pullable("app", &row.version), "{}", row.version);
            }
            prop_assert!(with.summary.images_kept >= u64::from(keep).min(without.summary.images_kept));
        }
    }
}

fn requests(server: &Server, kind: &str) -> usize {
    server.lines().iter().filter(|line| line.starts_with(kind) && line.contains("/manifests/")).count()
}

/// Seen on a running server: 3,675 requests without a cache, and 3,675 with one.
#[test]
fn cache_saves_requests() {
    for profile in [Profile::V11, Profile::V15] {
        let mut world = World::example(profile, NOW - 100_000);
        for build in 0..30 {
            world.now += 60;
            let seeds = [format!("amd64 {build}"), format!("arm64 {build}")];
            world.push_index("app", &[&format!("b{build}")], &[&seeds[0], &seeds[1]]);
        }
        world.now = NOW;
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(world);
        let first = cached(&server, 5, folder.path());
        assert_eq!((requests(&server, "GET"), requests(&server, "HEAD")), (90, 0));
        server.clear_log();
        assert_eq!(text(&cached(&server, 5, folder.path())), text(&first));
        // Five images of two platforms stay; the others are deleted.
        assert_eq!((requests(&server, "GET"), requests(&server, "HEAD")), (0, 15));
        // The new image is read once; it takes the place of one of the five.
        server.world().push_image("app", Some("new"), "new");
        server.clear_log();
        cached(&server, 5, folder.path());
        assert_eq!((requests(&server, "GET"), requests(&server, "HEAD")), (1, 13));
        // When a child of a kept image is lost, everything is read, and the plan is that without a cache.
        let child = server.world().find_image("app", "arm64 29");
        server.world().remove_object(&child);
        assert_eq!(text(&cached(&server, 5, folder.path())), text(&uncached(&server, 5)));
        // An image that is known to be broken is read in every run.
        assert_eq!(text(&cached(&server, 5, folder.path())), text(&uncached(&server, 5)));
        let sixth = cached(&server, 5, folder.path());
        assert_eq!(sixth.packages[0].broken, ["b29"], "{OWNER}");
    }
}

#[test]
fn forged_cache_of_rows_does_not_change_the_plan() {
    let mut world = World::example(Profile::V15, NOW - 100_000);
    for build in 0..4 {
        world.now += 60;
        world.push_image("app", Some(&format!("b{build}")), &format!("{build}"));
    }
    world.now = NOW;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(world);
    let first = text(&cached(&server, 2, folder.path()));
    let rows = std::fs::read_dir(folder.path().join("rows")).unwrap().next().unwrap().unwrap().path();
    let good = std::fs::read_to_string(&rows).unwrap();
    for bad in ["", "no rows", &good[..good.len() - 1], &good.replace(" b3", " b4")] {
        std::fs::write(&rows, bad).unwrap();
        server.clear_log();
        assert_eq!(text(&cached(&server, 2, folder.path())), first);
        assert_eq!(std::fs::read_to_string(&rows).unwrap(), good);
    }
    // A file with a right checksum, but with the digests of two tags exchanged.
    let (head, body) = good.split_once('\n').unwrap();
    let line = |tag: &str| body.lines().find(|line| line.ends_with(&format!(" {tag}"))).unwrap().to_owned();
    let digest = |tag: &str| line(tag).split(' ').nth(2).unwrap().to_owned();
    let swapped: String = body
        .lines()
        .map(|one| match one {
            _ if one == line("b3") => one.replace(&digest("b3"), &digest("b0")),
            _ if one == line("b0") => one.replace(&digest("b0"), &digest("b3")),
            _ => one.to_owned(),
        } + "\n")
        .collect();
    let schema = head.split(' ').next().unwrap();
    let check = registry_core::oci::Digest::hash(registry_core::oci::Algorithm::Sha256, swapped.as_bytes());
    std::fs::write(&rows, format!("{schema} {check}\n{swapped}")).unwrap();
    assert_eq!(text(&cached(&server, 2, folder.path())), first);
}
