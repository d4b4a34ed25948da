//! Laws of moves on random trees: no kept tag breaks at any point; no link remains to what only deleted images need; everything can
//! be undone.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use registry_core::audit::{self, AuditOptions};
use registry_core::oci::Digest;
use registry_core::repair::{ChangeUndoState, JournalOutput, RepairHistory, StepProgress as Steps, Undo};
use registry_core::retention::layout::{apply, moves_of};
use registry_core::retention::{ApplyResult, Plan, Policy, Record, RowOutcome, Stopped, UnneededAction};
use registry_core::storage::{OpenOptions, ScanOptions, ScanProgress, Tree};
use registry_core::tree_writer::{Access, TreeWriter};
use registry_fixtures::TreeBuilder;
use registry_fixtures::random::{random_tree, sound_tree};

use crate::layout::{DAY, keep, located, open, planned, record};
use crate::layout_model::only_doomed;
use crate::verified::verified;

const CASES: u64 = 40;

/// A journal in memory that can refuse after some writes.
#[derive(Debug, Default)]
pub struct LayoutJournal {
    pub text: Vec<u8>,
    left: Option<u32>,
}

impl JournalOutput for &mut LayoutJournal {
    fn path(&self) -> Option<&Path> {
        None
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1).ok_or_else(|| io::Error::other("the disk is full"))?;
        }
        self.text.extend_from_slice(bytes);
        Ok(())
    }
}

pub fn applied(tree: &TreeBuilder, plan: &Plan, lines: &mut LayoutJournal) -> ApplyResult {
    let (now, located) = (Timestamp::now(), located(tree));
    let mut writer = TreeWriter::open(&located, None, Access::default(), now).unwrap();
    apply(&open(tree), verified(plan), &mut writer, lines, &Steps::default())
}

/// Copies a tree into memory if possible: on a disk these tests are slow.
pub fn copy_to_memory(tree: &TreeBuilder) -> (tempfile::TempDir, TreeBuilder) {
    let shared = Path::new("/dev/shm");
    let folder = if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() }.unwrap();
    let copied =
        std::process::Command::new("cp").arg("-a").arg(tree.root().join(".")).arg(folder.path()).status();
    assert!(copied.unwrap().success());
    let tree = TreeBuilder::in_folder(folder.path());
    (folder, tree)
}

/// The tags of a tree that are broken or unknown.
pub fn not_whole(tree: &TreeBuilder) -> BTreeSet<String> {
    let opened = Tree::open(&located(tree), &OpenOptions { jobs: 1, ..OpenOptions::default() }).unwrap();
    let progress = ScanProgress::default();
    let mut graph = opened.scan(&ScanOptions::default(), &progress);
    let audit =
        audit::audit_with_recheck(&mut graph, "tree", &AuditOptions::new(Timestamp::MAX), |graph, doubts| {
            opened.recheck(graph, doubts, &progress);
        });
    let broken = audit.broken_tags.iter().map(|tag| format!("{}:{}", tag.repository, tag.tag));
    let unknown = audit.unknown_tags.iter().map(|tag| format!("{}:{}", tag.repository, tag.tag));
    broken.chain(unknown).collect()
}

pub type Picture = BTreeMap<PathBuf, Option<(Vec<u8>, SystemTime)>>;

pub fn picture(root: &Path) -> Picture {
    let entries = walkdir::WalkDir::new(root).into_iter().map(Result::unwrap);
    entries
        .map(|entry| {
            let metadata = entry.metadata().unwrap();
            let content = metadata
                .is_file()
                .then(|| (std::fs::read(entry.path()).unwrap(), metadata.modified().unwrap()));
            (entry.path().strip_prefix(root).unwrap().to_path_buf(), content)
        })
        .collect()
}

/// Gives every tag its own time, far in the past, in an order that depends on the seed.
pub fn age(tree: &mut TreeBuilder, seed: u64) {
    tree.age_all(90 * DAY);
    let record = record(tree);
    for package in &record.packages {
        for (number, row) in package.versions.iter().filter(|row| !row.version.contains(':')).enumerate() {
            let days = (number as u64 * 7 + seed) % 61 + 1;
            if tree.tag_link(&package.name, &row.version).is_file() {
                tree.set_pushed(&package.name, &row.version, DAY * u32::try_from(days).unwrap());
            }
        }
    }
}

pub fn policy(seed: u64) -> Policy {
    let mut policy = keep(1 + u32::try_from(seed % 2).unwrap());
    policy.keep_tags.clear();
    if seed.is_multiple_of(3) {
        policy.untagged = UnneededAction::Prune;
    }
    policy
}

/// Every digest with a revision link, and the digests that a collector marks from there.
pub fn marked(after: &Record) -> BTreeSet<Digest> {
    let mut marked = BTreeSet::new();
    for package in after.packages() {
        let linked = package.rows.iter().filter(|row| !row.is_tag()).filter_map(|row| row.manifest);
        for manifest in linked {
            marked.insert(package.digest(manifest));
            let Some(info) = package.info(manifest) else { continue };
            marked.extend(info.parts.iter().map(|part| package.part(*part).0));
            marked.extend(info.children.iter().map(|child| package.digest(*child)));
        }
    }
    marked
}

#[test]
fn moves_break_no_kept_tag_and_leave_no_link_to_what_was_deleted() {
    let (mut tags, mut freed) = (0, 0);
    for seed in 1..=CASES {
        let (mut tree, story) = sound_tree(seed);
        age(&mut tree, seed);
        let (_folder, tree) = copy_to_memory(&tree);
        let (before, worse) = (record(&tree), not_whole(&tree));
        let first = picture(tree.root());
        let plan = planned(&before, &policy(seed));
        let mut lines = LayoutJournal::default();
        let done = applied(&tree, &plan, &mut lines);
        let all = usize::try_from(plan.summary.versions_deleted).unwrap();
        assert_eq!((done.count(RowOutcome::Deleted), &done.stopped), (all, &None), "{story:#?} {done:#?}");
        assert!(not_whole(&tree).is_subset(&worse), "{story:#?} {plan:#?}");
        let after = record(&tree);
        let only = only_doomed(&before, &plan);
        let held: Vec<_> = marked(&after).intersection(&only).copied().collect();
        assert!(held.is_empty(), "{story:#?} {held:?}");
        tags += all;
        freed += only.len();
        // An undo restores the tree.
        let history = RepairHistory::read(std::str::from_utf8(&lines.text).unwrap()).unwrap();
        let undone = Undo::open(&history, Access::default()).unwrap().undo_all();
        assert!(undone.iter().all(|one| one.state == ChangeUndoState::Restored), "{undone:#?}");
        assert!(picture(tree.root()) == first, "{story:#?}");
    }
    assert!(tags > 50 && freed > 100, "{tags} rows, {freed} digests");
}

#[test]
fn moves_never_make_damage_worse() {
    let mut tags = 0;
    for seed in 1..=CASES {
        let (mut tree, story) = random_tree(seed);
        age(&mut tree, seed);
        let (_folder, tree) = copy_to_memory(&tree);
        let worse = not_whole(&tree);
        let first = picture(tree.root());
        let plan = planned(&record(&tree), &policy(seed));
        let mut lines = LayoutJournal::default();
        let done = applied(&tree, &plan, &mut lines);
        assert!(
            done.stopped.is_none() && done.rows.iter().all(|row| row.outcome == RowOutcome::Deleted),
            "{story:#?} {done:#?}"
        );
        let now = not_whole(&tree);
        assert!(now.is_subset(&worse), "{story:#?} {:?}", now.difference(&worse));
        tags += done.rows.len();
        let history = RepairHistory::read(std::str::from_utf8(&lines.text).unwrap()).unwrap();
        Undo::open(&history, Access::default()).unwrap().undo_all();
        assert!(picture(tree.root()) == first, "{story:#?}");
    }
    assert!(tags > 15, "{tags} rows");
}

#[test]
fn no_prefix_of_the_moves_breaks_a_remaining_tag() {
    let mut moved = 0;
    for seed in 1..=15 {
        let (mut tree, story) = sound_tree(seed);
        age(&mut tree, seed);
        let (_folder, tree) = copy_to_memory(&tree);
        let worse = not_whole(&tree);
        let plan = planned(&record(&tree), &policy(seed));
        for package in &plan.packages {
            let (again, links) = open(&tree).package(&package.name).unwrap();
            let moves = moves_of(package, &again.package(), &links);
            let steps: Vec<_> = moves.steps().collect();
            assert_eq!(
                steps.iter().map(|step| &step.path).collect::<BTreeSet<_>>().len(),
                steps.len(),
                "nothing is moved twice"
            );
            for step in steps {
                let path = tree.v2().join(&step.path);
                assert!(path.join("link").is_file() || path.join("current/link").is_file(), "{step:?}");
                std::fs::remove_dir_all(path).unwrap();
                let now = not_whole(&tree);
                assert!(now.is_subset(&worse), "{story:#?} {step:?} {now:?}");
                moved += 1;
            }
        }
    }
    assert!(moved > 100, "{moved} moves");
}

#[test]
fn nothing_is_moved_when_the_journal_cannot_be_written() {
    for left in 0..6 {
        let (mut tree, _) = sound_tree(3);
        age(&mut tree, 3);
        let (_folder, tree) = copy_to_memory(&tree);
        let (worse, first) = (not_whole(&tree), picture(tree.root()));
        let plan = planned(&record(&tree), &keep(1));
        assert!(plan.summary.versions_deleted > 0);
        let mut lines = LayoutJournal { left: Some(left + 1), ..LayoutJournal::default() };
        let done = applied(&tree, &plan, &mut lines);
        if left == 0 {
            assert!(matches!(done.stopped, Some(Stopped::Halted(_))), "{done:?}");
            assert_eq!(done.count(RowOutcome::Deleted), 0);
            assert!(picture(tree.root()) == first);
        }
        assert!(not_whole(&tree).is_subset(&worse));
    }
}
