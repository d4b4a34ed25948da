//! Laws over HTTP: random images on a registry in memory, in both releases, where requests fail from any point on.

use proptest::prelude::*;
use registry_core::retention::{self as core, Plan, RankBy};
use registry_fixtures::registry::{Fault, Profile, Server, World};

use super::{MemoryJournal, applied, block_on, planned_by, source};

/// One push under some tags: an image of several platforms from a small set of builds, so that images share children.
#[derive(Debug, Clone)]
struct Push {
    builds: Vec<u8>,
    tags: Vec<u8>,
    is_index: bool,
    /// Whether its children get tags of their own.
    has_arch_tags: bool,
    is_nested: bool,
}

fn pushes() -> impl Strategy<Value = Vec<Push>> {
    let builds = prop::collection::vec(0..5_u8, 1..4);
    let tags = prop::collection::vec(0..9_u8, 1..3);
    let push = (builds, tags, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(builds, tags, is_index, has_arch_tags, is_nested)| Push {
            builds,
            tags,
            is_index,
            has_arch_tags,
            is_nested,
        },
    );
    prop::collection::vec(push, 1..9)
}

/// Mostly versions, which are ranked; also `latest` and a name that is no version.
fn tag(number: u8) -> String {
    match number {
        0 => "latest".into(),
        1 => "main".into(),
        number => format!("1.{number}.0"),
    }
}

fn world(profile: Profile, pushes: &[Push]) -> World {
    let mut world = World::new(profile);
    for push in pushes {
        let tags: Vec<String> = push.tags.iter().map(|number| tag(*number)).collect();
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        if !push.is_index {
            for tag in tags {
                world.push_image("app", Some(tag), &push.builds[0].to_string());
            }
            continue;
        }
        let children = push.builds.iter().map(|build| {
            let tag = push.has_arch_tags.then(|| format!("1.{build}.0-amd64"));
            world.push_image("app", tag.as_deref(), &build.to_string())
        });
        let mut children: Vec<String> = children.collect();
        if push.is_nested {
            let inner = world.push_index_of("app", &[], &children);
            children = vec![inner];
        }
        world.push_index_of("app", &tags, &children);
    }
    world
}

fn pullable(world: &mut World) -> Vec<(String, String)> {
    let tags = world.tags_of("app");
    let whole: Vec<String> = tags.into_iter().filter(|tag| world.is_pullable("app", tag)).collect();
    whole
        .into_iter()
        .map(|tag| (world.digest_of_tag("app", &tag).unwrap_or_default().to_owned(), tag))
        .collect()
}

fn kept(plan: &Plan) -> Vec<String> {
    let rows = plan.packages.iter().flat_map(|package| &package.versions);
    rows.filter(|row| row.action != core::Action::Delete).map(|row| row.version.clone()).collect()
}

/// Runs an apply whose requests fail from the k-th on, and asserts that kept tags stay pullable; returns the number of requests.
fn law_1(
    profile: Profile,
    pushes: &[Push],
    keep: u32,
    k: usize,
    fault: &Fault,
) -> Result<usize, TestCaseError> {
    let server = Server::start(world(profile, pushes));
    let mut before = pullable(&mut server.world());
    let plan = block_on(planned_by(&source(&server), keep, RankBy::Semver)).expect("a plan");
    let kept = kept(&plan);
    before.retain(|(_, tag)| kept.contains(tag));
    server.clear_log();
    let fault = fault.clone();
    server.set_hook(move |_, _, number| (number >= k).then(|| fault.clone()));
    block_on(applied(source(&server), &plan, &mut MemoryJournal::default()));
    let requests = server.log().len();
    let now = pullable(&mut server.world());
    let lost: Vec<_> = before.iter().filter(|tag| !now.contains(tag)).collect();
    prop_assert!(lost.is_empty(), "{lost:?} broke (stopped before request {k})");
    Ok(requests)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn law_1_over_a_registry_apply_stopped_anywhere_breaks_nothing_kept(
        pushes in pushes(), keep in 1..4_u32, is_v3 in any::<bool>(), is_lost in any::<bool>(),
    ) {
        let profile = if is_v3 { Profile::V3 } else { Profile::V2_8 };
        let fault = if is_lost { Fault::Lost } else { Fault::Refused };
        let whole = law_1(profile, &pushes, keep, usize::MAX, &fault)?;
        for k in 0..whole {
            law_1(profile, &pushes, keep, k, &fault)?;
        }
    }

    #[test]
    fn law_2_over_a_registry_unread_tags_are_never_deleted(
        pushes in pushes(), keep in 1..4_u32, is_v3 in any::<bool>(), failing in prop::collection::vec(any::<bool>(), 60),
    ) {
        let profile = if is_v3 { Profile::V3 } else { Profile::V2_8 };
        let server = Server::start(world(profile, &pushes));
        server.set_hook(move |_, ask, number| {
            let is_manifest = ask.path.contains("/manifests/");
            (is_manifest && failing[number % failing.len()]).then_some(Fault::Status(503))
        });
        let before = pullable(&mut server.world());
        let plan = block_on(planned_by(&source(&server), keep, RankBy::Semver)).expect("a plan");
        for package in &plan.packages {
            let has_unknown_tag = package.versions.iter().any(|row| row.digest.is_none());
            let deletes = package.versions.iter().any(|row| row.action == core::Action::Delete);
            prop_assert!(!(has_unknown_tag && deletes), "{package:?}");
        }
        let kept = kept(&plan);
        block_on(applied(source(&server), &plan, &mut MemoryJournal::default()));
        server.set_hook(|_, _, _| None);
        let now = pullable(&mut server.world());
        let lost: Vec<_> = before.iter().filter(|(_, tag)| kept.contains(tag)).filter(|one| !now.contains(one)).collect();
        prop_assert!(lost.is_empty(), "{lost:?}");
    }

    #[test]
    fn law_4_over_a_registry_both_releases_give_the_same_plan_by_reads_only(
        pushes in pushes(), keep in 1..4_u32,
    ) {
        let mut plans = Vec::new();
        for profile in super::BOTH {
            let server = Server::start(world(profile, &pushes));
            server.set_hook(|_, ask, _| {
                assert!(matches!(ask.method.as_str(), "GET" | "HEAD"), "{} {}", ask.method, ask.path);
                None
            });
            let plan = block_on(planned_by(&source(&server), keep, RankBy::Semver)).expect("a plan");
            plans.push(serde_json::to_string(&plan).expect("JSON"));
        }
        prop_assert_eq!(&plans[0], &plans[1]);
    }
}
