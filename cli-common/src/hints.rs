//! Adds to errors of the library the option that helps, for options that all programs have. The library says what is wrong; it
//! knows no options.

use registry_core::registry::Error;
use registry_core::repair::WhyFailed;
use registry_core::retention::NoAnswer;
use registry_core::tree_writer::{LockError, PlaceError};

/// The hint for a run that gave up on its servers.
pub const GAVE_UP: &str = " (--give-up-after says after how long)";

/// The text to append to an error that an option solves.
pub fn option_hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        let error = match cause.downcast_ref::<NoAnswer>() {
            Some(NoAnswer::Registry(error)) => Some(error),
            _ => cause.downcast_ref(),
        };
        error.and_then(registry_hint)
    })
}

/// Why a step of a repair failed, with the option that helps.
pub fn step_failure(why: &WhyFailed) -> String {
    match why {
        WhyFailed::Quarantine { .. } | WhyFailed::OtherDevice { .. } => format!("{why} with --quarantine"),
        other => other.to_string(),
    }
}

/// Why the lock of a tree cannot be taken, with the option that helps.
pub fn lock_failure(error: &LockError) -> String {
    match error {
        LockError::Unsupported(..) => format!("{error} with --no-lock"),
        other => other.to_string(),
    }
}

/// Explains why no folder for a quarantine was found, with the option that helps.
pub fn quarantine_failure(error: &PlaceError) -> String {
    match error {
        PlaceError::NoRoot => format!("{error} with --quarantine"),
        other => other.to_string(),
    }
}

fn registry_hint(error: &Error) -> Option<String> {
    match error {
        Error::TokenService { service, .. } => Some(format!(": --token-service {service}")),
        Error::NoOwner { .. } => Some("; --owner names a user or an organisation as its page does".into()),
        Error::NoForgejo { .. } => Some("; name it with --registry".into()),
        Error::GaveUp { .. } => Some(GAVE_UP.into()),
        _ => None,
    }
}
