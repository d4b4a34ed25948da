//! Metrics of a run in the Prometheus text format, for a textfile collector.

use std::fmt::Write as _;
use std::path::Path;

use registry_core::retention::{Action, Applied, Outcome, Plan};

use crate::{exit, file};

/// What the metrics tell, summed over all owners.
#[derive(Debug, Default)]
pub struct Totals {
    kept: u64,
    deleted: u64,
    already_gone: u64,
    failed: u64,
    planned: u64,
    skipped: u64,
    refused: u64,
    broken: u64,
    reclaimable: u64,
    /// What each plan that was to be acted on lets go, and how much of it is gone.
    effects: Vec<(u64, u64)>,
}

const LAST_SUCCESS: &str = "registry_retention_last_success_timestamp_seconds";

impl Totals {
    /// Adds a plan; one that is to be acted on has an effect, or is told to have none.
    pub fn plan(&mut self, plan: &Plan, is_armed: bool) {
        if is_armed {
            self.effects.push((plan.summary.versions_deleted, 0));
        }
        let rows = plan.packages.iter().flat_map(|package| &package.versions);
        self.kept += rows.filter(|row| row.action == Action::Keep).count() as u64;
        self.planned += plan.summary.versions_deleted;
        self.skipped += plan.summary.skipped_packages;
        self.refused += plan.summary.refused_packages;
        self.broken += plan.summary.broken;
        self.reclaimable += plan.summary.reclaimable_bytes;
    }

    /// Adds what was done of the plan that was added as such a number, from 0.
    pub fn applied(&mut self, number: usize, applied: &Applied) {
        let deleted = applied.count(Outcome::Deleted) as u64;
        let already_gone = applied.count(Outcome::AlreadyGone) as u64;
        if let Some((_, done)) = self.effects.get_mut(number) {
            // What was gone before is no deletion, and no failure to delete either.
            *done += deleted + already_gone;
        }
        self.deleted += deleted;
        self.already_gone += already_gone;
        self.failed += applied.count(Outcome::Failed) as u64;
    }

    fn render(&self, success: Option<&str>) -> String {
        // Of each owner: what one of them does not lose must not hide behind what another does.
        let zero_effect = self.effects.iter().any(|(planned, done)| *planned > 0 && *done == 0);
        let metrics = [
            ("versions_kept", "Rows that the policy keeps; what is left as it is does not count.", self.kept),
            ("versions_deleted", "Rows that the server confirmed gone.", self.deleted),
            ("versions_already_gone", "Rows that were gone before the run asked.", self.already_gone),
            ("versions_failed", "Rows that could not be deleted.", self.failed),
            ("skipped_packages", "Packages whose graph could not be read.", self.skipped),
            ("refused_packages", "Packages in which a guard refused.", self.refused),
            ("broken_images", "Tags of images that do not answer down to the leaves.", self.broken),
            ("planned_deletions", "Rows that the plan lets go.", self.planned),
            (
                "zero_effect",
                "Whether deletions were to be done for an owner and none succeeded.",
                u64::from(zero_effect),
            ),
            ("reclaimable_bytes", "Bytes that only what goes needs.", self.reclaimable),
        ];
        let mut out = String::new();
        for (name, help, value) in metrics {
            // Writing to a string cannot fail.
            let _ = writeln!(
                out,
                "# HELP registry_retention_{name} {help}\n# TYPE registry_retention_{name} gauge\nregistry_retention_{name} {value}"
            );
        }
        if let Some(value) = success {
            let _ = writeln!(
                out,
                "# HELP {LAST_SUCCESS} When a run last ended well.\n# TYPE {LAST_SUCCESS} gauge\n{LAST_SUCCESS} {value}"
            );
        }
        out
    }
}

/// Writes the metrics so that a reader sees the old file or the new one. The time of the last success outlives failures.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, totals: &Totals, status: u8) -> anyhow::Result<()> {
    let now = jiff::Timestamp::now().as_second().to_string();
    let old = std::fs::read_to_string(path).unwrap_or_default();
    let old =
        old.lines().find_map(|line| line.strip_prefix(LAST_SUCCESS)).map(|value| value.trim().to_owned());
    let success = if matches!(status, exit::DONE | exit::PENDING) { Some(now) } else { old };
    // A collector runs as another user.
    file::replace(path, totals.render(success.as_deref()).as_bytes(), true)
}
