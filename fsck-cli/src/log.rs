//! What a run says on standard error of what it could not read, ask or do, whatever the report shows.

use registry_cli::args::Format;
use registry_cli::log;
use registry_core::audit::UnreadPath;
use registry_core::repair::{ChangeUndoState, StepOutcome, Taken, UndoneChange};
use tracing::level_filters::LevelFilter;

use crate::args::Common;
use crate::hints;

/// Starts the log as the command line asks.
pub fn start(common: &Common) {
    let level = match (common.quiet, common.verbose) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) => LevelFilter::WARN,
        (false, _) => LevelFilter::INFO,
    };
    log::start(common.messages.log_format, level, log::Prefix::Level);
}

/// Says what could not be read, whatever the report on standard output shows: a few of it.
pub fn unread<'a>(common: &Common, unread: impl IntoIterator<Item = &'a UnreadPath>) {
    let one = |one: &UnreadPath| format!("not read: {}: {}: {}", one.source, one.path, one.error);
    few(common, unread.into_iter().map(one), "not read");
}

/// The same of trees. What could not even be opened was said when it was met.
pub fn unread_inside(common: &Common, all: &[UnreadPath]) {
    unread(common, all.iter().filter(|one| &*one.path != "."));
}

/// Says what the other registry of a repair could not be asked.
pub fn unanswered(common: &Common, all: &[String]) {
    few(common, all.iter().map(|what| format!("not known: {what}")), "not known");
}

/// Says which steps of a repair were refused, failed or were not reached.
pub fn steps(common: &Common, steps: &[Taken]) {
    let one = |taken: &Taken| {
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
    few(common, steps.iter().filter_map(one), "not done");
}

/// Says which changes could not be taken back.
pub fn changes(common: &Common, changes: &[UndoneChange]) {
    let one = |change: &UndoneChange| match &change.state {
        ChangeUndoState::Taken(why) => Some(format!("left: {}: {why}", change.path)),
        ChangeUndoState::Lost(why) => Some(format!("not undone: {}: {why}", change.path)),
        ChangeUndoState::Restored | ChangeUndoState::There => None,
    };
    few(common, changes.iter().filter_map(one), "not undone");
}

/// The first lines, and how many more there are.
fn few(common: &Common, lines: impl Iterator<Item = String>, what: &str) {
    let is_summary = common.quiet && common.printing.output == Format::Text;
    let rest = if is_summary { "without --quiet the report has them" } else { "the report has them" };
    log::few(lines, |more| format!("{what}: {more} more; {rest}"));
}
