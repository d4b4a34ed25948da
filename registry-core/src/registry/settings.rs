//! The settings of the transport: limits on requests, time and repetitions, proxies and authorities, and an observer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::credentials::TokenService;
use crate::Stop;

/// A request that was sent, for observers.
#[derive(Debug, Clone)]
pub struct SentRequest<'a> {
    /// The method.
    pub method: &'a str,
    /// Host, path and query.
    pub target: &'a str,
    /// The status; `None` without an answer.
    pub status: Option<u16>,
    /// How long it took.
    pub took: Duration,
}

/// A function that is called after every request, repeated ones included.
pub type Observer = Arc<dyn Fn(&SentRequest<'_>) + Send + Sync>;

/// The settings of the transport.
#[derive(Clone)]
pub struct Settings {
    /// How many requests may be under way at once, for each host.
    pub in_flight: usize,
    /// How long one answer may take, body included. A server whose database is locked may take a minute.
    pub deadline: Duration,
    /// How often a failed request is repeated, if that is safe.
    pub retries: u32,
    /// How long to wait before the first repetition; doubled for each further one.
    pub backoff: Duration,
    /// How many requests may be sent, repetitions and tokens included; `None` for no limit.
    pub max_requests: Option<u64>,
    /// From then on nothing is sent, and requests under way are dropped.
    pub until: Option<Instant>,
    /// After this long without a successful request nothing else is sent, so that a run on a dead server ends and says so. 429
    /// with `Retry-After` does not count as a failure. `None` for never.
    pub give_up_after: Option<Duration>,
    /// Token services on other hosts than the registry to which credentials may go.
    pub token_services: Vec<TokenService>,
    /// When this asks to stop, nothing else is sent, and requests under way are dropped. Only for runs that change nothing.
    pub stop: Option<Stop>,
    /// Text of a PEM file of certificate authorities to trust besides those of the system.
    pub authorities: Option<Vec<u8>>,
    /// Whether the environment may name proxies.
    pub proxies: bool,
    /// The header `User-Agent`.
    pub user_agent: String,
    /// Called after every request.
    pub observer: Option<Observer>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            in_flight: 8,
            deadline: Duration::from_secs(90),
            retries: 4,
            backoff: Duration::from_millis(250),
            max_requests: None,
            until: None,
            give_up_after: None,
            token_services: Vec::new(),
            stop: None,
            authorities: None,
            proxies: true,
            user_agent: concat!("registry-core/", env!("CARGO_PKG_VERSION")).into(),
            observer: None,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Settings")
            .field("in_flight", &self.in_flight)
            .field("deadline", &self.deadline)
            .field("retries", &self.retries)
            .field("most", &self.max_requests)
            .field("give_up_after", &self.give_up_after)
            .field("proxies", &self.proxies)
            .finish_non_exhaustive()
    }
}
