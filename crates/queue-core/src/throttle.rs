//! Rates: the generic cell rate algorithm, without a clock.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use waybill_types::{ThrottleSpec, Timestamp};

/// The state of one rate: the moment at which it is fully rested. Eight bytes, exact to the nanosecond.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Gcra {
    rested_at: Timestamp,
}

impl Gcra {
    /// A rate that nothing has passed yet.
    pub const fn new() -> Self {
        Gcra { rested_at: Timestamp::EPOCH }
    }

    /// Lets one pass, or says how long it has to wait.
    ///
    /// # Errors
    /// The exact wait; see [`whole_seconds`] for what records show.
    pub fn check(&mut self, now: Timestamp, spec: &ThrottleSpec) -> Result<(), Duration> {
        self.check_many(now, spec, 1)
    }

    /// Lets `count` pass together, or none of them and says how long they have to wait.
    ///
    /// # Errors
    /// The exact wait. More than [`ThrottleSpec::burst`] can never pass together; their wait is that of a whole burst.
    pub fn check_many(&mut self, now: Timestamp, spec: &ThrottleSpec, count: u64) -> Result<(), Duration> {
        match self.wait(now, spec, count) {
            Duration::ZERO if count <= spec.burst() => {
                self.take(now, spec, count);
                Ok(())
            }
            Duration::ZERO => Err(spec.interval()),
            wait => Err(wait),
        }
    }

    /// How long `count` (at most a burst) would have to wait; zero when they may pass now. Takes nothing.
    pub fn wait(&mut self, now: Timestamp, spec: &ThrottleSpec, count: u64) -> Duration {
        let wanted = self.backlog(now, spec) + u128::from(count.min(spec.burst())) * spec.interval().as_nanos();
        nanos(wanted.saturating_sub(depth(spec)))
    }

    /// How many may pass together now. Takes nothing.
    pub fn available(&mut self, now: Timestamp, spec: &ThrottleSpec) -> u64 {
        let spare = depth(spec) - self.backlog(now, spec);
        u64::try_from(spare / spec.interval().as_nanos()).unwrap_or(u64::MAX)
    }

    /// From when on it is as if nothing had passed: then its state may be forgotten.
    pub fn rested_at(&self) -> Timestamp {
        self.rested_at
    }

    /// Lets `count` pass, whatever the rate says.
    pub fn take(&mut self, now: Timestamp, spec: &ThrottleSpec, count: u64) {
        let backlog = self.backlog(now, spec) + spec.interval().as_nanos() * u128::from(count);
        self.rested_at = now + nanos(backlog);
    }

    /// What has passed and is not yet worked off, in nanoseconds.
    ///
    /// Never more than a burst: else a clock that stepped back, or a change from one an hour to a hundred a second,
    /// would be paid for with an hour of silence.
    fn backlog(&mut self, now: Timestamp, spec: &ThrottleSpec) -> u128 {
        self.rested_at = self.rested_at.min(now + nanos(depth(spec)));
        self.rested_at.since(now).as_nanos()
    }
}

/// A rate that is set and asked for in different places; unset lets everything pass.
#[derive(Debug, Default)]
pub struct Pace(Mutex<Option<(ThrottleSpec, Gcra)>>);

impl Pace {
    /// From now on this rate holds. Setting the one that holds already does not begin it afresh.
    pub fn set(&self, spec: Option<ThrottleSpec>) {
        let mut pace = self.state();
        let rate = pace.take().map(|(_, rate)| rate).unwrap_or_default();
        *pace = spec.map(|spec| (spec, rate));
    }

    fn state(&self) -> MutexGuard<'_, Option<(ThrottleSpec, Gcra)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets one pass, or says how long it has to wait. Whoever asks goes by one clock.
    ///
    /// # Errors
    /// The exact wait. Others may be faster: ask again behind it.
    pub fn check(&self, now: Timestamp) -> Result<(), Duration> {
        self.state().as_mut().map_or(Ok(()), |(spec, rate)| rate.check(now, spec))
    }
}

/// A whole burst, in nanoseconds.
fn depth(spec: &ThrottleSpec) -> u128 {
    u128::from(spec.burst()) * spec.interval().as_nanos()
}

fn nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// A wait as records and scripts see it: rounded up to whole seconds.
pub fn whole_seconds(wait: Duration) -> Duration {
    Duration::from_secs(wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> ThrottleSpec {
        text.parse().unwrap()
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_nanos(1_700_000_000_000_000_000 + millis * 1_000_000)
    }

    #[test]
    fn a_rested_rate_lets_a_burst_pass_and_then_one_each_interval() {
        let (mut rate, spec) = (Gcra::new(), spec("10/s"));
        for _ in 0..10 {
            assert_eq!(rate.check(at(0), &spec), Ok(()));
        }
        assert_eq!(rate.check(at(0), &spec), Err(Duration::from_millis(100)));
        assert_eq!(rate.check(at(99), &spec), Err(Duration::from_millis(1)));
        assert_eq!(rate.check(at(100), &spec), Ok(()));
        assert_eq!(rate.check(at(100), &spec), Err(Duration::from_millis(100)));
    }

    #[test]
    fn a_minute_with_a_burst_of_one_is_one_each_minute() {
        let (mut rate, spec) = (Gcra::new(), spec("1/m"));
        assert_eq!(rate.check(at(0), &spec), Ok(()));
        assert_eq!(rate.check(at(1), &spec), Err(Duration::from_millis(59_999)));
        assert_eq!(rate.check(at(60_000), &spec), Ok(()));
    }

    #[test]
    fn max_burst_bounds_what_passes_at_once() {
        let (mut rate, spec) = (Gcra::new(), spec("3600/h,max_burst=2"));
        assert_eq!(rate.available(at(0), &spec), 3);
        assert_eq!((0..10).filter(|_| rate.check(at(0), &spec).is_ok()).count(), 3);
        assert_eq!(rate.available(at(500), &spec), 0);
        assert_eq!(rate.available(at(1000), &spec), 1);
    }

    #[test]
    fn over_a_long_time_the_rate_is_exact() {
        let (mut rate, spec) = (Gcra::new(), spec("7/m"));
        let passed = (0..600_000).step_by(50).filter(|millis| rate.check(at(*millis), &spec).is_ok()).count();
        // Seven a minute for ten minutes, and the burst of seven that a rested rate allows.
        assert!((76..=77).contains(&passed), "{passed}");
    }

    #[test]
    fn many_pass_together_or_not_at_all() {
        let (mut rate, spec) = (Gcra::new(), spec("10/s"));
        assert_eq!(rate.check_many(at(0), &spec, 6), Ok(()));
        assert_eq!(rate.check_many(at(0), &spec, 6), Err(Duration::from_millis(200)));
        assert_eq!(rate.available(at(0), &spec), 4);
        assert_eq!(rate.check_many(at(0), &spec, 4), Ok(()));
        assert!(rate.check_many(at(60_000), &spec, 11).is_err());
    }

    #[test]
    fn a_clock_that_steps_back_or_a_faster_rate_costs_one_interval_at_most() {
        let mut rate = Gcra::new();
        assert_eq!(rate.check(at(10_000), &spec("1/s")), Ok(()));
        assert_eq!(rate.check(at(0), &spec("1/s")), Err(Duration::from_secs(1)));
        assert_eq!(rate.check(at(20_000), &spec("1/h")), Ok(()));
        assert_eq!(rate.check(at(20_000), &spec("10/s")), Err(Duration::from_millis(100)));
        assert_eq!(rate.check(at(20_100), &spec("10/s")), Ok(()));
    }

    #[test]
    fn a_pace_holds_from_when_it_is_set_until_it_is_taken_back() {
        let pace = Pace::default();
        assert!((0..1000).all(|_| pace.check(at(0)).is_ok()));
        pace.set(Some(spec("2/s")));
        assert_eq!((0..10).filter(|_| pace.check(at(0)).is_ok()).count(), 2);
        pace.set(Some(spec("2/s")));
        assert_eq!(pace.check(at(0)), Err(Duration::from_millis(500)), "what was spent stays spent");
        assert_eq!(pace.check(at(500)), Ok(()));
        pace.set(None);
        assert_eq!(pace.check(at(500)), Ok(()));
    }

    #[test]
    fn records_show_whole_seconds() {
        assert_eq!(whole_seconds(Duration::from_millis(1)), Duration::from_secs(1));
        assert_eq!(whole_seconds(Duration::from_secs(2)), Duration::from_secs(2));
        assert_eq!(whole_seconds(Duration::MAX), Duration::from_secs(u64::MAX));
    }
}
