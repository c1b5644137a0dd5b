//! How long events take from their append to the endpoint's yes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds in seconds: an endpoint that works answers within the first half of them, one that was down for a night
/// is in the second.
pub const LATENCY_BOUNDS: [f64; 18] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0,
];
/// The last one is for what took longer than every bound.
const BUCKETS: usize = LATENCY_BOUNDS.len() + 1;

/// Delivered events by how long they took, since the start.
#[derive(Debug, Default)]
pub(super) struct Latency {
    buckets: [AtomicU64; BUCKETS],
    micros: AtomicU64,
}

/// The same at one moment.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Latencies {
    /// Events that took no longer than the bound of this place and longer than the one before it; at the end those that
    /// took longer than all of them.
    pub buckets: [u64; BUCKETS],
    /// Seconds of all of them together.
    pub sum: f64,
}

impl Latency {
    pub(super) fn observe(&self, took: Duration) {
        let bucket = LATENCY_BOUNDS.partition_point(|bound| *bound < took.as_secs_f64());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    #[expect(clippy::cast_precision_loss, reason = "a sum for people, of which a float keeps enough")]
    pub(super) fn seen(&self) -> Latencies {
        let buckets = std::array::from_fn(|bucket| self.buckets[bucket].load(Ordering::Relaxed));
        Latencies { buckets, sum: self.micros.load(Ordering::Relaxed) as f64 / 1e6 }
    }
}

impl Latencies {
    /// How many events there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Within how many seconds this share of the events was delivered (0.99: all but one in a hundred), as the bound of
    /// the bucket that it falls into; `None` before the first one. Of what took longer than every bound the last one.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among events: a float-to-int cast saturates"
    )]
    pub fn within(&self, share: f64) -> Option<f64> {
        let rank = ((self.count() as f64 * share).ceil() as u64).max(1);
        let mut below = 0;
        let reaches = |count: &u64| {
            below += count;
            below >= rank
        };
        let bucket = self.buckets.iter().position(reaches)?;
        LATENCY_BOUNDS.get(bucket).or(LATENCY_BOUNDS.last()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_in_the_bucket_of_the_first_bound_that_it_does_not_pass() {
        let latency = Latency::default();
        for millis in [5, 6, 1000, 90_000_000] {
            latency.observe(Duration::from_millis(millis));
        }
        let seen = latency.seen();
        let used: Vec<usize> = (0..BUCKETS).filter(|bucket| seen.buckets[*bucket] > 0).collect();
        assert_eq!(used, [0, 1, 7, 18]);
        assert!((seen.sum - 90_001.011).abs() < 1e-6, "{}", seen.sum);
    }

    #[test]
    fn most_events_are_within_the_bound_of_their_bucket() {
        assert_eq!(Latencies::default().within(0.5), None);
        let latency = Latency::default();
        (0..99).for_each(|_| latency.observe(Duration::from_millis(3)));
        latency.observe(Duration::from_secs(2));
        assert_eq!(latency.seen().within(0.5), Some(0.005));
        assert_eq!(latency.seen().within(0.99), Some(0.005));
        latency.observe(Duration::from_secs(100_000));
        assert_eq!(latency.seen().within(0.99), Some(2.5));
        assert_eq!(latency.seen().within(1.0), Some(86_400.0));
    }
}
