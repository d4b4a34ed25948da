//! The client of one registry: its address, and the errors that it reports. Its requests are in [`super::content`],
//! [`super::lists`] and [`super::uploads`].

use std::sync::atomic::AtomicBool;

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use url::Url;

use super::address::{origin, unencrypted};
use super::auth::Session;
use super::breaker::GaveUp;
use super::credentials::{Credentials, HostCredentials};
use super::error::{Error, quote};
use super::exchange::{HttpRequest, HttpResponse};
use super::http::Http;
use crate::oci::{Digest, RepositoryName, Tag};

/// Most bytes of an answer that is neither a manifest nor a list.
pub(super) const SMALL_ANSWER: usize = 1 << 20;
/// The header in which most registries give their version.
const VERSION: &str = "docker-distribution-api-version";

/// A client of one registry. Other crates can only read and begin uploads with it; only a `WriteAccess` deletes.
#[derive(Debug)]
pub struct Client {
    pub(super) session: Session,
    origin: Url,
    pub(super) heads: HeadSupport,
}

/// How HEAD is used with a registry.
#[derive(Debug, Default)]
pub(super) struct HeadSupport {
    /// Whether a HEAD is never followed by a GET.
    pub(super) is_final: bool,
    /// Whether the server, or a proxy in front of it, has refused the method HEAD.
    pub(super) is_refused: AtomicBool,
}

/// The outcome of the deletion of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removal {
    /// The server deleted it.
    Deleted,
    /// The server does not have it.
    NotThere,
    /// The server does not delete, or not by this kind of reference.
    Unsupported,
}

/// The body of an error by the distribution specification.
#[derive(Debug, Deserialize)]
struct ErrorBody {
    errors: Vec<ErrorEntry>,
}

#[derive(Debug, Deserialize)]
struct ErrorEntry {
    code: String,
    #[serde(default)]
    message: serde_json::Value,
}

impl ErrorEntry {
    /// Whether a registry says with this error that it does not have what was asked for. Besides the codes of the distribution
    /// specification Harbor has one of its own for manifests and blobs (https://github.com/goharbor/harbor/issues/18461).
    /// Gateways use the same code for unknown addresses, so the message counts too.
    fn is_absence(&self) -> bool {
        let message = self.message.as_str().unwrap_or_default();
        match self.code.as_str() {
            "MANIFEST_UNKNOWN" | "BLOB_UNKNOWN" | "NAME_UNKNOWN" => true,
            "NOT_FOUND" => {
                let is_artifact = message.starts_with("artifact ") || message.starts_with("blob ");
                is_artifact && message.ends_with(" not found")
            }
            _ => false,
        }
    }
}

impl Client {
    /// A client of the registry at an address such as `https://registry.example`, without a path.
    ///
    /// # Errors
    /// When the address cannot be used; nothing is asked yet.
    pub fn new(http: &Http, address: &str, credentials: impl Into<HostCredentials>) -> Result<Self, Error> {
        let origin = origin(address)?;
        // The API is always at the root, so a path would select nothing.
        if origin.path() != "/" {
            let why =
                "a registry is at the root of its host; choose repositories by their names instead".into();
            return Err(Error::Address { address: quote(address), why });
        }
        let heads = HeadSupport::default();
        let session = Session::new(http.clone(), origin.clone(), credentials.into());
        Ok(Self { session, origin, heads })
    }

    /// Makes this the client of a pull-through cache. After a HEAD that answers 404 no GET is sent, which would make the cache
    /// fetch the object. A 404 with a registry's header or JSON means absent, every other one means unknown.
    #[must_use]
    pub fn for_cache(mut self) -> Self {
        self.heads.is_final = true;
        self
    }

    /// A client whose tokens come from a service at the same origin, whatever address its challenges give.
    pub(crate) fn with_own_tokens(
        http: &Http,
        origin: &Url,
        credentials: Credentials,
    ) -> Result<Self, Error> {
        let bad = |_| Error::Address { address: origin.to_string(), why: "it cannot be joined to".into() };
        let realm = origin.join("/v2/token").map_err(bad)?;
        let session = Session::new(http.clone(), origin.clone(), credentials.into()).with_tokens_of(realm);
        Ok(Self { session, origin: origin.clone(), heads: HeadSupport::default() })
    }

    /// The address that is asked, without credentials.
    pub fn address(&self) -> String {
        self.origin.origin().ascii_serialization()
    }

    /// Most requests under way at once.
    pub fn in_flight(&self) -> usize {
        self.session.http().in_flight()
    }

    /// The transport.
    pub(crate) fn http(&self) -> &Http {
        self.session.http()
    }

    /// How many requests may still be sent; `None` without a limit.
    pub fn remaining_requests(&self) -> Option<u64> {
        self.session.http().remaining_requests()
    }

    /// Whether the run gave up, and why.
    pub fn gave_up(&self) -> Option<GaveUp> {
        self.session.http().gave_up()
    }

    /// Whether a limit on requests or time was set.
    pub(crate) fn has_budget(&self) -> bool {
        self.session.http().has_budget()
    }

    /// A warning for the user, if credentials travel unencrypted.
    pub fn warning(&self) -> Option<String> {
        unencrypted(&self.origin, self.session.credentials().are_given())
    }

    /// Asks whether this is a registry that takes these credentials.
    ///
    /// # Errors
    /// When it is none, or refuses.
    pub async fn ping(&self) -> Result<(), Error> {
        let is_closed = self.session.credentials().are_of_repositories_only();
        let answer = match self.send(Method::GET, "/v2/", SMALL_ANSWER, "").await {
            // Its token service gives tokens for repositories only.
            Err(Error::Refused { .. }) if is_closed => return Ok(()),
            answer => answer?,
        };
        match answer.status.as_u16() {
            // This is a registry; the credentials are for some of its repositories.
            401 if is_closed && answer.header("www-authenticate").is_some() => Ok(()),
            200 if answer.is_of_registry() => Ok(()),
            200 => Err(Error::Malformed {
                what: answer.what,
                why: "status 200 without the header of a registry: this is something else".into(),
            }),
            404 => Err(Error::Malformed {
                what: answer.what,
                why: "there is no registry at this address".into(),
            }),
            _ => Err(answer.error()),
        }
    }

    pub(super) fn url(&self, path: &str) -> Result<Url, Error> {
        self.origin
            .join(path)
            .map_err(|error| Error::Address { address: path.into(), why: error.to_string() })
    }

    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        max_bytes: usize,
        scope: &str,
    ) -> Result<HttpResponse, Error> {
        let request = HttpRequest::new(method, self.url(path)?, max_bytes);
        self.session.send(request, scope).await
    }
}

/// Checks that a repository name and a reference may stand in a path; returns the reference.
pub(super) fn check_reference<'a>(repository: &str, reference: &'a str) -> Result<&'a str, Error> {
    if RepositoryName::new(repository).is_err() {
        return Err(Error::Name(quote(repository)));
    }
    if Tag::new(reference).is_err() && reference.parse::<Digest>().is_err() {
        return Err(Error::Name(quote(reference)));
    }
    Ok(reference)
}

impl HttpResponse {
    /// Whether this answer to `/v2/` is that of a registry. It gives its version, which the OCI specification does not
    /// require, or its body is empty or an empty object.
    pub(crate) fn is_of_registry(&self) -> bool {
        let is_empty = || match self.body.trim_ascii() {
            b"" => true,
            text => {
                serde_json::from_slice::<serde_json::Map<_, _>>(text).is_ok_and(|object| object.is_empty())
            }
        };
        self.header(VERSION).is_some() || !self.is_page() && is_empty()
    }

    /// Whether a registry says here that it does not have the object, rather than a proxy or web server. The answer to a HEAD
    /// has no body: it counts by its headers, which is enough for caches only.
    pub(crate) fn is_absent(&self) -> bool {
        if self.status != StatusCode::NOT_FOUND {
            return false;
        }
        if self.method == Method::HEAD {
            return self.is_json() || self.header(VERSION).is_some();
        }
        self.errors().iter().any(ErrorEntry::is_absence)
    }

    /// This answer if it is a 200; `None` if the registry says that it does not have the object; else the error.
    pub(super) fn found(self) -> Result<Option<Self>, Error> {
        match self.status {
            StatusCode::OK => Ok(Some(self)),
            _ if self.is_absent() => Ok(None),
            _ => Err(self.registry_error()),
        }
    }

    /// The errors in the body, whatever its media type: `crane registry serve` sends them as plain text
    /// (https://github.com/google/go-containerregistry/issues/1579).
    fn errors(&self) -> Vec<ErrorEntry> {
        serde_json::from_slice::<ErrorBody>(&self.body).map(|body| body.errors).unwrap_or_default()
    }

    /// The codes of the errors in the body.
    pub(crate) fn codes(&self) -> Vec<String> {
        self.errors().into_iter().map(|error| error.code).collect()
    }

    /// The error for this status, with the code and message of the registry if it gives them.
    pub(crate) fn registry_error(&self) -> Error {
        match (self.error(), self.errors().into_iter().next()) {
            (Error::Status { what, status, .. }, Some(ErrorEntry { code, message })) => {
                let message = message.as_str().map(quote).unwrap_or_default();
                let message = format!("{} {message}", quote(&code)).trim_end().to_owned();
                Error::Status { what, status, message }
            }
            (error, _) => error,
        }
    }
}
