//! Which option helps when a registry cannot be used. The library says what is wrong, and knows no options.

use registry_core::registry::Error;
use registry_core::retention::Unanswered;

/// What to add where a run gave up on its servers.
pub const GAVE_UP: &str = " (--give-up-after says after how long)";

/// What to add to an error, the option that helps in it, as its end; nothing where no option does.
pub fn of(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        let error = match cause.downcast_ref::<Unanswered>() {
            Some(Unanswered::Registry(error)) => Some(error),
            _ => cause.downcast_ref(),
        };
        error.and_then(of_registry)
    })
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
