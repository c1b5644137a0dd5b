use crate::Backoff;
use std::time::Duration;
use waybill_types::Timestamp;

/// Keeps attempts from an endpoint that has failed many times in a row, but for one probe at a time.
///
/// Closed: all may pass. Open: none until a time. Probing: one is under way, and decides.
#[derive(Clone, Debug)]
pub struct Breaker {
    config: BreakerConfig,
    state: State,
    /// Attempts that began before the state changed do not speak for the new one.
    epoch: u64,
}

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct BreakerConfig {
    /// Failures in a row that open it, at least 1.
    pub failures: u32,
    /// How long it stays open, longer each time a probe fails.
    pub open: Backoff,
}

impl Default for BreakerConfig {
    /// Five failures; 5 s doubling to 10 min.
    fn default() -> Self {
        BreakerConfig { failures: 5, open: Backoff::default() }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Timestamp, opened: u32 },
    Probing { opened: u32 },
}

/// What the breaker says to one who wants to pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gate {
    /// Pass.
    Pass,
    /// Pass, as the one probe.
    Probe,
    /// Not before this time.
    Until(Timestamp),
    /// A probe is under way: wait for how it ends.
    Probing,
}

impl Breaker {
    /// Closed.
    pub fn new(config: BreakerConfig) -> Self {
        Breaker { config, state: State::Closed { failures: 0 }, epoch: 0 }
    }

    /// What it would say now.
    pub fn gate(&self, now: Timestamp) -> Gate {
        match self.state {
            State::Closed { .. } => Gate::Pass,
            State::Open { until, .. } if until <= now => Gate::Probe,
            State::Open { until, .. } => Gate::Until(until),
            State::Probing { .. } => Gate::Probing,
        }
    }

    /// An attempt passes; gives what [`Breaker::ended`] wants to hear.
    pub fn pass(&mut self, now: Timestamp) -> u64 {
        // Open => Probing. Whoever passes now is the probe.
        if let (Gate::Probe, State::Open { opened, .. }) = (self.gate(now), self.state) {
            self.epoch += 1;
            self.state = State::Probing { opened };
        }
        self.epoch
    }

    /// An attempt that passed in `epoch` has ended. Returns true when the breaker opened or closed by it.
    pub fn ended(&mut self, epoch: u64, well: bool, now: Timestamp, random: f64, least: Option<Duration>) -> bool {
        if epoch != self.epoch {
            return false;
        }
        match (self.state, well) {
            (State::Closed { .. }, true) => {
                self.state = State::Closed { failures: 0 };
                false
            }
            (State::Closed { failures }, false) if failures + 1 < self.config.failures => {
                self.state = State::Closed { failures: failures + 1 };
                false
            }
            // Closed => Open. As many in a row as it takes.
            (State::Closed { .. }, false) => {
                self.open(1, now, random, least);
                true
            }
            // Probing => Closed. It is back.
            (State::Probing { .. }, true) => {
                self.epoch += 1;
                self.state = State::Closed { failures: 0 };
                true
            }
            // Probing => Open. Still down, so the next probe waits longer.
            (State::Probing { opened }, false) => {
                self.open(opened.saturating_add(1), now, random, least);
                false
            }
            (State::Open { .. }, _) => false,
        }
    }

    /// An attempt that passed never took place: a probe that was not made proves nothing, and another may be made.
    pub fn cancelled(&mut self, epoch: u64, now: Timestamp) {
        if let (true, State::Probing { opened }) = (epoch == self.epoch, self.state) {
            self.epoch += 1;
            self.state = State::Open { until: now, opened };
        }
    }

    fn open(&mut self, opened: u32, now: Timestamp, random: f64, least: Option<Duration>) {
        self.epoch += 1;
        self.state = State::Open { until: now + self.config.open.wait(opened, random, least), opened };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn breaker() -> Breaker {
        let open = Backoff::new(Duration::from_secs(10), Duration::from_secs(40), 0.0).unwrap();
        Breaker::new(BreakerConfig { failures: 3, open })
    }

    fn attempt(breaker: &mut Breaker, now: i64, well: bool) -> bool {
        let epoch = breaker.pass(at(now));
        breaker.ended(epoch, well, at(now), 0.0, None)
    }

    #[test]
    fn only_failures_in_a_row_open_it() {
        let mut breaker = breaker();
        for _ in 0..5 {
            attempt(&mut breaker, 0, false);
            attempt(&mut breaker, 0, false);
            attempt(&mut breaker, 0, true);
        }
        assert_eq!(breaker.gate(at(0)), Gate::Pass);
    }

    #[test]
    fn an_open_breaker_lets_one_probe_through_and_waits_longer_each_time_it_fails() {
        let mut breaker = breaker();
        let changes: Vec<bool> = (0..3).map(|_| attempt(&mut breaker, 0, false)).collect();
        assert_eq!(changes, [false, false, true]);
        assert_eq!(breaker.gate(at(9)), Gate::Until(at(10)));
        let probe = breaker.pass(at(10));
        assert_eq!(breaker.gate(at(11)), Gate::Probing);
        breaker.ended(probe, false, at(12), 0.0, None);
        assert_eq!(breaker.gate(at(12)), Gate::Until(at(32)));
        attempt(&mut breaker, 32, false);
        assert_eq!(breaker.gate(at(32)), Gate::Until(at(72)));
        assert!(attempt(&mut breaker, 72, true), "it says that it closed");
        assert_eq!(breaker.gate(at(72)), Gate::Pass);
    }

    #[test]
    fn attempts_from_before_it_opened_neither_open_it_again_nor_close_it() {
        let mut breaker = breaker();
        let before: Vec<u64> = (0..6).map(|_| breaker.pass(at(0))).collect();
        for epoch in &before[..3] {
            breaker.ended(*epoch, false, at(1), 0.0, None);
        }
        assert_eq!(breaker.gate(at(1)), Gate::Until(at(11)));
        breaker.ended(before[3], false, at(5), 0.0, None);
        breaker.ended(before[4], true, at(6), 0.0, None);
        assert_eq!(breaker.gate(at(6)), Gate::Until(at(11)));
        let probe = breaker.pass(at(11));
        breaker.ended(before[5], true, at(12), 0.0, None);
        assert_eq!(breaker.gate(at(12)), Gate::Probing, "the probe decides");
        breaker.ended(probe, true, at(13), 0.0, None);
        assert_eq!(breaker.gate(at(13)), Gate::Pass);
    }

    #[test]
    fn retry_after_is_the_least_that_it_stays_open_and_a_probe_that_was_not_made_frees_its_place() {
        let mut breaker = breaker();
        attempt(&mut breaker, 0, false);
        attempt(&mut breaker, 0, false);
        let epoch = breaker.pass(at(0));
        breaker.ended(epoch, false, at(0), 0.0, Some(Duration::from_secs(300)));
        assert_eq!(breaker.gate(at(0)), Gate::Until(at(300)));
        let probe = breaker.pass(at(300));
        breaker.cancelled(probe, at(301));
        assert_eq!(breaker.gate(at(301)), Gate::Probe);
    }
}
