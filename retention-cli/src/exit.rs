//! Exit statuses, their order, and the failures that end a verb without a result.

use registry_core::registry::Error;
use registry_core::retention::{ApplyResult, NoAnswer, Plan, RowOutcome, Stopped};

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

/// An error that ends a verb before it has a result.
#[derive(Debug)]
pub enum Failure {
    /// Something that the user named cannot be used.
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
    /// For a server that cannot be opened. A wrong address is a usage error; no answer is a failure.
    pub fn from_server(error: Error) -> Self {
        match &error {
            Error::Address { .. }
            | Error::Name(_)
            | Error::Malformed { .. }
            | Error::NoOwner { .. }
            | Error::NoForgejo { .. }
            | Error::TokenService { .. } => Self::Usage(error.into()),
            Error::GaveUp { .. } => Self::GaveUp(error.into()),
            // Credentials that may not read may not delete either.
            Error::Refused { .. } => Self::Forbidden(error.into()),
            _ => Self::Io(error.into()),
        }
    }

    /// For a server that was opened, but whose list cannot be read.
    pub fn from_list(unanswered: NoAnswer) -> Self {
        match unanswered {
            NoAnswer::Registry(error @ Error::NoOwner { .. }) => Self::Usage(error.into()),
            NoAnswer::Registry(error @ Error::Refused { .. }) => Self::Forbidden(error.into()),
            NoAnswer::Registry(error @ Error::GaveUp { .. }) => Self::GaveUp(error.into()),
            other => Self::Io(other.into()),
        }
    }

    /// The same failure in a verb that does not plan: giving up skips no package there, but fails the operation.
    #[must_use]
    pub fn without_plan(self) -> Self {
        if let Self::GaveUp(error) = self { Self::Io(error) } else { self }
    }

    /// The exit status of this failure.
    pub const fn status(&self) -> u8 {
        match self {
            Self::Usage(_) => REFUSED,
            Self::Io(_) => FAILED,
            Self::Forbidden(_) => FORBIDDEN,
            Self::GaveUp(_) => SKIPPED,
            Self::Guard(_) => GUARD,
        }
    }

    /// The error itself.
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

/// The exit statuses of all owners; the most serious one counts.
#[derive(Debug, Default)]
pub struct Tally(Vec<u8>);

/// The statuses, most serious first. REFUSED occurs with others only if one of several owners was refused.
const ORDER: [u8; 7] = [MOVED, FORBIDDEN, GUARD, FAILED, REFUSED, SKIPPED, PENDING];

impl Tally {
    /// Counts a failure.
    pub fn add_failure(&mut self, failure: &Failure) {
        self.0.push(failure.status());
    }

    /// Counts the refusal of a guard over all owners.
    pub fn add_guard(&mut self) {
        self.0.push(GUARD);
    }

    /// Counts the result of a plan. In an armed run, its changes are not pending.
    pub fn add_plan(&mut self, plan: &Plan, answer: &ExitOptions, is_armed: bool) {
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

    /// Counts the result of an apply.
    pub fn add_applied(&mut self, applied: &ApplyResult) {
        match &applied.stopped {
            Some(Stopped::Forbidden(_)) => self.0.push(FORBIDDEN),
            Some(Stopped::Worse(_)) => self.0.push(MOVED),
            Some(Stopped::Unread(_) | Stopped::GaveUp(_)) => self.0.push(FAILED),
            Some(Stopped::Journal(_) | Stopped::Halted(_) | Stopped::Interrupted(_)) => self.0.push(FAILED),
            // If the run itself did not stop, a package stops only because something in it moved.
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

    /// The most serious status.
    pub fn status(&self) -> u8 {
        ORDER.into_iter().find(|status| self.0.contains(status)).unwrap_or(DONE)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn page_lists_exit_statuses() {
        registry_fixtures::manuals::hold_exit_statuses(env!("CARGO_PKG_NAME"), include_str!("exit.rs"));
    }

    #[test]
    fn page_gives_order_of_exit_statuses() {
        let order = super::ORDER.map(|status| status.to_string()).join(", ");
        let page = registry_fixtures::manuals::text("docs/exit-statuses.md");
        assert!(page.contains(&format!("The most serious wins, over all owners too: {order}.")), "{order}");
    }
}
