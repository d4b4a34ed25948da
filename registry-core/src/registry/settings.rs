//! How servers are asked: how many at once, how long, how often, how much in all; and who is told of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::credentials::TokenService;
use crate::Stop;

/// One request that was sent.
#[derive(Debug, Clone)]
pub struct Sent<'a> {
    /// The method.
    pub method: &'a str,
    /// Host, path and query.
    pub target: &'a str,
    /// The status; `None` when there was no answer.
    pub status: Option<u16>,
    /// How long it took.
    pub took: Duration,
}

/// Told of every request, repeated ones included.
pub type Observer = Arc<dyn Fn(&Sent<'_>) + Send + Sync>;

/// How servers are asked.
#[derive(Clone)]
pub struct Settings {
    /// Most requests under way at once, for each host.
    pub in_flight: usize,
    /// Longest time for one answer, body included. A server whose database is locked may take a minute.
    pub deadline: Duration,
    /// How often a request that is safe to repeat is repeated.
    pub retries: u32,
    /// First wait before a repetition; doubled each time.
    pub backoff: Duration,
    /// Most requests, repetitions and tokens included. No limit when absent.
    pub most: Option<u64>,
    /// When nothing is asked any more, and what is under way is given up.
    pub until: Option<Instant>,
    /// After how long without a success of any request nothing else is asked: the server is dead, and the run had better
    /// end and say so. 429 with `Retry-After` is no failure. Never when absent.
    pub give_up_after: Option<Duration>,
    /// Token services that credentials may go to beside that of a registry's own address.
    pub token_services: Vec<TokenService>,
    /// Asked to stop, nothing is asked any more, and what is under way is given up. Only for what changes nothing.
    pub stop: Option<Stop>,
    /// Text of a PEM file of certificate authorities trusted beside those of the system.
    pub authorities: Option<Vec<u8>>,
    /// Whether proxies are taken from the environment.
    pub proxies: bool,
    /// Sent as `User-Agent`.
    pub user_agent: String,
    /// Told of every request.
    pub observer: Option<Observer>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            in_flight: 8,
            deadline: Duration::from_secs(90),
            retries: 4,
            backoff: Duration::from_millis(250),
            most: None,
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
            .field("most", &self.most)
            .field("give_up_after", &self.give_up_after)
            .field("proxies", &self.proxies)
            .finish_non_exhaustive()
    }
}
