//! Which option helps, where it is the same one in every program: when a registry cannot be used, or a tree not be changed. The
//! library says what is wrong, and knows no options.

use registry_core::registry::Error;
use registry_core::repair::WhyFailed;
use registry_core::retention::Unanswered;
use registry_core::tree_writer::{LockError, PlaceError};

/// What to add where a run gave up on its servers.
pub const GAVE_UP: &str = " (--give-up-after says after how long)";

/// What to add to an error, the option that helps in it, as its end; nothing where no option does.
pub fn option_hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        let error = match cause.downcast_ref::<Unanswered>() {
            Some(Unanswered::Registry(error)) => Some(error),
            _ => cause.downcast_ref(),
        };
        error.and_then(of_registry)
    })
}

/// Why a step could not be done, and what helps.
pub fn failed(why: &WhyFailed) -> String {
    match why {
        WhyFailed::Quarantine { .. } | WhyFailed::OtherDevice { .. } => format!("{why} with --quarantine"),
        other => other.to_string(),
    }
}

/// Why a lock cannot be had, and what helps.
pub fn unlocked(error: &LockError) -> String {
    match error {
        LockError::Unsupported(..) => format!("{error} with --no-lock"),
        other => other.to_string(),
    }
}

/// Why a quarantine has no place, and what helps.
pub fn without_place(error: &PlaceError) -> String {
    match error {
        PlaceError::NoRoot => format!("{error} with --quarantine"),
        other => other.to_string(),
    }
}

fn of_registry(error: &Error) -> Option<String> {
    match error {
        Error::TokenService { service, .. } => Some(format!(": --token-service {service}")),
        Error::NoOwner { .. } => Some("; --owner names a user or an organisation as its page does".into()),
        Error::NoForgejo { .. } => Some("; name it with --registry".into()),
        Error::GaveUp { .. } => Some(GAVE_UP.into()),
        _ => None,
    }
}
