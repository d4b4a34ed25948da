//! Which requests a run makes: each object once, and in later runs only what may have changed.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use registry_core::probe::{Depth, ProbeState};
use registry_fixtures::registry::{Server, World};

use crate::support::{BOTH, NAME, RunOptions, registry, requests_for, run_once, run_probe};

/// Two repositories that share children and layers, with many tags.
fn push_busy_repositories(world: &mut World) {
    let children = ["one", "two", "three"].map(|seed| world.push_image("app", None, seed)).to_vec();
    world.push_index_of("app", &["v1", "v2", "latest"], &children);
    world.push_index_of("app", &["v3"], &children[..2]);
    world.push_image("app", Some("single"), "one");
    world.push_index("team/web", &["v1", "v2"], &["one", "four"]);
}

fn count_requests(server: &Server) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in server.lines() {
        *counts.entry(line).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn each_digest_of_each_repository_is_requested_once() {
    for profile in BOTH {
        for (depth, method) in [(Depth::Blobs, "HEAD"), (Depth::Content, "GET")] {
            let server = registry(profile, push_busy_repositories);
            let result = run_once(&server, &RunOptions { depth, ..RunOptions::default() }).await;
            assert_eq!(result.summary_lines(), Vec::<String>::new());
            let counts = count_requests(&server);
            assert!(counts.values().all(|count| *count == 1), "{counts:#?}");
            let count = |what: &str| counts.keys().filter(|line| line.starts_with(what)).count();
            // Tags are resolved by HEAD, manifests read: 2 indexes and 3 images of app, an index and 2 images of team/web.
            assert_eq!((count("HEAD /v2/app/manifests/"), count("GET /v2/app/manifests/sha256:")), (5, 5));
            assert_eq!(
                (count("HEAD /v2/team/web/manifests/"), count("GET /v2/team/web/manifests/sha256:")),
                (2, 3)
            );
            // A config and a layer of each image.
            assert_eq!(count(&format!("{method} /v2/app/blobs/")), 6);
            assert_eq!(count(&format!("{method} /v2/team/web/blobs/")), 4);
            assert_eq!(result.sent, counts.len() as u64);
        }
    }
}

#[tokio::test]
async fn depth_of_manifests_requests_no_blobs() {
    let server = registry(BOTH[0], |world| {
        push_busy_repositories(world);
        let lost = world.push_blob("app", b"config of nothing");
        world.unlink_blob("app", &lost);
    });
    let result = run_once(&server, &RunOptions { depth: Depth::Manifests, ..RunOptions::default() }).await;
    assert_eq!(result.summary_lines(), Vec::<String>::new());
    assert_eq!(requests_for(&server, "/blobs/"), Vec::<String>::new());
}

#[tokio::test]
async fn second_run_checks_manifests_by_head_and_reads_nothing() {
    for profile in BOTH {
        let server = registry(profile, push_busy_repositories);
        let (mut past, options) = (ProbeState::new(NAME), RunOptions::default());
        run_probe(&server, &mut past, &options).await;
        server.clear_log();
        let result = run_probe(&server, &mut past, &options.later(900)).await;
        assert_eq!(result.summary_lines(), Vec::<String>::new());
        let counts = count_requests(&server);
        assert!(counts.values().all(|count| *count == 1), "{counts:#?}");
        let gets: Vec<_> = counts.keys().filter(|line| line.starts_with("GET ")).collect();
        assert!(
            gets.iter().all(|line| line.contains("/tags/list") || line.contains("/_catalog")),
            "{gets:?}"
        );
        assert_eq!(requests_for(&server, "HEAD /v2/app/manifests/sha256:").len(), 5);
        assert_eq!(requests_for(&server, "HEAD /v2/team/web/manifests/sha256:").len(), 3);
        assert_eq!(requests_for(&server, "/blobs/"), Vec::<String>::new());
    }
}

#[tokio::test]
async fn manifest_deleted_since_the_last_run_is_missing() {
    for profile in BOTH {
        let server = registry(profile, push_busy_repositories);
        let (mut past, options) = (ProbeState::new(NAME), RunOptions::default());
        run_probe(&server, &mut past, &options).await;
        let child = registry_fixtures::Digest::of(&registry_fixtures::registry::image_of("three", None).0);
        server.world().unlink_manifest("app", child.as_str());
        let result = run_probe(&server, &mut past, &options.later(900)).await;
        assert_eq!(result.broken(), ["app:latest", "app:v1", "app:v2"]);
    }
}

#[tokio::test]
async fn blobs_are_requested_again_only_after_the_recheck_time() {
    let server = registry(BOTH[0], push_busy_repositories);
    let (mut past, options) = (
        ProbeState::new(NAME),
        RunOptions { recheck_after: SignedDuration::from_secs(3600), ..RunOptions::default() },
    );
    run_probe(&server, &mut past, &options).await;
    server.clear_log();
    run_probe(&server, &mut past, &options.later(3599)).await;
    assert_eq!(requests_for(&server, "/blobs/"), Vec::<String>::new());
    run_probe(&server, &mut past, &options.later(3601)).await;
    assert_eq!(requests_for(&server, "HEAD /v2/app/blobs/").len(), 6);
    // The bytes of manifests are read again as well.
    assert_eq!(requests_for(&server, "GET /v2/app/manifests/sha256:").len(), 5);
    server.clear_log();
    run_probe(&server, &mut past, &options.later(7200)).await;
    assert_eq!(requests_for(&server, "/blobs/"), Vec::<String>::new());
}

#[tokio::test]
async fn known_layers_are_hashed_once_content_is_requested() {
    let server = registry(BOTH[0], push_busy_repositories);
    let mut past = ProbeState::new(NAME);
    run_probe(&server, &mut past, &RunOptions::default()).await;
    server.clear_log();
    run_probe(&server, &mut past, &RunOptions::deep().later(60)).await;
    assert_eq!(requests_for(&server, "GET /v2/app/blobs/").len(), 6);
    server.clear_log();
    run_probe(&server, &mut past, &RunOptions::deep().later(120)).await;
    assert_eq!(requests_for(&server, "/blobs/"), Vec::<String>::new());
}

#[tokio::test]
async fn clock_going_backwards_invalidates_state() {
    let server = registry(BOTH[0], push_busy_repositories);
    let mut past = ProbeState::new(NAME);
    run_probe(&server, &mut past, &RunOptions::default()).await;
    server.clear_log();
    run_probe(&server, &mut past, &RunOptions::default().later(-60)).await;
    assert_eq!(requests_for(&server, "HEAD /v2/app/blobs/").len(), 6);
}

#[tokio::test]
async fn conditional_headers_are_never_sent() {
    // 2.8 answers 304 without checking that the manifest exists.
    for profile in BOTH {
        let server = registry(profile, push_busy_repositories);
        let mut past = ProbeState::new(NAME);
        for seconds in [0, 60, 200_000] {
            run_probe(&server, &mut past, &RunOptions::default().later(seconds)).await;
            run_probe(&server, &mut past, &RunOptions::deep().later(seconds)).await;
        }
        let conditional = |name: &String| name.starts_with("if-") || name == "range";
        let log = server.log();
        assert!(log.iter().all(|ask| !ask.headers.iter().any(|(name, _)| conditional(name))));
        assert!(log.len() > 50);
    }
}

#[tokio::test]
async fn manifests_in_the_state_with_wrong_bytes_are_read_again() {
    let server = registry(BOTH[0], push_busy_repositories);
    let (mut past, options) = (ProbeState::new(NAME), RunOptions::default());
    run_probe(&server, &mut past, &options).await;
    let digests: Vec<_> = past.manifests.keys().copied().collect();
    // According to the altered state no index has children and no image has layers.
    for one in past.manifests.values_mut() {
        one.data = "e30=".into();
    }
    let child = registry_fixtures::Digest::of(&registry_fixtures::registry::image_of("three", None).0);
    server.world().unlink_manifest("app", child.as_str());
    server.clear_log();
    let result = run_probe(&server, &mut past, &options.later(60)).await;
    assert_eq!(result.broken(), ["app:latest", "app:v1", "app:v2"]);
    // The third manifest was read in `app` by then and has the right hash.
    assert_eq!(requests_for(&server, "GET /v2/team/web/manifests/sha256:").len(), 2);
    let is_right = |digest| {
        ["app", "team/web"].iter().any(|name| past.manifest(name, digest, jiff::Timestamp::MIN).is_some())
    };
    assert_eq!(
        digests.iter().filter(|digest| !is_right(digest)).count(),
        1,
        "only the deleted manifest is missing"
    );
}

#[tokio::test]
async fn bug_manifest_known_from_another_repository_is_read_again() {
    // A revision link names another manifest: 2.8 answers a HEAD for it with 200.
    let server = registry(BOTH[0], |world| {
        world.push_image("app", Some("v1"), "one");
        world.push_index("web", &["v1"], &["one", "two"]);
        let [one, two] = ["one", "two"]
            .map(|seed| registry_fixtures::Digest::of(&registry_fixtures::registry::image_of(seed, None).0));
        world.rewrite_manifest_link("web", one.as_str(), two.as_str());
    });
    let result = run_once(&server, &RunOptions::default()).await;
    assert_eq!(result.broken(), ["web:v1"]);
}

#[tokio::test]
async fn bug_manifest_of_another_size_than_remembered_is_read_again() {
    for profile in BOTH {
        let server = registry(profile, push_busy_repositories);
        let mut past = ProbeState::new(NAME);
        run_probe(&server, &mut past, &RunOptions::default()).await;
        let child = registry_fixtures::Digest::of(&registry_fixtures::registry::image_of("three", None).0);
        let other = registry_fixtures::registry::image_of(&"x".repeat(999), None).0;
        server.world().replace_bytes(child.as_str(), &other);
        let result = run_probe(&server, &mut past, &RunOptions::default().later(900)).await;
        assert_eq!(result.broken(), ["app:latest", "app:v1", "app:v2"]);
    }
}

#[tokio::test]
async fn bug_config_is_requested_once_when_its_platform_is_required() {
    let server = registry(BOTH[0], |world| drop(world.push_image("app", Some("v1"), "one")));
    let options = RunOptions { platforms: vec!["linux/arm64".parse().unwrap()], ..RunOptions::default() };
    let result = run_once(&server, &options).await;
    assert_eq!(result.summary_lines(), ["platform-missing app:v1 it has no linux/arm64, only linux/amd64"]);
    let counts = count_requests(&server);
    assert!(counts.values().all(|count| *count == 1), "{counts:#?}");
    assert_eq!(requests_for(&server, "/blobs/").len(), 2);
}
