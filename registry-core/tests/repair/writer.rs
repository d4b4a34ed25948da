//! What a tree writer refuses to a repair, an undo and a purge alike.

use std::fs;

use jiff::Timestamp;
use registry_core::repair::{self, FileLog, PurgeError, RepairHistory, StepProgress, Undo, purge};
use registry_core::tree_writer::{Access, LockError, Locking, TreeWriter, WriteRefusal};
use registry_fixtures::TreeBuilder;

use crate::support::{OLD, Registry, differences, only_quarantine, snapshot_tree};

/// A registry in which something was moved aside, and the journal of that repair.
fn repaired() -> (TreeBuilder, String) {
    let mut tree = TreeBuilder::new();
    tree.image("app", Some("v1"), "v1");
    tree.layer("app", b"linked and needed by no manifest");
    tree.age_all(OLD);
    let journal = Registry::open(tree.root()).repair().journal;
    (tree, journal)
}

fn open_writer(registry: &Registry, access: Access) -> Result<TreeWriter, WriteRefusal> {
    TreeWriter::open(&registry.located, None, access, Timestamp::now())
}

#[test]
fn tree_has_one_writer_at_a_time() {
    let (tree, journal) = repaired();
    let (registry, history) = (Registry::open(tree.root()), RepairHistory::read(&journal).unwrap());
    let quarantine = only_quarantine(&tree);
    let before = snapshot_tree(tree.root());
    let writer = open_writer(&registry, Access::default()).unwrap();
    let is_held = |error: &LockError| matches!(error, LockError::Held(_));
    let Err(WriteRefusal::Lock(second)) = open_writer(&registry, Access::default()) else {
        panic!("two writers")
    };
    let Err(WriteRefusal::Lock(undo)) = Undo::open(&history, Access::default()) else { panic!("an undo") };
    let Err(PurgeError::Lock(purged)) = purge(&quarantine) else { panic!("a purge") };
    assert!(is_held(&second) && is_held(&undo) && is_held(&purged), "{second} {undo} {purged}");
    assert_eq!(differences(&before, &snapshot_tree(tree.root())), [""; 0]);
    // A caller that does the locking itself takes no lock.
    open_writer(&registry, Access { locking: Locking::ByCaller, ..Access::default() }).unwrap();
    drop(writer);
    open_writer(&registry, Access::default()).unwrap();
    purge(&quarantine).unwrap();
}

#[test]
fn quarantine_of_removed_registry_can_be_purged() {
    let (tree, _) = repaired();
    let quarantine = only_quarantine(&tree);
    fs::remove_dir_all(tree.root().join("docker")).unwrap();
    purge(&quarantine).unwrap();
}

#[test]
fn journal_inside_the_repaired_registry_is_refused() {
    let mut tree = TreeBuilder::new();
    let index = tree.multi_platform("app", Some("v1"), &["linux/amd64", "linux/arm64"]);
    tree.break_revision_link_missing("app", &index.images[0].digest);
    let registry = Registry::open(tree.root());
    let plan = registry.plan(&[], None);
    assert!(!plan.steps().is_empty());
    let path = tree.v2().join("repositories/journal");
    let mut writer = open_writer(&registry, Access::default()).unwrap();
    let refused =
        repair::apply(&mut writer, &plan, || FileLog::create(&path), None, &StepProgress::default());
    assert!(matches!(refused, Err(WriteRefusal::JournalInside(inside)) if inside == path));
    assert!(!tree.revision_link("app", &index.images[0].digest).try_exists().unwrap());
    assert_eq!(fs::read(&path).unwrap(), b"");
}
