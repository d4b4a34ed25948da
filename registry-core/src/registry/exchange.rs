//! One request and its answer. Sending them is the matter of [`super::http`].

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use tokio::sync::mpsc::Sender;
use url::Url;

use super::error::{Error, is_transient_status, quote};
use super::secret;
use crate::oci::{Algorithm, Digest};

/// The longest time that a server may ask to wait; if it asks for more, the request is not repeated.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(300);

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct HttpRequest {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    /// How many bytes the body of the answer may have.
    pub(crate) max_bytes: usize,
    /// Whether it may be sent again when it is not known whether the server has acted on it.
    pub(crate) may_repeat: bool,
    /// If given, the body of a 200 is hashed as it arrives, and not kept. The deadline then holds for each piece, and a body
    /// whose declared length exceeds `max_bytes` is not read at all.
    pub(crate) hash: Option<Algorithm>,
    /// Receives the pieces of a hashed body; such a request must not be repeated.
    pub(crate) sink: Option<Sender<Bytes>>,
    /// A secret in the body, in the form of a header, so that it can be kept out of messages.
    pub(crate) secret: Option<HeaderValue>,
    /// Whether the body of a 200 is not read: the connection ends after the headers.
    pub(crate) headers_only: bool,
}

impl HttpRequest {
    /// A request without a body; GET and HEAD may be repeated.
    pub(crate) fn new(method: Method, url: Url, max_bytes: usize) -> Self {
        let may_repeat = matches!(method, Method::GET | Method::HEAD);
        let (headers, body, hash, sink) = (HeaderMap::new(), None, None, None);
        let (secret, headers_only) = (None, false);
        Self { method, url, headers, body, max_bytes, may_repeat, hash, sink, secret, headers_only }
    }

    /// Method and path, for messages.
    pub(crate) fn method_and_path(&self) -> String {
        format!("{} {}", self.method, crate::text::without_controls(self.url.path()))
    }
}

/// An answer, read completely.
#[derive(Debug)]
pub(crate) struct HttpResponse {
    /// Method and path of the request, for messages.
    pub(crate) what: String,
    pub(crate) method: Method,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// The digest and size in bytes of a body that was hashed and not kept.
    pub(crate) hashed: Option<(Digest, u64)>,
    /// Whether it came from another address, to which the server redirected.
    pub(super) is_redirected: bool,
    /// The credentials of the request, so that they can be kept out of messages.
    pub(super) authorization: Option<HeaderValue>,
}

impl HttpResponse {
    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The size of the body in bytes, by `Content-Length`.
    pub(crate) fn declared_size(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    /// The size of the whole object in bytes, by the `Content-Range` of an answer about a part (RFC 9110, 14.4).
    pub(crate) fn declared_whole_size(&self) -> Option<u64> {
        self.header("content-range")?.trim().strip_prefix("bytes")?.rsplit_once('/')?.1.trim().parse().ok()
    }

    /// Whether this is a web page, such as a login page in front of the server.
    pub(crate) fn is_page(&self) -> bool {
        self.header("content-type")
            .is_some_and(|given| given.trim_start().to_ascii_lowercase().starts_with("text/html"))
    }

    /// The error for a web page in the place of what was asked for.
    pub(crate) fn page_error(&self) -> Error {
        let why = "a web page came instead: a login page, or another server".into();
        Error::Malformed { what: self.what.clone(), why }
    }

    /// Whether this answers a HEAD, and a GET may tell more. The 404 to a HEAD has no body that shows that it is from a registry
    /// (https://github.com/distribution/distribution/issues/1911); some servers and proxies do not take HEAD
    /// (https://github.com/merll/docker-registry-util/issues/3); and a storage address that is signed for GET refuses HEAD.
    pub(super) fn says_less_than_get(&self) -> bool {
        self.method == Method::HEAD
            && match self.status.as_u16() {
                404 | 405 | 501 => true,
                403 => self.is_redirected,
                _ => false,
            }
    }

    /// Whether the body is JSON by its content type.
    pub(crate) fn is_json(&self) -> bool {
        self.header("content-type").is_some_and(|given| given.to_ascii_lowercase().contains("json"))
    }

    /// Parses the body as JSON.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let text = secret::redact(&self.body, self.authorization.as_ref());
            let start = quote(&text.chars().take(60).collect::<String>());
            let why = if start.trim_start().starts_with('<') {
                "a web page came instead of JSON: a login page, or another server".to_owned()
            } else {
                format!("not the JSON of this API ({error}); it begins with {start:?}")
            };
            Error::Malformed { what: self.what.clone(), why }
        })
    }

    /// The error for this status.
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
        } else if let Some(wait) = self.retry_after().filter(|wait| *wait > MAX_WAIT) {
            message = format!("it asks to wait {} s", wait.as_secs());
        }
        Error::Status { what, status, message }
    }

    /// How long the server asks to wait, by `Retry-After`.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let until = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        let seconds = until.as_second() - jiff::Timestamp::now().as_second();
        Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    }

    /// Whether the status may be another one when the request is repeated.
    pub(super) const fn is_passing(&self) -> bool {
        is_transient_status(self.status.as_u16())
    }
}
