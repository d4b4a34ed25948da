//! The OCI distribution API over HTTP: a thin client of what this project needs from it, and the transport below it.
//!
//! Reads and says what was answered; decides nothing. Absent is `None` only where the server says so in the API's own
//! words: a stranger's 404 (a proxy, a login page) is an error. Every body is capped, and hashed where a digest is known.

mod address;
mod auth;
mod breaker;
mod challenge;
mod client;
mod content;
mod credentials;
mod error;
mod exchange;
mod gate;
mod http;
mod lists;
mod secret;
mod settings;
mod tls;
mod uploads;

pub use breaker::GaveUp;
pub use client::Client;
pub(crate) use client::Removal;
pub use content::Fetched;
pub use credentials::{Credentials, HostCredentials, TokenService};
pub use error::Error;
pub use http::Http;
pub use settings::{Observer, Sent, Settings};
pub use uploads::Pushing;

pub(crate) use address::{origin, unencrypted};
pub(crate) use credentials::secret_header;
pub(crate) use error::{is_passing, quote};
pub(crate) use exchange::{HttpRequest, HttpResponse};
