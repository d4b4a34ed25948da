//! An undo after a push that came since the repair: what the push may need stays.

use registry_core::audit::Code;
use registry_core::repair::{ChangeUndoState, UndoneChange};
use registry_fixtures::{Digest, Image, ImageSpec, Index, TreeBuilder};

use crate::support::{Budget, OLD, Registry, broken_tags, differences, snapshot_tree, tree_supply, undo};

/// What an undo left or lost, with the reason.
fn not_undone(undone: &[UndoneChange]) -> Vec<String> {
    let reasons = undone.iter().filter_map(|change| match &change.state {
        ChangeUndoState::Restored | ChangeUndoState::There => None,
        ChangeUndoState::Taken(why) => Some(format!("left: {why}")),
        ChangeUndoState::Lost(why) => Some(format!("lost: {why}")),
    });
    reasons.collect()
}

/// A tree in which a child has lost its revision link, and a whole image in another repository.
fn damaged() -> (TreeBuilder, Index, Image) {
    let mut tree = TreeBuilder::new();
    let index = tree.multi_platform("app", Some("v1"), &["linux/amd64", "linux/arm64"]);
    let image = tree.image("other", Some("v1"), "other");
    tree.break_revision_link_missing("app", &index.images[0].digest);
    tree.age_all(OLD);
    (tree, index, image)
}

/// Removes a layer, then repairs the tree with the layer from another tree.
fn repair_with_fetched_layer(tree: &mut TreeBuilder, layer: &Digest) -> (Registry, String) {
    let source = TreeBuilder::new();
    std::fs::create_dir_all(source.blob_folder(layer)).unwrap();
    std::fs::write(source.blob_path(layer), tree.bytes(layer)).unwrap();
    tree.break_blob_missing(layer);
    let supply = tree_supply(&source);
    let registry = Registry::open(tree.root());
    let journal = registry.repair_from(Some(&supply)).journal;
    (registry, journal)
}

#[test]
fn undo_leaves_link_that_a_push_may_need() {
    let (mut tree, index, _) = damaged();
    let registry = Registry::open(tree.root());
    let journal = registry.repair().journal;
    // After the repair a second index of the same children is pushed.
    tree.index("app", Some("v2"), &[index.images[0].child(), index.images[1].child()]);
    insta::assert_snapshot!(not_undone(&undo(&journal)).join("\n"), @"left: a manifest was pushed or linked here since, and may rely on it: undo later repairs first, or remove it by hand");
    assert_eq!(broken_tags(&registry.audit()).len(), 0);
}

#[test]
fn undo_ignores_push_into_another_repository() {
    let (mut tree, ..) = damaged();
    let registry = Registry::open(tree.root());
    let journal = registry.repair().journal;
    tree.image("other", Some("v2"), "pushed since");
    assert_eq!(not_undone(&undo(&journal)), [""; 0]);
    assert_eq!(broken_tags(&registry.audit()).into_iter().collect::<Vec<_>>(), ["app:v1"]);
}

#[test]
fn undo_leaves_links_of_a_tree_copied_without_times() {
    let (mut tree, ..) = damaged();
    let registry = Registry::open(tree.root());
    let journal = registry.repair().journal;
    // It is no longer known whether something was pushed before the copy, so everything stays.
    tree.copied_without_times(std::time::Duration::from_millis(1), std::time::Duration::ZERO);
    insta::assert_snapshot!(not_undone(&undo(&journal)).join("\n"), @"left: it was written again since");
    assert_eq!(broken_tags(&registry.audit()).len(), 0);
}

#[test]
fn leftovers_in_a_tree_copied_without_times_are_too_young_to_clear() {
    let mut tree = TreeBuilder::new();
    tree.image("app", Some("v1"), "one");
    tree.break_temp_file(&tree.tag_link("app", "v1"));
    tree.age_all(OLD);
    let steps = |tree: &TreeBuilder| Registry::open(tree.root()).strict().plan(&[], None).steps().len();
    assert_eq!(steps(&tree), 1);
    tree.copied_without_times(std::time::Duration::from_millis(1), std::time::Duration::ZERO);
    assert_eq!(steps(&tree), 0);
}

#[test]
fn undo_leaves_bytes_that_a_push_may_need() {
    let (mut tree, _, image) = damaged();
    let (registry, journal) = repair_with_fetched_layer(&mut tree, &image.layers[0]);
    // The layer is mounted into a third repository.
    let digest = image.layers[0].clone();
    tree.layer_link("third/one", &digest);
    tree.image_with("third/one", Some("v1"), &ImageSpec::oci("other"));
    insta::assert_snapshot!(not_undone(&undo(&journal)).join("\n"), @"left: a manifest was pushed or linked since, and may rely on it: undo later repairs first, or remove it by hand");
    assert!(tree.blob_path(&digest).is_file());
    assert_eq!(broken_tags(&registry.audit()).into_iter().collect::<Vec<_>>(), ["app:v1"]);
}

#[test]
fn two_repairs_in_the_same_second_are_undone_in_reverse_order() {
    let (mut tree, index, _) = damaged();
    tree.break_revision_link_empty("app", &index.images[1].digest);
    let before = snapshot_tree(&tree.v2());
    let registry = Registry::open(tree.root());
    let only = |code| {
        let plan = registry.plan(&[code], None);
        registry.apply(&plan, &Budget::unlimited(), None).1
    };
    let journals = [only(Code::ChildLinkMissing), only(Code::RevisionLinkInvalid)];
    assert_eq!(broken_tags(&registry.audit()).len(), 0);
    for journal in journals.iter().rev() {
        assert_eq!(not_undone(&undo(journal)), [""; 0]);
    }
    assert_eq!(differences(&before, &snapshot_tree(&tree.v2())), [""; 0]);
}

#[test]
fn second_undo_removes_the_link_once_the_push_is_gone() {
    let (mut tree, ..) = damaged();
    let before = snapshot_tree(&tree.v2());
    let registry = Registry::open(tree.root());
    let journal = registry.repair().journal;
    let pushed = tree.image("app", None, "pushed since");
    assert_eq!(not_undone(&undo(&journal)).len(), 1);
    std::fs::remove_dir_all(tree.revision_link("app", &pushed.digest).parent().unwrap()).unwrap();
    assert_eq!(not_undone(&undo(&journal)), [""; 0]);
    let differing = differences(&before, &snapshot_tree(&tree.v2()));
    assert!(differing.iter().all(|path| path.contains("blobs") || path.contains("_layers")), "{differing:?}");
}

#[test]
fn undo_leaves_bytes_when_repositories_lie_behind_a_symbolic_link() {
    let (mut tree, _, image) = damaged();
    let (_, journal) = repair_with_fetched_layer(&mut tree, &image.layers[0]);
    let elsewhere = tree.root().to_path_buf();
    tree.break_symlink(&tree.repositories().join("aside"), &elsewhere);
    insta::assert_snapshot!(not_undone(&undo(&journal)).join("\n"), @"lost: it cannot be told whether something relies on it: a folder on the way to repositories is a symbolic link");
    assert!(tree.blob_path(&image.layers[0]).is_file());
}
