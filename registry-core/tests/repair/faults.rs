//! Law L6 under faults: stopped at every writing call, then run again, a repair comes to the same end; and nothing on the way is
//! worse than before.

use std::collections::BTreeMap;
use std::path::PathBuf;

use registry_core::repair::{Told, UndoState};
use registry_fixtures::random::random_tree;

use crate::support::{Budget, OLD, Registry, broken, copy, differences, picture};

const TREES: usize = 50;

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

#[test]
fn stopped_anywhere_and_run_again_a_repair_comes_to_the_same_end() {
    let (mut trees, mut stops) = (0, 0);
    for seed in 1.. {
        if trees == TREES {
            break;
        }
        let (mut template, story) = random_tree(seed);
        template.age_all(OLD);
        let tree = copy(template.root());
        let registry = Registry::open(tree.path()).content();
        let plan = registry.plan(&[], None);
        if plan.steps.len() < 3 {
            continue;
        }
        trees += 1;
        let before = picture(tree.path());
        let was_broken = broken(&registry.audit());
        let budget = Budget::unlimited();
        registry.apply(&plan, &budget, None);
        let (end, end_aside) = (content(tree.path()), aside(tree.path()));
        let calls = budget.spent();
        // Every call of small repairs, and calls all over larger ones.
        let stride = (calls / 30).max(1);
        for stop in (0..calls).step_by(usize::try_from(stride).unwrap()) {
            stops += 1;
            let tree = copy(template.root());
            let registry = Registry::open(tree.path()).content();
            let plan = registry.plan(&[], None);
            let (_, journal) = registry.apply(&plan, &Budget::of(stop), None);
            let now = broken(&registry.audit());
            assert!(now.is_subset(&was_broken), "seed {seed} stop {stop}: {now:?} {story:#?}");
            if stop % 2 == 0 {
                let plan = registry.plan(&[], None);
                registry.apply(&plan, &Budget::unlimited(), None);
                let here = content(tree.path());
                assert_eq!(differences(&end, &here), [""; 0], "seed {seed} stop {stop} {story:#?}");
                assert_eq!(differences(&end_aside, &aside(tree.path())), [""; 0], "seed {seed} stop {stop}");
            } else if Told::read(&journal).is_ok() {
                let undone = registry.undo(&journal);
                let bad = |state: &UndoState| !matches!(state, UndoState::Restored | UndoState::There);
                assert!(!undone.iter().any(|one| bad(&one.state)), "seed {seed} stop {stop} {undone:#?}");
                let here = picture(tree.path());
                assert_eq!(differences(&before, &here), [""; 0], "seed {seed} stop {stop} {story:#?}");
            }
        }
    }
    assert!(stops > 1000, "{stops} stops");
}
