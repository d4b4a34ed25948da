//! Pushes and deletions while the probe looks.

use registry_fixtures::Digest;
use registry_fixtures::registry::{Fault, Reply, Server, World, image_of};

use crate::support::{BOTH, How, Looked, look_once, masked, registry};

fn child(seed: &str) -> String {
    Digest::of(&image_of(seed, None).0).as_str().to_owned()
}

/// Changes the world right before the first request for something.
fn before(server: &Server, line: String, change: impl FnOnce(&mut World) + Send + 'static) {
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

fn no_damage(looked: &Looked) {
    assert_eq!(looked.story(), Vec::<String>::new());
}

#[tokio::test]
async fn a_tag_that_vanished_between_list_and_read_is_no_damage() {
    for profile in BOTH {
        let server = registry(profile, |world| {
            world.push_image("app", Some("v1"), "one");
            world.push_image("app", Some("v2"), "two");
        });
        before(&server, "HEAD /v2/app/manifests/v1".into(), |world| {
            let digest = world.tagged("app", "v1").unwrap().to_owned();
            let ask = registry_fixtures::registry::Ask {
                method: "DELETE".into(),
                path: format!("/v2/app/manifests/{digest}"),
                ..Default::default()
            };
            assert_eq!(world.answer(&ask).status, 202);
        });
        let looked = look_once(&server, &How::default()).await;
        no_damage(&looked);
        assert_eq!((looked.judgement.audit.covered, looked.judgement.judged.len()), (1, 1));
    }
}

#[tokio::test]
async fn a_repository_that_vanished_between_list_and_read_is_no_damage() {
    let server = registry(BOTH[1], |world| {
        world.push_image("app", Some("v1"), "one");
        world.push_image("web", Some("v1"), "two");
    });
    // 3 forgets a repository of which all is gone.
    server.set_hook(|_, ask, number| {
        let gone = || Reply::new(404).with("content-type", "application/json");
        let gone = || gone().body(r#"{"errors":[{"code":"NAME_UNKNOWN","message":""}]}"#);
        (ask.path.starts_with("/v2/app/") && number > 2).then(|| Fault::Instead(gone()))
    });
    let looked = look_once(&server, &How::default()).await;
    no_damage(&looked);
    assert_eq!(looked.judgement.judged.len(), 1);
}

#[tokio::test]
async fn a_tag_that_moved_in_between_is_judged_by_what_it_names_now() {
    for profile in BOTH {
        let server = registry(profile, |world| {
            world.push_index("app", &["latest"], &["one", "two"]);
        });
        before(&server, format!("GET /v2/app/manifests/{}", child("two")), |world| {
            world.push_index("app", &["latest"], &["three", "four"]);
            world.unlink_manifest("app", &child("two"));
        });
        let looked = look_once(&server, &How::default()).await;
        no_damage(&looked);
        assert_eq!(looked.judgement.judged.len(), 1);
        let children = ["three", "four"].map(|seed| format!("GET /v2/app/manifests/{}", child(seed)));
        assert!(children.iter().all(|line| server.lines().contains(line)), "the new image was looked at");
    }
}

#[tokio::test]
async fn a_tag_that_moved_to_a_damaged_image_is_broken() {
    let _guard = masked();
    let server = registry(BOTH[0], |world| drop(world.push_index("app", &["latest"], &["one", "two"])));
    before(&server, format!("GET /v2/app/manifests/{}", child("two")), |world| {
        world.push_index("app", &["latest"], &["three", "four"]);
        world.unlink_manifest("app", &child("two"));
        world.unlink_manifest("app", &child("four"));
    });
    insta::assert_snapshot!(look_once(&server, &How::default()).await.story().join("\n"), @"child-missing app:latest linux/arm64 answers 404");
}

#[tokio::test]
async fn a_child_deleted_together_with_its_tag_is_no_damage() {
    for profile in BOTH {
        let server = registry(profile, |world| {
            world.push_index("app", &["v1"], &["one", "two"]);
            world.push_image("app", Some("v2"), "three");
        });
        before(&server, format!("GET /v2/app/manifests/{}", child("two")), |world| {
            let index = world.tagged("app", "v1").unwrap().to_owned();
            for digest in [index, child("two")] {
                let path = format!("/v2/app/manifests/{digest}");
                let ask =
                    registry_fixtures::registry::Ask { method: "DELETE".into(), path, ..Default::default() };
                assert_eq!(world.answer(&ask).status, 202);
            }
        });
        let looked = look_once(&server, &How::default()).await;
        no_damage(&looked);
        assert_eq!(looked.judgement.judged.len(), 1);
    }
}

#[tokio::test]
async fn a_child_that_was_away_for_a_moment_is_no_damage() {
    let server = registry(BOTH[0], |world| drop(world.push_index("app", &["v1"], &["one", "two"])));
    let gone = Reply::new(404).with("content-type", "application/json");
    let gone = gone.body(r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":""}]}"#);
    server.spoil("GET", &format!("/v2/app/manifests/{}", child("two")), 1, Fault::Instead(gone));
    let looked = look_once(&server, &How::default()).await;
    no_damage(&looked);
    // It was looked into when it was back.
    let layer = Digest::of(b"layer of two");
    assert!(server.lines().contains(&format!("HEAD /v2/app/blobs/{}", layer.as_str())));
}

#[tokio::test]
async fn a_tag_whose_absence_no_list_confirms_is_broken() {
    let server = registry(BOTH[0], |world| {
        world.push_image("app", Some("v1"), "one");
        world.push_image("app", Some("v2"), "two");
        world.empty_tag("app", "v1");
    });
    server.set_hook(|_, ask, number| {
        (ask.path == "/v2/app/tags/list" && number > 3).then_some(Fault::Status(500))
    });
    let looked = look_once(&server, &How { retries: 0, ..How::default() }).await;
    assert_eq!(looked.broken(), ["app:v1"]);
}
