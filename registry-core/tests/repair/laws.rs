//! Law L6 on random trees: a repair is idempotent, mends what it says, breaks nothing, and can be taken back.

use std::path::Path;

use registry_core::audit::Severity;
use registry_core::repair::{Act, ChangeUndoState, RepairStep, StepOutcome};
use registry_fixtures::random::{random_tree, sound_tree};

use crate::support::{OLD, Registry, broken, copy, differences, errors, picture};

const CASES: u64 = 120;

#[test]
fn repair_mends_what_it_says_and_breaks_nothing() {
    let (mut mended, mut steps) = (0, 0);
    for seed in 1..=CASES {
        let (mut tree, story) = random_tree(seed);
        tree.age_all(OLD);
        for content in [false, true] {
            let tree = copy(tree.root());
            let registry = Registry::open(tree.path());
            let registry = if content { registry.content() } else { registry };
            let before = registry.audit();
            let repaired = registry.repair();
            let bad = |outcome: &&StepOutcome| !matches!(outcome, StepOutcome::Done | StepOutcome::There);
            let failed: Vec<_> = repaired
                .plan
                .steps()
                .iter()
                .zip(&repaired.outcomes)
                .filter(|(_, outcome)| bad(outcome))
                .collect();
            assert!(failed.is_empty(), "{story:#?} {failed:#?}");
            let after = registry.audit();
            let restored = repaired.plan.steps().iter().filter(|step| step.action == Act::Restore);
            for step in restored {
                assert_eq!(with_bytes(tree.path(), step), 1, "{story:#?} {step:#?}");
            }
            // Nothing that was whole is broken.
            let worse: Vec<_> = broken(&after).difference(&broken(&before)).cloned().collect();
            assert!(worse.is_empty(), "{story:#?} {worse:?} {:#?}", repaired.plan.steps());
            // What stays is what the plan said would stay.
            let said: Vec<String> = repaired
                .plan
                .left
                .iter()
                .filter(|left| left.finding.severity == Severity::Error)
                .map(|left| format!("{} {}", left.finding.code, left.finding.path.as_deref().unwrap_or("")))
                .collect();
            let mut said = said;
            let mut stays = errors(&after);
            said.sort();
            stays.sort();
            assert_eq!(said, stays, "{story:#?} {:#?}", repaired.plan.steps());
            mended += broken(&before).len() - broken(&after).len();
            steps += repaired.plan.steps().len();
            // Once is enough.
            let again = registry.plan(&[], None);
            assert!(again.steps().is_empty(), "{story:#?} {:#?}", again.steps());
        }
    }
    assert!(mended > 100 && steps > 1000, "{mended} tags, {steps} steps");
}

/// How many manifests of a tag's history have bytes, the restored one among them.
fn with_bytes(root: &Path, step: &RepairStep) -> usize {
    let v2 = root.join("docker/registry/v2");
    let history = v2.join(step.path.replace("/current/link", "/index/sha256"));
    let names = std::fs::read_dir(history).unwrap().map(|entry| entry.unwrap().file_name());
    let has_bytes = |hex: &String| v2.join(format!("blobs/sha256/{}/{hex}/data", &hex[..2])).is_file();
    names.map(|name| name.into_string().unwrap()).filter(has_bytes).count()
}

#[test]
fn undo_brings_everything_back() {
    for seed in 1..=CASES {
        let (mut tree, story) = random_tree(seed);
        tree.age_all(OLD);
        let tree = copy(tree.root());
        let before = picture(tree.path());
        let registry = Registry::open(tree.path()).content();
        let repaired = registry.repair();
        let undone = registry.undo(&repaired.journal);
        let bad: Vec<_> = undone.iter().filter(|undone| undone.state != ChangeUndoState::Restored).collect();
        assert!(bad.is_empty(), "{story:#?} {bad:#?}");
        assert_eq!(differences(&before, &picture(tree.path())), [""; 0], "{story:#?}");
        // A second time there is nothing to do.
        let again = registry.undo(&repaired.journal);
        assert!(again.iter().all(|undone| undone.state == ChangeUndoState::There), "{again:#?}");
    }
}

#[test]
fn nothing_is_done_to_a_sound_tree() {
    for seed in 1..=60 {
        let (mut tree, story) = sound_tree(seed);
        // Young: what nothing needs is a push under way.
        let before = picture(tree.root());
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
        assert_eq!(differences(&before, &picture(tree.root())), [""; 0]);
        tree.age_all(OLD);
    }
}
