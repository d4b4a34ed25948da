//! Whether a registry takes pushes: an upload that is begun in a repository and given up at once.

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{CONTENT_LENGTH, HeaderValue};

use super::client::{Client, SMALL, checked};
use super::error::Error;
use super::exchange::HttpRequest;

/// What a registry answers to somebody who begins an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushing {
    /// It takes one. A pull-through cache never does.
    Taken,
    /// 405: it is a pull-through cache, or read-only for maintenance (`registry/proxy/proxyblobstore.go`,
    /// `registry/handlers/app.go @ v2.8.3`, same at v3.1.1).
    Unsupported,
    /// Nobody knows: these credentials may not push, or the answer is another.
    Unknown,
}

impl Client {
    /// Begins an upload in a repository, and gives it up at once. It is no use to ask by DELETE: 2.8 answers 405 to it by default,
    /// cache or not.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn pushing(&self, repository: &str) -> Result<Pushing, Error> {
        checked(repository, "latest")?;
        let scope = format!("repository:{repository}:pull,push");
        let mut ask =
            HttpRequest::new(Method::POST, self.url(&format!("/v2/{repository}/blobs/uploads/"))?, SMALL);
        ask.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        ask.body = Some(Bytes::new());
        let answer = self.session.send(ask, &scope).await?;
        match answer.status.as_u16() {
            405 => return Ok(Pushing::Unsupported),
            202 if !answer.is_page() => {}
            _ => return Ok(Pushing::Unknown),
        }
        // Where it goes on is told by the server; another host is not asked, and the upload is purged there after a week.
        let here = self.url("/")?;
        let to = answer.header("location").and_then(|to| here.join(to).ok());
        if let Some(to) = to.filter(|to| to.origin() == here.origin()) {
            // Best effort: what is left of an upload has no bytes.
            let _ = self.session.send(HttpRequest::new(Method::DELETE, to, SMALL), &scope).await;
        }
        Ok(Pushing::Taken)
    }
}
