//! What is asked: everything once, and by later runs only what may have changed.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use registry_core::probe::{Depth, ProbeState};
use registry_fixtures::registry::{Server, World};

use crate::support::{BOTH, How, NAME, asked, look, look_once, registry};

/// Two repositories that share children and layers, with many tags.
fn busy(world: &mut World) {
    let children = ["one", "two", "three"].map(|seed| world.push_image("app", None, seed)).to_vec();
    world.push_index_of("app", &["v1", "v2", "latest"], &children);
    world.push_index_of("app", &["v3"], &children[..2]);
    world.push_image("app", Some("single"), "one");
    world.push_index("team/web", &["v1", "v2"], &["one", "four"]);
}

fn counted(server: &Server) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in server.lines() {
        *counts.entry(line).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn each_digest_of_each_repository_is_asked_for_once() {
    for profile in BOTH {
        for (depth, method) in [(Depth::Blobs, "HEAD"), (Depth::Content, "GET")] {
            let server = registry(profile, busy);
            let looked = look_once(&server, &How { depth, ..How::default() }).await;
            assert_eq!(looked.story(), Vec::<String>::new());
            let counts = counted(&server);
            assert!(counts.values().all(|count| *count == 1), "{counts:#?}");
            let of = |what: &str| counts.keys().filter(|line| line.starts_with(what)).count();
            // Tags are resolved by HEAD, manifests read: 2 indexes and 3 images of app, an index and 2 images of team/web.
            assert_eq!((of("HEAD /v2/app/manifests/"), of("GET /v2/app/manifests/sha256:")), (5, 5));
            assert_eq!(
                (of("HEAD /v2/team/web/manifests/"), of("GET /v2/team/web/manifests/sha256:")),
                (2, 3)
            );
            // A config and a layer of each image.
            assert_eq!(of(&format!("{method} /v2/app/blobs/")), 6);
            assert_eq!(of(&format!("{method} /v2/team/web/blobs/")), 4);
            assert_eq!(looked.sent, counts.len() as u64);
        }
    }
}

#[tokio::test]
async fn manifests_alone_are_asked_for_where_that_is_the_depth() {
    let server = registry(BOTH[0], |world| {
        busy(world);
        let lost = world.push_blob("app", b"config of nothing");
        world.unlink_blob("app", &lost);
    });
    let looked = look_once(&server, &How { depth: Depth::Manifests, ..How::default() }).await;
    assert_eq!(looked.story(), Vec::<String>::new());
    assert_eq!(asked(&server, "/blobs/"), Vec::<String>::new());
}

#[tokio::test]
async fn a_second_run_asks_whether_manifests_are_there_and_reads_nothing() {
    for profile in BOTH {
        let server = registry(profile, busy);
        let (mut past, how) = (ProbeState::new(NAME), How::default());
        look(&server, &mut past, &how).await;
        server.clear_log();
        let looked = look(&server, &mut past, &how.later(900)).await;
        assert_eq!(looked.story(), Vec::<String>::new());
        let counts = counted(&server);
        assert!(counts.values().all(|count| *count == 1), "{counts:#?}");
        let gets: Vec<_> = counts.keys().filter(|line| line.starts_with("GET ")).collect();
        assert!(
            gets.iter().all(|line| line.contains("/tags/list") || line.contains("/_catalog")),
            "{gets:?}"
        );
        assert_eq!(asked(&server, "HEAD /v2/app/manifests/sha256:").len(), 5);
        assert_eq!(asked(&server, "HEAD /v2/team/web/manifests/sha256:").len(), 3);
        assert_eq!(asked(&server, "/blobs/"), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_manifest_that_went_away_is_missed_though_its_bytes_are_known() {
    for profile in BOTH {
        let server = registry(profile, busy);
        let (mut past, how) = (ProbeState::new(NAME), How::default());
        look(&server, &mut past, &how).await;
        let child = registry_fixtures::Digest::of(&registry_fixtures::registry::image_of("three", None).0);
        server.world().unlink_manifest("app", child.as_str());
        let looked = look(&server, &mut past, &how.later(900)).await;
        assert_eq!(looked.broken(), ["app:latest", "app:v1", "app:v2"]);
    }
}

#[tokio::test]
async fn configs_and_layers_are_asked_for_again_after_a_time_only() {
    let server = registry(BOTH[0], busy);
    let (mut past, how) =
        (ProbeState::new(NAME), How { recheck_after: SignedDuration::from_secs(3600), ..How::default() });
    look(&server, &mut past, &how).await;
    server.clear_log();
    look(&server, &mut past, &how.later(3599)).await;
    assert_eq!(asked(&server, "/blobs/"), Vec::<String>::new());
    look(&server, &mut past, &how.later(3601)).await;
    assert_eq!(asked(&server, "HEAD /v2/app/blobs/").len(), 6);
    // The bytes of manifests are read anew as well.
    assert_eq!(asked(&server, "GET /v2/app/manifests/sha256:").len(), 5);
    server.clear_log();
    look(&server, &mut past, &how.later(7200)).await;
    assert_eq!(asked(&server, "/blobs/"), Vec::<String>::new());
}

#[tokio::test]
async fn layers_that_were_there_are_hashed_once_hashing_is_wanted() {
    let server = registry(BOTH[0], busy);
    let mut past = ProbeState::new(NAME);
    look(&server, &mut past, &How::default()).await;
    server.clear_log();
    look(&server, &mut past, &How::deep().later(60)).await;
    assert_eq!(asked(&server, "GET /v2/app/blobs/").len(), 6);
    server.clear_log();
    look(&server, &mut past, &How::deep().later(120)).await;
    assert_eq!(asked(&server, "/blobs/"), Vec::<String>::new());
}

#[tokio::test]
async fn a_clock_that_was_set_back_makes_nothing_be_believed() {
    let server = registry(BOTH[0], busy);
    let mut past = ProbeState::new(NAME);
    look(&server, &mut past, &How::default()).await;
    server.clear_log();
    look(&server, &mut past, &How::default().later(-60)).await;
    assert_eq!(asked(&server, "HEAD /v2/app/blobs/").len(), 6);
}

#[tokio::test]
async fn a_condition_is_never_sent() {
    // 2.8 answers 304 without looking whether the manifest is there.
    for profile in BOTH {
        let server = registry(profile, busy);
        let mut past = ProbeState::new(NAME);
        for seconds in [0, 60, 200_000] {
            look(&server, &mut past, &How::default().later(seconds)).await;
            look(&server, &mut past, &How::deep().later(seconds)).await;
        }
        let conditional = |name: &String| name.starts_with("if-") || name == "range";
        let log = server.log();
        assert!(log.iter().all(|ask| !ask.headers.iter().any(|(name, _)| conditional(name))));
        assert!(log.len() > 50);
    }
}

#[tokio::test]
async fn bytes_in_the_state_that_do_not_hash_are_read_again() {
    let server = registry(BOTH[0], busy);
    let (mut past, how) = (ProbeState::new(NAME), How::default());
    look(&server, &mut past, &how).await;
    let digests: Vec<_> = past.manifests.keys().copied().collect();
    // Every index is said to have no children, every image no layers.
    for one in past.manifests.values_mut() {
        one.data = "e30=".into();
    }
    let child = registry_fixtures::Digest::of(&registry_fixtures::registry::image_of("three", None).0);
    server.world().unlink_manifest("app", child.as_str());
    server.clear_log();
    let looked = look(&server, &mut past, &how.later(60)).await;
    assert_eq!(looked.broken(), ["app:latest", "app:v1", "app:v2"]);
    // The third was read in app by then, and hashes.
    assert_eq!(asked(&server, "GET /v2/team/web/manifests/sha256:").len(), 2);
    let is_right = |digest| {
        ["app", "team/web"].iter().any(|name| past.manifest(name, digest, jiff::Timestamp::MIN).is_some())
    };
    assert_eq!(digests.iter().filter(|digest| !is_right(digest)).count(), 1, "the one that is not there");
}

#[tokio::test]
async fn bug_bytes_that_another_repository_sent_prove_nothing() {
    // One link names another manifest: asked whether it is there, 2.8 answers yes.
    let server = registry(BOTH[0], |world| {
        world.push_image("app", Some("v1"), "one");
        world.push_index("web", &["v1"], &["one", "two"]);
        let [one, two] = ["one", "two"]
            .map(|seed| registry_fixtures::Digest::of(&registry_fixtures::registry::image_of(seed, None).0));
        world.rewrite_manifest_link("web", one.as_str(), two.as_str());
    });
    let looked = look_once(&server, &How::default()).await;
    assert_eq!(looked.broken(), ["web:v1"]);
}

#[tokio::test]
async fn bug_a_manifest_of_another_size_than_is_remembered_is_read() {
    for profile in BOTH {
        let server = registry(profile, busy);
        let mut past = ProbeState::new(NAME);
        look(&server, &mut past, &How::default()).await;
        let child = registry_fixtures::Digest::of(&registry_fixtures::registry::image_of("three", None).0);
        let other = registry_fixtures::registry::image_of(&"x".repeat(999), None).0;
        server.world().replace_bytes(child.as_str(), &other);
        let looked = look(&server, &mut past, &How::default().later(900)).await;
        assert_eq!(looked.broken(), ["app:latest", "app:v1", "app:v2"]);
    }
}

#[tokio::test]
async fn bug_a_config_is_asked_for_once_where_its_platform_is_wanted() {
    let server = registry(BOTH[0], |world| drop(world.push_image("app", Some("v1"), "one")));
    let how = How { platforms: vec!["linux/arm64".parse().unwrap()], ..How::default() };
    let looked = look_once(&server, &how).await;
    assert_eq!(looked.story(), ["platform-missing app:v1 it has no linux/arm64, only linux/amd64"]);
    let counts = counted(&server);
    assert!(counts.values().all(|count| *count == 1), "{counts:#?}");
    assert_eq!(asked(&server, "/blobs/").len(), 2);
}
