//! A report in the form that was asked for. Nothing is decided here.

mod forecast;
pub mod metrics;
mod repair;
mod styles;
mod text;
mod tree;

use std::io::{self, BufWriter, Write};

use anstream::{AutoStream, ColorChoice};
use registry_core::audit::Report;

use crate::args::{Common, Output, When};
use crate::verify::checked::Checked;

/// Prints a report to standard output. A reader that went away is no error: `registry-fsck … | head` is fine.
///
/// # Errors
/// When it cannot be written for another reason.
pub fn print(common: &Common, report: &Report) -> io::Result<()> {
    printed(common, report, |out| text::write(report, common, out))
}

/// Prints what `verify` looked at.
///
/// # Errors
/// As [`print()`].
pub fn verified(common: &Common, report: &Report, checked: &[Checked]) -> io::Result<()> {
    printed(common, report, |out| {
        if !common.quiet {
            tree::write(report, checked, out)?;
        }
        text::summary(report, out)
    })
}

/// Prints what a collector would do.
///
/// # Errors
/// As [`print()`].
pub fn forecast(common: &Common, report: &registry_core::collector::Report) -> io::Result<()> {
    printed(common, report, |out| forecast::write(report, common, out))
}

/// Prints what `repair` did, or would do.
///
/// # Errors
/// As [`print()`].
pub fn repaired(common: &Common, report: &registry_core::repair::Report) -> io::Result<()> {
    printed(common, report, |out| repair::write(report, common, out))
}

/// Prints what `undo` did.
///
/// # Errors
/// As [`print()`].
pub fn undone(common: &Common, report: &registry_core::repair::UndoReport) -> io::Result<()> {
    printed(common, report, |out| repair::undone(report, common, out))
}

/// Prints what `repair --purge` did, or would do.
///
/// # Errors
/// As [`print()`].
pub fn purged(common: &Common, report: &registry_core::repair::PurgeReport) -> io::Result<()> {
    printed(common, report, |out| repair::purged(report, out))
}

fn printed(
    common: &Common,
    report: &impl serde::Serialize,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let choice = match common.color {
        When::Auto => AutoStream::choice(&io::stdout()),
        When::Always => ColorChoice::Always,
        When::Never => ColorChoice::Never,
    };
    let mut out = BufWriter::with_capacity(64 << 10, AutoStream::new(io::stdout(), choice));
    let printed = match common.output {
        Output::Json => registry_core::printable::write(report, &mut out),
        Output::Text => write(&mut out),
    };
    match printed.and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
