//! Log lines on standard error. Results never go there. Whatever a line tells of a tree or a server, it steers no terminal.

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

/// How many of a kind are named.
const FEW: usize = 5;

/// What a line of text begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    /// The level: `ERROR `, ` WARN `, ` INFO `.
    Level,
    /// A word where something is wrong: `error: `, `warning: `, else nothing.
    Word,
}

/// Starts the log: what is as serious as `level` or more so is written.
pub fn start(format: Format, level: LevelFilter, prefix: Prefix) {
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_target(false)
        // They would go to standard error with a macro that panics when it is gone.
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

/// The message of a line, as it was given: the formatter of that crate escapes some characters in its own way.
#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

/// JSON in which no character steers a terminal.
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

/// Says what failed.
pub fn error(error: &anyhow::Error) {
    tracing::error!("{}", with_causes(error));
}

/// An error with what caused it, on one line, and the option that helps.
pub fn with_causes(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Errors that already carry their source in their own words are not said twice.
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text + &hints::option_hint(error).unwrap_or_default()
}

/// Says the first of some lines as errors, and then what `rest` makes of how many more there are.
pub fn few(lines: impl Iterator<Item = String>, rest: impl FnOnce(usize) -> String) {
    let lines: Vec<String> = lines.collect();
    for line in lines.iter().take(FEW) {
        tracing::error!("{line}");
    }
    if let more @ 1.. = lines.len().saturating_sub(FEW) {
        tracing::error!("{}", rest(more));
    }
}
