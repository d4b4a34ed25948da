//! Why a server gave no answer that can be used. No error holds a credential, nor a body of a refusal: Forgejo 15 spells
//! the token that it refuses (`models/auth/access_token.go @ v15.0.0`).

use crate::text::without_controls;

/// Longest piece of a server's text that an error quotes, in characters.
const QUOTED: usize = 200;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is none that can be asked.
    #[error("\"{address}\" is no address of a server: {why}")]
    Address {
        /// As given.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// The file of certificate authorities, or those of the system.
    #[error("certificate authorities cannot be used: {0}")]
    Authorities(String),
    /// A repository name or a reference that no registry takes.
    #[error("\"{0}\" is no name that a registry takes")]
    Name(String),
    /// No connection, or one that broke, however often it was tried.
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
        /// How long was waited for it.
        seconds: u64,
    },
    /// The server refuses these credentials, or asks for some.
    #[error("{what}: refused with status {status}: {why}")]
    Refused {
        /// Method and path.
        what: String,
        /// 401 or 403.
        status: u16,
        /// What may be the matter.
        why: String,
    },
    /// A registry that sends credentials to another host, which was not named.
    #[error(
        "the token service of {registry} is {service}, another host; credentials do not go there unless it is named"
    )]
    TokenService {
        /// Address of the registry.
        registry: String,
        /// Address of the token service.
        service: String,
    },
    /// The server has nobody of this name.
    #[error("{what}: there is no owner \"{name}\" on this server")]
    NoOwner {
        /// Method and path.
        what: String,
        /// The name.
        name: String,
    },
    /// A registry where a Forgejo was expected.
    #[error("{what}: this is an OCI registry and no Forgejo")]
    NoForgejo {
        /// Method and path.
        what: String,
    },
    /// A status that says nothing about the thing asked for.
    #[error("{what}: status {status}{}", server_message(.message))]
    Status {
        /// Method and path.
        what: String,
        /// The status.
        status: u16,
        /// What the server said, shortened.
        message: String,
    },
    /// What the run may spend was spent before, or it was asked to stop.
    #[error("{what}: not asked any more: what this run may spend is spent, or it was asked to stop")]
    Spent {
        /// Method and path.
        what: String,
    },
    /// The run gave up before, because nothing succeeded for too long.
    #[error("{what}: not asked any more: no request succeeded for {seconds} s")]
    GaveUp {
        /// Method and path.
        what: String,
        /// For how long nothing had succeeded, in seconds.
        seconds: u64,
    },
    /// More bytes than are ever read.
    #[error("{what}: the answer is larger than {limit} bytes")]
    TooLarge {
        /// Method and path.
        what: String,
        /// Most bytes that are read.
        limit: usize,
    },
    /// Bytes that are not those asked for.
    #[error("{what}: {asked} was expected, and what came hashes to {got}")]
    Mismatch {
        /// Method and path.
        what: String,
        /// The digest asked for, or told by the server.
        asked: String,
        /// The digest of what came.
        got: String,
    },
    /// An answer that the API does not have.
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
    /// Whether the same request may be answered when it is repeated.
    pub(crate) const fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Deadline { .. })
    }
}

/// Whether a status may be another one when the same request is repeated. Beside those of RFC 9110: nginx's for a client
/// that it lost (499), and those of a content network whose origin does not answer (520 to 524;
/// `pkg/v1/remote/options.go @ v0.20.2` of google/go-containerregistry).
pub(crate) const fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 499 | 500 | 502 | 503 | 504 | 520..=524)
}

/// A server's text, made fit for a message: one line, no control characters, cut.
pub(crate) fn quote(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut short: String = line.chars().take(QUOTED).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    without_controls(&short)
}
