//! A circuit breaker: a cluster that does not answer is left alone for a while, then tried with one request.
//!
//! Only the transport counts (no connection, broken connection, no answer in time). A cluster that answers quickly
//! with an error slows nobody.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Tells the time to a breaker. Tests give their own.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Instant + Send + Sync>);

impl Clock {
    /// The monotonic clock of the system.
    pub fn system() -> Self {
        Self(Arc::new(Instant::now))
    }

    /// A clock that tells what the function says.
    pub fn from_fn(now: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(crate) fn now(&self) -> Instant {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// What the breaker knows about the way to a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reachability {
    /// Requests go through.
    Open,
    /// Requests are refused until then.
    LeftAlone {
        /// Time until a trial is allowed.
        retry_in: Duration,
    },
    /// One request is under way to find out.
    OnTrial,
}

/// See the module.
pub(crate) struct Breaker {
    clock: Clock,
    failures_to_open: u32,
    open_for: Duration,
    state: Mutex<State>,
}

enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    Trial,
}

/// The permission to send one request. Dropped without a verdict, it counts as neither success nor failure.
pub(crate) struct Ticket {
    breaker: Arc<Breaker>,
    trial: bool,
    settled: bool,
}

impl Breaker {
    pub(crate) fn new(clock: Clock, failures_to_open: u32, open_for: Duration) -> Arc<Self> {
        let failures_to_open = failures_to_open.max(1);
        Arc::new(Self { clock, failures_to_open, open_for, state: Mutex::new(State::Closed { failures: 0 }) })
    }

    /// Lets a request through, or says how long to wait.
    pub(crate) fn admit(self: &Arc<Self>) -> Result<Ticket, Duration> {
        let mut state = self.lock();
        let trial = match *state {
            State::Closed { .. } => false,
            State::Trial => return Err(self.open_for.min(Duration::from_secs(1))),
            State::Open { until } => {
                let left = until.saturating_duration_since(self.clock.now());
                if !left.is_zero() {
                    return Err(left);
                }
                *state = State::Trial;
                true
            }
        };
        drop(state);
        Ok(Ticket { breaker: Arc::clone(self), trial, settled: false })
    }

    pub(crate) fn reachability(&self) -> Reachability {
        match *self.lock() {
            State::Closed { .. } => Reachability::Open,
            State::Trial => Reachability::OnTrial,
            State::Open { until } => {
                Reachability::LeftAlone { retry_in: until.saturating_duration_since(self.clock.now()) }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is one value, written whole: a panic elsewhere cannot have left it half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// The cluster answered.
    pub(crate) fn succeed(mut self) {
        self.settled = true;
        *self.breaker.lock() = State::Closed { failures: 0 };
    }

    /// The cluster did not answer.
    pub(crate) fn fail(mut self) {
        self.settled = true;
        let until = self.breaker.clock.now() + self.breaker.open_for;
        let mut state = self.breaker.lock();
        match *state {
            State::Closed { failures } if failures + 1 < self.breaker.failures_to_open => {
                *state = State::Closed { failures: failures + 1 };
            }
            State::Closed { .. } => *state = State::Open { until },
            State::Trial if self.trial => *state = State::Open { until },
            State::Trial | State::Open { .. } => {}
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.trial && !self.settled {
            let mut state = self.breaker.lock();
            if matches!(*state, State::Trial) {
                *state = State::Open { until: self.breaker.clock.now() };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> (Arc<Breaker>, Arc<Mutex<Instant>>) {
        let time = Arc::new(Mutex::new(Instant::now()));
        let told = Arc::clone(&time);
        let clock = Clock::from_fn(move || *told.lock().expect("clock"));
        (Breaker::new(clock, 3, Duration::from_secs(10)), time)
    }

    fn fail(breaker: &Arc<Breaker>, times: usize) {
        for _ in 0..times {
            breaker.admit().map_err(|_| "must be admitted").expect("admitted").fail();
        }
    }

    #[test]
    fn opens_after_so_many_failures_in_a_row_and_answers_at_once() {
        let (breaker, _) = breaker();
        fail(&breaker, 2);
        breaker.admit().map_err(|_| ()).expect("closed").succeed();
        fail(&breaker, 3);
        assert_eq!(breaker.admit().map(|_| ()).expect_err("open"), Duration::from_secs(10));
    }

    #[test]
    fn lets_exactly_one_trial_through_when_the_time_is_over() {
        let (breaker, time) = breaker();
        fail(&breaker, 3);
        *time.lock().expect("clock") += Duration::from_secs(10);
        let trial = breaker.admit().map_err(|_| ()).expect("trial");
        assert!(breaker.admit().is_err(), "a second request must wait for the trial");
        trial.fail();
        assert!(breaker.admit().is_err(), "a failed trial opens it again");
        *time.lock().expect("clock") += Duration::from_secs(10);
        breaker.admit().map_err(|_| ()).expect("trial").succeed();
        assert_eq!(breaker.reachability(), Reachability::Open);
    }

    #[test]
    fn a_cancelled_trial_leaves_room_for_the_next() {
        let (breaker, time) = breaker();
        fail(&breaker, 3);
        *time.lock().expect("clock") += Duration::from_secs(10);
        drop(breaker.admit().map_err(|_| ()).expect("trial"));
        assert!(breaker.admit().is_ok());
    }
}
