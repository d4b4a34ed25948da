//! What failed or was refused, on standard error: there it is met whatever standard output shows, and where that goes.

use registry_cli::hints::GAVE_UP;
use registry_cli::log::few;
use registry_core::retention::{Applied, AppliedRow, PackagePlan, PackageState, Plan, RowOutcome, Stopped};

use super::hints;

/// Says which packages a plan skips or refuses, and why.
pub(super) fn of_plan(plan: &Plan) {
    for (state, word) in [(PackageState::Skipped, "skipped"), (PackageState::Refused, "refused")] {
        let of_state = |package: &&PackagePlan| package.state == state;
        let lines = plan.packages.iter().filter(of_state).map(|package| {
            let why = hints::reason(package).map_or_else(String::new, |why| format!(": {why}"));
            format!("package {} is {word}{why}", plan.source.path_of(&package.name))
        });
        few(lines, |more| format!("{more} more packages are {word}"));
    }
}

/// Says which rows were to go and stay, and why the run stopped.
pub(super) fn of_applied(applied: &Applied) {
    for (outcome, word) in [(RowOutcome::Spared, "spared"), (RowOutcome::Failed, "failed")] {
        let of_outcome = |row: &&AppliedRow| row.outcome == outcome;
        let lines = applied.rows.iter().filter(of_outcome).map(|row| {
            let why = row.reason.as_ref().map_or_else(String::new, |why| format!(": {}", hints::stays(why)));
            format!("{word} {}:{}{why}", row.package, row.version)
        });
        few(lines, |more| format!("{more} more {word}"));
    }
    if let Some(stopped) = &applied.stopped {
        tracing::error!("stopped: {}", why(stopped));
    }
}

/// Says what an undo did not put back: a line for each of these.
pub fn not_back(lines: impl Iterator<Item = String>) {
    few(lines, |more| format!("{more} more are not back"));
}

/// Why a run ended before its plan did.
pub(super) fn why(stopped: &Stopped) -> String {
    match stopped {
        Stopped::Worse(why) => format!("a kept image got worse: {why}"),
        Stopped::Journal(why) => format!("the journal cannot be written: {why}"),
        Stopped::GaveUp(why) => format!("{why}{GAVE_UP}"),
        Stopped::Unread(why) => why.to_string(),
        Stopped::Halted(why) => hints::halted(why),
        Stopped::Forbidden(why) | Stopped::Interrupted(why) => why.clone(),
    }
}
