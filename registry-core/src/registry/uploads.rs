//! Finds out whether a registry takes pushes, with an upload that is begun and cancelled at once.

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{CONTENT_LENGTH, HeaderValue};

use super::client::{Client, SMALL_ANSWER, check_reference};
use super::error::Error;
use super::exchange::HttpRequest;

/// Whether a registry takes pushes, by its answer to the begin of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushSupport {
    /// It does. A pull-through cache never does.
    Taken,
    /// 405: it is a pull-through cache, or read-only for maintenance (`registry/proxy/proxyblobstore.go`,
    /// `registry/handlers/app.go @ v2.8.3`, same at v3.1.1).
    Unsupported,
    /// It is not known: these credentials may not push, or the answer is another one.
    Unknown,
}

impl Client {
    /// Begins an upload and cancels it at once. A DELETE would not tell: by default 2.8 answers it with 405, cache or not.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn push_support(&self, repository: &str) -> Result<PushSupport, Error> {
        check_reference(repository, "latest")?;
        let scope = format!("repository:{repository}:pull,push");
        let mut request = HttpRequest::new(
            Method::POST,
            self.url(&format!("/v2/{repository}/blobs/uploads/"))?,
            SMALL_ANSWER,
        );
        request.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        request.body = Some(Bytes::new());
        let answer = self.session.send(request, &scope).await?;
        match answer.status.as_u16() {
            405 => return Ok(PushSupport::Unsupported),
            202 if !answer.is_page() => {}
            _ => return Ok(PushSupport::Unknown),
        }
        // The server gives the address of the upload. On another host it is not cancelled; the server purges it after a week.
        let root = self.url("/")?;
        let upload = answer.header("location").and_then(|to| root.join(to).ok());
        if let Some(upload) = upload.filter(|upload| upload.origin() == root.origin()) {
            // Best effort: an upload that stays has no bytes.
            let _ = self.session.send(HttpRequest::new(Method::DELETE, upload, SMALL_ANSWER), &scope).await;
        }
        Ok(PushSupport::Taken)
    }
}
