//! Law L6 on random trees: a repair is idempotent, fixes what it plans, breaks nothing, and can be undone.

use std::path::Path;

use registry_core::audit::Severity;
use registry_core::repair::{ChangeUndoState, RepairStep, StepAction, StepOutcome};
use registry_fixtures::random::{random_tree, sound_tree};

use crate::support::{OLD, Registry, broken_tags, copy, differences, error_lines, snapshot_tree, undo};

const CASES: u64 = 120;

#[test]
fn repair_fixes_what_it_plans_and_breaks_nothing() {
    let (mut fixed_tags, mut steps) = (0, 0);
    for seed in 1..=CASES {
        let (mut tree, story) = random_tree(seed);
        tree.age_all(OLD);
        for content in [false, true] {
            let tree = copy(tree.root());
            let registry = Registry::open(tree.path());
            let registry = if content { registry.content() } else { registry };
            let before = registry.audit();
            let repaired = registry.repair();
            let is_bad = |outcome: &&StepOutcome| !matches!(outcome, StepOutcome::Done | StepOutcome::There);
            let failed: Vec<_> = repaired
                .plan
                .steps()
                .iter()
                .zip(&repaired.outcomes)
                .filter(|(_, outcome)| is_bad(outcome))
                .collect();
            assert!(failed.is_empty(), "{story:#?} {failed:#?}");
            let after = registry.audit();
            let restored = repaired.plan.steps().iter().filter(|step| step.action == StepAction::Restore);
            for step in restored {
                assert_eq!(history_entries_with_bytes(tree.path(), step), 1, "{story:#?} {step:#?}");
            }
            // No tag that was whole is broken now.
            let worse: Vec<_> = broken_tags(&after).difference(&broken_tags(&before)).cloned().collect();
            assert!(worse.is_empty(), "{story:#?} {worse:?} {:#?}", repaired.plan.steps());
            // The errors that remain are those that the plan left.
            let mut planned: Vec<String> = repaired
                .plan
                .left
                .iter()
                .filter(|left| left.finding.severity == Severity::Error)
                .map(|left| format!("{} {}", left.finding.code, left.finding.path.as_deref().unwrap_or("")))
                .collect();
            let mut remaining = error_lines(&after);
            planned.sort();
            remaining.sort();
            assert_eq!(planned, remaining, "{story:#?} {:#?}", repaired.plan.steps());
            fixed_tags += broken_tags(&before).len() - broken_tags(&after).len();
            steps += repaired.plan.steps().len();
            // A second repair has nothing to do.
            let again = registry.plan(&[], None);
            assert!(again.steps().is_empty(), "{story:#?} {:#?}", again.steps());
        }
    }
    assert!(fixed_tags > 100 && steps > 1000, "{fixed_tags} tags, {steps} steps");
}

/// The number of manifests in the history of a restored tag whose bytes exist; the restored manifest counts.
fn history_entries_with_bytes(root: &Path, step: &RepairStep) -> usize {
    let v2 = root.join("docker/registry/v2");
    let history = v2.join(step.path.replace("/current/link", "/index/sha256"));
    let names = std::fs::read_dir(history).unwrap().map(|entry| entry.unwrap().file_name());
    let has_bytes = |hex: &String| v2.join(format!("blobs/sha256/{}/{hex}/data", &hex[..2])).is_file();
    names.map(|name| name.into_string().unwrap()).filter(has_bytes).count()
}

#[test]
fn undo_restores_everything() {
    for seed in 1..=CASES {
        let (mut tree, story) = random_tree(seed);
        tree.age_all(OLD);
        let tree = copy(tree.root());
        let before = snapshot_tree(tree.path());
        let registry = Registry::open(tree.path()).content();
        let repaired = registry.repair();
        let undone = undo(&repaired.journal);
        let bad: Vec<_> = undone.iter().filter(|undone| undone.state != ChangeUndoState::Restored).collect();
        assert!(bad.is_empty(), "{story:#?} {bad:#?}");
        assert_eq!(differences(&before, &snapshot_tree(tree.path())), [""; 0], "{story:#?}");
        // A second undo has nothing to do.
        let again = undo(&repaired.journal);
        assert!(again.iter().all(|undone| undone.state == ChangeUndoState::There), "{again:#?}");
    }
}

#[test]
fn sound_tree_has_no_repair_steps() {
    for seed in 1..=60 {
        let (mut tree, story) = sound_tree(seed);
        // The tree is young, so unreferenced parts count as a push under way.
        let before = snapshot_tree(tree.root());
        let plan = Registry::open(tree.root()).content().plan(&[], None);
        let bad: Vec<_> = plan
            .steps()
            .iter()
            .filter(|step| {
                step.code != Some(registry_core::audit::Code::GcHazard)
                    && step.code != Some(registry_core::audit::Code::UploadStale)
            })
            .collect();
        assert!(bad.is_empty(), "{story:#?} {bad:#?}");
        assert_eq!(differences(&before, &snapshot_tree(tree.root())), [""; 0]);
        tree.age_all(OLD);
    }
}
