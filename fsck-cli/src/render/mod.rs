//! Prints reports as text or JSON. Nothing is decided here.

mod forecast;
pub mod metrics;
mod repair;
mod text;
mod tree;

use std::io::{self, Write};

use anyhow::Context as _;
use registry_cli::args::Format;
use registry_cli::output;
use registry_core::audit::Report;
use registry_core::collector::ForecastReport;
use registry_core::repair::{PurgeReport, RepairReport, UndoReport};
use serde::Serialize;

use crate::args::Common;
use crate::exit::Failure;
use crate::hints;
use crate::verify::checked::CheckedRegistry;

/// Prints a report to standard output, as JSON or as the text that `write` writes.
fn print(
    common: &Common,
    report: &impl Serialize,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Failure> {
    output::print(common.printing, report, write).context("cannot write the report").map_err(Failure::Io)
}

/// Prints the report of `scan` or `probe`.
pub fn audited(common: &Common, report: &Report) -> Result<(), Failure> {
    print(common, report, |out| text::write(report, common, out))
}

/// Prints the report of `verify`.
pub fn verified(common: &Common, report: &Report, checked: &[CheckedRegistry]) -> Result<(), Failure> {
    print(common, report, |out| {
        if !common.quiet {
            tree::write(report, checked, out)?;
        }
        text::summary(report, out)
    })
}

/// Prints what a collector would do.
pub fn forecast(common: &Common, report: &ForecastReport) -> Result<(), Failure> {
    print(common, report, |out| forecast::write(report, common, out))
}

/// Prints what `repair` did, or would do.
pub fn repaired(common: &Common, report: RepairReport) -> Result<(), Failure> {
    // The text is written from the reasons, with its hints; JSON has the reasons as texts.
    let report = match common.printing.output {
        Format::Json => hints::add_hints(report),
        Format::Text => report,
    };
    print(common, &report, |out| repair::write(&report, common, out))
}

/// Prints what `undo` did.
pub fn undone(common: &Common, report: &UndoReport) -> Result<(), Failure> {
    print(common, report, |out| repair::write_undone(report, common, out))
}

/// Prints what `repair --purge` did, or would do.
pub fn purged(common: &Common, report: &PurgeReport) -> Result<(), Failure> {
    print(common, report, |out| repair::write_purged(report, out))
}
