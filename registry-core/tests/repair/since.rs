//! An undo when something was pushed since the repair: it may rely on what the repair wrote, which then stays.

use registry_core::audit::Code;
use registry_core::repair::{ChangeUndoState, TreeSupply, UndoneChange};
use registry_core::storage::{Symlinks, locate};
use registry_fixtures::{Digest, Image, ImageSpec, Index, TreeBuilder};

use crate::support::{Budget, OLD, Registry, broken, differences, picture};

/// What an undo left, and what it did not undo.
fn left(undone: &[UndoneChange]) -> Vec<String> {
    let left = undone.iter().filter_map(|one| match &one.state {
        ChangeUndoState::Restored | ChangeUndoState::There => None,
        ChangeUndoState::Taken(why) => Some(format!("left: {why}")),
        ChangeUndoState::Lost(why) => Some(format!("lost: {why}")),
    });
    left.collect()
}

/// A tree in which a child has lost its revision link, and one layer of another repository its bytes.
fn damaged() -> (TreeBuilder, Index, Image) {
    let mut tree = TreeBuilder::new();
    let index = tree.multi_platform("app", Some("v1"), &["linux/amd64", "linux/arm64"]);
    let image = tree.image("other", Some("v1"), "other");
    tree.break_revision_link_missing("app", &index.images[0].digest);
    tree.age_all(OLD);
    (tree, index, image)
}

/// Repairs a tree that has lost a layer, with the layer from another tree.
fn fetched(tree: &mut TreeBuilder, layer: &Digest) -> (Registry, String) {
    let source = TreeBuilder::new();
    std::fs::create_dir_all(source.blob_folder(layer)).unwrap();
    std::fs::write(source.blob_path(layer), tree.bytes(layer)).unwrap();
    tree.break_blob_missing(layer);
    let supply = TreeSupply::open(&locate(source.root(), Symlinks::Refuse).registries[0]).unwrap();
    let registry = Registry::open(tree.root());
    let journal = registry.repair_from(Some(&supply)).journal;
    (registry, journal)
}

#[test]
fn a_link_that_a_push_may_rely_on_stays() {
    let (mut tree, index, _) = damaged();
    let registry = Registry::open(tree.root());
    let journal = registry.repair().journal;
    // A second index of the same children, pushed when they were there.
    tree.index("app", Some("v2"), &[index.images[0].child(), index.images[1].child()]);
    insta::assert_snapshot!(left(&registry.undo(&journal)).join("\n"), @"left: a manifest was pushed or linked here since, and may rely on it: undo later repairs first, or remove it by hand");
    assert_eq!(broken(&registry.audit()).len(), 0);
}

#[test]
fn a_push_into_another_repository_is_in_no_ones_way() {
    let (mut tree, ..) = damaged();
    let registry = Registry::open(tree.root());
    let journal = registry.repair().journal;
    tree.image("other", Some("v2"), "pushed since");
    assert_eq!(left(&registry.undo(&journal)), [""; 0]);
    assert_eq!(broken(&registry.audit()).into_iter().collect::<Vec<_>>(), ["app:v1"]);
}

#[test]
fn a_copy_without_times_is_not_what_the_repair_left() {
    let (mut tree, ..) = damaged();
    let registry = Registry::open(tree.root());
    let journal = registry.repair().journal;
    // Whether something was pushed before the copy cannot be told any more: everything stays.
    tree.copied_without_times(std::time::Duration::from_millis(1), std::time::Duration::ZERO);
    insta::assert_snapshot!(left(&registry.undo(&journal)).join("\n"), @"left: it was written again since");
    assert_eq!(broken(&registry.audit()).len(), 0);
}

#[test]
fn a_copy_without_times_makes_leftovers_young_and_they_are_left() {
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
fn bytes_that_a_push_may_rely_on_stay() {
    let (mut tree, _, image) = damaged();
    let (registry, journal) = fetched(&mut tree, &image.layers[0]);
    // Mounted from there into a third repository.
    let digest = image.layers[0].clone();
    tree.layer_link("third/one", &digest);
    tree.image_with("third/one", Some("v1"), &ImageSpec::oci("other"));
    insta::assert_snapshot!(left(&registry.undo(&journal)).join("\n"), @"left: a manifest was pushed or linked since, and may rely on it: undo later repairs first, or remove it by hand");
    assert!(tree.blob_path(&digest).is_file());
    assert_eq!(broken(&registry.audit()).into_iter().collect::<Vec<_>>(), ["app:v1"]);
}

#[test]
fn two_repairs_in_the_same_second_are_undone_last_first() {
    let (mut tree, index, _) = damaged();
    tree.break_revision_link_empty("app", &index.images[1].digest);
    let before = picture(&tree.v2());
    let registry = Registry::open(tree.root());
    let only = |code| {
        let plan = registry.plan(&[code], None);
        registry.apply(&plan, &Budget::unlimited(), None).1
    };
    let journals = [only(Code::ChildLinkMissing), only(Code::RevisionLinkInvalid)];
    assert_eq!(broken(&registry.audit()).len(), 0);
    for journal in journals.iter().rev() {
        assert_eq!(left(&registry.undo(journal)), [""; 0]);
    }
    assert_eq!(differences(&before, &picture(&tree.v2())), [""; 0]);
}

#[test]
fn what_stayed_goes_with_another_undo_once_the_push_is_gone() {
    let (mut tree, ..) = damaged();
    let before = picture(&tree.v2());
    let registry = Registry::open(tree.root());
    let journal = registry.repair().journal;
    let pushed = tree.image("app", None, "pushed since");
    assert_eq!(left(&registry.undo(&journal)).len(), 1);
    std::fs::remove_dir_all(tree.revision_link("app", &pushed.digest).parent().unwrap()).unwrap();
    assert_eq!(left(&registry.undo(&journal)), [""; 0]);
    let differing = differences(&before, &picture(&tree.v2()));
    assert!(differing.iter().all(|path| path.contains("blobs") || path.contains("_layers")), "{differing:?}");
}

#[test]
fn a_folder_of_repositories_behind_a_symbolic_link_makes_it_unknown() {
    let (mut tree, _, image) = damaged();
    let (registry, journal) = fetched(&mut tree, &image.layers[0]);
    let elsewhere = tree.root().to_path_buf();
    tree.break_symlink(&tree.repositories().join("aside"), &elsewhere);
    insta::assert_snapshot!(left(&registry.undo(&journal)).join("\n"), @"lost: it cannot be told whether something relies on it: a folder on the way to repositories is a symbolic link");
    assert!(tree.blob_path(&image.layers[0]).is_file());
}
