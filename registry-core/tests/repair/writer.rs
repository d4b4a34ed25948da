//! What a writer refuses, whoever asks: a repair, an undo and a purge.

use std::fs;

use jiff::Timestamp;
use registry_core::repair::{self, FileLog, PurgeError, RepairHistory, StepProgress, Undo, purge};
use registry_core::tree_writer::{Access, LockError, Locking, TreeWriter, WriteRefusal};
use registry_fixtures::TreeBuilder;

use crate::support::{OLD, Registry, differences, picture};

/// A registry of which something was moved aside, and the journal of that.
fn repaired() -> (TreeBuilder, String) {
    let mut tree = TreeBuilder::new();
    tree.image("app", Some("v1"), "v1");
    tree.layer("app", b"linked and needed by no manifest");
    tree.age_all(OLD);
    let journal = Registry::open(tree.root()).repair().journal;
    (tree, journal)
}

fn open(registry: &Registry, access: Access) -> Result<TreeWriter, WriteRefusal> {
    TreeWriter::open(&registry.located, None, access, Timestamp::now())
}

#[test]
fn a_tree_has_one_writer_at_a_time() {
    let (tree, journal) = repaired();
    let (registry, told) = (Registry::open(tree.root()), RepairHistory::read(&journal).unwrap());
    let quarantine =
        fs::read_dir(tree.root().join(".registry-fsck")).unwrap().next().unwrap().unwrap().path();
    let before = picture(tree.root());
    let writer = open(&registry, Access::default()).unwrap();
    let is_held = |error: &LockError| matches!(error, LockError::Held(_));
    let Err(WriteRefusal::Lock(second)) = open(&registry, Access::default()) else { panic!("two writers") };
    let Err(WriteRefusal::Lock(undo)) = Undo::open(&told, Access::default()) else { panic!("an undo") };
    let Err(PurgeError::Lock(purged)) = purge(&quarantine) else { panic!("a purge") };
    assert!(is_held(&second) && is_held(&undo) && is_held(&purged), "{second} {undo} {purged}");
    assert_eq!(differences(&before, &picture(tree.root())), [""; 0]);
    // Whoever says that nothing else is at work has no lock.
    open(&registry, Access { locking: Locking::ByCaller, ..Access::default() }).unwrap();
    drop(writer);
    open(&registry, Access::default()).unwrap();
    purge(&quarantine).unwrap();
}

#[test]
fn the_quarantine_of_a_registry_that_is_gone_can_be_purged() {
    let (tree, _) = repaired();
    let quarantine =
        fs::read_dir(tree.root().join(".registry-fsck")).unwrap().next().unwrap().unwrap().path();
    fs::remove_dir_all(tree.root().join("docker")).unwrap();
    purge(&quarantine).unwrap();
}

#[test]
fn a_journal_in_the_registry_it_tells_of_begins_no_repair() {
    let mut tree = TreeBuilder::new();
    let index = tree.multi_platform("app", Some("v1"), &["linux/amd64", "linux/arm64"]);
    tree.break_revision_link_missing("app", &index.images[0].digest);
    let registry = Registry::open(tree.root());
    let plan = registry.plan(&[], None);
    assert!(!plan.steps().is_empty());
    let path = tree.v2().join("repositories/journal");
    let mut writer = open(&registry, Access::default()).unwrap();
    let refused =
        repair::apply(&mut writer, &plan, || FileLog::create(&path), None, &StepProgress::default());
    assert!(matches!(refused, Err(WriteRefusal::JournalInside(inside)) if inside == path));
    assert!(!tree.revision_link("app", &index.images[0].digest).try_exists().unwrap());
    assert_eq!(fs::read(&path).unwrap(), b"");
}
