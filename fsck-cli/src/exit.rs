//! Exit statuses: OR-ed bits, as in fsck(8), and the failures that end a run without a report.

use registry_core::audit::{Code, Report, Severity};
use registry_core::storage::LocateError;

pub use registry_cli::exit::INTERRUPTED;

use crate::args::FailOn;

/// Nothing wrong; warnings and garbage may be there.
pub const NOTHING_WRONG: u8 = 0;
/// Errors were repaired.
pub const REPAIRED: u8 = 1;
/// Errors remain.
pub const ERRORS: u8 = 4;
/// Not everything could be looked at or written.
pub const INCOMPLETE: u8 = 8;
/// The command line or a file named on it is unusable.
pub const USAGE: u8 = 16;

/// An error that ends a run before it has a report.
#[derive(Debug)]
pub enum Failure {
    /// Something that the user named cannot be used.
    Usage(anyhow::Error),
    /// Something could not be read or written.
    Io(anyhow::Error),
}

impl Failure {
    /// For a path at which no registry can be opened. The storage of another product, or several registries instead of one, is a
    /// usage error.
    pub fn from_locate(error: LocateError) -> Self {
        if matches!(error, LocateError::Foreign(..) | LocateError::Several(..)) {
            Self::Usage(error.into())
        } else {
            Self::Io(error.into())
        }
    }

    /// The exit status of this failure, and the error itself.
    pub const fn status_and_error(&self) -> (u8, &anyhow::Error) {
        match self {
            Self::Usage(error) => (USAGE, error),
            Self::Io(error) => (INCOMPLETE, error),
        }
    }
}

/// The exit status of a finished report.
pub fn report_status(report: &Report, fail_on: FailOn) -> u8 {
    // An unread path is not damage: it makes the run incomplete.
    let damage = |severity: Severity| {
        let findings = report.findings.iter().filter(|finding| finding.code != Code::PathUnread);
        findings.filter(move |finding| finding.severity <= severity)
    };
    let is_failed = match fail_on {
        FailOn::Error => damage(Severity::Error).next().is_some(),
        FailOn::Warning => report.summary.warnings > 0 || damage(Severity::Warning).next().is_some(),
        FailOn::New => damage(Severity::Error).any(|finding| finding.new == Some(true)),
    };
    let is_incomplete = !report.unread.is_empty()
        || report.sources.iter().any(|source| !source.complete)
        || report.options.online.is_some() && report.summary.unknown_tags > 0;
    errors_or_incomplete(is_failed, is_incomplete)
}

/// The exit status for remaining errors, and for something that could not be read.
pub const fn errors_or_incomplete(has_errors: bool, is_incomplete: bool) -> u8 {
    (if has_errors { ERRORS } else { 0 }) | (if is_incomplete { INCOMPLETE } else { 0 })
}

#[cfg(test)]
mod tests {
    #[test]
    fn page_lists_exit_statuses() {
        registry_fixtures::manuals::hold_exit_statuses(env!("CARGO_PKG_NAME"), include_str!("exit.rs"));
    }
}
