//! The OCI distribution API over HTTP: a client of what this project needs from it, and the transport below it.
//!
//! The client decides nothing. An object is absent (`None`) only if a registry says so in the words of the API; the 404 of a
//! proxy or login page is an error. The size of every body is limited, and bodies are hashed if a digest is known.

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
pub use settings::{Observer, SentRequest, Settings};
pub use uploads::PushSupport;

pub(crate) use address::{origin, unencrypted};
pub(crate) use credentials::secret_header;
pub(crate) use error::{is_transient_status, quote};
pub(crate) use exchange::{HttpRequest, HttpResponse};
