//! The result of one attempt at a deletion on a server, and whether another attempt follows.

use super::server::{DeleteError, DeletionTime};
use crate::Stop;
use crate::registry::{Error, Http, is_transient_status};

/// The result of one attempt at a deletion.
pub(crate) enum Attempt {
    Done(DeletionTime),
    /// Another attempt would fail in the same way.
    Never(DeleteError),
    /// Whether the server deleted it is unknown; another attempt may help.
    Open(Error),
}

impl Attempt {
    /// The result of a deletion that was sent and answered with an error.
    pub(crate) fn from_error(error: Error) -> Self {
        match error {
            Error::Refused { .. } => Self::Never(DeleteError::Forbidden(error.to_string())),
            Error::Status { status, .. } if is_transient_status(status) => Self::Open(error),
            _ if error.is_transient() => Self::Open(error),
            _ => Self::Never(DeleteError::Failed(error.to_string())),
        }
    }

    /// The end of the deletion, after `number` earlier attempts. An error, returned after a pause, means: try again.
    pub(crate) async fn end(
        self,
        number: u32,
        http: &Http,
        stop: Option<&Stop>,
    ) -> Result<Result<DeletionTime, DeleteError>, Error> {
        let error = match self {
            // An earlier attempt, whose answer was lost, may have deleted it.
            Self::Done(DeletionTime::Before) if number > 0 => return Ok(Ok(DeletionTime::Now)),
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
