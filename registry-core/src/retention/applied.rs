//! The result of an apply (schema `registry-retention/apply-result/1`): the outcome of each row, and why the run stopped.

use serde::{Deserialize, Serialize};

use std::collections::HashSet;

use super::journal::RowOutcome;
use super::plan::Plan;
use super::stays::{WhyHalted, WhyNotDeleted, WhyUnread, WhyWorse};

/// The schema of a result.
pub const SCHEMA: &str = "registry-retention/apply-result/1";

/// What an apply did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ApplyResult {
    /// [`SCHEMA`].
    pub schema: String,
    /// The plan that was acted on.
    pub plan_digest: String,
    /// The rows to delete, with their outcomes.
    pub rows: Vec<AppliedRow>,
    /// Why the run ended before its plan did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stopped: Option<Stopped>,
}

/// The outcome of one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AppliedRow {
    /// The package.
    pub package: String,
    /// The tag, or the digest.
    pub version: String,
    /// The outcome.
    pub outcome: RowOutcome,
    /// Why the row did not go, if it did not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub reason: Option<WhyNotDeleted>,
}

/// Why a run ended before its plan did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Stopped {
    /// These credentials may not delete.
    Forbidden(String),
    /// A kept image got worse.
    Worse(#[cfg_attr(feature = "schema", schemars(with = "String"))] WhyWorse),
    /// The kept images could not be read again.
    Unread(#[cfg_attr(feature = "schema", schemars(with = "String"))] WhyUnread),
    /// The server does not answer any more.
    GaveUp(String),
    /// The journal could not be written.
    Journal(String),
    /// On a tree: the disk or the journal refuses.
    Halted(#[cfg_attr(feature = "schema", schemars(with = "String"))] WhyHalted),
    /// It was asked to stop.
    Interrupted(String),
}

/// Why a row or an image to delete stays, and the outcome to report for it.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) outcome: RowOutcome,
    pub(super) why: WhyNotDeleted,
}

impl Held {
    pub(super) const fn spared(why: WhyNotDeleted) -> Self {
        Self { outcome: RowOutcome::Spared, why }
    }

    pub(super) const fn failed(why: WhyNotDeleted) -> Self {
        Self { outcome: RowOutcome::Failed, why }
    }

    pub(super) const fn stopped(why: WhyNotDeleted) -> Self {
        Self { outcome: RowOutcome::Stopped, why }
    }

    /// The same outcome for another reason.
    pub(super) const fn because(&self, why: WhyNotDeleted) -> Self {
        Self { outcome: self.outcome, why }
    }
}

impl ApplyResult {
    /// The result of a run before it did anything.
    pub(super) fn before_any_deletion(plan: &Plan) -> Self {
        Self { schema: SCHEMA.into(), plan_digest: plan.plan_digest.clone(), rows: Vec::new(), stopped: None }
    }

    /// The result of a run that did nothing.
    pub fn not_tried(plan: &Plan, stopped: Stopped) -> Self {
        let rows = plan.planned_packages().flat_map(|package| {
            package.rows_to_delete().map(|row| AppliedRow {
                package: package.name.clone(),
                version: row.version.clone(),
                outcome: RowOutcome::Stopped,
                reason: None,
            })
        });
        Self { rows: rows.collect(), stopped: Some(stopped), ..Self::before_any_deletion(plan) }
    }

    /// Adds the outcome of a row.
    pub(super) fn report_row(
        &mut self,
        package: &str,
        version: &str,
        outcome: RowOutcome,
        reason: Option<WhyNotDeleted>,
    ) {
        let (package, version) = (package.to_owned(), version.to_owned());
        self.rows.push(AppliedRow { package, version, outcome, reason });
    }

    /// The rows of a package that have an outcome already.
    pub(super) fn finished_rows(&self, package: &str) -> HashSet<&str> {
        let rows = self.rows.iter().filter(|row| row.package == package);
        rows.map(|row| row.version.as_str()).collect()
    }

    /// How many rows have this outcome.
    pub fn count(&self, outcome: RowOutcome) -> usize {
        self.rows.iter().filter(|row| row.outcome == outcome).count()
    }
}
