//! What the library refuses, with the option that helps and the exit status. The library says what is wrong and knows neither.

use anyhow::anyhow;
use registry_core::tree_writer::{LockError, PlaceError, WriteRefusal};

use crate::exit::Failure;

/// A tree that is not changed at all.
pub fn refused(refusal: WriteRefusal) -> Failure {
    match refusal {
        WriteRefusal::Server(server) => Failure::Io(anyhow!(
            "{} (process {}) is at work on this tree, and may be sent what relies on the repair: stop it, or say --online",
            server.program,
            server.pid
        )),
        WriteRefusal::Lock(error @ LockError::Unsupported(..)) => {
            Failure::Io(anyhow!("{error} with --no-lock"))
        }
        WriteRefusal::Quarantine(error) => no_place(error),
        WriteRefusal::JournalInside(_) => Failure::Usage(anyhow!("{refusal} with --journal")),
        other => Failure::Io(other.into()),
    }
}

/// A quarantine that has no place.
pub fn no_place(error: PlaceError) -> Failure {
    Failure::Usage(match error {
        PlaceError::NoRoot => anyhow!("{error} with --quarantine"),
        _ => error.into(),
    })
}
