//! What a purge deletes: a quarantine with any content, and nothing that is a registry, contains one or lies in one.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use registry_core::repair::{count_content, purge};
use registry_core::tree_writer::{MARKER, Marker, QUARANTINE_SCHEMA};
use registry_fixtures::TreeBuilder;

use crate::support::{
    OLD, Registry, copy, differences, memory_backed_folder, only_quarantine, shorten_hashes, snapshot_tree,
};

/// A sound registry with tags.
fn sound_tree() -> TreeBuilder {
    let mut tree = TreeBuilder::new();
    tree.image("app", Some("v1"), "v1");
    tree.image("docker/registry/v2", Some("v1"), "a name that a repository may have");
    tree
}

/// Marks a folder as the quarantine of a tree.
fn write_marker(folder: &Path, tree: &Path) {
    let tree = tree.display().to_string();
    let marker = Marker { schema: QUARANTINE_SCHEMA.into(), tree, at: Timestamp::now() };
    fs::write(folder.join(MARKER), serde_json::to_vec(&marker).unwrap()).unwrap();
}

/// Asserts that a purge is refused and deletes nothing; returns the reason.
fn refusal(folder: &Path) -> String {
    let before = snapshot_tree(folder);
    let dry = count_content(folder).unwrap_err().to_string();
    assert_eq!(purge(folder).unwrap_err().to_string(), dry);
    assert_eq!(differences(&before, &snapshot_tree(folder)), [""; 0]);
    shorten_hashes(&dry)
}

#[test]
fn registry_with_copied_quarantine_marker_is_not_purged() {
    let mut said = Vec::new();
    for folder in
        ["", "docker", "docker/registry", "docker/registry/v2", "docker/registry/v2/repositories/app"]
    {
        let tree = sound_tree();
        let at = tree.root().join(folder);
        write_marker(&at, &tree.v2());
        said.push(refusal(&at).replace(&*tree.root().to_string_lossy(), "ROOT"));
        // The marker may name another registry, or one that is gone.
        write_marker(&at, Path::new("/gone/docker/registry/v2"));
        said.push(refusal(&at).replace(&*tree.root().to_string_lossy(), "ROOT"));
    }
    insta::assert_snapshot!(said.join("\n"), @"
    ROOT belongs to a registry (the quarantine.json in it is of ROOT/docker/registry/v2), so it is not deleted: only what was moved aside ever is; a quarantine.json that came there by hand can be removed
    ROOT belongs to a registry (it holds docker/registry/v2), so it is not deleted: only what was moved aside ever is; a quarantine.json that came there by hand can be removed
    ROOT/docker belongs to a registry (the quarantine.json in it is of ROOT/docker/registry/v2), so it is not deleted: only what was moved aside ever is; a quarantine.json that came there by hand can be removed
    ROOT/docker belongs to a registry (it holds registry/v2), so it is not deleted: only what was moved aside ever is; a quarantine.json that came there by hand can be removed
    ROOT/docker/registry belongs to a registry (the quarantine.json in it is of ROOT/docker/registry/v2), so it is not deleted: only what was moved aside ever is; a quarantine.json that came there by hand can be removed
    ROOT/docker/registry belongs to a registry (it holds v2), so it is not deleted: only what was moved aside ever is; a quarantine.json that came there by hand can be removed
    ROOT/docker/registry/v2 belongs to a registry (the quarantine.json in it is of ROOT/docker/registry/v2), so it is not deleted: only what was moved aside ever is; a quarantine.json that came there by hand can be removed
    ROOT/docker/registry/v2 belongs to a registry (it lies in ROOT/docker/registry/v2), so it is not deleted: only what was moved aside ever is; a quarantine.json that came there by hand can be removed
    ROOT/docker/registry/v2/repositories/app belongs to a registry (the quarantine.json in it is of ROOT/docker/registry/v2), so it is not deleted: only what was moved aside ever is; a quarantine.json that came there by hand can be removed
    ROOT/docker/registry/v2/repositories/app belongs to a registry (it lies in ROOT/docker/registry/v2), so it is not deleted: only what was moved aside ever is; a quarantine.json that came there by hand can be removed
    ");
}

#[test]
fn registry_at_unusual_path_is_recognised_by_its_right_bytes() {
    let tree = sound_tree();
    let other = copy(&tree.v2());
    write_marker(other.path(), &tree.v2());
    let said = refusal(other.path()).replace(&*other.path().to_string_lossy(), "OTHER");
    assert!(said.contains("/data holds what its digest says"), "{said}");
    // A registry whose blobs lie elsewhere is recognised by the link to them.
    let elsewhere = memory_backed_folder();
    fs::rename(other.path().join("blobs"), elsewhere.path().join("blobs")).unwrap();
    symlink(elsewhere.path().join("blobs"), other.path().join("blobs")).unwrap();
    let said = refusal(other.path()).replace(&*other.path().to_string_lossy(), "OTHER");
    assert!(said.contains("blobs is a symbolic link"), "{said}");
}

/// Repairs a tree; returns the quarantine.
fn make_quarantine(tree: &mut TreeBuilder) -> PathBuf {
    tree.age_all(OLD);
    Registry::open(tree.root()).strict().repair();
    only_quarantine(tree)
}

#[test]
fn quarantine_with_every_kind_of_piece_is_purged() {
    let mut tree = sound_tree();
    let image = tree.image("web", Some("1"), "web");
    tree.break_blob_zero(&image.layers[0]).break_stray_data().break_illegal_repository_name("UPPER");
    tree.layer("docker/registry/v2", b"linked and needed by no manifest");
    tree.image("docker/registry/v2", Some("gone"), "gone");
    tree.upload("app", b"half a layer", Some("2024-01-02T03:04:05Z"));
    let quarantine = make_quarantine(&mut tree);
    for piece in ["blobs/data", "repositories/UPPER/_manifests", "repositories/docker/registry/v2/_layers"] {
        assert!(quarantine.join(piece).try_exists().unwrap(), "{piece}");
    }
    let before = snapshot_tree(&tree.root().join("docker"));
    assert!(purge(&quarantine).unwrap().files > 4);
    assert!(!tree.root().join(".registry-fsck").try_exists().unwrap());
    assert_eq!(differences(&before, &snapshot_tree(&tree.root().join("docker"))), [""; 0]);
}

#[test]
fn symbolic_link_to_quarantine_is_refused_even_with_trailing_slash() {
    let mut tree = sound_tree();
    tree.layer("app", b"linked and needed by no manifest");
    let quarantine = make_quarantine(&mut tree);
    let before = snapshot_tree(&quarantine);
    let link = tree.root().join("link");
    symlink(&quarantine, &link).unwrap();
    for end in ["", "/", "/.", "//"] {
        let path = PathBuf::from(format!("{}{end}", link.display()));
        let said = purge(&path).unwrap_err().to_string();
        assert!(said.contains("is no quarantine"), "{end}: {said}");
    }
    assert_eq!(differences(&before, &snapshot_tree(&quarantine)), [""; 0]);
}
