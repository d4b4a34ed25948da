//! Decides when a run gives up: a server that no longer answers is not sent thousands of further requests.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::error::Error;
use super::exchange::{HttpResponse, MAX_WAIT};

/// Why a run gave up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GaveUp {
    /// For how long nothing succeeded, in seconds.
    pub seconds: u64,
    /// What the last request that failed ended with.
    pub last: String,
}

impl fmt::Display for GaveUp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seconds, last } = self;
        write!(
            out,
            "no request succeeded for {seconds} s, so nothing else is asked; the last ended with: {last}"
        )
    }
}

/// What the outcome of one request says about the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Health {
    /// It answers, even if it refuses the request or does not have the object.
    Answers,
    /// It asks to wait this long.
    AsksToWait(Duration),
    /// It answers with an error that may pass, or not at all. Holds the error.
    Fails(String),
}

impl Health {
    /// What an outcome says; `None` if no request was sent.
    pub(super) fn from_outcome(outcome: &Result<HttpResponse, Error>) -> Option<Self> {
        match outcome {
            Ok(answer) if answer.is_passing() => {
                let wait = answer.retry_after().filter(|wait| answer.status == 429 && *wait <= MAX_WAIT);
                Some(wait.map_or_else(|| Self::Fails(answer.error().to_string()), Self::AsksToWait))
            }
            Err(Error::Spent { .. } | Error::GaveUp { .. }) => None,
            Err(error) if error.is_transient() => Some(Self::Fails(error.to_string())),
            Ok(_) | Err(_) => Some(Self::Answers),
        }
    }
}

#[derive(Debug)]
enum BreakerState {
    Answering,
    /// Every request since then has failed.
    Failing(Instant),
    GaveUp(GaveUp),
}

/// Watches all requests of a run. Time counts from the first failure after a success to a later failure. So a run that sends
/// nothing for a while does not give up, nor does one because a single request takes long.
#[derive(Debug)]
pub(super) struct Breaker {
    after: Option<Duration>,
    state: Mutex<BreakerState>,
}

impl Breaker {
    /// Gives up after this long without a success; never if `after` is `None`.
    pub(super) const fn new(after: Option<Duration>) -> Self {
        Self { after, state: Mutex::new(BreakerState::Answering) }
    }

    fn state(&self) -> MutexGuard<'_, BreakerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the run gave up, if it did. This never changes back.
    pub(super) fn gave_up(&self) -> Option<GaveUp> {
        if let BreakerState::GaveUp(gave_up) = &*self.state() { Some(gave_up.clone()) } else { None }
    }

    /// Notes how a request ended.
    pub(super) fn note(&self, health: Health, now: Instant) {
        let Some(after) = self.after else { return };
        let mut state = self.state();
        let next = match (&*state, health) {
            (BreakerState::GaveUp(_), _) => return,
            (_, Health::Answers) | (BreakerState::Answering, Health::AsksToWait(_)) => {
                BreakerState::Answering
            }
            // The time that the server asks to wait does not count.
            (BreakerState::Failing(_), Health::AsksToWait(wait)) => BreakerState::Failing(now + wait),
            (BreakerState::Answering, Health::Fails(_)) => BreakerState::Failing(now),
            (BreakerState::Failing(since), Health::Fails(last)) => {
                let failing = now.saturating_duration_since(*since);
                if failing < after {
                    return;
                }
                BreakerState::GaveUp(GaveUp { seconds: failing.as_secs(), last })
            }
        };
        *state = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The second at which a run gives up after these events, each with its second.
    fn gives_up(after: u64, events: &[(u64, Health)]) -> Option<u64> {
        let (breaker, start) = (Breaker::new(Some(Duration::from_secs(after))), Instant::now());
        events.iter().find_map(|(second, health)| {
            breaker.note(health.clone(), start + Duration::from_secs(*second));
            breaker.gave_up().map(|_| *second)
        })
    }

    fn fails() -> Health {
        Health::Fails("GET /v2/: status 502".into())
    }

    #[test]
    fn run_gives_up_after_the_time_without_a_success() {
        let every_second =
            |from: u64, to: u64| (from..to).map(|second| (second, fails())).collect::<Vec<_>>();
        assert_eq!(gives_up(30, &every_second(0, 100)), Some(30));
        assert_eq!(gives_up(30, &every_second(0, 30)), None);
        // A success starts the time anew.
        let mut events = every_second(0, 100);
        events.insert(20, (19, Health::Answers));
        assert_eq!(gives_up(30, &events), Some(50));
    }

    #[test]
    fn one_failure_or_idle_time_never_makes_a_run_give_up() {
        assert_eq!(gives_up(30, &[(0, Health::Answers), (1000, fails())]), None);
        assert_eq!(gives_up(0, &[(0, fails())]), None);
        assert_eq!(
            gives_up(30, &[(0, fails()), (1, Health::Answers), (1000, fails()), (1001, fails())]),
            None
        );
    }

    #[test]
    fn requested_wait_is_no_failure_and_its_time_does_not_count() {
        let wait = || Health::AsksToWait(Duration::from_secs(120));
        assert_eq!(gives_up(30, &[(0, wait()), (120, wait()), (240, wait())]), None);
        assert_eq!(gives_up(30, &[(0, fails()), (1, wait()), (121, fails()), (140, fails())]), None);
        assert_eq!(gives_up(30, &[(0, fails()), (1, wait()), (121, fails()), (151, fails())]), Some(151));
    }

    #[test]
    fn giving_up_is_final_and_names_the_last_failure() {
        let (breaker, now) = (Breaker::new(Some(Duration::from_secs(30))), Instant::now());
        for second in [0, 31, 32] {
            breaker.note(fails(), now + Duration::from_secs(second));
        }
        breaker.note(Health::Answers, now + Duration::from_secs(33));
        insta::assert_snapshot!(breaker.gave_up().unwrap(), @"no request succeeded for 31 s, so nothing else is asked; the last ended with: GET /v2/: status 502");
    }

    #[test]
    fn run_without_a_limit_never_gives_up() {
        let (breaker, now) = (Breaker::new(None), Instant::now());
        for second in 0..10_000 {
            breaker.note(fails(), now + Duration::from_secs(second));
        }
        assert_eq!(breaker.gave_up(), None);
    }
}
