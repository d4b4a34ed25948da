//! Does steps in parallel, and reports the outcomes of rows. Which steps are done, and when, is decided in `apply`.

use super::moves::retire_step;
use crate::oci::Digest;
use crate::path::Place;
use crate::repair::{self, Expectations, JournalOutput, RepairJournal, RepairStep, StepProgress, StepRunner};
use crate::retention::applied::{ApplyResult, Held, Stopped};
use crate::retention::journal::RowOutcome;
use crate::retention::order;
use crate::retention::plan::PlannedRow;
use crate::retention::stays::{WhyHalted, WhyNotDeleted};
use crate::storage::{Folder, Tree};
use crate::tree_writer::TreeWriter;

/// A run over packages, with its result so far.
pub(super) struct ApplyRun<'r, F, L> {
    pub(super) tree: &'r Tree<F>,
    pub(super) writer: &'r TreeWriter,
    pub(super) journal: RepairJournal<L>,
    pub(super) progress: &'r StepProgress,
    pub(super) applied: ApplyResult,
}

impl<F: Folder, L: JournalOutput + Send> ApplyRun<'_, F, L> {
    /// Does steps in parallel. For each step, `None` when its folder is not there any more, otherwise why it stays.
    pub(super) fn do_steps(&mut self, steps: &[RepairStep]) -> Vec<Option<Held>> {
        let expectations = Expectations { min_age: 0, revisions: None };
        let mut run = StepRunner::new(self.writer, &mut self.journal, expectations, None, self.progress);
        let outcomes = self.tree.run_in_pool(|| run.run_steps(steps));
        outcomes.into_iter().map(|outcome| self.why_held(outcome)).collect()
    }

    /// Why a step's folder stays. Stops the run if the outcome demands it.
    fn why_held(&mut self, outcome: repair::StepOutcome) -> Option<Held> {
        Some(match outcome {
            repair::StepOutcome::Done | repair::StepOutcome::There => return None,
            repair::StepOutcome::Spared(why) => Held::spared(WhyNotDeleted::Spared(why)),
            repair::StepOutcome::Failed(why) => Held::failed(WhyNotDeleted::Failed(why)),
            repair::StepOutcome::Refused(why) => self.halt(WhyHalted::Refused(why)),
            repair::StepOutcome::Stopped(why) => self.halt(WhyHalted::Stopped(why)),
            repair::StepOutcome::Planned => Held::stopped(WhyNotDeleted::NotTried),
        })
    }

    fn halt(&mut self, why: WhyHalted) -> Held {
        self.applied.stopped.get_or_insert_with(|| Stopped::Halted(why.clone()));
        Held::stopped(WhyNotDeleted::Halted(why))
    }

    /// Reports the outcome of a row: deleted, unless it is held.
    pub(super) fn report_row(&mut self, package: &str, version: &str, held: Option<&Held>) {
        match held {
            None => self.applied.report_row(package, version, RowOutcome::Deleted, None),
            Some(Held { outcome, why }) => {
                self.applied.report_row(package, version, *outcome, Some(why.clone()));
            }
        }
    }
}

/// The step that moves a tag's folder aside, with the tag's history.
pub(super) fn tag_step(package: &str, row: &PlannedRow, digest: Digest) -> RepairStep {
    let path = Place::TagFolder(package, &row.version).to_string();
    RepairStep {
        tag: Some(row.version.as_str().into()),
        modified: row.created_at,
        ..retire_step(package.into(), path, digest, row.reasons.join("; "))
    }
}

/// The numbers of the steps, in levels: a step waits only for steps of earlier levels.
pub(super) fn levels(order: &[order::DeletionStep]) -> Vec<Vec<usize>> {
    let (mut depths, mut levels): (Vec<usize>, Vec<Vec<usize>>) = (Vec::new(), Vec::new());
    for (number, step) in order.iter().enumerate() {
        let depth =
            step.after.iter().filter_map(|other| depths.get(*other)).max().map_or(0, |depth| depth + 1);
        depths.push(depth);
        if levels.len() <= depth {
            levels.resize_with(depth + 1, Vec::new);
        }
        levels[depth].push(number);
    }
    levels
}
