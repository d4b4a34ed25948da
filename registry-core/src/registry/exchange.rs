//! One request and its answer. How they are sent and awaited is not here.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use tokio::sync::mpsc::Sender;
use url::Url;

use super::error::{Error, is_passing, quote};
use super::secret;
use crate::oci::{Algorithm, Digest};

/// Longest wait that a server may ask for; one that asks for more is not waited for.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(300);

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct HttpRequest {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    /// Most bytes of the answer.
    pub(crate) most: usize,
    /// Whether it may be sent again when nobody knows what became of it.
    pub(crate) repeat: bool,
    /// With this the body of a 200 is hashed as it comes instead of kept. The deadline is one for each piece, and a body
    /// whose length is told and above `most` is not read at all.
    pub(crate) hash: Option<Algorithm>,
    /// Where the pieces of a hashed body go; whoever gives one does not want the request repeated.
    pub(crate) sink: Option<Sender<Bytes>>,
    /// A secret in the body, as a header would hold it, so that no message spells it.
    pub(crate) secret: Option<HeaderValue>,
    /// With this the body of a 200 is not read: the connection ends after the headers.
    pub(crate) headers_only: bool,
}

impl HttpRequest {
    /// A request without a body that is safe to repeat.
    pub(crate) fn new(method: Method, url: Url, most: usize) -> Self {
        let repeat = matches!(method, Method::GET | Method::HEAD);
        let (headers, body, hash, sink) = (HeaderMap::new(), None, None, None);
        Self { method, url, headers, body, most, repeat, hash, sink, secret: None, headers_only: false }
    }

    /// Method and path, for messages.
    pub(crate) fn method_and_path(&self) -> String {
        format!("{} {}", self.method, crate::text::without_controls(self.url.path()))
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct HttpResponse {
    pub(crate) what: String,
    pub(crate) method: Method,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// What the body hashes to, and its size in bytes, where it was hashed instead of kept.
    pub(crate) hashed: Option<(Digest, u64)>,
    /// Whether it came from where the server first asked led to.
    pub(super) is_redirected: bool,
    /// What it was asked with, so that no message spells it.
    pub(super) authorization: Option<HeaderValue>,
}

impl HttpResponse {
    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The size of the whole body as it is told, in bytes.
    pub(crate) fn told_size(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    /// The size of the whole, in bytes, as an answer about a part of it tells (RFC 9110, 14.4).
    pub(crate) fn told_whole(&self) -> Option<u64> {
        self.header("content-range")?.trim().strip_prefix("bytes")?.rsplit_once('/')?.1.trim().parse().ok()
    }

    /// Whether this is a web page: a login in front of the server, or another one.
    pub(crate) fn is_page(&self) -> bool {
        self.header("content-type")
            .is_some_and(|given| given.trim_start().to_ascii_lowercase().starts_with("text/html"))
    }

    /// A web page where something else was asked for, as an error.
    pub(crate) fn page(&self) -> Error {
        let why = "a web page came instead: a login page, or another server".into();
        Error::Malformed { what: self.what.clone(), why }
    }

    /// Whether a GET may be answered otherwise than this answer to a HEAD: a HEAD has no body in which a registry could say
    /// that it is itself who has nothing (https://github.com/distribution/distribution/issues/1911), some servers and
    /// proxies take none (https://github.com/merll/docker-registry-util/issues/3), and an address that is signed for a GET
    /// of a storage is no address for a HEAD.
    pub(super) fn says_less_than_get(&self) -> bool {
        self.method == Method::HEAD
            && match self.status.as_u16() {
                404 | 405 | 501 => true,
                403 => self.is_redirected,
                _ => false,
            }
    }

    /// Whether the body says that it is JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.header("content-type").is_some_and(|given| given.to_ascii_lowercase().contains("json"))
    }

    /// The body as a value.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let text = secret::out_of(&self.body, self.authorization.as_ref());
            let start = quote(&text.chars().take(60).collect::<String>());
            let why = if start.trim_start().starts_with('<') {
                "a web page came instead of JSON: a login page, or another server".to_owned()
            } else {
                format!("not the JSON of this API ({error}); it begins with {start:?}")
            };
            Error::Malformed { what: self.what.clone(), why }
        })
    }

    /// A status that says nothing about the thing asked for, as an error.
    pub(crate) fn error(&self) -> Error {
        let (what, status) = (self.what.clone(), self.status.as_u16());
        if matches!(status, 401 | 403) {
            let why = "these credentials do not suffice, or none were given".into();
            return Error::Refused { what, status, why };
        }
        let mut message = quote(&String::from_utf8_lossy(&self.body[..self.body.len().min(4096)]));
        if self.status.is_redirection() {
            let to = self.header("location").map(quote).unwrap_or_default();
            message = format!("it leads to {to:?}, which is not followed");
        } else if message.starts_with('<') {
            message = "with a web page".into();
        } else if let Some(wait) = self.wait().filter(|wait| *wait > MAX_WAIT) {
            message = format!("it asks to wait {} s", wait.as_secs());
        }
        Error::Status { what, status, message }
    }

    /// How long the server asks to wait.
    pub(super) fn wait(&self) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let until = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        let seconds = until.as_second() - jiff::Timestamp::now().as_second();
        Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    }

    /// Whether the same request may be answered otherwise later.
    pub(super) const fn is_passing(&self) -> bool {
        is_passing(self.status.as_u16())
    }
}
