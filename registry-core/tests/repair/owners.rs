//! Owners and modes of what a repair writes: those of its neighbours, regardless of the umask and of who repairs.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;

use registry_fixtures::TreeBuilder;
use walkdir::WalkDir;

use crate::support::{OLD, Registry, broken_tags, tree_supply};

/// A tree whose repair writes every kind of thing (a link in a missing folder, a link over a file, bytes), and the tree that
/// supplies the bytes.
fn damaged() -> (TreeBuilder, TreeBuilder) {
    let mut tree = TreeBuilder::new();
    let index = tree.multi_platform("app", Some("v1"), &["linux/amd64", "linux/arm64"]);
    let image = tree.image("web", Some("v1"), "web");
    let mut source = TreeBuilder::new();
    source.image("web", Some("v1"), "web");
    tree.break_revision_link_missing("app", &index.images[0].digest);
    tree.break_layer_link_empty("app", &index.images[1].layers[0]);
    tree.break_tag_link_missing("app", "v1");
    tree.break_blob_missing(&image.layers[0]);
    tree.age_all(OLD);
    (tree, source)
}

/// Repairs everything; returns the new entries.
fn written_entries(tree: &TreeBuilder, source: &TreeBuilder) -> Vec<walkdir::DirEntry> {
    let paths = |root: &Path| -> BTreeSet<_> {
        WalkDir::new(root).into_iter().map(|entry| entry.unwrap().into_path()).collect()
    };
    let before = paths(&tree.v2());
    let supply = tree_supply(source);
    let registry = Registry::open(tree.root());
    registry.repair_from(Some(&supply));
    assert_eq!(broken_tags(&registry.audit()).len(), 0);
    let entries = WalkDir::new(tree.v2()).into_iter().map(Result::unwrap);
    let written: Vec<_> = entries.filter(|entry| !before.contains(entry.path())).collect();
    let folders = written.iter().filter(|entry| entry.file_type().is_dir()).count();
    // A revision link, a tag link, bytes and their folder at least.
    assert!(folders >= 1 && written.len() - folders == 3, "{written:?}");
    written
}

#[test]
fn written_files_have_the_modes_of_their_neighbours() {
    let (tree, source) = damaged();
    for entry in WalkDir::new(tree.v2()).into_iter().map(Result::unwrap) {
        let mode = if entry.file_type().is_dir() { 0o2770 } else { 0o660 };
        std::fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    for entry in written_entries(&tree, &source) {
        let mode = entry.metadata().unwrap().permissions().mode() & 0o7777;
        let expected = if entry.file_type().is_dir() { 0o2770 } else { 0o660 };
        assert_eq!(mode, expected, "{}", entry.path().display());
    }
}

#[test]
#[ignore = "needs root, to give files away"]
fn written_files_have_the_owners_of_their_neighbours() {
    let (tree, source) = damaged();
    for entry in WalkDir::new(tree.v2()).into_iter().map(Result::unwrap) {
        chown(entry.path(), Some(4321), Some(8765)).unwrap();
    }
    for entry in written_entries(&tree, &source) {
        let metadata = entry.metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (4321, 8765), "{}", entry.path().display());
    }
    // A file that was written over keeps its owner.
    for entry in WalkDir::new(tree.v2()).into_iter().map(Result::unwrap) {
        assert_eq!(entry.metadata().unwrap().uid(), 4321, "{}", entry.path().display());
    }
}
