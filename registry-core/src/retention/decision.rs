//! What was decided about a package, row by row. How it is decided is in `decide`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::follow::{After, FateElsewhere};
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

/// Takes back what a row would have had to do with a deletion.
pub(super) fn refuse(action: &mut Action, reasons: &mut Vec<Reason>, if_refused: Option<Vec<Reason>>) {
    if let Some(why) = if_refused {
        *reasons = why;
    }
    if *action == Action::Delete {
        *action = Action::Leave;
        reasons.push(Reason::SparedByGuard);
    }
}

/// What was decided about a row, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowDecision {
    /// What becomes of it.
    pub action: Action,
    /// Why.
    pub reasons: Vec<Reason>,
    /// Why it stays after all when a guard refuses the package, where that is another reason: what it hangs on stays too.
    pub if_refused: Option<Vec<Reason>>,
    /// Of what goes: what it follows in other packages.
    pub after: Vec<After>,
}

impl RowDecision {
    /// Nothing decides about it, for this reason.
    pub(super) fn leave(why: Reason) -> Self {
        Self { action: Action::Leave, reasons: vec![why], if_refused: None, after: Vec::new() }
    }
}

/// What was decided about a package.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decision {
    /// Why nothing goes, where that is so.
    pub not_planned: Option<NotPlanned>,
    /// For each row of the package, in its order.
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
    /// Pushes in the reverse order of builds that are not refused; a person should know of them.
    pub notes: Vec<Reversal>,
    /// What becomes of each manifest that answers, or may.
    pub(super) fates: BTreeMap<Digest, FateElsewhere>,
}

/// Why nothing goes in a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum NotPlanned {
    /// Its graph is not known.
    Skipped(Skip),
    /// A guard refused what was decided.
    Refused(Refusal),
}

impl fmt::Display for NotPlanned {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skipped(why) => why.fmt(out),
            Self::Refused(why) => why.fmt(out),
        }
    }
}

impl Decision {
    /// Takes back what would go, for the reason given.
    pub(super) fn refuse(&mut self, why: Refusal) {
        for row in &mut self.rows {
            refuse(&mut row.action, &mut row.reasons, row.if_refused.take());
        }
        for row in &mut self.rows {
            row.after.clear();
        }
        self.fates.values_mut().for_each(|fate| *fate = FateElsewhere::Stays);
        self.images_kept += std::mem::take(&mut self.images_deleted);
        self.not_planned = Some(NotPlanned::Refused(why));
    }
}
