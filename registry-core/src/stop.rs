//! A request to stop a run, made from another thread: steps under way are completed, and no new ones begin.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::{Either, select};
use tokio::sync::Notify;

/// Whether a run was asked to stop. All clones share that state.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    inner: Arc<StopState>,
}

#[derive(Debug, Default)]
struct StopState {
    is_asked: AtomicBool,
    asked: Notify,
}

impl Stop {
    /// Asks the run to stop.
    pub fn stop(&self) {
        self.inner.is_asked.store(true, Ordering::SeqCst);
        self.inner.asked.notify_waiters();
    }

    /// Whether the run was asked to stop.
    pub fn is_stopped(&self) -> bool {
        self.inner.is_asked.load(Ordering::SeqCst)
    }

    /// Waits until the run is asked to stop.
    pub async fn stopped(&self) {
        let mut asked = pin!(self.inner.asked.notified());
        // From here on no request is missed; an earlier one is seen by the check below.
        asked.as_mut().enable();
        if !self.is_stopped() {
            asked.await;
        }
    }

    /// Does work that changes nothing; drops it and returns `None` when the run is asked to stop. A large future should be
    /// boxed, because it is moved.
    pub async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        match select(pin!(self.stopped()), pin!(work)).await {
            Either::Left(_) => None,
            Either::Right((done, _)) => Some(done),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::Stop;

    #[test]
    fn stop_reaches_work_under_way_and_later_work() {
        let stop = Stop::default();
        assert_eq!(block_on(stop.unless_stopped(async { 1 })), Some(1));
        let other = stop.clone();
        let asking = std::thread::spawn(move || other.stop());
        assert_eq!(block_on(stop.unless_stopped(std::future::pending::<u8>())), None);
        asking.join().unwrap();
        assert_eq!(block_on(stop.unless_stopped(async { 1 })), None);
    }
}
