//! Changes a Forgejo server: deletes one named row over REST, puts a manifest over `/v2`.

use reqwest::Method;

use super::client::Forgejo;
use super::rest::{is_no_package, rest_error};
use crate::Stop;
use crate::registry::HttpRequest;
use crate::retention::attempt::Attempt;
use crate::retention::server::{DeleteError, DeletionTime, NoAnswer, PlannedDeletion, WriteAccess, Writer};

/// How many bytes the answer to a deletion may have.
const SMALL: usize = 64 << 10;

impl WriteAccess<Forgejo> {
    async fn try_delete(&self, planned: &PlannedDeletion<'_>) -> Attempt {
        let url = match self.reader().rest_url(&["container", planned.package, planned.version]) {
            Ok(url) => url,
            Err(error) => return Attempt::Never(DeleteError::Failed(error.to_string())),
        };
        let answer = match self.reader().send(HttpRequest::new(Method::DELETE, url, SMALL)).await {
            Ok(answer) => answer,
            Err(error) => return Attempt::from_error(error),
        };
        match answer.status.as_u16() {
            204 => Attempt::Done(DeletionTime::Now),
            404 if is_no_package(&answer) => Attempt::Done(DeletionTime::Before),
            // A server whose database is locked answers 500 (`modules/setting/database.go`, busy timeout).
            _ => Attempt::from_error(rest_error(&answer)),
        }
    }
}

impl Writer for WriteAccess<Forgejo> {
    async fn delete(&self, planned: &PlannedDeletion<'_>) -> Result<DeletionTime, DeleteError> {
        let mut attempt = 0;
        loop {
            let ended = self.try_delete(planned).await.end(attempt, self.reader().http(), self.stop()).await;
            let error = match ended {
                Ok(done) => return done,
                Err(error) => error,
            };
            attempt += 1;
            // A row is deleted by its name. If somebody pushed that name again meanwhile, the new row must stay.
            match self.reader().find_row(planned.package, planned.version).await {
                Ok(None) => return Ok(DeletionTime::Now),
                Ok(Some(row)) if row.id == planned.id => {}
                Ok(Some(_)) => {
                    return Err(DeleteError::Failed("it was pushed again while it was to be deleted".into()));
                }
                Err(again) => return Err(DeleteError::Failed(format!("{error}; then {again}"))),
            }
        }
    }

    async fn put(
        &self,
        package: &str,
        reference: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<(), NoAnswer> {
        let repository = self.reader().repository(package);
        let done = self.reader().oci_client().put_manifest(&repository, reference, media_type, bytes).await;
        done.map_err(NoAnswer::from)
    }

    fn stop(&self) -> Option<&Stop> {
        Self::stop(self)
    }
}
