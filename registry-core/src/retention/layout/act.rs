//! Doing steps side by side, and what became of rows. Which steps, and when, is `apply`'s matter.

use crate::oci::Digest;
use crate::path::Place;
use crate::repair::{self, Act, Expectations, Log, RepairJournal, RepairStep, StepProgress, StepRunner};
use crate::retention::applied::{Applied, AppliedRow, Stopped};
use crate::retention::journal::RowOutcome;
use crate::retention::order;
use crate::retention::plan::PlannedRow;
use crate::retention::stays::{WhyHalted, WhyStays};
use crate::storage::{Folder, Tree};
use crate::tree_writer::TreeWriter;

/// Why something stays although it was to go.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) outcome: RowOutcome,
    pub(super) why: WhyStays,
}

impl Held {
    /// Why what `version` needs, or what follows it, stays with it.
    pub(super) fn because_of(&self, version: &str) -> Self {
        Self { outcome: self.outcome, why: WhyStays::BelongsTo(version.to_owned()) }
    }
}

/// A run over packages, and what it did so far.
pub(super) struct Acting<'r, F, L> {
    pub(super) tree: &'r Tree<F>,
    pub(super) writer: &'r TreeWriter,
    pub(super) journal: RepairJournal<L>,
    pub(super) progress: &'r StepProgress,
    pub(super) applied: Applied,
}

impl<F: Folder, L: Log + Send> Acting<'_, F, L> {
    /// Does steps side by side; for each, nothing when what it names is not there any more, else why it is.
    pub(super) fn steps(&mut self, steps: &[RepairStep]) -> Vec<Option<Held>> {
        let checked = Expectations { min_age: 0, revisions: None };
        let mut run = StepRunner::new(self.writer, &mut self.journal, checked, None, self.progress);
        let outcomes = self.tree.install(|| run.steps(steps));
        outcomes.into_iter().map(|outcome| self.held(outcome)).collect()
    }

    fn held(&mut self, outcome: repair::StepOutcome) -> Option<Held> {
        let (outcome, why) = match outcome {
            repair::StepOutcome::Done | repair::StepOutcome::There => return None,
            repair::StepOutcome::Spared(why) => (RowOutcome::Spared, WhyStays::Spared(why)),
            repair::StepOutcome::Failed(why) => (RowOutcome::Failed, WhyStays::Failed(why)),
            repair::StepOutcome::Refused(why) => self.halted(WhyHalted::Refused(why)),
            repair::StepOutcome::Stopped(why) => self.halted(WhyHalted::Stopped(why)),
            repair::StepOutcome::Planned => (RowOutcome::Stopped, WhyStays::NotTried),
        };
        Some(Held { outcome, why })
    }

    fn halted(&mut self, why: WhyHalted) -> (RowOutcome, WhyStays) {
        self.applied.stopped.get_or_insert_with(|| Stopped::Halted(why.clone()));
        (RowOutcome::Stopped, WhyStays::Halted(why))
    }

    /// Tells what became of a row: nothing held it, and it is gone, or why it is not.
    pub(super) fn row(&mut self, package: &str, version: &str, held: Option<&Held>) {
        let (package, version) = (package.to_owned(), version.to_owned());
        let (outcome, reason) =
            held.map_or((RowOutcome::Deleted, None), |held| (held.outcome, Some(held.why.clone())));
        self.applied.rows.push(AppliedRow { package, version, outcome, reason });
    }
}

/// The step that moves a tag's folder, its history included.
pub(super) fn tag_step(package: &str, row: &PlannedRow, digest: Digest) -> RepairStep {
    RepairStep {
        action: Act::Retire,
        path: Place::TagFolder(package, &row.version).to_string(),
        repository: Some(package.into()),
        tag: Some(row.version.as_str().into()),
        digest: Some(digest),
        bytes: 0,
        code: None,
        tags: crate::audit::SharedTags::default(),
        message: row.reasons.join("; "),
        modified: row.created_at,
    }
}

/// Steps that wait for none but those of earlier levels, by number.
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
