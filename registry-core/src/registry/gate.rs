//! The gate of one host: it limits the requests under way, and holds all back when the host asks one of them to wait.

use std::future::Future;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};

#[derive(Debug)]
pub(super) struct Gate {
    places: Semaphore,
    closed_until: Mutex<Option<Instant>>,
}

impl Gate {
    pub(super) fn new(in_flight: usize) -> Self {
        Self { places: Semaphore::new(in_flight.clamp(1, 1024)), closed_until: Mutex::new(None) }
    }

    /// Runs a request as soon as there is a place and the gate is open.
    pub(super) async fn pass<T>(&self, request: impl Future<Output = T>) -> T {
        // The semaphore is never closed. If it were, requests would only not be limited.
        let _place = self.places.acquire().await.ok();
        while let Some(until) = self.closed_until() {
            sleep_until(until).await;
        }
        request.await
    }

    fn closed_until(&self) -> Option<Instant> {
        let closed = self.closed_until.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        closed.filter(|until| *until > Instant::now())
    }

    /// Closes the gate for a while, or longer if it is closed for longer already.
    pub(super) fn close(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut closed = self.closed_until.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *closed = Some(closed.map_or(until, |before| before.max(until)));
    }
}
