//! Pushes and deletions during a probe.

use registry_fixtures::Digest;
use registry_fixtures::registry::{Fault, Reply, Server, World, image_of};

use crate::support::{BOTH, RunOptions, RunResult, mask_digests, registry, run_once};

fn child_digest(seed: &str) -> String {
    Digest::of(&image_of(seed, None).0).as_str().to_owned()
}

/// Changes the world right before the first request with this line.
fn change_before(server: &Server, line: String, change: impl FnOnce(&mut World) + Send + 'static) {
    let mut change = Some(change);
    server.set_hook(move |world, ask, _| {
        if format!("{} {}", ask.method, ask.path) == line
            && let Some(change) = change.take()
        {
            change(world);
        }
        None
    });
}

fn assert_no_findings(result: &RunResult) {
    assert_eq!(result.summary_lines(), Vec::<String>::new());
}

#[tokio::test]
async fn tag_that_vanished_between_list_and_read_is_no_damage() {
    for profile in BOTH {
        let server = registry(profile, |world| {
            world.push_image("app", Some("v1"), "one");
            world.push_image("app", Some("v2"), "two");
        });
        change_before(&server, "HEAD /v2/app/manifests/v1".into(), |world| {
            let digest = world.digest_of_tag("app", "v1").unwrap().to_owned();
            let ask = registry_fixtures::registry::ReceivedRequest {
                method: "DELETE".into(),
                path: format!("/v2/app/manifests/{digest}"),
                ..Default::default()
            };
            assert_eq!(world.answer(&ask).status, 202);
        });
        let result = run_once(&server, &RunOptions::default()).await;
        assert_no_findings(&result);
        assert_eq!((result.judgement.audit.covered, result.judgement.judged.len()), (1, 1));
    }
}

#[tokio::test]
async fn repository_that_vanished_between_list_and_read_is_no_damage() {
    let server = registry(BOTH[1], |world| {
        world.push_image("app", Some("v1"), "one");
        world.push_image("web", Some("v1"), "two");
    });
    // Registry 3 no longer knows a repository once everything in it is deleted.
    server.set_hook(|_, ask, number| {
        let gone = || Reply::new(404).with("content-type", "application/json");
        let gone = || gone().body(r#"{"errors":[{"code":"NAME_UNKNOWN","message":""}]}"#);
        (ask.path.starts_with("/v2/app/") && number > 2).then(|| Fault::Instead(gone()))
    });
    let result = run_once(&server, &RunOptions::default()).await;
    assert_no_findings(&result);
    assert_eq!(result.judgement.judged.len(), 1);
}

#[tokio::test]
async fn tag_that_moved_is_judged_by_its_new_image() {
    for profile in BOTH {
        let server = registry(profile, |world| {
            world.push_index("app", &["latest"], &["one", "two"]);
        });
        change_before(&server, format!("GET /v2/app/manifests/{}", child_digest("two")), |world| {
            world.push_index("app", &["latest"], &["three", "four"]);
            world.unlink_manifest("app", &child_digest("two"));
        });
        let result = run_once(&server, &RunOptions::default()).await;
        assert_no_findings(&result);
        assert_eq!(result.judgement.judged.len(), 1);
        let children = ["three", "four"].map(|seed| format!("GET /v2/app/manifests/{}", child_digest(seed)));
        assert!(children.iter().all(|line| server.lines().contains(line)), "the new image was read");
    }
}

#[tokio::test]
async fn tag_that_moved_to_a_damaged_image_is_broken() {
    let _guard = mask_digests();
    let server = registry(BOTH[0], |world| drop(world.push_index("app", &["latest"], &["one", "two"])));
    change_before(&server, format!("GET /v2/app/manifests/{}", child_digest("two")), |world| {
        world.push_index("app", &["latest"], &["three", "four"]);
        world.unlink_manifest("app", &child_digest("two"));
        world.unlink_manifest("app", &child_digest("four"));
    });
    insta::assert_snapshot!(run_once(&server, &RunOptions::default()).await.summary_lines().join("\n"), @"child-missing app:latest linux/arm64 answers 404");
}

#[tokio::test]
async fn child_deleted_together_with_its_tag_is_no_damage() {
    for profile in BOTH {
        let server = registry(profile, |world| {
            world.push_index("app", &["v1"], &["one", "two"]);
            world.push_image("app", Some("v2"), "three");
        });
        change_before(&server, format!("GET /v2/app/manifests/{}", child_digest("two")), |world| {
            let index = world.digest_of_tag("app", "v1").unwrap().to_owned();
            for digest in [index, child_digest("two")] {
                let path = format!("/v2/app/manifests/{digest}");
                let ask = registry_fixtures::registry::ReceivedRequest {
                    method: "DELETE".into(),
                    path,
                    ..Default::default()
                };
                assert_eq!(world.answer(&ask).status, 202);
            }
        });
        let result = run_once(&server, &RunOptions::default()).await;
        assert_no_findings(&result);
        assert_eq!(result.judgement.judged.len(), 1);
    }
}

#[tokio::test]
async fn child_that_was_absent_for_a_moment_is_no_damage() {
    let server = registry(BOTH[0], |world| drop(world.push_index("app", &["v1"], &["one", "two"])));
    let gone = Reply::new(404).with("content-type", "application/json");
    let gone = gone.body(r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":""}]}"#);
    server.fail_requests(
        "GET",
        &format!("/v2/app/manifests/{}", child_digest("two")),
        1,
        Fault::Instead(gone),
    );
    let result = run_once(&server, &RunOptions::default()).await;
    assert_no_findings(&result);
    // The child was read once it was back.
    let layer = Digest::of(b"layer of two");
    assert!(server.lines().contains(&format!("HEAD /v2/app/blobs/{}", layer.as_str())));
}

#[tokio::test]
async fn absent_tag_is_broken_when_no_list_confirms_its_deletion() {
    let server = registry(BOTH[0], |world| {
        world.push_image("app", Some("v1"), "one");
        world.push_image("app", Some("v2"), "two");
        world.empty_tag("app", "v1");
    });
    server.set_hook(|_, ask, number| {
        (ask.path == "/v2/app/tags/list" && number > 3).then_some(Fault::Status(500))
    });
    let result = run_once(&server, &RunOptions { retries: 0, ..RunOptions::default() }).await;
    assert_eq!(result.broken(), ["app:v1"]);
}
