//! Exit statuses, as fsck(8) has them: OR-ed bits. Decided here and nowhere else.

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

/// What stops a run before it has a report.
#[derive(Debug)]
pub enum Failure {
    /// Something the user wrote cannot be used.
    Usage(anyhow::Error),
    /// Something could not be read or written.
    Io(anyhow::Error),
}

impl Failure {
    /// A path at which no registry can be opened: the storage of another product is a matter of usage, and so are several registries
    /// where one was to be named.
    pub fn of_locate(error: LocateError) -> Self {
        if matches!(error, LocateError::Foreign(..) | LocateError::Several(..)) {
            Self::Usage(error.into())
        } else {
            Self::Io(error.into())
        }
    }

    /// The exit status it leads to.
    pub const fn status(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Io(_) => INCOMPLETE,
        }
    }

    /// What happened.
    pub const fn error(&self) -> &anyhow::Error {
        match self {
            Self::Usage(error) | Self::Io(error) => error,
        }
    }
}

/// The status of a finished report.
pub fn report_status(report: &Report, fail_on: FailOn) -> u8 {
    let damage = |severity: Severity| {
        move |finding: &&registry_core::audit::Finding| {
            finding.severity <= severity && finding.code != Code::PathUnread
        }
    };
    let fails = match fail_on {
        FailOn::Error => report.findings.iter().any(|finding| damage(Severity::Error)(&finding)),
        FailOn::Warning => {
            report.summary.warnings > 0
                || report.findings.iter().any(|finding| damage(Severity::Warning)(&finding))
        }
        FailOn::New => {
            report.findings.iter().filter(damage(Severity::Error)).any(|finding| finding.new == Some(true))
        }
    };
    let incomplete = !report.unread.is_empty() || report.sources.iter().any(|source| !source.complete);
    (if fails { ERRORS } else { 0 }) | (if incomplete { INCOMPLETE } else { 0 })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_has_the_statuses_of_the_code() {
        registry_fixtures::manuals::hold_exit_statuses(env!("CARGO_PKG_NAME"), include_str!("exit.rs"));
    }
}
