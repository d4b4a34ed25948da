//! Log lines on standard error. Results never go there.

use registry_core::audit::UnreadPath;
use tracing_subscriber::filter::LevelFilter;

use crate::args::{Common, Output};
use crate::exit::Failure;

/// How many paths are named that could not be read.
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

/// Names on standard error what could not be read, where the report on standard output does not: a few of it.
pub fn log_unread(common: &Common, unread: &[UnreadPath]) {
    if !common.quiet || common.output == Output::Json {
        return;
    }
    // What could not even be opened is told when it is met.
    let inside = || unread.iter().filter(|one| &*one.path != ".");
    for one in inside().take(FEW) {
        let text = format!("{}: {}: {}", one.source, one.path, one.error);
        tracing::error!("not read: {}", registry_core::text::without_controls(&text));
    }
    let more = inside().count().saturating_sub(FEW);
    if more > 0 {
        tracing::error!("not read: {more} more; without --quiet all are told");
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
