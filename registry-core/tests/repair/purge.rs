//! What a purge deletes: a quarantine whatever was moved into it, and nothing that is a registry, holds one or lies in one.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use registry_core::repair::{content, purge};
use registry_core::tree_writer::{MARKER, Marker, QUARANTINE_SCHEMA};
use registry_fixtures::TreeBuilder;

use crate::support::{OLD, Registry, copy, differences, fast_folder, names_of, picture};

/// A registry with tags, in which nothing is wrong.
fn sound() -> TreeBuilder {
    let mut tree = TreeBuilder::new();
    tree.image("app", Some("v1"), "v1");
    tree.image("docker/registry/v2", Some("v1"), "a name that a repository may have");
    tree
}

/// Marks a folder as the quarantine of a tree.
fn mark(folder: &Path, tree: &Path) {
    let tree = tree.display().to_string();
    let marker = Marker { schema: QUARANTINE_SCHEMA.into(), tree, at: Timestamp::now() };
    fs::write(folder.join(MARKER), serde_json::to_vec(&marker).unwrap()).unwrap();
}

/// Why a purge is refused; nothing is deleted by it.
fn refused(folder: &Path) -> String {
    let before = picture(folder);
    let dry = content(folder).unwrap_err().to_string();
    assert_eq!(purge(folder).unwrap_err().to_string(), dry);
    assert_eq!(differences(&before, &picture(folder)), [""; 0]);
    names_of(&dry)
}

#[test]
fn a_registry_that_a_quarantines_marker_was_copied_into_stays() {
    let mut said = Vec::new();
    for folder in
        ["", "docker", "docker/registry", "docker/registry/v2", "docker/registry/v2/repositories/app"]
    {
        let tree = sound();
        let at = tree.root().join(folder);
        mark(&at, &tree.v2());
        said.push(refused(&at).replace(&*tree.root().to_string_lossy(), "ROOT"));
        // The marker may be of another registry, or of one that is gone.
        mark(&at, Path::new("/gone/docker/registry/v2"));
        said.push(refused(&at).replace(&*tree.root().to_string_lossy(), "ROOT"));
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
fn a_registry_without_the_usual_path_is_known_by_bytes_that_are_right() {
    let tree = sound();
    let other = copy(&tree.v2());
    mark(other.path(), &tree.v2());
    let said = refused(other.path()).replace(&*other.path().to_string_lossy(), "OTHER");
    assert!(said.contains("/data holds what its digest says"), "{said}");
    // Where its blobs lie elsewhere, by the link to them.
    let elsewhere = fast_folder();
    fs::rename(other.path().join("blobs"), elsewhere.path().join("blobs")).unwrap();
    symlink(elsewhere.path().join("blobs"), other.path().join("blobs")).unwrap();
    let said = refused(other.path()).replace(&*other.path().to_string_lossy(), "OTHER");
    assert!(said.contains("blobs is a symbolic link"), "{said}");
}

/// A quarantine that a repair made.
fn quarantine(tree: &mut TreeBuilder) -> PathBuf {
    tree.age_all(OLD);
    Registry::open(tree.root()).strict().repair();
    fs::read_dir(tree.root().join(".registry-fsck")).unwrap().next().unwrap().unwrap().path()
}

#[test]
fn a_quarantine_of_every_kind_of_piece_is_purged() {
    let mut tree = sound();
    let image = tree.image("web", Some("1"), "web");
    tree.break_blob_zero(&image.layers[0]).break_stray_data().break_illegal_repository_name("UPPER");
    tree.layer("docker/registry/v2", b"linked and needed by no manifest");
    tree.image("docker/registry/v2", Some("gone"), "gone");
    tree.upload("app", b"half a layer", Some("2024-01-02T03:04:05Z"));
    let quarantine = quarantine(&mut tree);
    for piece in ["blobs/data", "repositories/UPPER/_manifests", "repositories/docker/registry/v2/_layers"] {
        assert!(quarantine.join(piece).try_exists().unwrap(), "{piece}");
    }
    let before = picture(&tree.root().join("docker"));
    assert!(purge(&quarantine).unwrap().files > 4);
    assert!(!tree.root().join(".registry-fsck").try_exists().unwrap());
    assert_eq!(differences(&before, &picture(&tree.root().join("docker"))), [""; 0]);
}

#[test]
fn a_symbolic_link_to_a_quarantine_is_refused_with_a_slash_at_its_end_too() {
    let mut tree = sound();
    tree.layer("app", b"linked and needed by no manifest");
    let quarantine = quarantine(&mut tree);
    let before = picture(&quarantine);
    let link = tree.root().join("link");
    symlink(&quarantine, &link).unwrap();
    for end in ["", "/", "/.", "//"] {
        let path = PathBuf::from(format!("{}{end}", link.display()));
        let said = purge(&path).unwrap_err().to_string();
        assert!(said.contains("is no quarantine"), "{end}: {said}");
    }
    assert_eq!(differences(&before, &picture(&quarantine)), [""; 0]);
}
