//! Law L6 under faults: a repair that is stopped at any writing call and run again reaches the same end, and breaks no tag on the
//! way.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use registry_core::repair::{ChangeUndoState, RepairHistory};
use registry_fixtures::random::random_tree;

use crate::support::{Budget, OLD, Registry, broken_tags, copy, differences, snapshot_tree, undo};

const TREES: u64 = 50;

/// The files of a tree without its quarantines, whose names contain the time. Empty folders are ignored.
fn files_outside_quarantine(root: &std::path::Path) -> BTreeMap<PathBuf, (u32, Option<Vec<u8>>)> {
    let mut files = snapshot_tree(root);
    files.retain(|path, (_, bytes)| !path.starts_with(".registry-fsck") && bytes.is_some());
    files
}

/// All bytes in quarantines, by the path that they were moved from.
fn quarantined_files(root: &std::path::Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let moved = snapshot_tree(root).into_iter().filter_map(|(path, (_, bytes))| {
        let mut parts = path.components();
        let is_aside = parts.next()?.as_os_str() == ".registry-fsck";
        parts.next()?;
        let inner = parts.as_path().to_path_buf();
        (is_aside && bytes.is_some() && !inner.ends_with("quarantine.json")).then_some((inner, bytes))
    });
    moved.collect()
}

/// Stops a repair at every writing call. After each stop everything is undone, so that one tree serves for all stops; this also
/// shows that an undo is possible after any stop. Returns the number of calls; `None` for a plan that is too short or too long.
fn stop_everywhere(seed: u64) -> Option<u64> {
    let (mut template, story) = random_tree(seed);
    template.age_all(OLD);
    let registry = Registry::open(template.root()).content();
    let plan = registry.plan(&[], None);
    if plan.steps().len() < 2 || plan.steps().len() > 12 {
        return None;
    }
    let tree = copy(template.root());
    let registry = Registry::open(tree.path()).content();
    let before = snapshot_tree(tree.path());
    let was_broken = broken_tags(&registry.audit());
    let undo_all = |journals: &[&str], stop: u64| {
        for journal in journals.iter().filter(|journal| RepairHistory::read(journal).is_ok()) {
            let undone = undo(journal);
            let is_bad = |state: &ChangeUndoState| {
                !matches!(state, ChangeUndoState::Restored | ChangeUndoState::There)
            };
            assert!(
                !undone.iter().any(|change| is_bad(&change.state)),
                "seed {seed} stop {stop} {undone:#?}"
            );
        }
        let here = snapshot_tree(tree.path());
        assert_eq!(differences(&before, &here), [""; 0], "seed {seed} stop {stop} {story:#?}");
    };
    let budget = Budget::unlimited();
    let (_, journal) = registry.apply(&plan, &budget, None);
    let (end, end_aside) = (files_outside_quarantine(tree.path()), quarantined_files(tree.path()));
    undo_all(&[&journal], 0);
    for stop in 0..budget.spent() {
        let (_, first) = registry.apply(&plan, &Budget::limited(stop), None);
        let now = broken_tags(&registry.audit());
        assert!(now.is_subset(&was_broken), "seed {seed} stop {stop}: {now:?} {story:#?}");
        if stop % 3 == 0 {
            // Undone right where it stopped.
            undo_all(&[&first], stop);
            continue;
        }
        let again = registry.plan(&[], None);
        let (_, second) = registry.apply(&again, &Budget::unlimited(), None);
        let here = files_outside_quarantine(tree.path());
        assert_eq!(differences(&end, &here), [""; 0], "seed {seed} stop {stop} {story:#?}");
        assert_eq!(
            differences(&end_aside, &quarantined_files(tree.path())),
            [""; 0],
            "seed {seed} stop {stop}"
        );
        undo_all(&[&second, &first], stop);
    }
    Some(budget.spent())
}

#[test]
fn repair_stopped_at_any_write_and_run_again_reaches_the_same_end() {
    let (next, trees, stops) = (AtomicU64::new(1), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while trees.load(Ordering::Relaxed) < TREES {
                    if let Some(calls) = stop_everywhere(next.fetch_add(1, Ordering::Relaxed)) {
                        trees.fetch_add(1, Ordering::Relaxed);
                        stops.fetch_add(calls, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert!(stops.load(Ordering::Relaxed) > 1000, "{stops:?} stops");
}
