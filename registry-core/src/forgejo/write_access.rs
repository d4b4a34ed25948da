//! A Forgejo server that may be changed: one named row deleted over REST, a manifest put over `/v2`.

use reqwest::Method;

use super::client::Forgejo;
use super::rest::{is_no_package, rest};
use crate::Stop;
use crate::registry::HttpRequest;
use crate::retention::attempt::Attempt;
use crate::retention::server::{DeleteError, Deletion, PlannedDeletion, Unanswered, WriteAccess, Writer};

/// Most bytes of the answer to a deletion.
const SMALL: usize = 64 << 10;

impl WriteAccess<Forgejo> {
    async fn attempt(&self, doomed: &PlannedDeletion<'_>) -> Attempt {
        let url = match self.reader().rest_url(&["container", doomed.package, doomed.version]) {
            Ok(url) => url,
            Err(error) => return Attempt::Never(DeleteError::Failed(error.to_string())),
        };
        let answer = match self.reader().ask(HttpRequest::new(Method::DELETE, url, SMALL)).await {
            Ok(answer) => answer,
            Err(error) => return Attempt::from_error(error),
        };
        match answer.status.as_u16() {
            204 => Attempt::Done(Deletion::Now),
            404 if is_no_package(&answer) => Attempt::Done(Deletion::Before),
            // A server whose database is locked says 500 (`modules/setting/database.go`, busy timeout).
            _ => Attempt::from_error(rest(&answer)),
        }
    }
}

impl Writer for WriteAccess<Forgejo> {
    async fn delete(&self, doomed: &PlannedDeletion<'_>) -> Result<Deletion, DeleteError> {
        let mut attempt = 0;
        loop {
            let ended = self.attempt(doomed).await.end(attempt, self.reader().http(), self.stop()).await;
            let error = match ended {
                Ok(done) => return done,
                Err(error) => error,
            };
            attempt += 1;
            // Names are all that can be deleted: whoever pushed in between must not lose the new row.
            match self.reader().version_of(doomed.package, doomed.version).await {
                Ok(None) => return Ok(Deletion::Now),
                Ok(Some(now)) if now.id == doomed.id => {}
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
    ) -> Result<(), Unanswered> {
        let repository = self.reader().repository(package);
        let done = self.reader().client().put_manifest(&repository, reference, media_type, bytes).await;
        done.map_err(Unanswered::from)
    }

    fn stop(&self) -> Option<&Stop> {
        Self::stop(self)
    }
}
