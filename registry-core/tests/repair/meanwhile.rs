//! A tree that changes between plan and apply: each precondition is looked at again right before the write, and what does not
//! hold any more is spared.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use registry_core::repair::{StepOutcome, TreeSupply};
use registry_core::storage::{Symlinks, locate};
use registry_fixtures::{Digest, Image, Index, TreeBuilder};

use crate::support::{Budget, OLD, Registry, differences, names_of, picture};

/// A tree with an index of two platforms and a single image.
struct Case {
    tree: TreeBuilder,
    index: Index,
    image: Image,
}

impl Case {
    fn new() -> Self {
        let mut tree = TreeBuilder::new();
        let index = tree.multi_platform("app", Some("v1"), &["linux/amd64", "linux/arm64"]);
        let image = tree.image("app", Some("v2"), "v2");
        Self { tree, index, image }
    }

    /// Ages and plans, lets something happen, then applies: what became of the one step. Nothing may have been changed, but
    /// where the step was done.
    fn apply_after(&mut self, happens: impl FnOnce(&mut Self)) -> String {
        self.tree.age_all(OLD);
        let registry = Registry::open(self.tree.root()).content();
        let plan = registry.plan(&[], None);
        happens(self);
        let before = picture(&self.tree.v2());
        let (outcomes, _) = registry.apply(&plan, &Budget::unlimited(), None);
        let [outcome] = &outcomes[..] else { panic!("not one step: {outcomes:?}") };
        if *outcome != StepOutcome::Done {
            assert_eq!(differences(&before, &picture(&self.tree.v2())), [""; 0]);
        }
        said(outcome)
    }
}

fn said(outcome: &StepOutcome) -> String {
    names_of(&match outcome {
        StepOutcome::Spared(why) => format!("spared: {why}"),
        StepOutcome::Failed(why) => format!("failed: {why}"),
        other => format!("{other:?}"),
    })
}

fn replace(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn link(path: &Path, digest: &Digest) {
    replace(path, digest.as_str());
}

#[test]
fn nothing_happens_and_the_step_is_done() {
    let mut case = Case::new();
    let child = case.index.images[0].digest.clone();
    case.tree.break_revision_link_missing("app", &child);
    assert_eq!(case.apply_after(|_| ()), "Done");
}

#[test]
fn the_bytes_behind_a_missing_link_go_wrong() {
    let mut case = Case::new();
    let child = case.index.images[0].digest.clone();
    case.tree.break_revision_link_missing("app", &child);
    let said = case.apply_after(|case| {
        case.tree.break_blob_flipped(&child);
    });
    insta::assert_snapshot!(said, @"spared: the bytes it would name do not hash to its digest, or are gone");
}

#[test]
fn the_bytes_behind_a_missing_link_are_gone() {
    let mut case = Case::new();
    let child = case.index.images[0].digest.clone();
    case.tree.break_revision_link_missing("app", &child);
    let said = case.apply_after(|case| {
        case.tree.break_blob_missing(&child);
    });
    insta::assert_snapshot!(said, @"spared: the bytes it would name do not hash to its digest, or are gone");
}

#[test]
fn a_missing_link_is_there_again() {
    let mut case = Case::new();
    let child = case.index.images[0].digest.clone();
    case.tree.break_revision_link_missing("app", &child);
    let said = case.apply_after(|case| link(&case.tree.revision_link("app", &child), &child));
    insta::assert_snapshot!(said, @"There");
}

#[test]
fn a_symbolic_link_is_planted_at_the_place_of_a_link() {
    let mut case = Case::new();
    let child = case.index.images[0].digest.clone();
    case.tree.break_revision_link_missing("app", &child);
    let said = case.apply_after(|case| {
        let place = case.tree.revision_link("app", &child);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        symlink("/etc/passwd", place).unwrap();
    });
    insta::assert_snapshot!(said, @"spared: a symbolic link (not followed) stands there now");
}

#[test]
fn a_folder_takes_the_place_of_an_invalid_link() {
    let mut case = Case::new();
    let layer = case.image.layers[0].clone();
    case.tree.break_layer_link_empty("app", &layer);
    let said = case.apply_after(|case| {
        case.tree.break_layer_link_is_folder("app", &layer);
    });
    insta::assert_snapshot!(said, @"spared: a folder stands there now");
}

#[test]
fn a_repository_is_removed() {
    let mut case = Case::new();
    let layer = case.image.layers[0].clone();
    case.tree.break_layer_link_missing("app", &layer);
    let said = case.apply_after(|case| fs::remove_dir_all(case.tree.repository("app")).unwrap());
    insta::assert_snapshot!(said, @"spared: its repository is gone");
}

#[test]
fn a_file_takes_the_place_of_a_repository() {
    let mut case = Case::new();
    let layer = case.image.layers[0].clone();
    case.tree.break_layer_link_empty("app", &layer);
    let said = case.apply_after(|case| {
        fs::remove_dir_all(case.tree.repository("app")).unwrap();
        fs::write(case.tree.repository("app"), "").unwrap();
    });
    insta::assert_snapshot!(said, @"spared: its repository is gone");
}

#[test]
fn a_tag_to_be_restored_is_pushed() {
    let mut case = Case::new();
    case.tree.break_tag_link_missing("app", "v2");
    let said = case.apply_after(|case| link(&case.tree.tag_link("app", "v2"), &case.index.digest));
    insta::assert_snapshot!(said, @"spared: the tag was pushed since it was planned");
}

#[test]
fn a_tag_to_be_restored_is_deleted() {
    let mut case = Case::new();
    case.tree.break_tag_link_missing("app", "v2");
    let said = case.apply_after(|case| fs::remove_dir_all(case.tree.tag_folder("app", "v2")).unwrap());
    insta::assert_snapshot!(said, @"spared: the tag is gone");
}

#[test]
fn the_history_of_a_tag_to_be_restored_gets_a_second_entry() {
    let mut case = Case::new();
    case.tree.break_tag_link_missing("app", "v2");
    let said = case.apply_after(|case| {
        let index = case.index.digest.clone();
        link(&case.tree.history_link("app", "v2", &index), &index);
    });
    insta::assert_snapshot!(said, @"spared: the bytes of another entry of its history are here now");
}

#[test]
fn the_manifest_of_a_tag_to_be_restored_is_untied() {
    let mut case = Case::new();
    case.tree.break_tag_link_missing("app", "v2");
    let image = case.image.digest.clone();
    let said = case.apply_after(|case| {
        case.tree.break_revision_link_missing("app", &image);
    });
    insta::assert_snapshot!(said, @"spared: the manifest that its history names does not resolve any more");
}

#[test]
fn wrong_bytes_are_made_right_by_a_push() {
    let mut case = Case::new();
    let layer = case.image.layers[0].clone();
    let bytes = case.tree.bytes(&layer);
    case.tree.break_blob_flipped(&layer);
    let said = case.apply_after(|case| replace(&case.tree.blob_path(&layer), bytes));
    insta::assert_snapshot!(said, @"spared: the bytes hash right now");
}

#[test]
fn a_manifest_is_pushed_that_may_need_a_layer_link_that_nothing_needed() {
    let mut case = Case::new();
    case.tree.layer("app", b"nobody needs this");
    let said = case.apply_after(|case| drop(case.tree.image("app", None, "pushed meanwhile")));
    insta::assert_snapshot!(said, @"spared: a manifest was pushed into this repository since it was planned");
}

#[test]
fn a_layer_link_that_nothing_needed_is_written_by_a_push_under_way() {
    let mut case = Case::new();
    let layer = case.tree.layer("app", b"nobody needs this");
    let said = case.apply_after(|case| link(&case.tree.layer_link_path("app", &layer), &layer));
    insta::assert_snapshot!(said, @"spared: the link was written just now: a push is under way");
}

#[test]
fn a_layer_link_that_nothing_needed_names_something_else() {
    let mut case = Case::new();
    let layer = case.tree.layer("app", b"nobody needs this");
    let other = case.image.layers[0].clone();
    let said = case.apply_after(|case| {
        case.tree.break_layer_link_mismatch("app", &layer, &other);
    });
    insta::assert_snapshot!(said, @"spared: the link names something else now");
}

#[test]
fn a_dangling_entry_of_a_history_becomes_the_tag() {
    let mut case = Case::new();
    let entry = case.tree.break_history_dangling("app", "v2");
    let said = case.apply_after(|case| link(&case.tree.tag_link("app", "v2"), &entry));
    insta::assert_snapshot!(said, @"spared: the tag names it again");
}

#[test]
fn a_dangling_entry_of_a_history_resolves() {
    let mut case = Case::new();
    let entry = case.tree.break_history_dangling("app", "v2");
    let said = case.apply_after(|case| {
        link(&case.tree.revision_link("app", &entry), &entry);
        replace(&case.tree.blob_path(&entry), "pushed again");
    });
    insta::assert_snapshot!(said, @"spared: it resolves now");
}

#[test]
fn the_tag_of_a_dangling_entry_loses_its_link() {
    let mut case = Case::new();
    case.tree.break_history_dangling("app", "v2");
    let said = case.apply_after(|case| {
        case.tree.break_tag_link_empty("app", "v2");
    });
    insta::assert_snapshot!(said, @"spared: the tag's own link names nothing now");
}

#[test]
fn the_bytes_of_a_dangling_entry_are_only_a_folder() {
    let mut case = Case::new();
    let entry = case.tree.break_history_dangling("app", "v2");
    let said = case.apply_after(|case| {
        link(&case.tree.revision_link("app", &entry), &entry);
        fs::create_dir_all(case.tree.blob_path(&entry)).unwrap();
    });
    insta::assert_snapshot!(said, @"Done");
}

#[test]
fn a_stale_upload_goes_on() {
    let mut case = Case::new();
    let id = case.tree.upload("app", b"half a layer", Some("2024-01-02T03:04:05Z"));
    let said =
        case.apply_after(|case| replace(&case.tree.upload_folder("app", &id).join("data"), "more of it"));
    insta::assert_snapshot!(said, @"spared: it was changed just now: somebody may be writing it");
}

#[test]
fn a_stray_entry_is_written_again() {
    let mut case = Case::new();
    case.tree.break_stray_tag_name("app", ".hidden");
    let said = case.apply_after(|case| {
        let stray = case.tree.tags_folder("app").join(".hidden");
        let folder = stray.is_dir();
        fs::rename(&stray, case.tree.root().join("elsewhere")).unwrap();
        if folder { fs::create_dir(stray).unwrap() } else { fs::write(stray, "again").unwrap() }
    });
    insta::assert_snapshot!(said, @"spared: it was changed just now: somebody may be writing it");
}

#[test]
fn missing_layers_folder_is_there_again() {
    let mut tree = TreeBuilder::new();
    tree.image_with("app", Some("v1"), &registry_fixtures::ImageSpec::bare("v1"));
    tree.break_layers_folder("app");
    tree.age_all(OLD);
    let registry = Registry::open(tree.root());
    let plan = registry.plan(&[], None);
    fs::create_dir(tree.layers_folder("app")).unwrap();
    let (outcomes, _) = registry.apply(&plan, &Budget::unlimited(), None);
    insta::assert_snapshot!(said(&outcomes[0]), @"There");
}

#[test]
fn missing_bytes_come_by_another_way() {
    let mut case = Case::new();
    let layer = case.image.layers[0].clone();
    let source = TreeBuilder::new();
    let bytes = case.tree.bytes(&layer);
    replace(&source.blob_path(&layer), &bytes);
    case.tree.break_blob_missing(&layer);
    case.tree.age_all(OLD);
    let supply = TreeSupply::open(&locate(source.root(), Symlinks::Refuse).registries[0]).unwrap();
    let registry = Registry::open(case.tree.root());
    let plan = registry.plan(&[], Some(&supply));
    for (bytes, expected) in [(&b"wrong"[..], "spared: other bytes are there now"), (&bytes, "There")] {
        replace(&case.tree.blob_path(&layer), bytes);
        let (outcomes, _) = registry.apply(&plan, &Budget::unlimited(), Some(&supply));
        assert_eq!(said(&outcomes[0]), expected);
        assert_eq!(fs::read(case.tree.blob_path(&layer)).unwrap(), bytes);
    }
}
