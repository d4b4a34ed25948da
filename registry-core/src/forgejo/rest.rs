//! Forgejo's REST API: how it is given the token, what it says of a version, and what it says when it refuses.

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::AUTHORIZATION;
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use crate::registry::{Credentials, Error, HttpRequest, HttpResponse};
use crate::retention::server::ListedRow;

/// A version as REST tells it, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(super) struct Item {
    pub(super) id: u64,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) version: String,
    created_at: Timestamp,
}

impl Item {
    pub(super) fn listed(self) -> ListedRow {
        let (package, version) = (self.name, self.version);
        ListedRow { package, version, id: Some(self.id), created_at: Some(self.created_at) }
    }
}

/// REST takes the token itself; Basic would cost a look-up of the password first.
pub(super) fn authorize(ask: &mut HttpRequest, credentials: &Credentials) {
    if let Credentials::User { secret, .. } = credentials
        && let Some(value) = crate::registry::secret_header(&format!("token {}", secret.expose_secret()))
    {
        ask.headers.insert(AUTHORIZATION, value);
    }
}

/// What REST says of a refusal.
fn message(answer: &HttpResponse) -> Option<String> {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    serde_json::from_slice::<Refusal>(&answer.body).ok().map(|refusal| refusal.message)
}

/// The owner that REST says it does not have (`services/context/user.go @ v15.0.3`).
fn no_owner(answer: &HttpResponse) -> Option<String> {
    let text = message(answer).filter(|_| answer.status == StatusCode::NOT_FOUND)?;
    let name = text.strip_prefix("user redirect does not exist [name: ")?;
    Some(crate::registry::quote(name.strip_suffix(']').unwrap_or(name)))
}

/// A status of REST as an error. The body of a 401 is not looked at: it may spell the token.
pub(super) fn rest(answer: &HttpResponse) -> Error {
    let status = answer.status.as_u16();
    let what = answer.what.clone();
    if status == 401 {
        let why = "the token is not known to this server, or one is needed".into();
        return Error::Refused { what, status, why };
    }
    if let Some(name) = no_owner(answer) {
        return Error::NoOwner { what, name };
    }
    match (status, message(answer).map(|text| crate::registry::quote(&text))) {
        (403, Some(why)) if !why.is_empty() => Error::Refused { what, status, why },
        (404, None) => Error::Malformed {
            what,
            why: "the server does not know this address; does a proxy in front of it decode %2F?".into(),
        },
        (_, Some(message)) if !message.is_empty() => Error::Status { what, status, message },
        _ => answer.error(),
    }
}

/// Whether REST says that there is no such package or version, and not that there is no such address.
pub(super) fn is_no_package(answer: &HttpResponse) -> bool {
    answer.status == StatusCode::NOT_FOUND
        && message(answer).is_some_and(|text| text == "package does not exist")
}
