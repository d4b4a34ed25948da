//! Lists with versions that a Forgejo cannot describe, because its database has lost the row of a blob. Recorded on both
//! releases: `fixtures/transcripts/*/damaged-*-row.jsonl.gz`.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use registry_core::retention::{Listing, Reader as _};
use registry_fixtures::forgejo::{Fault, OWNER, Profile, Server, World};

use crate::laws::{NOW, block_on, forgejo};

/// Names that contain each other; `_` matches any character in a search.
const NAMES: [&str; 6] = ["app", "team/app", "app-tools", "my_tool", "my-tool", "other"];

/// A server with single images: so many tags of each package, pushed in turns, in one second each unless `is_slow`.
fn world(profile: Profile, packages: &[(usize, u8)], is_slow: bool) -> World {
    let mut world = World::example(profile, NOW - 1000);
    for round in 0..packages.iter().map(|(_, tags)| *tags).max().unwrap_or(0) {
        for (name, _) in packages.iter().filter(|(_, tags)| round < *tags) {
            let name = NAMES[name % NAMES.len()];
            world.push_image(name, Some(&format!("v{round}")), &format!("{name} {round}"));
            world.now += i64::from(is_slow);
        }
    }
    world
}

/// Removes the row of the blob of one file of one version.
fn damage(world: &mut World, at: usize, file: usize) {
    let versions: Vec<_> = world.versions.iter().filter(|version| !version.is_internal).collect();
    let version = versions[at % versions.len()];
    let digest = version.files[file % version.files.len()].digest.clone();
    world.break_blob_row(&digest);
}

/// The ids of the rows of each package, and the packages with a damaged row.
fn expected_rows(world: &World) -> (BTreeMap<String, BTreeSet<u64>>, BTreeSet<String>) {
    let (mut rows, mut damaged) = (BTreeMap::<String, BTreeSet<u64>>::new(), BTreeSet::new());
    for version in world.versions.iter().filter(|version| !version.is_internal) {
        let package = world.packages.iter().find(|one| one.id == version.package).unwrap();
        rows.entry(package.name.clone()).or_default().insert(version.id);
        if version.is_damaged() {
            damaged.insert(package.name.clone());
        }
    }
    (rows, damaged)
}

fn listed(server: &Server, package: Option<&str>) -> Result<Listing, String> {
    block_on(async { forgejo(&server.url).await.expect("a server").rows(package).await })
        .map_err(|why| why.to_string())
}

/// Compares a listing with the server: a package that is not called incomplete is listed whole, and a damaged one is called
/// incomplete.
fn check(listing: &Listing, world: &World) -> BTreeSet<String> {
    let (rows, damaged) = expected_rows(world);
    let incomplete: BTreeSet<String> = listing.incomplete.iter().map(|one| one.package.clone()).collect();
    assert!(damaged.is_subset(&incomplete), "{damaged:?} {incomplete:?}");
    for (package, ids) in rows.iter().filter(|(package, _)| !incomplete.contains(*package)) {
        let found: BTreeSet<u64> =
            listing.rows.iter().filter(|row| row.package == *package).filter_map(|row| row.id).collect();
        assert_eq!(found, *ids, "{package}");
    }
    incomplete
}

fn profiles() -> impl Strategy<Value = Profile> {
    prop_oneof![Just(Profile::V11), Just(Profile::V15)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn package_is_listed_whole_or_called_incomplete(
        profile in profiles(),
        packages in prop::collection::vec((0..6_usize, 1..7_u8), 1..5),
        lost in prop::collection::vec((any::<u16>(), any::<u8>()), 1..4),
        page in prop_oneof![Just(50_usize), Just(6), Just(5)],
        is_slow in any::<bool>(),
    ) {
        let mut world = world(profile, &packages, is_slow);
        world.page_max = page;
        lost.iter().for_each(|(at, file)| damage(&mut world, usize::from(*at), usize::from(*file)));
        let server = Server::start(world);
        // The catalog also names packages without a listed version, so every version is attributed.
        let listing = listed(&server, None).expect("a listing");
        let incomplete = check(&listing, &server.world());
        if lost.len() == 1 {
            prop_assert_eq!(&incomplete, &expected_rows(&server.world()).1, "one damaged version makes one package incomplete");
        }
        // The list of one package alone, as it is read before the first deletion.
        let (rows, damaged) = expected_rows(&server.world());
        for name in rows.keys().take(2) {
            let one = listed(&server, Some(name)).expect("a listing");
            if one.incomplete.is_empty() {
                let found: BTreeSet<u64> = one.rows.iter().filter_map(|row| row.id).collect();
                prop_assert_eq!(&found, &rows[name]);
            }
            prop_assert!(!damaged.contains(name) || !one.incomplete.is_empty(), "{}", name);
        }
    }
}

/// Recorded: `damaged-layer-row` and `damaged-manifest-row`.
#[test]
fn damaged_row_makes_only_its_package_incomplete() {
    for (profile, file) in [(Profile::V11, 0), (Profile::V15, 0), (Profile::V11, 2), (Profile::V15, 2)] {
        let mut world = world(profile, &[(0, 40), (1, 40), (5, 40)], true);
        let id = world.package(1, "app").unwrap().id;
        let digest = world.versions_of(id).find(|row| row.name == "v20").unwrap().files[file].digest.clone();
        world.break_blob_row(&digest);
        let server = Server::start(world);
        let listing = listed(&server, None).expect("a listing");
        assert_eq!(check(&listing, &server.world()), BTreeSet::from(["app".to_owned()]));
        assert_eq!(listing.rows.len(), 119);
        insta::allow_duplicates! {
            insta::assert_snapshot!(listing.incomplete[0].why, @"the server cannot list a version of it (v20): it answers 500, as where its database has lost the row of a blob; delete it to heal the list: DELETE /api/v1/packages/viktor/container/app/v20");
        }
        assert!(server.lines().len() < 100, "{}", server.lines().len());
        // `team/app` can be handled although `app` is incomplete.
        let one = listed(&server, Some("team/app")).expect("a listing");
        assert_eq!((one.rows.len(), one.incomplete.len()), (40, 0));
        let one = listed(&server, Some("app")).expect("a listing");
        assert_eq!((one.rows.len(), one.incomplete.len()), (39, 1));
        // The remedy that the message names.
        server.world().versions.retain(|row| !row.is_damaged());
        assert_eq!(listed(&server, None), listed(&server, None));
        assert_eq!(check(&listed(&server, None).expect("a listing"), &server.world()), BTreeSet::new());
    }
}

#[test]
fn damaged_version_of_an_unknown_package_stops_the_owner() {
    let mut world = world(Profile::V15, &[(5, 3)], true);
    world.push_image("lonely", Some("v1"), "lonely");
    let lonely = world.package(1, "lonely").unwrap().id;
    let digest = world.versions_of(lonely).find(|row| row.name == "v1").unwrap().files[0].digest.clone();
    world.break_blob_row(&digest);
    let (_, damaged) = expected_rows(&world);
    assert_eq!(damaged, BTreeSet::from(["lonely".to_owned()]));
    let server = Server::start(world);
    // The catalog names it.
    let listing = listed(&server, None).expect("a listing");
    assert_eq!(check(&listing, &server.world()), damaged);
    // Without the catalog nothing names it.
    server.set_hook(|_, ask, _| (ask.path == "/v2/_catalog").then_some(Fault::Status(403)));
    insta::assert_snapshot!(listed(&server, None).unwrap_err(), @"GET /api/v1/packages/viktor: 1 of 4 versions cannot be listed, each answers 500 alone, and 1 of them could not be attributed to a package: nothing is decided about this owner. Forgejo does that where its database has lost the row of a blob; DELETE /api/v1/packages/viktor/container/PACKAGE/VERSION of that version heals it");
}

#[test]
fn push_during_the_search_for_a_damaged_row_restarts_it() {
    for profile in [Profile::V11, Profile::V15] {
        let mut world = world(profile, &[(0, 30), (5, 30)], true);
        damage(&mut world, 20, 1);
        let server = Server::start(world);
        let mut pushes = 0;
        server.set_hook(move |world, ask, number| {
            if ask.query.contains("limit=5&") && pushes < 3 && number % 2 == 0 {
                pushes += 1;
                world.now += 1;
                // The number of versions stays the same, so only a second read notices the push.
                world.push_image("other", Some("v3"), &format!("again {pushes}"));
            }
            None
        });
        let listing = listed(&server, None).expect("a listing");
        check(&listing, &server.world());
    }
}

#[test]
fn server_that_always_answers_500_is_no_damaged_row() {
    let server = Server::start(world(Profile::V15, &[(0, 3)], true));
    server.set_hook(|_, ask, _| {
        (ask.path == format!("/api/v1/packages/{OWNER}")).then_some(Fault::Status(500))
    });
    insta::assert_snapshot!(listed(&server, None).unwrap_err(), @"GET /api/v1/packages/viktor: status 500");
}
