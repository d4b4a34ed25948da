//! Logs to standard error what a run could not read, ask or do, whatever the report on standard output shows.

use registry_cli::args::Format;
use registry_cli::log;
use registry_core::audit::UnreadPath;
use registry_core::repair::{ChangeUndoState, StepOutcome, StepResult, UndoneChange};
use tracing::level_filters::LevelFilter;

use crate::args::Common;
use crate::hints;

/// Starts the log with the level and form of the command line.
pub fn start(common: &Common) {
    let level = match (common.quiet, common.verbose) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) => LevelFilter::WARN,
        (false, _) => LevelFilter::INFO,
    };
    log::start(common.messages.log_format, level, log::Prefix::Level);
}

/// Logs the first few paths that could not be read.
pub fn unread<'a>(common: &Common, unread: impl IntoIterator<Item = &'a UnreadPath>) {
    let line = |path: &UnreadPath| format!("not read: {}: {}: {}", path.source, path.path, path.error);
    log_first(common, unread.into_iter().map(line), "not read");
}

/// As [`unread`], but without trees that could not be opened: they were logged when that failed.
pub fn unread_inside_trees(common: &Common, paths: &[UnreadPath]) {
    unread(common, paths.iter().filter(|path| &*path.path != "."));
}

/// Logs what the registry of `--from` did not answer.
pub fn unanswered(common: &Common, questions: &[String]) {
    log_first(common, questions.iter().map(|question| format!("not known: {question}")), "not known");
}

/// Logs which steps of a repair were refused, failed or were not reached.
pub fn steps(common: &Common, steps: &[StepResult]) {
    let line = |taken: &StepResult| {
        let word = match &taken.outcome {
            StepOutcome::Refused(_) => "refused",
            StepOutcome::Failed(_) => "failed",
            StepOutcome::Stopped(_) => "not reached",
            StepOutcome::Planned | StepOutcome::Done | StepOutcome::There | StepOutcome::Spared(_) => {
                return None;
            }
        };
        let why = hints::why_not_done(&taken.outcome)?;
        Some(format!("{word}: {} {}: {why}", taken.step.action.as_str(), taken.step.path))
    };
    log_first(common, steps.iter().filter_map(line), "not done");
}

/// Logs which changes could not be undone.
pub fn changes(common: &Common, changes: &[UndoneChange]) {
    let line = |change: &UndoneChange| match &change.state {
        ChangeUndoState::Taken(why) => Some(format!("left: {}: {why}", change.path)),
        ChangeUndoState::Lost(why) => Some(format!("not undone: {}: {why}", change.path)),
        ChangeUndoState::Restored | ChangeUndoState::There => None,
    };
    log_first(common, changes.iter().filter_map(line), "not undone");
}

/// Logs the first lines, and how many more there are.
fn log_first(common: &Common, lines: impl Iterator<Item = String>, what: &str) {
    let is_summary = common.quiet && common.printing.output == Format::Text;
    let rest = if is_summary { "without --quiet the report has them" } else { "the report has them" };
    log::log_first_errors(lines, |more| format!("{what}: {more} more; {rest}"));
}
