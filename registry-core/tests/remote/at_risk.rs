//! Kept children that Forgejo's own collector takes: the plan tells beforehand which.

use std::collections::BTreeSet;

use proptest::prelude::*;
use registry_core::retention::Plan;
use registry_fixtures::forgejo::{Profile, Server, World};

use crate::laws::{NOW, block, planned};

/// What somebody did: in a package, an index of builds, or one build alone again.
#[derive(Debug, Clone)]
enum Act {
    Index { package: u8, builds: Vec<u8>, tag: u8 },
    Alone { package: u8, build: u8 },
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let index = (0..3_u8, prop::collection::vec(0..4_u8, 1..3), 0..3_u8)
        .prop_map(|(package, builds, tag)| Act::Index { package, builds, tag });
    let alone = (0..3_u8, 0..4_u8).prop_map(|(package, build)| Act::Alone { package, build });
    prop::collection::vec(prop_oneof![index, alone], 1..14)
}

fn world(profile: Profile, acts: &[Act]) -> World {
    let mut world = World::example(profile, NOW);
    for act in acts {
        match act {
            Act::Index { package, builds, tag } => {
                let seeds: Vec<String> = builds.iter().map(u8::to_string).collect();
                let seeds: Vec<&str> = seeds.iter().map(String::as_str).collect();
                world.push_index(&format!("p{package}"), &[&format!("t{tag}")], &seeds);
            }
            Act::Alone { package, build } => {
                world.push_image(&format!("p{package}"), None, &build.to_string());
            }
        }
    }
    world
}

fn warned(plan: &Plan) -> BTreeSet<(String, String)> {
    let all = plan.packages.iter();
    let warnings = all.flat_map(|package| package.warnings.iter().map(move |text| (&package.name, text)));
    warnings
        .map(|(name, text)| {
            let (_, rest) = text.split_once("take ").expect("a digest");
            (name.clone(), rest.split(' ').next().unwrap_or_default().to_owned())
        })
        .collect()
}

/// Kept tags that could be pulled and cannot be any more after the next night, by package.
fn lost(world: &mut World) -> BTreeSet<String> {
    let packages = ["p0", "p1", "p2"];
    let pullable = |world: &mut World| {
        let tags = packages
            .iter()
            .flat_map(|package| world.tags_of(package).into_iter().map(move |tag| (package, tag)));
        let tags: Vec<_> = tags.collect();
        let whole = tags.into_iter().filter(|(package, tag)| world.is_pullable(package, tag));
        whole.map(|(package, tag)| format!("{package}:{tag}")).collect::<BTreeSet<_>>()
    };
    let before = pullable(world);
    world.now += 25 * 3600;
    world.cleanup();
    let after = pullable(world);
    before.difference(&after).map(|tag| tag.split(':').next().unwrap_or_default().to_owned()).collect()
}

fn check(profile: Profile, acts: &[Act]) -> (BTreeSet<(String, String)>, BTreeSet<String>) {
    let server = Server::start(world(profile, acts));
    let (_, plan) = block(planned(&server.url, 100)).expect("a plan");
    let lost = lost(&mut server.world());
    (warned(&plan), lost)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_plan_warns_of_what_the_collector_takes_and_of_nothing_else(acts in acts(), is_v15 in any::<bool>()) {
        let (warned, lost) = check(if is_v15 { Profile::V15 } else { Profile::V11 }, &acts);
        let packages: BTreeSet<String> = warned.into_iter().map(|(package, _)| package).collect();
        prop_assert_eq!(packages, lost);
    }
}

#[test]
fn the_plan_warns_of_kept_children_that_the_collector_takes() {
    let index = |package| Act::Index { package, builds: vec![1, 2], tag: 1 };
    // The fault needs the build in another package before its index, and a push of it alone after its index.
    let alone = |package| Act::Alone { package, build: 1 };
    let acts = [alone(0), index(1), alone(1)];
    let server = Server::start(world(Profile::V15, &acts));
    let (_, plan) = block(planned(&server.url, 100)).expect("a plan");
    assert_eq!(lost(&mut server.world()), BTreeSet::from(["p1".to_owned()]));
    let warnings: Vec<&String> = plan.packages.iter().flat_map(|package| &package.warnings).collect();
    insta::with_settings!({ filters => vec![(r"sha256:[0-9a-f]{64}", "sha256:…")] }, {
        insta::assert_debug_snapshot!(warnings, @r#"
        [
            "the server's own collector will take sha256:… (child of t1) once it is a day old: it was pushed again after the index that names it, and another package has it too; push the tag again",
        ]
        "#);
    });
    let (warned, lost) = check(Profile::V15, &acts[..2]);
    assert_eq!((warned.len(), lost.len()), (0, 0));
}
