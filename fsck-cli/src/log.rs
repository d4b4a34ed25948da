//! Log lines on standard error. Results never go there.

use tracing_subscriber::filter::LevelFilter;

use crate::args::{Common, Output};
use crate::exit::Failure;

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
