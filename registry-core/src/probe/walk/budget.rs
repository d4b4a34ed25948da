//! What a run may spend: requests and time. What is not asked for is left for the next run.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

/// What a run may spend.
#[derive(Debug, Default)]
pub struct Budget {
    /// Requests that are left; repetitions and tokens are not counted.
    requests: Option<AtomicU64>,
    until: Option<Instant>,
}

impl Budget {
    /// So many requests, and no later than that.
    pub fn new(requests: Option<u64>, until: Option<Instant>) -> Self {
        Self { requests: requests.map(AtomicU64::new), until }
    }

    /// Whether there is a bound at all.
    pub const fn is_bounded(&self) -> bool {
        self.requests.is_some() || self.until.is_some()
    }

    /// Takes one request from what is left; false when nothing is.
    pub(super) fn take(&self) -> bool {
        if self.until.is_some_and(|until| Instant::now() >= until) {
            return false;
        }
        let Some(left) = &self.requests else { return true };
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}
