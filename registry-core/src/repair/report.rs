//! Reports as JSON: `registry-fsck/repair/1`, `registry-fsck/undo/1` and `registry-fsck/purge/1`. Absent fields are left out, never
//! null.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::left_out::WhyRemaining;
use super::plan::DeletedTags;
use super::purge::QuarantineContent;
use super::step::{RepairStep, StepAction, StepOutcome};
use super::undo::UndoneChange;
use crate::audit::{Code, Finding, Severity, UnreadPath};
use crate::storage::{Job, RegistryProcess};

/// The schema of [`RepairReport`].
pub const SCHEMA: &str = "registry-fsck/repair/1";
/// The schema of [`UndoReport`].
pub const UNDO_SCHEMA: &str = "registry-fsck/undo/1";
/// The schema of [`PurgeReport`].
pub const PURGE_SCHEMA: &str = "registry-fsck/purge/1";

/// What a repair did, or would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RepairReport {
    /// [`SCHEMA`].
    pub schema: String,
    /// The subcommand.
    #[cfg_attr(feature = "schema", schemars(extend("const" = "repair")))]
    pub command: String,
    /// Version of the tool.
    pub version: String,
    /// When it began.
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
    pub started_at: Timestamp,
    /// How long it took, in seconds.
    pub duration_seconds: f64,
    /// The process's exit status.
    pub exit_status: u8,
    /// How it was asked.
    pub options: RepairOptions,
    /// The registry, as it was named.
    pub source: String,
    /// Steps in their order, with what became of each.
    pub steps: Vec<StepResult>,
    /// Errors and warnings that stay after all steps.
    pub left: Vec<RemainingFinding>,
    /// What could not be read.
    pub unread: Vec<UnreadPath>,
    /// What the other registry could not be asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<String>,
    /// Programs that seem to be at work on this tree.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<RunningServer>,
    /// The journal; left out where nothing was to be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<String>,
    /// The quarantine; left out where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<String>,
    /// What another look at the whole tree found after the repair; left out in a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<FindingCounts>,
    /// Counts.
    pub summary: RepairSummary,
}

/// How a repair was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RepairOptions {
    /// Steps were done, not only planned.
    pub apply: bool,
    /// Every byte was hashed.
    pub content: bool,
    /// Leaf folders were opened too.
    pub strict: bool,
    /// Younger than this, leftovers are a push under way. Seconds.
    pub min_age_seconds: u64,
    /// Things may be taken away although a server runs.
    pub online: bool,
    /// Finding codes; left out for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<Code>,
    /// Repositories; left out for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<String>,
    /// Where missing bytes come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What becomes of tags whose manifests were probably deleted through the API; left out where they are left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_tags: Option<DeletedTags>,
}

/// A step and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StepResult {
    /// The step.
    #[serde(flatten)]
    pub step: RepairStep,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: StepOutcome,
}

/// A finding that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RemainingFinding {
    /// The finding.
    #[serde(flatten)]
    pub finding: Finding,
    /// Why, where more can be said than that nothing here mends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub why: Option<WhyRemaining>,
}

/// A program that seems to be at work on this tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunningServer {
    /// Its process.
    pub pid: u32,
    /// Its name, and what it is doing.
    pub program: String,
    /// What that is.
    pub job: Job,
    /// Whether it changes nothing.
    pub is_read_only: bool,
    /// Why it is not certain that it works on this tree; left out where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
}

impl From<&RegistryProcess> for RunningServer {
    fn from(process: &RegistryProcess) -> Self {
        let RegistryProcess { pid, job, is_read_only, .. } = *process;
        Self { pid, program: process.program.clone(), job, is_read_only, doubt: process.doubt.clone() }
    }
}

/// Counts of an audit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FindingCounts {
    /// Findings of severity error.
    pub errors: u64,
    /// Tags that cannot be pulled whole.
    pub broken_tags: u64,
    /// Tags of which that is not known.
    pub unknown_tags: u64,
}

/// Counts of a repair.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RepairSummary {
    /// Steps.
    pub steps: u64,
    /// Of these: done now.
    pub done: u64,
    /// So already.
    pub there: u64,
    /// Not what they were when they were planned.
    pub spared: u64,
    /// Not done while a server runs.
    pub refused: u64,
    /// Tried in vain, or not reached.
    pub failed: u64,
    /// Links written, or to be written.
    pub links: u64,
    /// Bytes moved aside, or to be.
    pub bytes_aside: u64,
    /// Bytes fetched, or to be.
    pub bytes_fetched: u64,
    /// The registry before.
    pub before: FindingCounts,
}

impl RepairSummary {
    /// Counts steps with their outcomes.
    pub fn count_steps(steps: &[StepResult], before: FindingCounts) -> Self {
        let mut sum = Self { steps: steps.len() as u64, before, ..Self::default() };
        for StepResult { step, outcome } in steps {
            match outcome {
                StepOutcome::Planned => {}
                StepOutcome::Done => sum.done += 1,
                StepOutcome::There => sum.there += 1,
                StepOutcome::Spared(_) => sum.spared += 1,
                StepOutcome::Refused(_) => sum.refused += 1,
                StepOutcome::Failed(_) | StepOutcome::Stopped(_) => sum.failed += 1,
            }
            if matches!(outcome, StepOutcome::Planned | StepOutcome::Done) {
                match step.action {
                    StepAction::Relink | StepAction::Rewrite | StepAction::Restore => sum.links += 1,
                    StepAction::Fetch => sum.bytes_fetched += step.bytes,
                    _ => sum.bytes_aside += step.bytes,
                }
            }
        }
        sum
    }
}

impl FindingCounts {
    /// Counts what an audit found.
    pub fn count_findings(audit: &crate::audit::Audit) -> Self {
        let is_error =
            |finding: &&Finding| finding.severity == Severity::Error && finding.code != Code::PathUnread;
        Self {
            errors: audit.findings.iter().filter(is_error).count() as u64,
            broken_tags: audit.broken_tags.len() as u64,
            unknown_tags: audit.unknown_tags.len() as u64,
        }
    }
}

/// What an undo did.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UndoReport {
    /// [`UNDO_SCHEMA`].
    pub schema: String,
    /// Version of the tool.
    pub version: String,
    /// When it began.
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
    pub started_at: Timestamp,
    /// The process's exit status.
    pub exit_status: u8,
    /// The journal.
    pub journal: String,
    /// The registry's `docker/registry/v2`.
    pub tree: String,
    /// Whether the last line of the journal is cut off; what it announces was not done.
    pub is_torn: bool,
    /// Programs that seem to be at work on the tree.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<RunningServer>,
    /// Changes, last first.
    pub changes: Vec<UndoneChange>,
}

/// What a purge did, or would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PurgeReport {
    /// [`PURGE_SCHEMA`].
    pub schema: String,
    /// Version of the tool.
    pub version: String,
    /// When it began.
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
    pub started_at: Timestamp,
    /// The process's exit status.
    pub exit_status: u8,
    /// The quarantine.
    pub quarantine: String,
    /// Whether it was deleted.
    pub deleted: bool,
    /// What is, or was, in it.
    pub content: QuarantineContent,
}
