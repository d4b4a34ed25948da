//! `verify --wait`: a registry that catches up is told from one that lost something.

use registry_fixtures::registry::{Fault, Reply};

use crate::support::{damaged, fsck, host, images, layer, manifest, masked, registry};

fn absent(code: &str) -> Fault {
    let text = format!(r#"{{"errors":[{{"code":"{code}","message":""}}]}}"#);
    Fault::Instead(Reply::new(404).with("content-type", "application/json").body(text))
}

#[test]
fn verify_waits_for_late_child() {
    let _masked = masked();
    let server = registry(images);
    let path = format!("/v2/team/app/manifests/{}", manifest("two"));
    server.spoil("GET", &path, 2, absent("MANIFEST_UNKNOWN"));
    let ran = fsck(&["verify", &format!("{}/team/app:v1", host(&server)), "--wait", "50s"]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    let not_yet = ran
        .err
        .lines()
        .filter(|line| line.contains("not yet: linux/arm64 answers 404; asking again for "))
        .count();
    assert_eq!(not_yet, 2, "{}", ran.err);
    assert!(ran.out.contains(": complete after "), "{}", ran.out);
}

#[test]
fn verify_waits_for_late_tag_and_layer() {
    let server = registry(images);
    // What HEAD does not find is asked for with GET too.
    for method in ["HEAD", "GET"] {
        server.spoil(method, "/v2/web/manifests/latest", 1, absent("MANIFEST_UNKNOWN"));
        server.spoil(method, &format!("/v2/web/blobs/{}", layer("four")), 1, absent("BLOB_UNKNOWN"));
    }
    let ran = fsck(&["verify", &format!("{}/web", host(&server)), "--wait", "50s"]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    assert_eq!(ran.err.matches("not yet").count(), 2, "{}", ran.err);
}

#[test]
fn child_absent_after_wait_is_reported() {
    let server = registry(damaged);
    let ran =
        fsck(&["verify", &format!("{}/team/app:v1", host(&server)), "--wait", "3s", "--output", "json"]);
    assert_eq!((ran.status, ran.codes()), (4, vec!["child-missing".to_owned()]));
    assert!(ran.err.contains("not yet"), "{}", ran.err);
}

#[test]
fn verify_does_not_wait_for_complete_image() {
    let server = registry(images);
    let ran = fsck(&["verify", &format!("{}/team/app:v1", host(&server)), "--wait", "10m"]);
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
    let image = format!("{}/web", host(&server));
    let ran = fsck(&["verify", &image, "--expect-digest", &manifest("three"), "--wait", "50s"]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("not yet: it names"), "{}", ran.err);
}

#[test]
fn bug_verify_waits_for_other_side_of_dual_push() {
    let (server, mirror) = (registry(images), registry(images));
    mirror.world().push_image("web", Some("latest"), "three");
    // The mirror is asked for its tag twice before it is moved.
    let mut asked = 0;
    mirror.set_hook(move |world, ask, _| {
        asked += usize::from(ask.method == "HEAD" && ask.path.ends_with("/latest"));
        if asked == 3 {
            world.push_image("web", Some("latest"), "four");
        }
        None
    });
    let (image, other) = (format!("{}/web", host(&server)), format!("{}/web", host(&mirror)));
    let ran = fsck(&["verify", &image, "--same-as", &other, "--wait", "50s"]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    assert_eq!(ran.err.matches("not yet: it names").count(), 2, "{}", ran.err);
    assert_eq!(ran.out.matches(": complete after ").count(), 2, "{}", ran.out);
}

#[test]
fn bug_verify_asks_again_for_layer_of_wrong_size() {
    let server = registry(images);
    let path = format!("/v2/web/blobs/{}", layer("four"));
    server.spoil("HEAD", &path, 1, Fault::Header("content-length", Some("1".into())));
    let ran = fsck(&["verify", &format!("{}/web", host(&server)), "--wait", "50s"]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("not yet: layer sha256:"), "{}", ran.err);
}

#[test]
fn bug_verify_reads_platform_of_late_config() {
    let server = registry(images);
    let (_, [config, _]) = registry_fixtures::registry::image_of("four", None);
    let config = registry_fixtures::Digest::of(&config);
    for method in ["GET", "HEAD"] {
        server.spoil(method, &format!("/v2/web/blobs/{}", config.as_str()), 1, absent("BLOB_UNKNOWN"));
    }
    let image = format!("{}/web", host(&server));
    let ran =
        fsck(&["verify", &image, "--require-platform", "linux/arm64", "--wait", "4s", "--output", "json"]);
    assert_eq!((ran.status, ran.codes()), (4, vec!["platform-missing".to_owned()]), "{}", ran.out);
}
