//! Exit statuses, and which one wins. Decided here and nowhere else.

use registry_core::registry::Error;
use registry_core::retention::{Applied, Plan, RowOutcome, Stopped, Unanswered};

pub use registry_cli::exit::INTERRUPTED;

use crate::args::{ExitOptions, FailOn};

/// Done, or nothing to do.
pub const DONE: u8 = 0;
/// An operation failed.
pub const FAILED: u8 = 1;
/// Usage or configuration refused.
pub const REFUSED: u8 = 2;
/// Changes are pending (with `--detailed-exitcode`).
pub const PENDING: u8 = 3;
/// Packages were skipped, or a broken image was met with `--fail-on broken`.
pub const SKIPPED: u8 = 4;
/// Something moved, or a kept image got worse.
pub const MOVED: u8 = 5;
/// The token may not delete, or the server takes no deletion.
pub const FORBIDDEN: u8 = 6;
/// A guard refused.
pub const GUARD: u8 = 7;

/// What stops a verb before it has an answer.
#[derive(Debug)]
pub enum Failure {
    /// Something that was asked for cannot be used.
    Usage(anyhow::Error),
    /// Something could not be read or written.
    Io(anyhow::Error),
    /// The credentials may not delete.
    Forbidden(anyhow::Error),
    /// The run gave up on a server before there was anything to act on.
    GaveUp(anyhow::Error),
    /// A guard refused the whole source.
    Guard(anyhow::Error),
}

impl Failure {
    /// A server that cannot be opened: a wrong address is a matter of usage, silence is a failure.
    pub fn of_server(error: Error) -> Self {
        match &error {
            Error::Address { .. }
            | Error::Name(_)
            | Error::Malformed { .. }
            | Error::NoOwner { .. }
            | Error::NoForgejo { .. }
            | Error::TokenService { .. } => Self::Usage(error.into()),
            Error::GaveUp { .. } => Self::GaveUp(error.into()),
            // Whoever may not even read may not delete.
            Error::Refused { .. } => Self::Forbidden(error.into()),
            _ => Self::Io(error.into()),
        }
    }

    /// A server that was opened, and does not tell what there is.
    pub fn of_list(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Registry(error @ Error::NoOwner { .. }) => Self::Usage(error.into()),
            Unanswered::Registry(error @ Error::Refused { .. }) => Self::Forbidden(error.into()),
            Unanswered::Registry(error @ Error::GaveUp { .. }) => Self::GaveUp(error.into()),
            other => Self::Io(other.into()),
        }
    }

    /// The same met by a verb that does not plan: no package was skipped, an operation failed.
    #[must_use]
    pub fn of_operation(self) -> Self {
        if let Self::GaveUp(error) = self { Self::Io(error) } else { self }
    }

    /// The exit status it leads to.
    pub const fn status(&self) -> u8 {
        match self {
            Self::Usage(_) => REFUSED,
            Self::Io(_) => FAILED,
            Self::Forbidden(_) => FORBIDDEN,
            Self::GaveUp(_) => SKIPPED,
            Self::Guard(_) => GUARD,
        }
    }

    /// What happened.
    pub const fn error(&self) -> &anyhow::Error {
        match self {
            Self::Usage(error)
            | Self::Io(error)
            | Self::Forbidden(error)
            | Self::GaveUp(error)
            | Self::Guard(error) => error,
        }
    }
}

/// What happened over all owners; the most serious decides.
#[derive(Debug, Default)]
pub struct Tally(Vec<u8>);

/// The more serious first. What was refused stands alone, unless it was so for one owner of several.
const ORDER: [u8; 7] = [MOVED, FORBIDDEN, GUARD, FAILED, REFUSED, SKIPPED, PENDING];

impl Tally {
    /// Counts what went wrong before there was an answer.
    pub fn failed(&mut self, failure: &Failure) {
        self.0.push(failure.status());
    }

    /// Counts a guard over all owners that refused.
    pub fn refused(&mut self) {
        self.0.push(GUARD);
    }

    /// Counts what a plan says. What is done at once is not pending.
    pub fn plan(&mut self, plan: &Plan, answer: &ExitOptions, is_armed: bool) {
        let summary = &plan.summary;
        let fails_on_broken = matches!(answer.fail_on, Some(FailOn::Broken)) && summary.broken > 0;
        if summary.refused_packages > 0 {
            self.0.push(GUARD);
        }
        if summary.skipped_packages > 0 || fails_on_broken {
            self.0.push(SKIPPED);
        }
        if answer.detailed_exitcode && !is_armed && summary.versions_deleted > 0 {
            self.0.push(PENDING);
        }
    }

    /// Counts what an apply did.
    pub fn applied(&mut self, applied: &Applied) {
        match &applied.stopped {
            Some(Stopped::Forbidden(_)) => self.0.push(FORBIDDEN),
            Some(Stopped::Worse(_)) => self.0.push(MOVED),
            Some(Stopped::Unread(_) | Stopped::GaveUp(_)) => self.0.push(FAILED),
            Some(Stopped::Journal(_) | Stopped::Halted(_) | Stopped::Interrupted(_)) => {
                self.0.push(FAILED);
            }
            // Without it, only what moved stops a package.
            None if applied.count(RowOutcome::Stopped) > 0 => self.0.push(MOVED),
            None => {}
        }
        if applied.count(RowOutcome::Spared) > 0 {
            self.0.push(MOVED);
        }
        if applied.count(RowOutcome::Failed) > 0 {
            self.0.push(FAILED);
        }
    }

    /// The status.
    pub fn status(&self) -> u8 {
        ORDER.into_iter().find(|status| self.0.contains(status)).unwrap_or(DONE)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_has_the_statuses_of_the_code() {
        registry_fixtures::manuals::hold_exit_statuses(env!("CARGO_PKG_NAME"), include_str!("exit.rs"));
    }

    #[test]
    fn the_page_has_the_order_of_the_code() {
        let order = super::ORDER.map(|status| status.to_string()).join(", ");
        let page = registry_fixtures::manuals::text("docs/exit-statuses.md");
        assert!(page.contains(&format!("The most serious wins, over all owners too: {order}.")), "{order}");
    }
}
