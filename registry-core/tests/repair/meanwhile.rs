//! A tree that changes between plan and apply: each precondition is checked again right before the write, and a step whose
//! precondition no longer holds is spared.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use registry_core::repair::StepOutcome;
use registry_fixtures::{Digest, Image, Index, TreeBuilder};

use crate::support::{Budget, OLD, Registry, differences, shorten_hashes, snapshot_tree, tree_supply};

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

    /// Ages the tree and plans, runs `happens`, then applies; returns the outcome of the only step. A step that is not done
    /// must not have changed anything.
    fn apply_after(&mut self, happens: impl FnOnce(&mut Self)) -> String {
        self.tree.age_all(OLD);
        let registry = Registry::open(self.tree.root()).content();
        let plan = registry.plan(&[], None);
        happens(self);
        let before = snapshot_tree(&self.tree.v2());
        let (outcomes, _) = registry.apply(&plan, &Budget::unlimited(), None);
        let [outcome] = &outcomes[..] else { panic!("not one step: {outcomes:?}") };
        if *outcome != StepOutcome::Done {
            assert_eq!(differences(&before, &snapshot_tree(&self.tree.v2())), [""; 0]);
        }
        outcome_text(outcome)
    }
}

fn outcome_text(outcome: &StepOutcome) -> String {
    shorten_hashes(&match outcome {
        StepOutcome::Spared(why) => format!("spared: {why}"),
        StepOutcome::Failed(why) => format!("failed: {why}"),
        other => format!("{other:?}"),
    })
}

fn write_file(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn write_link(path: &Path, digest: &Digest) {
    write_file(path, digest.as_str());
}

#[test]
fn step_is_done_when_nothing_changed() {
    let mut case = Case::new();
    let child = case.index.images[0].digest.clone();
    case.tree.break_revision_link_missing("app", &child);
    assert_eq!(case.apply_after(|_| ()), "Done");
}

#[test]
fn relink_is_spared_when_bytes_become_wrong() {
    let mut case = Case::new();
    let child = case.index.images[0].digest.clone();
    case.tree.break_revision_link_missing("app", &child);
    let said = case.apply_after(|case| {
        case.tree.break_blob_flipped(&child);
    });
    insta::assert_snapshot!(said, @"spared: the bytes it would name do not hash to its digest, or are gone");
}

#[test]
fn relink_is_spared_when_bytes_vanish() {
    let mut case = Case::new();
    let child = case.index.images[0].digest.clone();
    case.tree.break_revision_link_missing("app", &child);
    let said = case.apply_after(|case| {
        case.tree.break_blob_missing(&child);
    });
    insta::assert_snapshot!(said, @"spared: the bytes it would name do not hash to its digest, or are gone");
}

#[test]
fn relink_has_nothing_to_do_when_link_is_back() {
    let mut case = Case::new();
    let child = case.index.images[0].digest.clone();
    case.tree.break_revision_link_missing("app", &child);
    let said = case.apply_after(|case| write_link(&case.tree.revision_link("app", &child), &child));
    insta::assert_snapshot!(said, @"There");
}

#[test]
fn relink_is_spared_when_symbolic_link_takes_its_place() {
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
fn rewrite_is_spared_when_folder_takes_the_place_of_link() {
    let mut case = Case::new();
    let layer = case.image.layers[0].clone();
    case.tree.break_layer_link_empty("app", &layer);
    let said = case.apply_after(|case| {
        case.tree.break_layer_link_is_folder("app", &layer);
    });
    insta::assert_snapshot!(said, @"spared: a folder stands there now");
}

#[test]
fn relink_is_spared_when_repository_is_removed() {
    let mut case = Case::new();
    let layer = case.image.layers[0].clone();
    case.tree.break_layer_link_missing("app", &layer);
    let said = case.apply_after(|case| fs::remove_dir_all(case.tree.repository("app")).unwrap());
    insta::assert_snapshot!(said, @"spared: its repository is gone");
}

#[test]
fn rewrite_is_spared_when_file_takes_the_place_of_repository() {
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
fn restore_is_spared_when_tag_is_pushed() {
    let mut case = Case::new();
    case.tree.break_tag_link_missing("app", "v2");
    let said = case.apply_after(|case| write_link(&case.tree.tag_link("app", "v2"), &case.index.digest));
    insta::assert_snapshot!(said, @"spared: the tag was pushed since it was planned");
}

#[test]
fn restore_is_spared_when_tag_is_deleted() {
    let mut case = Case::new();
    case.tree.break_tag_link_missing("app", "v2");
    let said = case.apply_after(|case| fs::remove_dir_all(case.tree.tag_folder("app", "v2")).unwrap());
    insta::assert_snapshot!(said, @"spared: the tag is gone");
}

#[test]
fn restore_is_spared_when_history_gets_a_second_entry() {
    let mut case = Case::new();
    case.tree.break_tag_link_missing("app", "v2");
    let said = case.apply_after(|case| {
        let index = case.index.digest.clone();
        write_link(&case.tree.history_link("app", "v2", &index), &index);
    });
    insta::assert_snapshot!(said, @"spared: the bytes of another entry of its history are here now");
}

#[test]
fn restore_is_spared_when_manifest_loses_its_revision_link() {
    let mut case = Case::new();
    case.tree.break_tag_link_missing("app", "v2");
    let image = case.image.digest.clone();
    let said = case.apply_after(|case| {
        case.tree.break_revision_link_missing("app", &image);
    });
    insta::assert_snapshot!(said, @"spared: the manifest that its history names does not resolve any more");
}

#[test]
fn quarantine_is_spared_when_push_fixes_the_bytes() {
    let mut case = Case::new();
    let layer = case.image.layers[0].clone();
    let bytes = case.tree.bytes(&layer);
    case.tree.break_blob_flipped(&layer);
    let said = case.apply_after(|case| write_file(&case.tree.blob_path(&layer), bytes));
    insta::assert_snapshot!(said, @"spared: the bytes hash right now");
}

#[test]
fn unlink_is_spared_when_manifest_is_pushed_into_repository() {
    let mut case = Case::new();
    case.tree.layer("app", b"nobody needs this");
    let said = case.apply_after(|case| drop(case.tree.image("app", None, "pushed meanwhile")));
    insta::assert_snapshot!(said, @"spared: a manifest was pushed into this repository since it was planned");
}

#[test]
fn unlink_is_spared_when_push_rewrites_the_link() {
    let mut case = Case::new();
    let layer = case.tree.layer("app", b"nobody needs this");
    let said = case.apply_after(|case| write_link(&case.tree.layer_link_path("app", &layer), &layer));
    insta::assert_snapshot!(said, @"spared: the link was written just now: a push is under way");
}

#[test]
fn unlink_is_spared_when_link_names_another_digest() {
    let mut case = Case::new();
    let layer = case.tree.layer("app", b"nobody needs this");
    let other = case.image.layers[0].clone();
    let said = case.apply_after(|case| {
        case.tree.break_layer_link_mismatch("app", &layer, &other);
    });
    insta::assert_snapshot!(said, @"spared: the link names something else now");
}

#[test]
fn unlink_is_spared_when_tag_names_the_history_entry() {
    let mut case = Case::new();
    let entry = case.tree.break_history_dangling("app", "v2");
    let said = case.apply_after(|case| write_link(&case.tree.tag_link("app", "v2"), &entry));
    insta::assert_snapshot!(said, @"spared: the tag names it again");
}

#[test]
fn unlink_is_spared_when_history_entry_resolves() {
    let mut case = Case::new();
    let entry = case.tree.break_history_dangling("app", "v2");
    let said = case.apply_after(|case| {
        write_link(&case.tree.revision_link("app", &entry), &entry);
        write_file(&case.tree.blob_path(&entry), "pushed again");
    });
    insta::assert_snapshot!(said, @"spared: it resolves now");
}

#[test]
fn unlink_is_spared_when_tag_loses_its_link() {
    let mut case = Case::new();
    case.tree.break_history_dangling("app", "v2");
    let said = case.apply_after(|case| {
        case.tree.break_tag_link_empty("app", "v2");
    });
    insta::assert_snapshot!(said, @"spared: the tag's own link names nothing now");
}

#[test]
fn unlink_is_done_when_folder_takes_the_place_of_bytes() {
    let mut case = Case::new();
    let entry = case.tree.break_history_dangling("app", "v2");
    let said = case.apply_after(|case| {
        write_link(&case.tree.revision_link("app", &entry), &entry);
        fs::create_dir_all(case.tree.blob_path(&entry)).unwrap();
    });
    insta::assert_snapshot!(said, @"Done");
}

#[test]
fn clear_is_spared_when_upload_goes_on() {
    let mut case = Case::new();
    let id = case.tree.upload("app", b"half a layer", Some("2024-01-02T03:04:05Z"));
    let said =
        case.apply_after(|case| write_file(&case.tree.upload_folder("app", &id).join("data"), "more of it"));
    insta::assert_snapshot!(said, @"spared: it was changed just now: somebody may be writing it");
}

#[test]
fn move_aside_is_spared_when_stray_is_rewritten() {
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
fn rebuild_has_nothing_to_do_when_layers_folder_is_back() {
    let mut tree = TreeBuilder::new();
    tree.image_with("app", Some("v1"), &registry_fixtures::ImageSpec::bare("v1"));
    tree.break_layers_folder("app");
    tree.age_all(OLD);
    let registry = Registry::open(tree.root());
    let plan = registry.plan(&[], None);
    fs::create_dir(tree.layers_folder("app")).unwrap();
    let (outcomes, _) = registry.apply(&plan, &Budget::unlimited(), None);
    insta::assert_snapshot!(outcome_text(&outcomes[0]), @"There");
}

#[test]
fn fetch_keeps_bytes_that_arrived_since_the_plan() {
    let mut case = Case::new();
    let layer = case.image.layers[0].clone();
    let source = TreeBuilder::new();
    let bytes = case.tree.bytes(&layer);
    write_file(&source.blob_path(&layer), &bytes);
    case.tree.break_blob_missing(&layer);
    case.tree.age_all(OLD);
    let supply = tree_supply(&source);
    let registry = Registry::open(case.tree.root());
    let plan = registry.plan(&[], Some(&supply));
    for (bytes, expected) in [(&b"wrong"[..], "spared: other bytes are there now"), (&bytes, "There")] {
        write_file(&case.tree.blob_path(&layer), bytes);
        let (outcomes, _) = registry.apply(&plan, &Budget::unlimited(), Some(&supply));
        assert_eq!(outcome_text(&outcomes[0]), expected);
        assert_eq!(fs::read(case.tree.blob_path(&layer)).unwrap(), bytes);
    }
}
