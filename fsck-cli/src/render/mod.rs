//! A report in the form that was asked for. Nothing is decided here.

mod forecast;
pub mod metrics;
mod repair;
mod text;
mod tree;

use std::io;

use registry_cli::output;
use registry_core::audit::Report;

use crate::args::Common;
use crate::verify::checked::Checked;

/// Prints a report to standard output. A reader that went away is no error: `registry-fsck … | head` is fine.
///
/// # Errors
/// When it cannot be written for another reason.
pub fn print(common: &Common, report: &Report) -> io::Result<()> {
    output::print(common.printing, report, |out| text::write(report, common, out))
}

/// Prints what `verify` looked at.
///
/// # Errors
/// As [`print()`].
pub fn verified(common: &Common, report: &Report, checked: &[Checked]) -> io::Result<()> {
    output::print(common.printing, report, |out| {
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
pub fn forecast(common: &Common, report: &registry_core::collector::ForecastReport) -> io::Result<()> {
    output::print(common.printing, report, |out| forecast::write(report, common, out))
}

/// Prints what `repair` did, or would do.
///
/// # Errors
/// As [`print()`].
pub fn repaired(common: &Common, report: &registry_core::repair::RepairReport) -> io::Result<()> {
    output::print(common.printing, report, |out| repair::write(report, common, out))
}

/// Prints what `undo` did.
///
/// # Errors
/// As [`print()`].
pub fn undone(common: &Common, report: &registry_core::repair::UndoReport) -> io::Result<()> {
    output::print(common.printing, report, |out| repair::undone(report, common, out))
}

/// Prints what `repair --purge` did, or would do.
///
/// # Errors
/// As [`print()`].
pub fn purged(common: &Common, report: &registry_core::repair::PurgeReport) -> io::Result<()> {
    output::print(common.printing, report, |out| repair::purged(report, out))
}
