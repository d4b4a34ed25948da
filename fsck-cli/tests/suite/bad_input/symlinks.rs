//! Symbolic links, pipes and sockets where files and folders belong.

use std::path::Path;

use super::{app, broken_tag_names, verdict};
use crate::support::{AuditReport as _, scan, scan_json};

#[test]
fn symlink_loops_and_escapes_are_unread() {
    let (mut tree, image) = app();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "do not print this").unwrap();
    tree.break_symlink(&tree.repositories().join("loop"), Path::new("."));
    tree.break_symlink(&tree.repositories().join("up"), Path::new("../.."));
    tree.break_symlink(&tree.repositories().join("away"), outside.path());
    tree.break_symlink(&tree.tag_link("app", "v1"), &outside.path().join("secret"));
    tree.break_symlink(&tree.blob_path(&image.config), &outside.path().join("secret"));
    insta::assert_snapshot!(verdict(&tree, &[]), @r#"8 ["path-unread", "path-unread", "path-unread", "path-unread", "path-unread"] broken [] unknown ["v1"]"#);
    for options in [&["-v"][..], &["-v", "--follow-symlinks"], &["-v", "--content"]] {
        assert!(!scan(tree.root(), options).out.contains("do not print this"));
    }
}

#[test]
fn blobs_behind_symlink_are_unknown_until_followed() {
    let (mut tree, image) = app();
    let blobs = tree.blobs();
    tree.break_moved_behind_symlink(&blobs);
    insta::assert_snapshot!(verdict(&tree, &[]), @r#"8 ["path-unread", "path-unread", "path-unread"] broken [] unknown ["sound", "v1"]"#);
    let followed = || scan_json(tree.root(), &["--follow-symlinks"]).audit_report();
    assert_eq!((broken_tag_names(&followed()), followed().unknown_tags), (vec![], vec![]));
    let hidden = tree.root().join("moved/blobs/sha256");
    std::fs::remove_file(hidden.join(&image.config.hex()[..2]).join(image.config.hex()).join("data"))
        .unwrap();
    assert_eq!(broken_tag_names(&followed()), ["v1"]);
    let only_app = scan_json(tree.root(), &["--follow-symlinks", "--repository", "app"]).audit_report();
    assert_eq!(broken_tag_names(&only_app), ["v1"]);
}

#[test]
fn repository_folders_behind_symlink_are_unread_until_followed() {
    for name in
        ["_manifests", "_manifests/tags", "_manifests/revisions", "_layers", "_layers/sha256", "_uploads"]
    {
        let (mut tree, _) = app();
        tree.break_moved_behind_symlink(&tree.repository("app").join(name));
        let ran = scan_json(tree.root(), &[]);
        assert_eq!(ran.status, 8, "{name}: {}", ran.out);
        assert_eq!(ran.audit_report().summary.broken_tags, 0, "{name}");
        let followed = scan_json(tree.root(), &["--follow-symlinks"]).audit_report();
        assert_eq!((followed.sources[0].tags, followed.summary.broken_tags), (2, 0), "{name}");
        assert_eq!(followed.summary.unknown_tags, 0, "{name}");
    }
}

#[test]
fn following_symlink_to_own_tree_ends() {
    let (mut tree, _) = app();
    for name in ["a", "b", "c", "d"] {
        let repositories = tree.repositories();
        tree.break_symlink(&repositories.join("app").join(name), &repositories);
    }
    assert_eq!(scan(tree.root(), &["--follow-symlinks", "--quiet"]).status & 8, 8);
}

#[test]
fn fifos_do_not_block_scan() {
    let (mut tree, image) = app();
    tree.break_fifo(&tree.tag_link("app", "v1"));
    tree.break_fifo(&tree.blob_path(&image.config));
    tree.break_fifo(&tree.layer_link_path("app", &image.layers[0]));
    insta::assert_snapshot!(verdict(&tree, &["--content", "--strict"]), @r#"8 ["path-unread", "path-unread", "path-unread"] broken [] unknown ["v1"]"#);
    let (mut tree, image) = app();
    tree.break_fifo(&tree.blob_path(&image.digest));
    tree.break_fifo(&tree.revision_link("app", &image.digest));
    insta::assert_snapshot!(verdict(&tree, &["--content", "--strict"]), @r#"8 ["path-unread", "path-unread"] broken [] unknown ["v1"]"#);
    assert_eq!(scan(tree.root(), &["--follow-symlinks", "--repository", "app"]).status, 8);
}

#[test]
fn fifos_and_sockets_among_folders_are_unexpected() {
    let (mut tree, _) = app();
    tree.break_fifo(&tree.repositories().join("pipe"));
    tree.break_fifo(&tree.blobs().join("pipe"));
    tree.break_fifo(&tree.tag_folder("app", "pipe"));
    let _socket =
        std::os::unix::net::UnixListener::bind(tree.repository("app").join("_uploads/socket")).unwrap();
    insta::assert_snapshot!(verdict(&tree, &["--content", "--strict"]), @r#"4 ["path-unexpected", "path-unexpected", "path-unexpected", "path-unexpected", "tag-link-invalid"] broken ["pipe"] unknown []"#);
}
