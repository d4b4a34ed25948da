//! What was decided about a package, row by row. How it is decided is in `decide`.

use std::collections::BTreeMap;

use super::follow::Outer;
use super::plan::After;
use super::undecided::UndecidedImages;
use crate::oci::Digest;

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
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

/// What is said of a row that a guard saves.
const SPARED: &str = "spared: a guard refused this package";

/// Takes back what a row would have had to do with a deletion.
pub(super) fn refuse(action: &mut Action, reasons: &mut Vec<String>, if_refused: Option<Vec<String>>) {
    if let Some(why) = if_refused {
        *reasons = why;
    }
    if *action == Action::Delete {
        *action = Action::Leave;
        reasons.push(SPARED.into());
    }
}

/// What was decided about a row, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What becomes of it.
    pub action: Action,
    /// Why, in words.
    pub reasons: Vec<String>,
    /// Why it stays after all when a guard refuses the package, where that is another reason: what it hangs on stays too.
    pub if_refused: Option<Vec<String>>,
    /// Of what goes: what it follows in other packages.
    pub after: Vec<After>,
}

impl Verdict {
    /// Nothing decides about it, for this reason.
    pub(super) fn leave(why: String) -> Self {
        Self { action: Action::Leave, reasons: vec![why], if_refused: None, after: Vec::new() }
    }
}

/// What was decided about a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Why nothing goes although it could be decided, or could not.
    pub stop: Option<Stop>,
    /// For each row of the package, in its order.
    pub rows: Vec<Verdict>,
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
    /// What a person should know of the decision, and hinders nothing.
    pub notes: Vec<String>,
    /// What becomes of each manifest that answers, or may.
    pub(super) fates: BTreeMap<Digest, Outer>,
}

/// Why nothing goes in a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// Its graph is not known.
    Skipped(String),
    /// A guard refused what was decided.
    Refused(String),
}

impl Decision {
    /// Takes back what would go, for the reason given.
    pub(super) fn refuse(&mut self, why: String) {
        for row in &mut self.rows {
            refuse(&mut row.action, &mut row.reasons, row.if_refused.take());
        }
        for row in &mut self.rows {
            row.after.clear();
        }
        self.fates.values_mut().for_each(|fate| *fate = Outer::Stays);
        self.images_kept += std::mem::take(&mut self.images_deleted);
        self.stop = Some(Stop::Refused(why));
    }
}
