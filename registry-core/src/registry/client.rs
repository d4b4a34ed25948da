//! One registry, and how its addresses are spelled. What can be asked of it is in [`super::content`] and [`super::lists`].

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
pub(super) const SMALL: usize = 1 << 20;
/// The header with which most registries tell their version.
const VERSION: &str = "docker-distribution-api-version";

/// A client of one registry. Reads; only this crate changes something through it, and deletes only for a source that is
/// [`Armed`](crate::retention::Armed).
#[derive(Debug)]
pub struct Client {
    pub(super) session: Session,
    origin: Url,
    pub(super) heads: Heads,
}

/// What is known of how a registry answers HEAD.
#[derive(Debug, Default)]
pub(super) struct Heads {
    /// Whether no HEAD may be followed by a GET.
    pub(super) stand_alone: bool,
    /// Whether the server, or a proxy in front of it, said that it takes no HEAD at all.
    pub(super) are_refused: AtomicBool,
}

/// What became of a manifest that was to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removal {
    /// The server deleted it.
    Deleted,
    /// It was not there.
    NotThere,
    /// The server deletes nothing, or nothing by this kind of reference.
    Unsupported,
}

/// The errors of the distribution specification.
#[derive(Debug, Deserialize)]
struct Errors {
    errors: Vec<Coded>,
}

#[derive(Debug, Deserialize)]
struct Coded {
    code: String,
    #[serde(default)]
    message: serde_json::Value,
}

impl Coded {
    /// Whether a registry says with this that it does not have what was asked for. Beside the codes of the distribution
    /// specification Harbor has one of its own for manifests and blobs (https://github.com/goharbor/harbor/issues/18461);
    /// gateways use the same code for addresses, so its words count too.
    fn is_absence(&self) -> bool {
        let says = || self.message.as_str().unwrap_or_default();
        match self.code.as_str() {
            "MANIFEST_UNKNOWN" | "BLOB_UNKNOWN" | "NAME_UNKNOWN" => true,
            "NOT_FOUND" => {
                let is_artifact = says().starts_with("artifact ") || says().starts_with("blob ");
                is_artifact && says().ends_with(" not found")
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
        // The API is at the root, so that a path would name nothing, and limit nothing.
        if origin.path() != "/" {
            let why =
                "a registry is at the root of its host; choose repositories by their names instead".into();
            return Err(Error::Address { address: quote(address), why });
        }
        let heads = Heads::default();
        let session = Session::new(http.clone(), origin.clone(), credentials.into());
        Ok(Self { session, origin, heads })
    }

    /// The same for a pull-through cache, in which a GET would make it fetch what a HEAD did not find: there a HEAD that
    /// answers 404 in a registry's header or with JSON stands for absent, and every other for unknown.
    #[must_use]
    pub fn of_cache(mut self) -> Self {
        self.heads.stand_alone = true;
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
        Ok(Self { session, origin: origin.clone(), heads: Heads::default() })
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
    pub fn left(&self) -> Option<u64> {
        self.session.http().left()
    }

    /// Whether the run gave up, and why.
    pub fn gave_up(&self) -> Option<GaveUp> {
        self.session.http().gave_up()
    }

    /// Whether a limit on requests or time was set.
    pub(crate) fn is_bounded(&self) -> bool {
        self.session.http().is_bounded()
    }

    /// What a person should know about this connection: credentials that travel unencrypted.
    pub fn warning(&self) -> Option<String> {
        unencrypted(&self.origin, self.session.credentials().are_given())
    }

    /// Asks whether this is a registry that takes these credentials.
    ///
    /// # Errors
    /// When it is none, or refuses.
    pub async fn ping(&self) -> Result<(), Error> {
        let is_closed = self.session.credentials().are_of_repositories_only();
        let answer = match self.send(Method::GET, "/v2/", SMALL, "").await {
            // Its token service gives nobody a token for no repository.
            Err(Error::Refused { .. }) if is_closed => return Ok(()),
            answer => answer?,
        };
        match answer.status.as_u16() {
            // A registry, and whom it lets in depends on the repository.
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
        most: usize,
        scope: &str,
    ) -> Result<HttpResponse, Error> {
        let ask = HttpRequest::new(method, self.url(path)?, most);
        self.session.send(ask, scope).await
    }
}

/// A repository name and a reference that may stand in a path.
pub(super) fn checked<'a>(repository: &str, reference: &'a str) -> Result<&'a str, Error> {
    if RepositoryName::new(repository).is_err() {
        return Err(Error::Name(quote(repository)));
    }
    if Tag::new(reference).is_err() && reference.parse::<Digest>().is_err() {
        return Err(Error::Name(quote(reference)));
    }
    Ok(reference)
}

impl HttpResponse {
    /// Whether `/v2/` was answered by a registry: by one that tells its version, which the OCI specification does not ask
    /// for, or with nothing or an empty object.
    pub(crate) fn is_of_registry(&self) -> bool {
        let is_empty = || match self.body.trim_ascii() {
            b"" => true,
            text => {
                serde_json::from_slice::<serde_json::Map<_, _>>(text).is_ok_and(|object| object.is_empty())
            }
        };
        self.header(VERSION).is_some() || !self.is_page() && is_empty()
    }

    /// Whether this is a registry saying that something is not there, and not somebody else's 404. Of a HEAD that is
    /// known of caches only, where the answer cannot be had with GET.
    pub(crate) fn is_absent(&self) -> bool {
        if self.status != StatusCode::NOT_FOUND {
            return false;
        }
        if self.method == Method::HEAD {
            return self.is_json() || self.header(VERSION).is_some();
        }
        self.errors().iter().any(Coded::is_absence)
    }

    /// The errors in the body, whatever its media type: `crane registry serve` calls them plain text
    /// (https://github.com/google/go-containerregistry/issues/1579).
    fn errors(&self) -> Vec<Coded> {
        serde_json::from_slice::<Errors>(&self.body).map(|told| told.errors).unwrap_or_default()
    }

    /// The codes of the errors in the body.
    pub(crate) fn codes(&self) -> Vec<String> {
        self.errors().into_iter().map(|error| error.code).collect()
    }

    /// An error with the code and message that the registry gives, where it gives one.
    pub(crate) fn coded(&self) -> Error {
        match (self.error(), self.errors().into_iter().next()) {
            (Error::Status { what, status, .. }, Some(Coded { code, message })) => {
                let message = message.as_str().map(quote).unwrap_or_default();
                let message = format!("{} {message}", quote(&code)).trim_end().to_owned();
                Error::Status { what, status, message }
            }
            (error, _) => error,
        }
    }
}
