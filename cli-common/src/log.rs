//! Log lines on standard error; results go to standard output. Control characters from a tree or a server are escaped.

use std::fmt;

use registry_core::text::{is_control, without_controls};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::args::Format;
use crate::hints;

/// How many errors of one kind are logged.
const MAX_ERRORS: usize = 5;

/// What a log line in text form begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    /// The level: `ERROR `, ` WARN `, ` INFO `.
    Level,
    /// `error: ` or `warning: `; nothing for lower levels.
    Word,
}

/// Starts the log, which shows events of `level` and above.
pub fn start(format: Format, level: LevelFilter, prefix: Prefix) {
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_target(false)
        // They are written with `eprintln!`, which panics if standard error is closed.
        .log_internal_errors(false);
    match format {
        Format::Json => builder.json().map_event_format(PrintableJson).init(),
        Format::Text => builder.with_ansi(false).event_format(prefix).init(),
    }
}

impl<S, N> FormatEvent<S, N> for Prefix
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let level = *event.metadata().level();
        match self {
            Self::Level => write!(out, "{:>5} ", level.as_str())?,
            Self::Word if level == Level::ERROR => out.write_str("error: ")?,
            Self::Word if level == Level::WARN => out.write_str("warning: ")?,
            Self::Word => {}
        }
        let mut message = Message::default();
        event.record(&mut message);
        writeln!(out, "{}", without_controls(&message.0))
    }
}

/// The message of an event, unescaped: the formatter of `tracing_subscriber` escapes some characters in its own way.
#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

/// JSON in which control characters are escaped.
struct PrintableJson<F>(F);

impl<S, N, F> FormatEvent<S, N> for PrintableJson<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        for character in line.trim_end_matches('\n').chars() {
            if is_control(character) {
                write!(out, "\\u{:04x}", u32::from(character))?;
            } else {
                out.write_char(character)?;
            }
        }
        out.write_char('\n')
    }
}

/// Logs an error with its causes.
pub fn log_error(error: &anyhow::Error) {
    tracing::error!("{}", with_causes(error));
}

/// An error with its causes and the option that helps, on one line.
pub fn with_causes(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Some errors already end with the text of their source.
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text + &hints::option_hint(error).unwrap_or_default()
}

/// Logs the first few lines as errors, then one line for the number of the others, which `rest` words.
pub fn log_first_errors(lines: impl Iterator<Item = String>, rest: impl FnOnce(usize) -> String) {
    let lines: Vec<String> = lines.collect();
    for line in lines.iter().take(MAX_ERRORS) {
        tracing::error!("{line}");
    }
    if let more @ 1.. = lines.len().saturating_sub(MAX_ERRORS) {
        tracing::error!("{}", rest(more));
    }
}
