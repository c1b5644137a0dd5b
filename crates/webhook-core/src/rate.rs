use waybill_types::{ThrottleSpec, Timestamp};

/// How many attempts may begin in a period: GCRA, as everywhere in this daemon.
#[derive(Clone, Debug)]
pub struct Rate {
    spec: ThrottleSpec,
    /// When the bucket will be empty again.
    empty_at: Timestamp,
}

impl Rate {
    /// Nothing has passed yet.
    pub fn new(spec: ThrottleSpec) -> Self {
        Rate { spec, empty_at: Timestamp::EPOCH }
    }

    /// When the next may begin; now or earlier means at once.
    pub fn next(&self, now: Timestamp) -> Timestamp {
        let burst = u32::try_from(self.spec.burst().saturating_sub(1)).unwrap_or(u32::MAX);
        let room = self.spec.interval().saturating_mul(burst);
        // A clock that was set back must not keep an endpoint quiet for as long as it was set back.
        let empty_at = self.empty_at.min(now + room + self.spec.interval());
        empty_at - room
    }

    /// One begins.
    pub fn begin(&mut self, now: Timestamp) {
        let room = self.spec.interval().saturating_mul(u32::try_from(self.spec.burst()).unwrap_or(u32::MAX));
        self.empty_at = (self.empty_at.max(now) + self.spec.interval()).min(now + room);
    }

    /// One that was counted did not take place.
    pub fn give_back(&mut self) {
        self.empty_at = self.empty_at - self.spec.interval();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_nanos(1_000_000_000_000 + millis * 1_000_000)
    }

    #[test]
    fn a_burst_passes_at_once_and_then_one_an_interval() {
        let mut rate = Rate::new("10/s,max_burst=2".parse().unwrap());
        let burst = rate.spec.burst();
        for _ in 0..burst {
            assert!(rate.next(at(0)) <= at(0));
            rate.begin(at(0));
        }
        assert_eq!(rate.next(at(0)), at(100));
        rate.begin(at(100));
        assert_eq!(rate.next(at(100)), at(200));
        rate.give_back();
        assert_eq!(rate.next(at(100)), at(100));
    }

    #[test]
    fn a_clock_that_is_set_back_by_an_hour_does_not_silence_for_an_hour() {
        let mut rate = Rate::new("1/s".parse().unwrap());
        rate.begin(at(3_600_000));
        assert!(rate.next(at(0)) <= at(1_000));
    }
}
