use std::time::Duration;
use waybill_types::Timestamp;

/// How batches form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchPolicy {
    batch_size: usize,
    min_batch_size: usize,
    max_batch_latency: Duration,
}

impl BatchPolicy {
    /// Batches of at most `batch_size`, formed as soon as `min_batch_size` items are ready or the first has waited
    /// `max_batch_latency`. Zero sizes count as one; a minimum above the size is the size.
    pub fn new(batch_size: usize, min_batch_size: usize, max_batch_latency: Duration) -> Self {
        let batch_size = batch_size.max(1);
        BatchPolicy { batch_size, min_batch_size: min_batch_size.clamp(1, batch_size), max_batch_latency }
    }

    /// One item at a time, at once.
    pub fn single() -> Self {
        BatchPolicy::new(1, 1, Duration::ZERO)
    }

    /// The most items of a batch.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// How many are a batch at once.
    pub fn min_batch_size(&self) -> usize {
        self.min_batch_size
    }

    /// How long the first waits for others.
    pub fn max_batch_latency(&self) -> Duration {
        self.max_batch_latency
    }

    /// True when `count` items, the first of which is ready since `first`, are a batch now.
    pub(super) fn is_batch(&self, count: usize, first: Timestamp, now: Timestamp) -> bool {
        count >= self.min_batch_size || (count > 0 && now >= self.latest(first))
    }

    /// When the item that is ready since `first` stops waiting for others.
    pub(super) fn latest(&self, first: Timestamp) -> Timestamp {
        first + self.max_batch_latency
    }
}

impl Default for BatchPolicy {
    fn default() -> Self {
        BatchPolicy::single()
    }
}

/// How many sessions serve `demand` batches (formed or in flight): never more than the limit or the demand, and
/// fewer of the limit while the demand is small: `limit * (1 - exp(-0.023 * demand))`, rounded up.
pub fn wanted_sessions(limit: u32, demand: usize, aggressive: bool) -> usize {
    let most = usize::try_from(limit).unwrap_or(usize::MAX).min(demand);
    if aggressive {
        return most;
    }
    #[expect(clippy::cast_precision_loss, reason = "a demand beyond 2^52 is at the limit anyway")]
    let share = 1.0 - (-0.023 * demand as f64).exp();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between zero and a u32")]
    let curve = (f64::from(limit) * share).ceil() as usize;
    most.min(curve)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_sessions_follows_the_curve() {
        for (demand, wanted) in [(0, 0), (1, 1), (10, 7), (64, 25), (1024, 32), (usize::MAX, 32)] {
            assert_eq!(wanted_sessions(32, demand, false), wanted, "{demand}");
        }
        assert_eq!(wanted_sessions(1, 1000, false), 1);
        assert_eq!(wanted_sessions(1000, 3, false), 3);
        assert_eq!(wanted_sessions(32, 10, true), 10);
    }

    #[test]
    fn a_policy_cannot_hold_nonsense() {
        let policy = BatchPolicy::new(0, 0, Duration::ZERO);
        assert_eq!((policy.batch_size(), policy.min_batch_size()), (1, 1));
        assert_eq!(BatchPolicy::new(5, 10, Duration::ZERO).min_batch_size(), 5);
    }

    #[test]
    fn without_latency_nothing_waits() {
        let (policy, now) = (BatchPolicy::new(100, 10, Duration::ZERO), Timestamp::from_secs(9));
        assert!(policy.is_batch(1, now, now));
        assert!(!policy.is_batch(0, now, now));
    }
}
