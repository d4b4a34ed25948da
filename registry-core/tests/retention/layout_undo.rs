//! Undoing moves after a collection: links to collected bytes stay in the quarantine, and no tag is restored that would be broken
//! now and was not before.

use std::collections::BTreeSet;
use std::path::Path;

use registry_core::oci::Digest;
use registry_core::repair::{ChangeUndoState, RepairHistory, Undo, UndoneChange};
use registry_core::tree_writer::Access;
use registry_fixtures::random::sound_tree;
use registry_fixtures::{Index, TreeBuilder};

use crate::layout::{DAY, keep, own, planned, record};
use crate::layout_laws::{LayoutJournal, age, applied, copy_to_memory, marked, not_whole, picture, policy};

fn undo(lines: &LayoutJournal) -> Vec<UndoneChange> {
    let history = RepairHistory::read(std::str::from_utf8(&lines.text).unwrap()).unwrap();
    Undo::open(&history, Access::default()).unwrap().undo_all()
}

/// Removes the blobs that a plain collector would: those that no manifest with a revision link names. Returns their bytes.
fn collect(tree: &TreeBuilder) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let marked: BTreeSet<Digest> = marked(&record(tree));
    let mut gone = Vec::new();
    for entry in walkdir::WalkDir::new(tree.v2().join("blobs")).into_iter().map(Result::unwrap) {
        let hex = entry.path().parent().and_then(Path::file_name).unwrap().to_string_lossy().into_owned();
        if entry.file_name() == "data" && !marked.iter().any(|digest| digest.hex() == hex) {
            gone.push((entry.path().to_owned(), std::fs::read(entry.path()).unwrap()));
        }
    }
    for (path, _) in &gone {
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }
    gone
}

/// The outcomes of an undo as text, without layer links.
fn undo_text(undone: &[UndoneChange], names: &[(&registry_fixtures::Digest, &str)]) -> String {
    let lines = undone.iter().map(|one| {
        let path = one.path.rsplit("repositories/").next().unwrap();
        match &one.state {
            ChangeUndoState::Lost(why) => format!("{path} lost: {why}"),
            ChangeUndoState::Taken(why) => format!("{path} left: {why}"),
            ChangeUndoState::Restored => format!("{path} restored"),
            ChangeUndoState::There => format!("{path} there"),
        }
    });
    let text = lines.filter(|line| !line.contains("_layers/")).collect::<Vec<_>>().join("\n");
    names
        .iter()
        .fold(text, |text, (digest, name)| text.replace(digest.as_str(), name).replace(digest.hex(), name))
}

/// A tree with two indexes of two platforms, of which the first is deleted.
fn tree_with_two_indexes() -> (TreeBuilder, Index) {
    let mut tree = TreeBuilder::new();
    let old = tree.multi_platform("app", Some("old"), &["linux/amd64", "linux/arm64"]);
    tree.multi_platform("app", Some("new"), &["linux/amd64", "linux/arm64"]);
    tree.age_all(60 * DAY);
    tree.set_pushed("app", "new", DAY);
    (tree, old)
}

#[test]
fn undo_after_a_collection_restores_no_broken_tag_and_the_rest_once_bytes_are_back() {
    let (mut lost, mut restored) = (0, 0);
    for seed in 1..=30 {
        let (mut tree, story) = sound_tree(seed);
        age(&mut tree, seed);
        let (_folder, tree) = copy_to_memory(&tree);
        let (first, mut worse) = (picture(tree.root()), not_whole(&tree));
        let mut lines = LayoutJournal::default();
        let plan = planned(&record(&tree), &policy(seed));
        applied(&tree, &plan, &mut lines);
        let gone = collect(&tree);
        // A collector does not follow aliases by another algorithm, so it may break kept tags.
        worse.extend(not_whole(&tree));
        let undone = undo(&lines);
        let now = not_whole(&tree);
        assert!(now.is_subset(&worse), "{story:#?} {:?} {undone:#?}", now.difference(&worse));
        lost += undone.iter().filter(|one| matches!(one.state, ChangeUndoState::Lost(_))).count();
        restored += undone.iter().filter(|one| one.state == ChangeUndoState::Restored).count();
        // Once the bytes are back, another undo restores the rest.
        for (path, bytes) in gone {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let undone = undo(&lines);
        assert!(!undone.iter().any(|one| matches!(one.state, ChangeUndoState::Lost(_))), "{undone:#?}");
        let names = |picture: &crate::layout_laws::Picture| picture.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&picture(tree.root())), names(&first), "{story:#?}");
    }
    assert!(lost > 50 && restored > 5, "{lost} lost, {restored} restored");
}

#[test]
fn undo_names_what_a_collector_took_and_leaves_it_in_quarantine() {
    let (tree, old) = tree_with_two_indexes();
    let mut lines = LayoutJournal::default();
    applied(&tree, &planned(&record(&tree), &keep(1)), &mut lines);
    collect(&tree);
    let names = [
        (&old.digest, "INDEX"),
        (&old.images[0].digest, "AMD64"),
        (&old.images[1].digest, "ARM64"),
        (&old.attestations[0].digest, "ATT1"),
        (&old.attestations[1].digest, "ATT2"),
    ];
    let text = undo_text(&undo(&lines), &names);
    let mut text: Vec<_> = text.lines().collect();
    text.sort_unstable();
    let text = text.join("\n");
    let text = text.split_once('\n').map_or("", |(quarantine, rest)| {
        assert!(
            quarantine.ends_with("quarantine.json lost: what cannot be put back is still in the quarantine")
        );
        rest
    });
    insta::assert_snapshot!(text, @"
    app/_manifests/revisions/sha256/AMD64 lost: its bytes were collected since: AMD64
    app/_manifests/revisions/sha256/ARM64 lost: its bytes were collected since: ARM64
    app/_manifests/revisions/sha256/ATT1 lost: its bytes were collected since: ATT1
    app/_manifests/revisions/sha256/ATT2 lost: its bytes were collected since: ATT2
    app/_manifests/revisions/sha256/INDEX lost: its bytes were collected since: INDEX
    app/_manifests/tags/old lost: its bytes were collected since: INDEX
    ");
}

#[test]
fn undo_withholds_only_the_tag_when_a_layer_is_gone() {
    let (mut tree, old) = tree_with_two_indexes();
    let mut lines = LayoutJournal::default();
    applied(&tree, &planned(&record(&tree), &keep(1)), &mut lines);
    tree.break_blob_missing(&old.images[0].layers[0]);
    let undone = undo(&lines);
    let names = [(&old.images[0].layers[0], "LAYER")];
    let lost: Vec<_> =
        undo_text(&undone, &names).lines().filter(|line| line.contains("lost")).map(String::from).collect();
    insta::assert_snapshot!(lost[0], @"app/_manifests/tags/old lost: its bytes were collected since: LAYER");
    assert_eq!(lost.len(), 2, "{lost:#?}");
    assert!(tree.revision_link("app", &old.digest).is_file());
}

#[test]
fn undo_withholds_a_tag_whose_link_was_purged_from_quarantine() {
    let (tree, old) = tree_with_two_indexes();
    let mut lines = LayoutJournal::default();
    applied(&tree, &planned(&record(&tree), &keep(1)), &mut lines);
    let child = old.images[0].digest.hex();
    let quarantine = tree.root().join(".registry-fsck");
    let folder = walkdir::WalkDir::new(quarantine).into_iter().map(Result::unwrap).find(|entry| {
        entry.file_name().to_str() == Some(child) && entry.path().to_string_lossy().contains("revisions")
    });
    std::fs::remove_dir_all(folder.unwrap().path()).unwrap();
    let undone = undo(&lines);
    let lost = undo_text(&undone, &[(&old.images[0].digest, "CHILD")]);
    let lost: Vec<_> = lost.lines().filter(|line| line.starts_with("app") && line.contains("lost")).collect();
    insta::assert_snapshot!(lost.join("\n"), @"
    app/_manifests/revisions/sha256/CHILD lost: it is neither here nor in the quarantine: it was purged, or this is another tree
    app/_manifests/tags/old lost: what it needs has no link here any more: CHILD
    ");
    assert!(not_whole(&tree).is_empty());
}

#[test]
fn undo_restores_a_broken_image_when_no_more_of_it_is_gone() {
    let (mut tree, old) = tree_with_two_indexes();
    tree.break_blob_missing(&old.images[0].layers[0]);
    let (first, worse) = (picture(tree.root()), not_whole(&tree));
    let mut lines = LayoutJournal::default();
    applied(&tree, &planned(&record(&tree), &keep(1)), &mut lines);
    let lacked = own(&old.images[0].layers[0]).to_string();
    assert!(std::str::from_utf8(&lines.text).unwrap().contains(&format!("\"lacked\":[\"{lacked}\"]")));
    assert!(undo(&lines).iter().all(|one| one.state == ChangeUndoState::Restored));
    assert!(picture(tree.root()) == first && not_whole(&tree) == worse);
}
