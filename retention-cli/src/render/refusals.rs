//! Logs to standard error what failed or was refused, so that it is seen whatever standard output shows and wherever it goes.

use registry_cli::hints::GAVE_UP;
use registry_cli::log::log_first_errors;
use registry_core::retention::{
    AppliedRow, ApplyResult, PackagePlan, PackageState, Plan, RowOutcome, Stopped,
};

use super::hints;

/// Logs which packages a plan skips or refuses, and why.
pub(super) fn log_plan(plan: &Plan) {
    for (state, word) in [(PackageState::Skipped, "skipped"), (PackageState::Refused, "refused")] {
        let has_state = |package: &&PackagePlan| package.state == state;
        let lines = plan.packages.iter().filter(has_state).map(|package| {
            let why = hints::package_reason(package).map_or_else(String::new, |why| format!(": {why}"));
            format!("package {} is {word}{why}", plan.source.repository_path(&package.name))
        });
        log_first_errors(lines, |more| format!("{more} more packages are {word}"));
    }
}

/// Logs which rows stay against the plan, and why the run stopped.
pub(super) fn log_applied(applied: &ApplyResult) {
    for (outcome, word) in [(RowOutcome::Spared, "spared"), (RowOutcome::Failed, "failed")] {
        let has_outcome = |row: &&AppliedRow| row.outcome == outcome;
        let lines = applied
            .rows
            .iter()
            .filter(has_outcome)
            .map(|row| format!("{word} {}:{}{}", row.package, row.version, hints::reason_suffix(row)));
        log_first_errors(lines, |more| format!("{more} more {word}"));
    }
    if let Some(stopped) = &applied.stopped {
        tracing::error!("stopped: {}", stop_reason(stopped));
    }
}

/// Logs what an undo did not put back.
pub fn log_not_undone(lines: impl Iterator<Item = String>) {
    log_first_errors(lines, |more| format!("{more} more are not back"));
}

/// Why a run stopped before its plan was done.
pub(super) fn stop_reason(stopped: &Stopped) -> String {
    match stopped {
        Stopped::Worse(why) => format!("a kept image got worse: {why}"),
        Stopped::Journal(why) => format!("the journal cannot be written: {why}"),
        Stopped::GaveUp(why) => format!("{why}{GAVE_UP}"),
        Stopped::Unread(why) => why.to_string(),
        Stopped::Halted(why) => hints::halt_reason(why),
        Stopped::Forbidden(why) | Stopped::Interrupted(why) => why.clone(),
    }
}
