//! Log lines on standard error. Results never go there.

use registry_core::audit::UnreadPath;
use registry_core::repair::{Outcome, Taken, UndoState, Undone};
use tracing_subscriber::filter::LevelFilter;

use crate::args::{Common, Output};
use crate::exit::Failure;

/// How many of a kind are named.
const FEW: usize = 5;

/// Starts the log as the command line asks.
pub fn start(common: &Common) {
    let level = match (common.quiet, common.verbose) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) => LevelFilter::WARN,
        (false, 1) => LevelFilter::INFO,
        (false, _) => LevelFilter::DEBUG,
    };
    let builder =
        tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_target(false);
    match common.log_format {
        Output::Json => builder.json().init(),
        Output::Text => builder.with_ansi(false).without_time().init(),
    }
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
        let (word, why) = match &taken.outcome {
            Outcome::Refused(why) => ("refused", why),
            Outcome::Failed(why) => ("failed", why),
            Outcome::Stopped(why) => ("not reached", why),
            Outcome::Planned | Outcome::Done | Outcome::There | Outcome::Spared(_) => return None,
        };
        Some(format!("{word}: {} {}: {why}", taken.step.action.as_str(), taken.step.path))
    };
    few(common, steps.iter().filter_map(one), "not done");
}

/// Says which changes could not be taken back.
pub fn changes(common: &Common, changes: &[Undone]) {
    let one = |change: &Undone| match &change.state {
        UndoState::Taken(why) => Some(format!("left: {}: {why}", change.path)),
        UndoState::Lost(why) => Some(format!("not undone: {}: {why}", change.path)),
        UndoState::Restored | UndoState::There => None,
    };
    few(common, changes.iter().filter_map(one), "not undone");
}

/// The first lines, and how many more there are.
fn few(common: &Common, lines: impl Iterator<Item = String>, what: &str) {
    let lines: Vec<String> = lines.collect();
    for line in lines.iter().take(FEW) {
        tracing::error!("{}", registry_core::text::without_controls(line));
    }
    if let more @ 1.. = lines.len().saturating_sub(FEW) {
        let is_summary = common.quiet && common.output == Output::Text;
        let rest = if is_summary { "without --quiet the report has them" } else { "the report has them" };
        tracing::error!("{what}: {more} more; {rest}");
    }
}

/// Says why a run ended without a report.
pub fn failure(failure: &Failure) {
    let mut message = failure.error().to_string();
    let mut source = failure.error().source();
    while let Some(error) = source {
        let text = error.to_string();
        // Errors that already carry their source in their own words are not said twice.
        if !message.ends_with(&text) {
            message = format!("{message}: {text}");
        }
        source = error.source();
    }
    tracing::error!("{}", registry_core::text::without_controls(&message));
}
