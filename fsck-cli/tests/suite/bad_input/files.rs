//! Files that are too large, nested too deeply or no text: the scan reads them within bounds and reports what they are.

use std::process::Command;

use registry_fixtures::{Digest, Image, TreeBuilder};
use serde_json::json;

use super::{OCI_MANIFEST, app, broken_tag_names, verdict};
use crate::support::{AuditReport as _, run, scan, set_length};

#[test]
fn five_gigabyte_link_is_invalid() {
    let (mut tree, _) = app();
    tree.break_tag_link_huge("app", "v1");
    insta::assert_snapshot!(verdict(&tree, &["--content", "--strict"]), @r#"4 ["tag-link-invalid"] broken ["v1"] unknown []"#);
}

#[test]
fn manifest_of_200_megabytes_is_unreadable() {
    let (tree, image) = app();
    set_length(&tree.blob_path(&image.digest), 200_000_000);
    insta::assert_snapshot!(verdict(&tree, &[]), @r#"4 ["manifest-unreadable"] broken ["v1"] unknown []"#);
}

/// The limited address space shows that neither the link nor the manifest is read into memory.
#[test]
fn large_files_are_not_read_into_memory() {
    let (mut tree, image) = app();
    let other = tree.image("app", Some("v2"), "other");
    tree.break_tag_link_huge("app", "sound");
    set_length(&tree.blob_path(&image.digest), 200_000_000);
    set_length(&tree.blob_path(&other.layers[0]), 300_000_000);
    let limited = |kilobytes: &str, options: &[&str]| {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -v $0 && exec \"$@\"", kilobytes, env!("CARGO_BIN_EXE_registry-fsck")]);
        // glibc reserves 64 MiB of addresses for the arena of each thread, which is not memory in use.
        command.env("MALLOC_ARENA_MAX", "1").args(["scan", "--output", "json", "--jobs", "4"]);
        run(command.args(options).arg(tree.root()))
    };
    for options in [&[][..], &["--content"]] {
        let ran = limited("150000", options);
        assert_eq!(broken_tag_names(&ran.audit_report()), ["sound", "v1", "v2"], "{}", ran.err);
    }
}

#[test]
fn binary_links_are_invalid() {
    let (mut tree, image) = app();
    tree.break_tag_link_binary("app", "v1");
    let binary = [0, 0xff, 0x1b, b'[', b'3', b'1', b'm'].repeat(20);
    std::fs::write(tree.layer_link_path("app", &image.layers[0]), &binary).unwrap();
    std::fs::write(tree.revision_link("app", &image.digest), &binary).unwrap();
    insta::assert_snapshot!(verdict(&tree, &[]), @r#"4 ["in-flight", "tag-link-invalid"] broken ["v1"] unknown []"#);
}

#[test]
fn deeply_nested_json_is_unreadable() {
    let (mut tree, image) = app();
    tree.break_manifest_deep(&image.digest, 100_000);
    insta::assert_snapshot!(verdict(&tree, &[]), @r#"4 ["manifest-unreadable"] broken ["v1"] unknown []"#);
    let (mut tree, image) = app();
    let bytes = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    tree.break_manifest_bytes(&image.digest, bytes.as_bytes());
    insta::assert_snapshot!(verdict(&tree, &[]), @r#"4 ["manifest-unreadable"] broken ["v1"] unknown []"#);
    let (mut tree, image) = app();
    tree.break_manifest_bytes(&image.digest, "{\"a\":".repeat(800_000).as_bytes());
    insta::assert_snapshot!(verdict(&tree, &[]), @r#"4 ["manifest-unreadable"] broken ["v1"] unknown []"#);
    // A config is parsed too when a platform is required.
    let (mut tree, image) = app();
    tree.break_blob_replaced(&image.config, bytes.as_bytes());
    assert_eq!(scan(tree.root(), &["--require-platform", "linux/amd64"]).status, 4);
}

#[test]
fn manifest_above_4_mib_is_unreadable() {
    let (mut tree, image) = app();
    let manifest = many_layers(&tree, &image, 100_000);
    let digest = tree.manifest("app", &manifest);
    tree.tag("app", "v1", &digest);
    assert!(manifest.len() > 4_194_304);
    insta::assert_snapshot!(verdict(&tree, &["--min-age", "0s"]), @r#"4 ["manifest-unreadable"] broken ["v1"] unknown []"#);
}

#[test]
fn manifest_below_4_mib_is_served() {
    let (mut tree, image) = app();
    let manifest = many_layers(&tree, &image, 28_000);
    assert!((4_000_000..=4_194_304).contains(&manifest.len()), "{}", manifest.len());
    let digest = tree.manifest("app", &manifest);
    tree.tag("app", "v1", &digest);
    insta::assert_snapshot!(verdict(&tree, &[]), @r#"0 ["in-flight"] broken [] unknown []"#);
    tree.break_blob_missing(&image.layers[0]);
    insta::assert_snapshot!(verdict(&tree, &[]), @r#"4 ["in-flight", "blob-missing"] broken ["v1"] unknown []"#);
}

/// The manifest of an image that names its first layer `count` times.
fn many_layers(tree: &TreeBuilder, image: &Image, count: usize) -> Vec<u8> {
    let descriptor = |digest: &Digest, kind: &str| json!({"mediaType": kind, "digest": digest.as_str(), "size": tree.size(digest)});
    let layers = vec![descriptor(&image.layers[0], "application/vnd.oci.image.layer.v1.tar"); count];
    let config = descriptor(&image.config, "application/vnd.oci.image.config.v1+json");
    let manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers});
    manifest.to_string().into_bytes()
}
