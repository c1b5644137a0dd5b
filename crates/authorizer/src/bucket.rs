use std::time::Duration;
use waybill_types::Timestamp;

/// So much at once, and one more each `every`: kept as the moment at which it is full again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bucket {
    full_at: Option<Timestamp>,
}

/// How large a bucket is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) burst: u32,
    pub(crate) every: Duration,
}

impl Rate {
    fn span(self) -> Duration {
        self.every.saturating_mul(self.burst)
    }
}

impl Bucket {
    /// Takes one out. When there is none: how long until there is one.
    pub(crate) fn take(&mut self, rate: Rate, now: Timestamp) -> Result<(), Duration> {
        let limit = now + rate.span();
        // A clock that was put back must not close it for longer than it takes to fill.
        let full_at = self.full_at.unwrap_or(now).max(now).min(limit) + rate.every;
        if full_at > limit {
            return Err(full_at.since(limit));
        }
        self.full_at = Some(full_at);
        Ok(())
    }

    /// Whether nothing is missing.
    pub(crate) fn is_full(self, now: Timestamp) -> bool {
        self.full_at.is_none_or(|full_at| full_at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, every: Duration::from_secs(2) };

    #[test]
    fn a_burst_goes_through_and_then_one_at_a_time() {
        let mut bucket = Bucket::default();
        let start = Timestamp::from_secs(1000);
        for _ in 0..3 {
            assert_eq!(bucket.take(RATE, start), Ok(()));
        }
        assert_eq!(bucket.take(RATE, start), Err(Duration::from_secs(2)));
        assert_eq!(bucket.take(RATE, start + Duration::from_secs(1)), Err(Duration::from_secs(1)));
        assert_eq!(bucket.take(RATE, start + Duration::from_secs(2)), Ok(()));
        assert!(!bucket.is_full(start + Duration::from_secs(7)) && bucket.is_full(start + Duration::from_secs(8)));
    }

    #[test]
    fn a_clock_that_is_put_back_closes_it_for_no_longer_than_it_takes_to_fill() {
        let mut bucket = Bucket::default();
        for _ in 0..3 {
            bucket.take(RATE, Timestamp::from_secs(100_000)).unwrap();
        }
        assert_eq!(bucket.take(RATE, Timestamp::from_secs(1000)), Err(Duration::from_secs(2)));
    }
}
