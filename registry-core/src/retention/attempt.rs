//! What one attempt at a deletion on a server led to.

use super::server::{DeleteError, Deleted};
use crate::registry::{Error, is_passing};

/// What one attempt at a deletion led to.
pub(crate) enum Attempt {
    Done(Deleted),
    Never(DeleteError),
    /// Nobody knows; it may help to try again.
    Open(Error),
}

impl Attempt {
    /// What an error of a deletion that was sent means.
    pub(crate) fn of(error: Error) -> Self {
        match error {
            Error::Refused { .. } => Self::Never(DeleteError::Forbidden(error.to_string())),
            Error::Status { status, .. } if is_passing(status) => Self::Open(error),
            _ if error.is_transient() => Self::Open(error),
            _ => Self::Never(DeleteError::Failed(error.to_string())),
        }
    }
}
