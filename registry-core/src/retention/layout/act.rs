//! Doing steps side by side, and what became of rows. Which steps, and when, is `apply`'s matter.

use crate::oci::Digest;
use crate::path::Place;
use crate::repair::{self, Act, Checked, Journal, Log, Progress, Run, Step};
use crate::retention::applied::{Applied, AppliedRow, Stopped};
use crate::retention::journal::Outcome;
use crate::retention::order;
use crate::retention::plan::Version;
use crate::retention::stays::{WhyHalted, WhyStays};
use crate::storage::{Folder, Tree};
use crate::tree_writer::TreeWriter;

/// Why something stays although it was to go.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) outcome: Outcome,
    pub(super) why: WhyStays,
}

impl Held {
    /// Why what `version` needs, or what follows it, stays with it.
    pub(super) fn by(&self, version: &str) -> Self {
        Self { outcome: self.outcome, why: WhyStays::BelongsTo(version.to_owned()) }
    }
}

/// A run over packages, and what it did so far.
pub(super) struct Acting<'r, F, L> {
    pub(super) tree: &'r Tree<F>,
    pub(super) writer: &'r TreeWriter,
    pub(super) journal: Journal<L>,
    pub(super) progress: &'r Progress,
    pub(super) applied: Applied,
}

impl<F: Folder, L: Log + Send> Acting<'_, F, L> {
    /// Does steps side by side; for each, nothing when what it names is not there any more, else why it is.
    pub(super) fn steps(&mut self, steps: &[Step]) -> Vec<Option<Held>> {
        let checked = Checked { min_age: 0, revisions: None };
        let mut run = Run::new(self.writer, &mut self.journal, checked, None, self.progress);
        let outcomes = self.tree.install(|| run.steps(steps));
        outcomes.into_iter().map(|outcome| self.held(outcome)).collect()
    }

    fn held(&mut self, outcome: repair::Outcome) -> Option<Held> {
        let (outcome, why) = match outcome {
            repair::Outcome::Done | repair::Outcome::There => return None,
            repair::Outcome::Spared(why) => (Outcome::Spared, WhyStays::Spared(why)),
            repair::Outcome::Failed(why) => (Outcome::Failed, WhyStays::Failed(why)),
            repair::Outcome::Refused(why) => self.halted(WhyHalted::Refused(why)),
            repair::Outcome::Stopped(why) => self.halted(WhyHalted::Stopped(why)),
            repair::Outcome::Planned => (Outcome::Stopped, WhyStays::NotTried),
        };
        Some(Held { outcome, why })
    }

    fn halted(&mut self, why: WhyHalted) -> (Outcome, WhyStays) {
        self.applied.stopped.get_or_insert_with(|| Stopped::Halted(why.clone()));
        (Outcome::Stopped, WhyStays::Halted(why))
    }

    /// Tells what became of a row: nothing held it, and it is gone, or why it is not.
    pub(super) fn row(&mut self, package: &str, version: &str, held: Option<&Held>) {
        let (package, version) = (package.to_owned(), version.to_owned());
        let (outcome, reason) =
            held.map_or((Outcome::Deleted, None), |held| (held.outcome, Some(held.why.clone())));
        self.applied.rows.push(AppliedRow { package, version, outcome, reason });
    }
}

/// The step that moves a tag's folder, its history included.
pub(super) fn tag_step(package: &str, row: &Version, digest: Digest) -> Step {
    Step {
        action: Act::Retire,
        path: Place::TagFolder(package, &row.version).to_string(),
        repository: Some(package.into()),
        tag: Some(row.version.as_str().into()),
        digest: Some(digest),
        bytes: 0,
        code: None,
        tags: crate::audit::Tags::default(),
        message: row.reasons.join("; "),
        modified: row.created_at,
    }
}

/// Steps that wait for none but those of earlier levels, by number.
pub(super) fn levels(order: &[order::Step]) -> Vec<Vec<usize>> {
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
