//! What was decided about a package, row by row. How it is decided is in `decide`.

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
pub(super) const SPARED: &str = "spared: a guard refused this package";

/// What was decided about a row, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What becomes of it.
    pub action: Action,
    /// Why, in words.
    pub reasons: Vec<String>,
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
        for row in self.rows.iter_mut().filter(|row| row.action == Action::Delete) {
            row.action = Action::Leave;
            row.reasons.push(SPARED.into());
        }
        self.images_kept += std::mem::take(&mut self.images_deleted);
        self.stop = Some(Stop::Refused(why));
    }
}
