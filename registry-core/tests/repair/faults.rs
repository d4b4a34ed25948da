//! Law L6 under faults: stopped at every writing call, then run again, a repair comes to the same end; and nothing on the way is
//! worse than before.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use registry_core::repair::{ChangeUndoState, RepairHistory};
use registry_fixtures::random::random_tree;

use crate::support::{Budget, OLD, Registry, broken, copy, differences, picture};

const TREES: u64 = 50;

/// A tree apart from its quarantines, whose names tell the time. Folders that are empty mean nothing.
fn content(root: &std::path::Path) -> BTreeMap<PathBuf, (u32, Option<Vec<u8>>)> {
    let mut picture = picture(root);
    picture.retain(|path, (_, bytes)| !path.starts_with(".registry-fsck") && bytes.is_some());
    picture
}

/// All bytes in quarantines, by the path they were moved from.
fn aside(root: &std::path::Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let moved = picture(root).into_iter().filter_map(|(path, (_, bytes))| {
        let mut parts = path.components();
        let is_aside = parts.next()?.as_os_str() == ".registry-fsck";
        parts.next()?;
        let inner = parts.as_path().to_path_buf();
        (is_aside && bytes.is_some() && !inner.ends_with("quarantine.json")).then_some((inner, bytes))
    });
    moved.collect()
}

/// Stops a repair at every writing call. After each stop everything is undone again, which also shows that it can be: one tree
/// serves for all stops.
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
    let before = picture(tree.path());
    let was_broken = broken(&registry.audit());
    let back = |journals: &[&str], stop: u64| {
        for journal in journals.iter().filter(|journal| RepairHistory::read(journal).is_ok()) {
            let undone = registry.undo(journal);
            let bad = |state: &ChangeUndoState| {
                !matches!(state, ChangeUndoState::Restored | ChangeUndoState::There)
            };
            assert!(!undone.iter().any(|one| bad(&one.state)), "seed {seed} stop {stop} {undone:#?}");
        }
        let here = picture(tree.path());
        assert_eq!(differences(&before, &here), [""; 0], "seed {seed} stop {stop} {story:#?}");
    };
    let budget = Budget::unlimited();
    let (_, journal) = registry.apply(&plan, &budget, None);
    let (end, end_aside) = (content(tree.path()), aside(tree.path()));
    back(&[&journal], 0);
    for stop in 0..budget.spent() {
        let (_, first) = registry.apply(&plan, &Budget::of(stop), None);
        let now = broken(&registry.audit());
        assert!(now.is_subset(&was_broken), "seed {seed} stop {stop}: {now:?} {story:#?}");
        if stop % 3 == 0 {
            // Taken back right where it stopped.
            back(&[&first], stop);
            continue;
        }
        let again = registry.plan(&[], None);
        let (_, second) = registry.apply(&again, &Budget::unlimited(), None);
        let here = content(tree.path());
        assert_eq!(differences(&end, &here), [""; 0], "seed {seed} stop {stop} {story:#?}");
        assert_eq!(differences(&end_aside, &aside(tree.path())), [""; 0], "seed {seed} stop {stop}");
        back(&[&second, &first], stop);
    }
    Some(budget.spent())
}

#[test]
fn stopped_anywhere_and_run_again_a_repair_comes_to_the_same_end() {
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
