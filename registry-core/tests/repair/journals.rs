//! Undo with forged journals, and with quarantines that are missing or belong to another registry: an undo moves only what a
//! repair moved out of this registry.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use registry_core::repair::{Change, FileBefore, RepairHistory, RepairJournal, Undo};
use registry_core::tree_writer::{Access, MARKER};
use registry_fixtures::TreeBuilder;

use crate::support::{
    MemoryLog, OLD, Registry, differences, only_quarantine, shorten_hashes, snapshot_tree, undo,
    undo_failures,
};

/// A well-formed journal of changes that nobody made.
fn forged_journal(tree: &Path, aside: &Path, changes: &[Change]) -> String {
    let (log, text) = MemoryLog::new();
    let mut journal = RepairJournal::begin(log, tree, aside, Timestamp::now()).unwrap();
    journal.announce(changes).unwrap();
    let text = text.lock().unwrap().clone();
    String::from_utf8(text).unwrap()
}

fn moved(path: &str, to: &str) -> Change {
    Change::Move { path: path.into(), to: to.into(), made: Vec::new(), lacked: Vec::new() }
}

/// A folder with files that no undo may move.
fn victim_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("etc/blobs")).unwrap();
    fs::write(folder.path().join("etc/shadow"), "secret").unwrap();
    fs::write(folder.path().join("etc/blobs/data"), "secret").unwrap();
    folder
}

/// Asserts that an undo of a forged journal moves nothing; returns its messages.
fn refusals(tree: &Path, aside: &Path, changes: &[Change]) -> String {
    refusals_in(tree, tree, aside, changes)
}

/// As [`refusals`], but nothing may be moved in `around`, a folder that contains the tree.
fn refusals_in(around: &Path, tree: &Path, aside: &Path, changes: &[Change]) -> String {
    let before = (snapshot_tree(around), snapshot_tree(aside));
    let said = undo_failures(&undo(&forged_journal(tree, aside, changes)));
    assert_eq!(differences(&before.0, &snapshot_tree(around)), [""; 0]);
    assert_eq!(differences(&before.1, &snapshot_tree(aside)), [""; 0]);
    said.replace(&*aside.to_string_lossy(), "ASIDE")
}

/// A registry whose wrong bytes were moved aside, the journal of that repair, and its quarantine.
fn repaired() -> (TreeBuilder, String, PathBuf) {
    let mut tree = TreeBuilder::new();
    let image = tree.image("web", Some("1"), "web");
    tree.break_blob_zero(&image.layers[0]);
    tree.layer("web", b"linked and needed by no manifest");
    tree.age_all(OLD);
    let journal = Registry::open(tree.root()).repair().journal;
    let quarantine = only_quarantine(&tree);
    (tree, journal, quarantine)
}

#[test]
fn forged_journal_of_folder_that_is_no_registry_moves_nothing() {
    let (tree, aside) = (tempfile::tempdir().unwrap(), victim_folder());
    let said = refusals(tree.path(), aside.path(), &[moved("stolen", "etc/shadow")]);
    insta::assert_snapshot!(said, @"lost stolen: the journal is of a folder that is no registry");
}

#[test]
fn forged_journal_moves_nothing_from_outside_a_quarantine() {
    let (tree, aside) = (TreeBuilder::new(), victim_folder());
    fs::create_dir_all(tree.v2().join("blobs")).unwrap();
    let changes = [
        moved("stolen", "etc/shadow"),
        moved("etc/shadow", "q/etc/shadow"),
        moved("blobs", "etc/blobs"),
        moved("blobs/data", "etc/blobs/data"),
    ];
    insta::assert_snapshot!(refusals(&tree.v2(), aside.path(), &changes), @"
    lost blobs/data: the quarantine's marker is gone (ASIDE/etc/quarantine.json): nothing else tells that this was moved out of this registry
    lost blobs: the journal names a place that no repair touches
    lost etc/shadow: the journal names a place that no repair touches
    lost stolen: the journal names a place that no repair touches
    ");
}

#[test]
fn forged_journal_puts_nothing_foreign_into_the_rootdirectory() {
    let (mut tree, aside) = (TreeBuilder::new(), victim_folder());
    tree.break_scheduler_state("{}");
    fs::create_dir_all(tree.v2().join("blobs")).unwrap();
    fs::write(aside.path().join("etc/scheduler-state.json"), "planted").unwrap();
    let modified = state_time(tree.root());
    let state =
        |to: &str| Change::SchedulerState { to: to.into(), made: Vec::new(), written: Some(modified) };
    let changes = ["etc/shadow", "../etc/scheduler-state.json", "etc/scheduler-state.json"].map(state);
    insta::assert_snapshot!(refusals_in(tree.root(), &tree.v2(), aside.path(), &changes), @"
    lost ../../../scheduler-state.json: the quarantine's marker is gone (ASIDE/etc/quarantine.json): nothing else tells that this was moved out of this registry
    lost ../../../scheduler-state.json: the journal names a place that no repair touches
    lost ../../../scheduler-state.json: the journal names a place that no repair touches
    ");
    // A registry that is not called docker/registry/v2 has no rootdirectory.
    let plain = tree.root().join("plain");
    fs::create_dir_all(plain.join("blobs")).unwrap();
    insta::assert_snapshot!(refusals_in(tree.root(), &plain, aside.path(), &changes[2..]).replace(&*tree.root().to_string_lossy(), "ROOT"), @"lost ../../../scheduler-state.json: ROOT/plain is in no rootdirectory");
}

fn state_time(root: &Path) -> Timestamp {
    root.join("scheduler-state.json").metadata().unwrap().modified().unwrap().try_into().unwrap()
}

#[test]
fn forged_journal_moves_nothing_out_of_another_registrys_quarantine() {
    let (other, _, quarantine) = repaired();
    let tree = TreeBuilder::new();
    fs::create_dir_all(tree.v2().join("blobs")).unwrap();
    let home = quarantine.parent().unwrap();
    let stolen = walkdir::WalkDir::new(quarantine.join("blobs")).into_iter().map(Result::unwrap);
    let stolen = stolen.map(walkdir::DirEntry::into_path).find(|path| path.ends_with("data")).unwrap();
    let change = moved(
        stolen.strip_prefix(&quarantine).unwrap().to_str().unwrap(),
        stolen.strip_prefix(home).unwrap().to_str().unwrap(),
    );
    let said = refusals(&tree.v2(), home, &[change]).replace(&*other.root().to_string_lossy(), "OTHER");
    let stamp = quarantine.file_name().unwrap().to_str().unwrap();
    insta::assert_snapshot!(shorten_hashes(&said.replace(stamp, "TIME")), @"lost blobs/sha256/7a/7aaa6cae/data: ASIDE/TIME/quarantine.json names another registry, OTHER/docker/registry/v2");
}

#[test]
fn forged_journal_restores_no_setuid_file() {
    let mut tree = TreeBuilder::new();
    let image = tree.image("web", Some("1"), "web");
    let link = tree.tag_link("web", "1");
    let modified = Timestamp::try_from(link.metadata().unwrap().modified().unwrap()).unwrap();
    let before = |mode| FileBefore { bytes: b"program".into(), mode, user: 0, group: 0, modified };
    let change = |mode| Change::Link {
        path: "repositories/web/_manifests/tags/1/current/link".into(),
        digest: image.digest.as_str().parse().unwrap(),
        modified,
        made: Vec::new(),
        before: Some(before(mode)),
    };
    let aside = tempfile::tempdir().unwrap();
    let said = refusals(&tree.v2(), aside.path(), &[change(0o4755), change(0o2755)]);
    insta::assert_snapshot!(said, @"
    lost repositories/web/_manifests/tags/1/current/link: the journal names a place that no repair touches
    lost repositories/web/_manifests/tags/1/current/link: the journal names a place that no repair touches
    ");
}

#[test]
fn undo_opens_no_registry_through_a_symbolic_link() {
    let (tree, folder) = (TreeBuilder::new(), tempfile::tempdir().unwrap());
    fs::create_dir_all(tree.v2().join("blobs")).unwrap();
    symlink(tree.v2(), folder.path().join("link")).unwrap();
    let history =
        RepairHistory::read(&forged_journal(&folder.path().join("link"), folder.path(), &[])).unwrap();
    let error = Undo::open(&history, Access::default())
        .unwrap_err()
        .to_string()
        .replace(&*folder.path().to_string_lossy(), "FOLDER");
    insta::assert_snapshot!(error, @"cannot open the registry of this journal, FOLDER/link: a symbolic link (not followed)");
}

#[test]
fn undo_restores_nothing_from_quarantine_without_marker() {
    let (_tree, journal, quarantine) = repaired();
    let kept = fs::read(quarantine.join(MARKER)).unwrap();
    fs::remove_file(quarantine.join(MARKER)).unwrap();
    let stamp = quarantine.file_name().unwrap().to_str().unwrap();
    let said = undo_failures(&undo(&journal)).replace(&*quarantine.to_string_lossy(), "QUARANTINE");
    let said = said.replace(stamp, "TIME");
    insta::assert_snapshot!(shorten_hashes(&said), @"
    lost repositories/web/_layers/sha256/39e532f7: the quarantine's marker is gone (QUARANTINE/quarantine.json): nothing else tells that this was moved out of this registry
    lost blobs/sha256/7a/7aaa6cae: the quarantine's marker is gone (QUARANTINE/quarantine.json): nothing else tells that this was moved out of this registry
    lost .registry-fsck/TIME/quarantine.json: what cannot be put back is still in the quarantine
    ");
    // With the marker back, the undo succeeds.
    fs::write(quarantine.join(MARKER), kept).unwrap();
    assert_eq!(undo_failures(&undo(&journal)), "");
    assert!(!quarantine.try_exists().unwrap());
}

#[test]
fn undo_names_missing_quarantine_folder_and_removes_links() {
    let mut tree = TreeBuilder::new();
    let image = tree.image("web", Some("1"), "web");
    let index = tree.multi_platform("team/app", Some("v1"), &["linux/amd64", "linux/arm64"]);
    tree.break_revision_link_missing("team/app", &index.images[0].digest);
    tree.break_blob_zero(&image.layers[0]);
    tree.age_all(OLD);
    let link = tree.revision_link("team/app", &index.images[0].digest);
    let elsewhere = tempfile::tempdir_in(tree.root()).unwrap();
    let aside = elsewhere.path().join("parent");
    fs::create_dir(&aside).unwrap();
    let journal = Registry::open(tree.root()).repair_into(&aside.join("q"));
    assert!(link.try_exists().unwrap());
    fs::remove_dir_all(&aside).unwrap();
    let said = undo_failures(&undo(&journal)).replace(&*aside.to_string_lossy(), "PARENT");
    insta::assert_snapshot!(shorten_hashes(&said), @"lost blobs/sha256/7a/7aaa6cae: the folder that the quarantine lies in is gone: PARENT");
    assert!(!link.try_exists().unwrap());
}
