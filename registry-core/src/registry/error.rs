//! Errors of requests. No error holds a credential, nor the body of a refusal: Forgejo 15 repeats the token that it
//! refuses there (`models/auth/access_token.go @ v15.0.0`).

use crate::text::without_controls;

/// How many characters of a server's text an error quotes.
const QUOTED: usize = 200;

/// Why a request has no usable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is not one of a server.
    #[error("\"{address}\" is no address of a server: {why}")]
    Address {
        /// As given.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// The certificate authorities of the given file, or of the system, cannot be used.
    #[error("certificate authorities cannot be used: {0}")]
    Authorities(String),
    /// A repository name or a reference that no registry takes.
    #[error("\"{0}\" is no name that a registry takes")]
    Name(String),
    /// No connection, or a broken one, on every attempt.
    #[error("{what}: no answer: {why}")]
    Unreachable {
        /// Method and path.
        what: String,
        /// The causes, outermost first.
        why: String,
    },
    /// The answer took too long.
    #[error("{what}: no complete answer within {seconds} s")]
    Deadline {
        /// Method and path.
        what: String,
        /// How long the request waited.
        seconds: u64,
    },
    /// The server refuses these credentials, or asks for credentials.
    #[error("{what}: refused with status {status}: {why}")]
    Refused {
        /// Method and path.
        what: String,
        /// 401 or 403.
        status: u16,
        /// What the reason may be.
        why: String,
    },
    /// The registry's token service is on another host that was not named, so credentials do not go there.
    #[error(
        "the token service of {registry} is {service}, another host; credentials do not go there unless it is named"
    )]
    TokenService {
        /// Address of the registry.
        registry: String,
        /// Address of the token service.
        service: String,
    },
    /// The server has no user or organisation of this name.
    #[error("{what}: there is no owner \"{name}\" on this server")]
    NoOwner {
        /// Method and path.
        what: String,
        /// The name.
        name: String,
    },
    /// The server is an OCI registry, but no Forgejo.
    #[error("{what}: this is an OCI registry and no Forgejo")]
    NoForgejo {
        /// Method and path.
        what: String,
    },
    /// A status that does not tell whether the object exists.
    #[error("{what}: status {status}{}", server_message(.message))]
    Status {
        /// Method and path.
        what: String,
        /// The status.
        status: u16,
        /// What the server said, shortened.
        message: String,
    },
    /// The budget of the run was spent before, or the run was asked to stop.
    #[error("{what}: not asked any more: what this run may spend is spent, or it was asked to stop")]
    Spent {
        /// Method and path.
        what: String,
    },
    /// The run gave up before, because no request succeeded for too long.
    #[error("{what}: not asked any more: no request succeeded for {seconds} s")]
    GaveUp {
        /// Method and path.
        what: String,
        /// For how long nothing had succeeded, in seconds.
        seconds: u64,
    },
    /// The answer has more bytes than the request allows.
    #[error("{what}: the answer is larger than {limit} bytes")]
    TooLarge {
        /// Method and path.
        what: String,
        /// How many bytes the request allows.
        limit: usize,
    },
    /// The bytes, or the digest that the server gives, are not those asked for.
    #[error("{what}: {asked} was expected, and what came hashes to {got}")]
    Mismatch {
        /// Method and path.
        what: String,
        /// The digest asked for, or given by the server.
        asked: String,
        /// The digest of what came.
        got: String,
    },
    /// An answer that the API does not define.
    #[error("{what}: {why}")]
    Malformed {
        /// Method and path.
        what: String,
        /// What is wrong with it.
        why: String,
    },
}

fn server_message(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

impl Error {
    /// Whether the request may succeed when it is repeated.
    pub(crate) const fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Deadline { .. })
    }
}

/// Whether the status may be another one when the request is repeated. Besides those of RFC 9110: 499, which nginx uses for
/// a client that it lost, and 520 to 524, which a content network uses when its origin does not answer
/// (`pkg/v1/remote/options.go @ v0.20.2` of google/go-containerregistry).
pub(crate) const fn is_transient_status(status: u16) -> bool {
    matches!(status, 408 | 429 | 499 | 500 | 502 | 503 | 504 | 520..=524)
}

/// A server's text for a message: on one line, without control characters, shortened.
pub(crate) fn quote(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut short: String = line.chars().take(QUOTED).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    without_controls(&short)
}
