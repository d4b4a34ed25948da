//! When a run gives up: servers that answered and do not any more are not asked thousands of questions more.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::error::{Error, is_passing};
use super::exchange::{HttpResponse, MAX_WAIT};

/// That a run gave up, and why.
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

/// What one request says of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sign {
    /// It answers: with what was asked for, or that this is refused or not there.
    Answers,
    /// It asks to come back after so long.
    AsksToWait(Duration),
    /// It answers with a failure that may pass, or not at all.
    Fails(String),
}

impl Sign {
    /// What an outcome says; nothing when no request was sent.
    pub(super) fn from_outcome(outcome: &Result<HttpResponse, Error>) -> Option<Self> {
        match outcome {
            Ok(answer) if answer.status == 429 && answer.wait().is_some_and(|wait| wait <= MAX_WAIT) => {
                answer.wait().map(Self::AsksToWait)
            }
            Ok(answer) if is_passing(answer.status.as_u16()) => Some(Self::Fails(answer.error().to_string())),
            Err(Error::Spent { .. } | Error::GaveUp { .. }) => None,
            Err(error) if error.is_transient() => Some(Self::Fails(error.to_string())),
            Ok(_) | Err(_) => Some(Self::Answers),
        }
    }
}

#[derive(Debug)]
enum BreakerState {
    Answering,
    /// Since then requests fail, and none succeeded.
    Failing(Instant),
    GaveUp(GaveUp),
}

/// Watches all requests of a run. Time counts from the first failure after a success to a later failure, so that a run
/// that asks nothing for a while does not give up, and neither does one request that takes long.
#[derive(Debug)]
pub(super) struct Breaker {
    after: Option<Duration>,
    state: Mutex<BreakerState>,
}

impl Breaker {
    /// Gives up after so long without a success; never when `after` is absent.
    pub(super) const fn new(after: Option<Duration>) -> Self {
        Self { after, state: Mutex::new(BreakerState::Answering) }
    }

    fn state(&self) -> MutexGuard<'_, BreakerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the run gave up; it never takes that back.
    pub(super) fn gave_up(&self) -> Option<GaveUp> {
        if let BreakerState::GaveUp(gave_up) = &*self.state() { Some(gave_up.clone()) } else { None }
    }

    /// Notes how a request ended.
    pub(super) fn note(&self, sign: Sign, now: Instant) {
        let Some(after) = self.after else { return };
        let mut state = self.state();
        let next = match (&*state, sign) {
            (BreakerState::GaveUp(_), _) => return,
            (_, Sign::Answers) | (BreakerState::Answering, Sign::AsksToWait(_)) => BreakerState::Answering,
            // The time that the server asks for is not counted.
            (BreakerState::Failing(_), Sign::AsksToWait(wait)) => BreakerState::Failing(now + wait),
            (BreakerState::Answering, Sign::Fails(_)) => BreakerState::Failing(now),
            (BreakerState::Failing(since), Sign::Fails(last)) => {
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

    /// The second at which a run gives up to which this happens: seconds, and what.
    fn gives_up(after: u64, events: &[(u64, Sign)]) -> Option<u64> {
        let (breaker, start) = (Breaker::new(Some(Duration::from_secs(after))), Instant::now());
        events.iter().find_map(|(second, sign)| {
            breaker.note(sign.clone(), start + Duration::from_secs(*second));
            breaker.gave_up().map(|_| *second)
        })
    }

    fn fails() -> Sign {
        Sign::Fails("GET /v2/: status 502".into())
    }

    #[test]
    fn a_run_gives_up_when_nothing_succeeded_for_so_long() {
        let every_second =
            |from: u64, to: u64| (from..to).map(|second| (second, fails())).collect::<Vec<_>>();
        assert_eq!(gives_up(30, &every_second(0, 100)), Some(30));
        assert_eq!(gives_up(30, &every_second(0, 30)), None);
        // One success anywhere begins the time anew.
        let mut events = every_second(0, 100);
        events.insert(20, (19, Sign::Answers));
        assert_eq!(gives_up(30, &events), Some(50));
    }

    #[test]
    fn one_failure_is_never_enough_and_time_in_which_nothing_is_asked_does_not_count() {
        assert_eq!(gives_up(30, &[(0, Sign::Answers), (1000, fails())]), None);
        assert_eq!(gives_up(0, &[(0, fails())]), None);
        assert_eq!(gives_up(30, &[(0, fails()), (1, Sign::Answers), (1000, fails()), (1001, fails())]), None);
    }

    #[test]
    fn a_wait_that_is_asked_for_is_no_failure_and_its_time_does_not_count() {
        let wait = || Sign::AsksToWait(Duration::from_secs(120));
        assert_eq!(gives_up(30, &[(0, wait()), (120, wait()), (240, wait())]), None);
        assert_eq!(gives_up(30, &[(0, fails()), (1, wait()), (121, fails()), (140, fails())]), None);
        assert_eq!(gives_up(30, &[(0, fails()), (1, wait()), (121, fails()), (151, fails())]), Some(151));
    }

    #[test]
    fn a_run_that_gave_up_stays_so_and_tells_how_it_ended() {
        let (breaker, now) = (Breaker::new(Some(Duration::from_secs(30))), Instant::now());
        for second in [0, 31, 32] {
            breaker.note(fails(), now + Duration::from_secs(second));
        }
        breaker.note(Sign::Answers, now + Duration::from_secs(33));
        insta::assert_snapshot!(breaker.gave_up().unwrap(), @"no request succeeded for 31 s, so nothing else is asked; the last ended with: GET /v2/: status 502");
    }

    #[test]
    fn without_a_time_a_run_never_gives_up() {
        let (breaker, now) = (Breaker::new(None), Instant::now());
        for second in 0..10_000 {
            breaker.note(fails(), now + Duration::from_secs(second));
        }
        assert_eq!(breaker.gave_up(), None);
    }
}
