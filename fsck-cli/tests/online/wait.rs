//! `verify --wait` waits for what a registry does not have yet, and reports what is still missing afterwards.

use registry_fixtures::Digest;
use registry_fixtures::registry::{Fault, Reply, image_of};

use crate::support::{
    fsck, images, images_with_lost_child, layer_digest, manifest_digest, mask_snapshots, reference, registry,
};

fn not_found(code: &str) -> Fault {
    let text = format!(r#"{{"errors":[{{"code":"{code}","message":""}}]}}"#);
    Fault::Instead(Reply::new(404).with("content-type", "application/json").body(text))
}

#[test]
fn verify_waits_for_late_child() {
    let _masked = mask_snapshots();
    let server = registry(images);
    let path = format!("/v2/team/app/manifests/{}", manifest_digest("two"));
    server.fail_requests("GET", &path, 2, not_found("MANIFEST_UNKNOWN"));
    let ran = fsck(&["verify", &reference(&server, "team/app:v1"), "--wait", "50s"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let repeats = ran.err.matches("not yet: linux/arm64 answers 404; asking again for ").count();
    assert_eq!(repeats, 2, "{}", ran.err);
    assert!(ran.out.contains(": complete after "), "{}", ran.out);
}

#[test]
fn verify_waits_for_late_tag_and_layer() {
    let server = registry(images);
    // What HEAD does not find, `verify` asks for with GET.
    for method in ["HEAD", "GET"] {
        server.fail_requests(method, "/v2/web/manifests/latest", 1, not_found("MANIFEST_UNKNOWN"));
        server.fail_requests(
            method,
            &format!("/v2/web/blobs/{}", layer_digest("four")),
            1,
            not_found("BLOB_UNKNOWN"),
        );
    }
    let ran = fsck(&["verify", &reference(&server, "web"), "--wait", "50s"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert_eq!(ran.err.matches("not yet").count(), 2, "{}", ran.err);
}

#[test]
fn child_absent_after_wait_is_reported() {
    let server = registry(images_with_lost_child);
    let ran = fsck(&["verify", &reference(&server, "team/app:v1"), "--wait", "3s", "--output", "json"]);
    assert_eq!((ran.status, ran.codes()), (4, vec!["child-missing".to_owned()]));
    assert!(ran.err.contains("not yet"), "{}", ran.err);
}

#[test]
fn verify_does_not_wait_for_complete_image() {
    let server = registry(images);
    let ran = fsck(&["verify", &reference(&server, "team/app:v1"), "--wait", "10m"]);
    assert_eq!((ran.status, &*ran.err), (0, ""));
    assert!(ran.out.contains(": complete\n"), "{}", ran.out);
}

#[test]
fn verify_accepts_tag_moved_to_expected_digest() {
    let server = registry(images);
    server.set_hook(|world, _, number| {
        if number == 5 {
            world.push_image("web", Some("latest"), "three");
        }
        None
    });
    let image = reference(&server, "web");
    let ran = fsck(&["verify", &image, "--expect-digest", &manifest_digest("three"), "--wait", "50s"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.err.contains("not yet: it names"), "{}", ran.err);
}

#[test]
fn bug_verify_waits_for_other_side_of_dual_push() {
    let (server, mirror) = (registry(images), registry(images));
    mirror.world().push_image("web", Some("latest"), "three");
    // The tag of the mirror moves at the third request for it.
    let mut requests = 0;
    mirror.set_hook(move |world, ask, _| {
        requests += usize::from(ask.method == "HEAD" && ask.path.ends_with("/latest"));
        if requests == 3 {
            world.push_image("web", Some("latest"), "four");
        }
        None
    });
    let (image, other) = (reference(&server, "web"), reference(&mirror, "web"));
    let ran = fsck(&["verify", &image, "--same-as", &other, "--wait", "50s"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert_eq!(ran.err.matches("not yet: it names").count(), 2, "{}", ran.err);
    assert_eq!(ran.out.matches(": complete after ").count(), 2, "{}", ran.out);
}

#[test]
fn bug_verify_asks_again_for_layer_of_wrong_size() {
    let server = registry(images);
    let path = format!("/v2/web/blobs/{}", layer_digest("four"));
    server.fail_requests("HEAD", &path, 1, Fault::Header("content-length", Some("1".into())));
    let ran = fsck(&["verify", &reference(&server, "web"), "--wait", "50s"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.err.contains("not yet: layer sha256:"), "{}", ran.err);
}

#[test]
fn bug_verify_reads_platform_of_late_config() {
    let server = registry(images);
    let (_, [config, _]) = image_of("four", None);
    let path = format!("/v2/web/blobs/{}", Digest::of(&config).as_str());
    for method in ["GET", "HEAD"] {
        server.fail_requests(method, &path, 1, not_found("BLOB_UNKNOWN"));
    }
    let image = reference(&server, "web");
    let ran =
        fsck(&["verify", &image, "--require-platform", "linux/arm64", "--wait", "4s", "--output", "json"]);
    assert_eq!((ran.status, ran.codes()), (4, vec!["platform-missing".to_owned()]), "{}", ran.out);
}
