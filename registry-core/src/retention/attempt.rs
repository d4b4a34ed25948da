//! What one attempt at a deletion on a server led to.

use super::server::{DeleteError, Deletion};
use crate::Stop;
use crate::registry::{Error, Http, is_passing};

/// What one attempt at a deletion led to.
pub(crate) enum Attempt {
    Done(Deletion),
    Never(DeleteError),
    /// Nobody knows; it may help to try again.
    Open(Error),
}

impl Attempt {
    /// What an error of a deletion that was sent means.
    pub(crate) fn from_error(error: Error) -> Self {
        match error {
            Error::Refused { .. } => Self::Never(DeleteError::Forbidden(error.to_string())),
            Error::Status { status, .. } if is_passing(status) => Self::Open(error),
            _ if error.is_transient() => Self::Open(error),
            _ => Self::Never(DeleteError::Failed(error.to_string())),
        }
    }

    /// How the deletion ended with this attempt, the earlier ones being `number`; or, after a pause, why it may be tried again.
    pub(crate) async fn end(
        self,
        number: u32,
        http: &Http,
        stop: Option<&Stop>,
    ) -> Result<Result<Deletion, DeleteError>, Error> {
        let error = match self {
            // An answer to an earlier attempt may have been lost, and that attempt have done it.
            Self::Done(Deletion::Before) if number > 0 => return Ok(Ok(Deletion::Now)),
            Self::Done(deleted) => return Ok(Ok(deleted)),
            Self::Never(error) => return Ok(Err(error)),
            Self::Open(error) => error,
        };
        if number >= http.retries() || stop.is_some_and(Stop::is_stopped) {
            return Ok(Err(DeleteError::Failed(error.to_string())));
        }
        http.pause(number).await;
        Err(error)
    }
}
