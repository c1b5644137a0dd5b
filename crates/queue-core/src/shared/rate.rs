use std::time::Duration;
use waybill_types::{ThrottleSpec, Timestamp};

/// A clock that goes back by more than this was set; by less, two drivers looked at it at about the same time.
const CLOCK_WAS_SET: Duration = Duration::from_secs(1);

/// A rate that several queues draw on: who has to wait books its turn, and everybody behind gets a later one.
///
/// The generic cell rate algorithm like [`crate::throttle::Gcra`], but what has been promised may reach further into
/// the future than one burst. So many queues may wait for one rate without trying over and over, each is served in
/// turn, and each needs one wake-up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct SharedRate {
    /// When everything that passed or is booked is worked off.
    rested_at: Timestamp,
    seen: Timestamp,
    interval: Duration,
}

impl SharedRate {
    /// When `count` (at most a burst) can pass: `now`, or a later time. Takes nothing.
    pub(crate) fn turn(&mut self, now: Timestamp, spec: &ThrottleSpec, count: u64) -> Timestamp {
        let wanted = self.backlog(now, spec).saturating_add(span(spec, count.min(spec.burst())));
        if count == 0 { now } else { now + nanos(wanted.saturating_sub(span(spec, spec.burst()))) }
    }

    /// How many can pass now together. Takes nothing.
    pub(crate) fn available(&mut self, now: Timestamp, spec: &ThrottleSpec) -> u64 {
        let spare = span(spec, spec.burst()).saturating_sub(self.backlog(now, spec));
        u64::try_from(spare / spec.interval().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Takes `count`, now or for the time that [`SharedRate::turn`] said.
    pub(crate) fn book(&mut self, now: Timestamp, spec: &ThrottleSpec, count: u64) {
        let backlog = self.backlog(now, spec).saturating_add(span(spec, count));
        self.rested_at = now + nanos(backlog);
    }

    /// What was booked is not needed: those who come later need not wait for it.
    pub(crate) fn give_back(&mut self, now: Timestamp, spec: &ThrottleSpec, count: u64) {
        let backlog = self.backlog(now, spec).saturating_sub(span(spec, count));
        self.rested_at = now + nanos(backlog);
    }

    /// One that was booked under a rate that may have been another is not needed. No more comes back than one takes now.
    pub(crate) fn give_back_one(&mut self, now: Timestamp, spec: &ThrottleSpec, booked: &ThrottleSpec) {
        let backlog = self.backlog(now, spec).saturating_sub(span(spec, 1).min(span(booked, 1)));
        self.rested_at = now + nanos(backlog);
    }

    /// From when on it is as if nothing had passed: then its state may be forgotten.
    pub(crate) fn rested_at(&self) -> Timestamp {
        self.rested_at
    }

    fn backlog(&mut self, now: Timestamp, spec: &ThrottleSpec) -> u128 {
        if self.seen > now + CLOCK_WAS_SET {
            // What was booked keeps its distance; else it would be paid for with silence.
            self.rested_at = self.rested_at - self.seen.since(now);
            self.seen = now;
        }
        self.seen = self.seen.max(now);
        if self.interval > spec.interval() {
            // A faster rate applies at once.
            self.rested_at = self.rested_at.min(now + nanos(span(spec, spec.burst())));
        }
        self.interval = spec.interval();
        self.rested_at.since(now).as_nanos()
    }
}

fn span(spec: &ThrottleSpec, count: u64) -> u128 {
    spec.interval().as_nanos().saturating_mul(u128::from(count))
}

fn nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
