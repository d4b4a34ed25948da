//! Exit statuses, and which one wins. Decided here and nowhere else.

use registry_core::retention::Plan;

use crate::args::{Answer, FailOn};

/// Done, or nothing to do.
pub const DONE: u8 = 0;
/// An operation failed.
pub const FAILED: u8 = 1;
/// Usage or configuration refused.
pub const REFUSED: u8 = 2;
/// Changes are pending.
pub const PENDING: u8 = 3;
/// Packages were skipped, or a broken image was met and is to fail.
pub const SKIPPED: u8 = 4;
/// A guard refused.
pub const GUARD: u8 = 7;

/// What stops a verb before it has an answer.
#[derive(Debug)]
pub enum Failure {
    /// Something that was asked for cannot be used.
    Usage(anyhow::Error),
    /// Something could not be read or written.
    Io(anyhow::Error),
}

impl Failure {
    /// The exit status it leads to.
    pub const fn status(&self) -> u8 {
        match self {
            Self::Usage(_) => REFUSED,
            Self::Io(_) => FAILED,
        }
    }

    /// What happened.
    pub const fn error(&self) -> &anyhow::Error {
        match self {
            Self::Usage(error) | Self::Io(error) => error,
        }
    }
}

/// The status of a plan: the most serious of what it says.
pub fn of_plan(plan: &Plan, answer: &Answer) -> u8 {
    let summary = &plan.summary;
    let fails_on_broken = matches!(answer.fail_on, Some(FailOn::Broken)) && summary.broken > 0;
    if summary.refused_packages > 0 {
        GUARD
    } else if summary.skipped_packages > 0 || fails_on_broken {
        SKIPPED
    } else if answer.detailed_exitcode && summary.versions_deleted > 0 {
        PENDING
    } else {
        DONE
    }
}
