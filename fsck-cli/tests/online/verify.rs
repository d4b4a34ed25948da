//! `verify`: references, the damage that it finds, the tree that it prints.

use std::collections::HashMap;

use registry_fixtures::Digest;
use registry_fixtures::registry::{Fault, Reply, image_of, index_of};
use serde_json::{Value, json};

use crate::support::{
    fsck, host, images, images_with_lost_child, layer_digest, manifest_digest, mask_snapshots, reference,
    registry,
};

#[test]
fn verify_accepts_every_form_of_reference() {
    let server = registry(|world| {
        images(world);
        world.push_image("app", Some("latest"), "five");
    });
    let (host, index) = (host(&server), server.world().digest_of_tag("team/app", "v1").unwrap().to_owned());
    for reference in [
        format!("{host}/team/app:v1"),
        format!("docker://{host}/team/app:v1"),
        format!("http://{host}/team/app:v1"),
        format!("{host}/team/app@{index}"),
        format!("{host}/team/app:v1@{index}"),
        format!("docker://{host}/team/app:stable@{index}"),
        format!("{host}/app"),
        format!("{host}/web"),
    ] {
        let ran = fsck(&["verify", &reference]);
        assert_eq!(ran.status, 0, "{reference}: {ran:?}");
        assert!(ran.out.contains(": complete\n"), "{}", ran.out);
    }
}

#[test]
fn invalid_references_exit_16() {
    let mut errors = String::new();
    for reference in
        ["ftp://x/app", "localhost/App:v1", "localhost/app:-x", "localhost/app@sha256:1", "oci-archive://x"]
    {
        let ran = fsck(&["verify", reference]);
        assert_eq!((ran.status, &*ran.out), (16, ""));
        errors.push_str(ran.err.lines().next().unwrap_or_default());
        errors.push('\n');
    }
    insta::assert_snapshot!(errors, @r#"
    error: invalid value 'ftp://x/app' for '[REFERENCE]...': "ftp" is no transport of a registry; write host/owner/name:tag
    error: invalid value 'localhost/App:v1' for '[REFERENCE]...': "localhost/App:v1" is no image: invalid reference format; write host/owner/name:tag, the names in lower case
    error: invalid value 'localhost/app:-x' for '[REFERENCE]...': "localhost/app:-x" is no image: invalid reference format; write host/owner/name:tag, the names in lower case
    error: invalid value 'localhost/app@sha256:1' for '[REFERENCE]...': "localhost/app@sha256:1" is no image: invalid reference format; write host/owner/name:tag, the names in lower case
    error: invalid value 'oci-archive://x' for '[REFERENCE]...': "oci-archive" is no transport of a registry; write host/owner/name:tag
    "#);
}

#[test]
fn verify_prints_tree_of_whole_image() {
    let _masked = mask_snapshots();
    let server = registry(|world| {
        images(world);
        // BuildKit pushes an attestation beside the platforms.
        let [one, two, attestation] =
            ["one", "two", "attestation"].map(|seed| world.push_image("team/app", None, seed));
        let sized = |digest: &String| (digest.clone(), world.bytes_of(digest).len());
        let mut index: Value =
            serde_json::from_slice(&index_of(&[sized(&one), sized(&two), sized(&attestation)])).unwrap();
        let third = &mut index["manifests"][2];
        third["platform"] = json!({"os": "unknown", "architecture": "unknown"});
        third["annotations"] =
            json!({"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": one});
        world.push_manifest("team/app", Some("built"), index.to_string().as_bytes());
    });
    let ran = fsck(&["verify", &reference(&server, "team/app:built")]);
    assert_eq!((ran.status, &*ran.err), (0, ""));
    insta::assert_snapshot!(ran.out, @"
    HOST/team/app:built: complete
      sha256:55399bd540d5…, index
        linux/amd64 sha256:c0276c3635b6…, 1 layer (62 B)
        linux/arm64 sha256:1f7f40a4a401…, 1 layer (62 B)
        attestation sha256:e4cdc2993a75…, 1 layer (78 B)
    registry-fsck verify: broken_tags=0 unknown_tags=0 errors=0 warnings=0 infos=0 repairable=0 tags=1 unread=0 exit_status=0 seconds=…
    ");
}

#[test]
fn deleted_child_exits_4_and_shows_its_place() {
    let _masked = mask_snapshots();
    let server = registry(images_with_lost_child);
    let ran = fsck(&["verify", &reference(&server, "team/app:v1"), &reference(&server, "web")]);
    assert_eq!(ran.status, 4);
    insta::assert_snapshot!(ran.out, @"
    HOST/team/app:v1: not complete
      sha256:101831dc9442…, index
        linux/amd64 sha256:c0276c3635b6…, 1 layer (62 B)
        linux/arm64 sha256:1f7f40a4a401… missing
    HOST/web:latest: complete
      sha256:f8d400de2387…, 1 layer (64 B)
    error team/app:v1: linux/arm64 answers 404 [child-missing]
    registry-fsck verify: broken_tags=1 unknown_tags=0 errors=1 warnings=0 infos=0 repairable=0 tags=2 unread=0 exit_status=4 seconds=…
    ");
}

#[test]
fn absent_tags_and_absent_layer_exit_4() {
    let _masked = mask_snapshots();
    let server = registry(images);
    server.world().unlink_blob("team/app", &layer_digest("three"));
    let images = ["team/app:v2", "team/app:v9", "nothing"].map(|path| reference(&server, path));
    let ran = fsck(&["verify", &images[0], &images[1], &images[2]]);
    assert_eq!(ran.status, 4);
    insta::assert_snapshot!(ran.out, @"
    HOST/team/app:v2: not complete
      sha256:9c1a20e55428…, 1 layer (52 B), 1 missing
    HOST/team/app:v9: not complete
    HOST/nothing:latest: not complete
    error nothing:latest: the tag answers 404 [tag-target-missing]
    error team/app:v2: layer sha256:42704ff9066b answers 404 [blob-missing]
    error team/app:v9: the tag answers 404 [tag-target-missing]
    registry-fsck verify: broken_tags=3 unknown_tags=0 errors=3 warnings=0 infos=0 repairable=0 tags=3 unread=0 exit_status=4 seconds=…
    ");
}

#[test]
fn forbidden_blobs_exit_8() {
    let _masked = mask_snapshots();
    let server = registry(images);
    server.set_hook(|_, ask, _| ask.path.contains("/blobs/").then_some(Fault::Status(403)));
    let ran = fsck(&["verify", &reference(&server, "web"), "--retries", "0"]);
    assert_eq!(ran.status, 8);
    insta::assert_snapshot!(ran.out, @"
    HOST/web:latest: not known: sha256:235e7fe851a8…: refused with 403: these credentials do not suffice
      sha256:f8d400de2387…, 1 layer (0 B), 2 not known
    not known /v2/web/blobs/sha256:235e7fe851a8…: refused with 403: these credentials do not suffice
    not known /v2/web/blobs/sha256:5ecf148289a2…: refused with 403: these credentials do not suffice
    registry-fsck verify: broken_tags=0 unknown_tags=1 errors=0 warnings=0 infos=0 repairable=0 tags=1 unread=2 exit_status=8 seconds=…
    ");
}

#[test]
fn verify_prints_json_report() {
    let _masked = mask_snapshots();
    let server = registry(images_with_lost_child);
    let ran = fsck(&["verify", &reference(&server, "team/app:v1"), "--output", "json"]);
    assert_eq!(ran.status, 4);
    insta::assert_snapshot!(ran.out, @r#"
    {
      "schema": "registry-fsck/report/1",
      "command": "verify",
      "version": "0.1.0",
      "started_at": "…",
      "duration_seconds": 0.0,
      "exit_status": 4,
      "options": {
        "content": false,
        "strict": false,
        "min_age_seconds": 0,
        "online": {
          "depth": "blobs",
          "recheck_after_seconds": 0
        }
      },
      "sources": [
        {
          "kind": "registry",
          "name": "http://HOST",
          "role": "primary",
          "complete": true,
          "repositories": 1,
          "tags": 1,
          "manifests": 3,
          "indexes": 1,
          "layer_links": 2,
          "blobs": 2,
          "blob_bytes": 62,
          "uploads": 0
        }
      ],
      "findings": [
        {
          "code": "child-missing",
          "severity": "error",
          "source": "http://HOST",
          "repository": "team/app",
          "tags": [
            "v1"
          ],
          "digest": "sha256:1f7f40a4a401…",
          "parent": "sha256:101831dc9442…",
          "platform": "linux/arm64",
          "path": "/v2/team/app/manifests/sha256:1f7f40a4a401…",
          "message": "linux/arm64 answers 404"
        }
      ],
      "broken_tags": [
        {
          "source": "http://HOST",
          "repository": "team/app",
          "tag": "v1",
          "findings": [
            0
          ]
        }
      ],
      "unknown_tags": [],
      "unread": [],
      "coverage": {
        "tags_total": 1,
        "tags_checked": 1,
        "requests": 6
      },
      "summary": {
        "errors": 1,
        "warnings": 0,
        "infos": 0,
        "broken_tags": 1,
        "unknown_tags": 0,
        "resolved": 0
      }
    }
    "#);
}

#[test]
fn content_option_hashes_layers() {
    let _masked = mask_snapshots();
    let server = registry(images);
    server.world().replace_bytes(&layer_digest("four"), b"layer of FOUR");
    let image = reference(&server, "web");
    assert_eq!(fsck(&["verify", &image]).status, 0);
    let ran = fsck(&["verify", &image, "--content"]);
    assert_eq!(ran.status, 4);
    insta::assert_snapshot!(ran.out, @"
    HOST/web:latest: not complete
      sha256:f8d400de2387…, 1 layer (64 B), 1 wrong
    error web:latest: layer sha256:5ecf148289a2 is sent with bytes that do not hash to its digest [blob-digest-mismatch]
    registry-fsck verify: broken_tags=1 unknown_tags=0 errors=1 warnings=0 infos=0 repairable=0 tags=1 unread=0 exit_status=4 seconds=…
    ");
}

#[test]
fn verify_reports_missing_required_platform() {
    let server = registry(images);
    let codes = |image: &str, platform: &str| {
        let ran =
            fsck(&["verify", &reference(&server, image), "--require-platform", platform, "--output", "json"]);
        (ran.status, ran.codes().join(" "))
    };
    assert_eq!(codes("team/app:v1", "linux/arm64"), (0, String::new()));
    assert_eq!(codes("team/app:v1", "linux/s390x"), (4, "platform-missing".into()));
    assert_eq!(codes("web", "linux/amd64"), (0, String::new()));
    assert_eq!(codes("web", "linux/arm64"), (4, "platform-missing".into()));
}

#[test]
fn verify_reports_unexpected_digest() {
    let _masked = mask_snapshots();
    let server = registry(images);
    let image = reference(&server, "web");
    assert_eq!(fsck(&["verify", &image, "--expect-digest", &manifest_digest("four")]).status, 0);
    let ran = fsck(&["verify", &image, "--expect-digest", &manifest_digest("three")]);
    assert_eq!(ran.status, 4);
    insta::assert_snapshot!(ran.out, @"
    HOST/web:latest: not complete
      sha256:f8d400de2387…, 1 layer (64 B)
    error web:latest: it names sha256:f8d400de2387…, and sha256:9c1a20e55428… was expected [reference-mismatch]
    registry-fsck verify: broken_tags=1 unknown_tags=0 errors=1 warnings=0 infos=0 repairable=0 tags=1 unread=0 exit_status=4 seconds=…
    ");
    let other = format!("{image}:latest@{}", manifest_digest("one"));
    let ran = fsck(&["verify", &other, "--output", "json"]);
    assert_eq!((ran.status, ran.codes()), (4, vec!["reference-mismatch".to_owned()]));
}

#[test]
fn bug_tree_shows_repeated_index_once() {
    let server = registry(images);
    // Eight levels of indexes, each naming the next one 50 times: 50⁸ paths.
    let mut child = (manifest_digest("four"), image_of("four", None).0.len());
    let mut indexes = HashMap::new();
    for _ in 0..8 {
        let text = index_of(&vec![child.clone(); 50]);
        child = (Digest::of(&text).as_str().to_owned(), text.len());
        indexes.insert(child.0.clone(), text);
    }
    let root = child.0;
    server.set_hook(move |_, ask, _| {
        let reply = |text: &[u8]| {
            Reply::new(200).with("content-type", "application/vnd.oci.image.index.v1+json").body(text)
        };
        match ask.path.strip_prefix("/v2/web/manifests/")? {
            "latest" => Some(Fault::Header("docker-content-digest", Some(root.clone()))),
            digest => Some(Fault::Instead(reply(indexes.get(digest)?))),
        }
    });
    let ran = fsck(&["verify", &reference(&server, "web")]);
    assert!(ran.out.lines().count() < 1000, "{} lines", ran.out.lines().count());
    assert!(ran.out.contains("see above"), "{}", ran.out);
}

#[test]
fn verify_uses_http_for_remote_hosts_only_with_plain_http() {
    let server_name = |options: &[&str]| {
        let more = ["--retries", "0", "--timeout", "5s", "--output", "json"];
        fsck(&[&["verify", "registry.invalid/app:v1"], options, &more].concat()).json()["sources"][0]["name"]
            .clone()
    };
    assert_eq!(server_name(&[]), "https://registry.invalid");
    assert_eq!(server_name(&["--plain-http"]), "http://registry.invalid");
}

/// A temporary file with a list of images in use.
fn in_use_file(lines: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), lines).unwrap();
    file
}

#[test]
fn in_use_verifies_each_image_once_and_asks_no_other_host() {
    let (server, other) = (registry(images_with_lost_child), registry(images));
    let (at, image) = (host(&server), manifest_digest("three"));
    let list = in_use_file(&format!(
        "# pods\n{at}/team/app:v1\n{at}/team/app:v1\n{at}/team/app:moved@{image}\nalpine:3\n{}/web:latest\n",
        host(&other)
    ));
    let ran = fsck(&["verify", "--in-use", list.path().to_str().unwrap(), "--host", at, "--output", "json"]);
    assert_eq!((ran.status, ran.codes()), (4, vec!["child-missing".to_owned()]), "{}", ran.err);
    let report = ran.json();
    assert_eq!(report["coverage"]["not_asked"], 2);
    assert_eq!(report["sources"].as_array().unwrap().len(), 1);
    assert!(other.log().is_empty());
    // An image that several pods run is requested once. Beside a digest, the tag is not requested.
    let requests = |tag: &str| server.log().iter().filter(|ask| ask.path.ends_with(tag)).count();
    assert_eq!((requests("/manifests/v1"), requests("/manifests/moved")), (1, 0));
}

#[test]
fn unusable_in_use_list_exits_16() {
    let list = in_use_file("alpine:3\n");
    let path = list.path().to_str().unwrap();
    for arguments in [
        &["verify", "--in-use", path, "--host", "git.example"][..],
        &["verify", "--in-use", "/nowhere", "--host", "git.example"],
        &["verify", "--in-use", path],
        &["verify", "--host", "git.example", "git.example/app"],
    ] {
        assert_eq!(fsck(arguments).status, 16, "{arguments:?}");
    }
    // An image that cannot be requested is unknown.
    let server = registry(images);
    let list = in_use_file(&format!("{}/web:latest\nsha256:{}\n", host(&server), "ab".repeat(32)));
    let ran = fsck(&["verify", "--in-use", list.path().to_str().unwrap(), "--host", host(&server)]);
    assert_eq!(ran.status, 8, "{}", ran.err);
}
