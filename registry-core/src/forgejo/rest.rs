//! Forgejo's REST API: its authorization, the JSON of a version, and its errors.

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::AUTHORIZATION;
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use crate::registry::{Credentials, Error, HttpRequest, HttpResponse};
use crate::retention::server::ListedRow;

/// A version as REST describes it; other fields are left out.
#[derive(Debug, Deserialize)]
pub(super) struct VersionItem {
    pub(super) id: u64,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) version: String,
    created_at: Timestamp,
}

impl VersionItem {
    pub(super) fn into_row(self) -> ListedRow {
        let (package, version) = (self.name, self.version);
        ListedRow { package, version, id: Some(self.id), created_at: Some(self.created_at) }
    }
}

/// Adds the token to a REST request. HTTP Basic would cost the server a look-up of the password first.
pub(super) fn authorize(request: &mut HttpRequest, credentials: &Credentials) {
    if let Credentials::User { secret, .. } = credentials
        && let Some(value) = crate::registry::secret_header(&format!("token {}", secret.expose_secret()))
    {
        request.headers.insert(AUTHORIZATION, value);
    }
}

/// The message of a REST error.
fn refusal_message(answer: &HttpResponse) -> Option<String> {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    serde_json::from_slice::<Refusal>(&answer.body).ok().map(|refusal| refusal.message)
}

/// The name of the owner, if REST says that it does not exist (`services/context/user.go @ v15.0.3`).
fn unknown_owner(answer: &HttpResponse) -> Option<String> {
    let text = refusal_message(answer).filter(|_| answer.status == StatusCode::NOT_FOUND)?;
    let name = text.strip_prefix("user redirect does not exist [name: ")?;
    Some(crate::registry::quote(name.strip_suffix(']').unwrap_or(name)))
}

/// The error for a status of REST. The body of a 401 is not used, because it may repeat the token.
pub(super) fn rest_error(answer: &HttpResponse) -> Error {
    let status = answer.status.as_u16();
    let what = answer.what.clone();
    if status == 401 {
        let why = "the token is not known to this server, or one is needed".into();
        return Error::Refused { what, status, why };
    }
    if let Some(name) = unknown_owner(answer) {
        return Error::NoOwner { what, name };
    }
    match (status, refusal_message(answer).map(|text| crate::registry::quote(&text))) {
        (403, Some(why)) if !why.is_empty() => Error::Refused { what, status, why },
        (404, None) => Error::Malformed {
            what,
            why: "the server does not know this address; does a proxy in front of it decode %2F?".into(),
        },
        (_, Some(message)) if !message.is_empty() => Error::Status { what, status, message },
        _ => answer.error(),
    }
}

/// Whether REST says that the package or version does not exist, rather than that it does not know the address.
pub(super) fn is_no_package(answer: &HttpResponse) -> bool {
    answer.status == StatusCode::NOT_FOUND
        && refusal_message(answer).is_some_and(|text| text == "package does not exist")
}
