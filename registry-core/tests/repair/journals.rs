//! Journals that are forged, and quarantines that are gone or another's: an undo moves nothing but what a repair moved out of
//! this very registry.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use registry_core::repair::{Before, Change, RepairHistory, RepairJournal, Undo};
use registry_core::tree_writer::{Access, MARKER};
use registry_fixtures::TreeBuilder;

use crate::support::{Memory, OLD, Registry, differences, left, names_of, picture, undo};

/// A journal right in itself, of changes that nobody made.
fn forged(tree: &Path, aside: &Path, changes: &[Change]) -> String {
    let (log, text) = Memory::new();
    let mut journal = RepairJournal::begin(log, tree, aside, Timestamp::now()).unwrap();
    journal.announce(changes).unwrap();
    let text = text.lock().unwrap().clone();
    String::from_utf8(text).unwrap()
}

fn moved(path: &str, to: &str) -> Change {
    Change::Move { path: path.into(), to: to.into(), made: Vec::new(), lacked: Vec::new() }
}

/// A folder with a file that is nobody's to move.
fn victim() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("etc/blobs")).unwrap();
    fs::write(folder.path().join("etc/shadow"), "secret").unwrap();
    fs::write(folder.path().join("etc/blobs/data"), "secret").unwrap();
    folder
}

/// What an undo of a forged journal says; nothing is moved by it.
fn refused(tree: &Path, aside: &Path, changes: &[Change]) -> String {
    refused_in(tree, tree, aside, changes)
}

/// The same, where nothing may be moved in a larger folder.
fn refused_in(around: &Path, tree: &Path, aside: &Path, changes: &[Change]) -> String {
    let before = (picture(around), picture(aside));
    let said = left(&undo(&forged(tree, aside, changes)));
    assert_eq!(differences(&before.0, &picture(around)), [""; 0]);
    assert_eq!(differences(&before.1, &picture(aside)), [""; 0]);
    said.replace(&*aside.to_string_lossy(), "ASIDE")
}

/// A registry in which wrong bytes were moved aside, the journal of that, and its quarantine.
fn repaired() -> (TreeBuilder, String, PathBuf) {
    let mut tree = TreeBuilder::new();
    let image = tree.image("web", Some("1"), "web");
    tree.break_blob_zero(&image.layers[0]);
    tree.layer("web", b"linked and needed by no manifest");
    tree.age_all(OLD);
    let journal = Registry::open(tree.root()).repair().journal;
    let quarantine =
        fs::read_dir(tree.root().join(".registry-fsck")).unwrap().next().unwrap().unwrap().path();
    (tree, journal, quarantine)
}

#[test]
fn a_forged_journal_of_a_folder_that_is_no_registry_moves_nothing() {
    let (tree, aside) = (tempfile::tempdir().unwrap(), victim());
    let said = refused(tree.path(), aside.path(), &[moved("stolen", "etc/shadow")]);
    insta::assert_snapshot!(said, @"lost stolen: the journal is of a folder that is no registry");
}

#[test]
fn a_forged_journal_moves_nothing_from_anywhere_else_than_its_place_in_a_quarantine() {
    let (tree, aside) = (TreeBuilder::new(), victim());
    fs::create_dir_all(tree.v2().join("blobs")).unwrap();
    let changes = [
        moved("stolen", "etc/shadow"),
        moved("etc/shadow", "q/etc/shadow"),
        moved("blobs", "etc/blobs"),
        moved("blobs/data", "etc/blobs/data"),
    ];
    insta::assert_snapshot!(refused(&tree.v2(), aside.path(), &changes), @"
    lost blobs/data: the quarantine's marker is gone (ASIDE/etc/quarantine.json): nothing else tells that this was moved out of this registry
    lost blobs: the journal names a place that no repair touches
    lost etc/shadow: the journal names a place that no repair touches
    lost stolen: the journal names a place that no repair touches
    ");
}

#[test]
fn a_forged_journal_puts_nothing_but_its_own_into_the_rootdirectory() {
    let (mut tree, aside) = (TreeBuilder::new(), victim());
    tree.break_scheduler_state("{}");
    fs::create_dir_all(tree.v2().join("blobs")).unwrap();
    fs::write(aside.path().join("etc/scheduler-state.json"), "planted").unwrap();
    let modified = state_time(tree.root());
    let state =
        |to: &str| Change::SchedulerState { to: to.into(), made: Vec::new(), written: Some(modified) };
    let changes = ["etc/shadow", "../etc/scheduler-state.json", "etc/scheduler-state.json"].map(state);
    insta::assert_snapshot!(refused_in(tree.root(), &tree.v2(), aside.path(), &changes), @"
    lost ../../../scheduler-state.json: the quarantine's marker is gone (ASIDE/etc/quarantine.json): nothing else tells that this was moved out of this registry
    lost ../../../scheduler-state.json: the journal names a place that no repair touches
    lost ../../../scheduler-state.json: the journal names a place that no repair touches
    ");
    // A registry that is not called docker/registry/v2 has no rootdirectory.
    let plain = tree.root().join("plain");
    fs::create_dir_all(plain.join("blobs")).unwrap();
    insta::assert_snapshot!(refused_in(tree.root(), &plain, aside.path(), &changes[2..]).replace(&*tree.root().to_string_lossy(), "ROOT"), @"lost ../../../scheduler-state.json: ROOT/plain is in no rootdirectory");
}

fn state_time(root: &Path) -> Timestamp {
    root.join("scheduler-state.json").metadata().unwrap().modified().unwrap().try_into().unwrap()
}

#[test]
fn a_forged_journal_moves_nothing_out_of_another_registrys_quarantine() {
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
    let said = refused(&tree.v2(), home, &[change]).replace(&*other.root().to_string_lossy(), "OTHER");
    let stamp = quarantine.file_name().unwrap().to_str().unwrap();
    insta::assert_snapshot!(names_of(&said.replace(stamp, "TIME")), @"lost blobs/sha256/7a/7aaa6cae/data: ASIDE/TIME/quarantine.json names another registry, OTHER/docker/registry/v2");
}

#[test]
fn a_forged_journal_never_brings_a_program_that_runs_as_its_owner() {
    let mut tree = TreeBuilder::new();
    let image = tree.image("web", Some("1"), "web");
    let link = tree.tag_link("web", "1");
    let modified = Timestamp::try_from(link.metadata().unwrap().modified().unwrap()).unwrap();
    let before = |mode| Before { bytes: b"program".into(), mode, user: 0, group: 0, modified };
    let change = |mode| Change::Link {
        path: "repositories/web/_manifests/tags/1/current/link".into(),
        digest: image.digest.as_str().parse().unwrap(),
        modified,
        made: Vec::new(),
        before: Some(before(mode)),
    };
    let aside = tempfile::tempdir().unwrap();
    let said = refused(&tree.v2(), aside.path(), &[change(0o4755), change(0o2755)]);
    insta::assert_snapshot!(said, @"
    lost repositories/web/_manifests/tags/1/current/link: the journal names a place that no repair touches
    lost repositories/web/_manifests/tags/1/current/link: the journal names a place that no repair touches
    ");
}

#[test]
fn a_registry_is_not_reached_through_a_symbolic_link() {
    let (tree, folder) = (TreeBuilder::new(), tempfile::tempdir().unwrap());
    fs::create_dir_all(tree.v2().join("blobs")).unwrap();
    symlink(tree.v2(), folder.path().join("link")).unwrap();
    let told = RepairHistory::read(&forged(&folder.path().join("link"), folder.path(), &[])).unwrap();
    let error = Undo::open(&told, Access::default())
        .unwrap_err()
        .to_string()
        .replace(&*folder.path().to_string_lossy(), "FOLDER");
    insta::assert_snapshot!(error, @"cannot open the registry of this journal, FOLDER/link: a symbolic link (not followed)");
}

#[test]
fn a_quarantine_whose_marker_is_gone_gives_nothing_back() {
    let (_tree, journal, quarantine) = repaired();
    let kept = fs::read(quarantine.join(MARKER)).unwrap();
    fs::remove_file(quarantine.join(MARKER)).unwrap();
    let stamp = quarantine.file_name().unwrap().to_str().unwrap();
    let said = left(&undo(&journal)).replace(&*quarantine.to_string_lossy(), "QUARANTINE");
    let said = said.replace(stamp, "TIME");
    insta::assert_snapshot!(names_of(&said), @"
    lost repositories/web/_layers/sha256/39e532f7: the quarantine's marker is gone (QUARANTINE/quarantine.json): nothing else tells that this was moved out of this registry
    lost blobs/sha256/7a/7aaa6cae: the quarantine's marker is gone (QUARANTINE/quarantine.json): nothing else tells that this was moved out of this registry
    lost .registry-fsck/TIME/quarantine.json: what cannot be put back is still in the quarantine
    ");
    // Put back, it is enough.
    fs::write(quarantine.join(MARKER), kept).unwrap();
    assert_eq!(left(&undo(&journal)), "");
    assert!(!quarantine.try_exists().unwrap());
}

#[test]
fn a_quarantine_whose_folder_is_gone_is_named_and_links_are_taken_back() {
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
    let said = left(&undo(&journal)).replace(&*aside.to_string_lossy(), "PARENT");
    insta::assert_snapshot!(names_of(&said), @"lost blobs/sha256/7a/7aaa6cae: the folder that the quarantine lies in is gone: PARENT");
    assert!(!link.try_exists().unwrap());
}
