//! The decision about a package, row by row. How it is made is in `decide`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::follow::{FateElsewhere, SubjectElsewhere};
use super::reason::Reason;
use super::refusal::{Refusal, Reversal};
use super::skip::Skip;
use super::undecided::UndecidedImages;
use crate::oci::Digest;

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The policy keeps it.
    Keep,
    /// It goes.
    Delete,
    /// It stays, because nothing decides about it here.
    Leave,
}

/// Takes back the deletion of a row, and the reasons that follow from another row's deletion.
pub(super) fn refuse_row(action: &mut Action, reasons: &mut Vec<Reason>, if_refused: Option<Vec<Reason>>) {
    if let Some(why) = if_refused {
        *reasons = why;
    }
    if *action == Action::Delete {
        *action = Action::Leave;
        reasons.push(Reason::SparedByGuard);
    }
}

/// The decision about a row, and its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowDecision {
    /// What becomes of it.
    pub action: Action,
    /// Why.
    pub reasons: Vec<Reason>,
    /// The reasons of the row when a guard refuses the package, where they differ: the row depends on another one, which stays
    /// then too.
    pub if_refused: Option<Vec<Reason>>,
    /// For a row to delete, the subjects in other packages that it follows.
    pub after: Vec<SubjectElsewhere>,
}

impl RowDecision {
    pub(super) const fn new(action: Action, reasons: Vec<Reason>) -> Self {
        Self { action, reasons, if_refused: None, after: Vec::new() }
    }

    pub(super) fn keep(why: Reason) -> Self {
        Self::new(Action::Keep, vec![why])
    }

    pub(super) fn delete(why: Reason) -> Self {
        Self::new(Action::Delete, vec![why])
    }

    pub(super) fn leave(why: Reason) -> Self {
        Self::new(Action::Leave, vec![why])
    }
}

/// The decision about a package.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decision {
    /// Why nothing goes, where that is so.
    pub not_planned: Option<WhyNotPlanned>,
    /// The decision about each row, in the order of the package.
    pub rows: Vec<RowDecision>,
    /// Images that stay.
    pub images_kept: u64,
    /// Images that go.
    pub images_deleted: u64,
    /// Tags of images that are known not to answer down to the leaves.
    pub broken: Vec<String>,
    /// Signatures whose subject is known to be gone.
    pub orphans: u64,
    /// Images that stay because no ranking decides about them.
    pub undecided: Vec<UndecidedImages>,
    /// Pushes in the reverse order of builds that are not refused, but that a person should know of.
    pub notes: Vec<Reversal>,
    /// The fate of each manifest that is not known to be absent.
    pub(super) fates: BTreeMap<Digest, FateElsewhere>,
}

/// Why nothing goes in a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum WhyNotPlanned {
    /// Its graph is not known.
    Skipped(Skip),
    /// A guard refused what was decided.
    Refused(Refusal),
}

impl fmt::Display for WhyNotPlanned {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skipped(why) => why.fmt(out),
            Self::Refused(why) => why.fmt(out),
        }
    }
}

impl Decision {
    /// Takes back all deletions, for the reason given.
    pub(super) fn refuse(&mut self, why: Refusal) {
        for row in &mut self.rows {
            refuse_row(&mut row.action, &mut row.reasons, row.if_refused.take());
            row.after.clear();
        }
        self.fates.values_mut().for_each(|fate| *fate = FateElsewhere::Stays);
        self.images_kept += std::mem::take(&mut self.images_deleted);
        self.not_planned = Some(WhyNotPlanned::Refused(why));
    }
}
