//! How long things take, counted in buckets.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds in seconds for what the daemon itself does, or waits for while it has a connection open: from a lookup in
/// memory to a peer that takes its time.
pub const WORK_BOUNDS: &[f64] = &[
    0.000_1, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];

/// Durations since the start, by bucket. Whoever observes waits for nobody.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One for each bound, and one for what took longer than all of them.
    buckets: Box<[AtomicU64]>,
    micros: AtomicU64,
}

/// The same at one moment.
#[derive(Clone, PartialEq, Debug)]
pub struct Observed {
    /// Upper bounds of the buckets in seconds, ascending.
    pub bounds: &'static [f64],
    /// How many took no longer than the bound of this place and longer than the one before it; at the end those that
    /// took longer than all bounds.
    pub buckets: Vec<u64>,
    /// Seconds of all of them together.
    pub sum: f64,
}

impl Histogram {
    /// Nothing observed yet. Bounds are in seconds, ascending.
    pub fn new(bounds: &'static [f64]) -> Self {
        let buckets = std::iter::repeat_with(AtomicU64::default).take(bounds.len() + 1).collect();
        Histogram { bounds, buckets, micros: AtomicU64::default() }
    }

    /// One more, which took so long.
    pub fn observe(&self, took: Duration) {
        let bucket = self.bounds.partition_point(|bound| *bound < took.as_secs_f64());
        if let Some(count) = self.buckets.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// What was observed so far.
    #[expect(clippy::cast_precision_loss, reason = "a sum for people, of which a float keeps enough")]
    pub fn seen(&self) -> Observed {
        let buckets = self.buckets.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        Observed { bounds: self.bounds, buckets, sum: self.micros.load(Ordering::Relaxed) as f64 / 1e6 }
    }
}

impl Default for Histogram {
    /// With [`WORK_BOUNDS`].
    fn default() -> Self {
        Histogram::new(WORK_BOUNDS)
    }
}

impl Observed {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Within how many seconds this share of them was done (0.99: all but one in a hundred), as the bound of the bucket
    /// that it falls into; `None` before the first one. Of what took longer than every bound the last one.
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
        self.bounds.get(bucket).or_else(|| self.bounds.last()).copied()
    }

    /// Adds what was observed elsewhere with the same bounds.
    pub fn add(&mut self, more: &Observed) {
        self.buckets.iter_mut().zip(&more.buckets).for_each(|(count, more)| *count += more);
        self.sum += more.sum;
    }
}

/// Histograms of work by name, made when the name is first heard.
#[derive(Debug, Default)]
pub struct Histograms(Mutex<BTreeMap<String, Histogram>>);

impl Histograms {
    /// One more of this name, which took so long.
    pub fn observe(&self, name: &str, took: Duration) {
        let mut all = self.0.lock();
        if let Some(known) = all.get(name) {
            return known.observe(took);
        }
        all.entry(name.to_owned()).or_default().observe(took);
    }

    /// What was observed so far.
    pub fn seen(&self) -> BTreeMap<String, Observed> {
        self.0.lock().iter().map(|(name, histogram)| (name.clone(), histogram.seen())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: &[f64] = &[0.005, 1.0, 60.0, 86_400.0];

    #[test]
    fn an_event_is_in_the_bucket_of_the_first_bound_that_it_does_not_pass() {
        let histogram = Histogram::new(BOUNDS);
        for millis in [5, 6, 1000, 90_000_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let seen = histogram.seen();
        assert_eq!(seen.buckets, [1, 2, 0, 0, 1]);
        assert!((seen.sum - 90_001.011).abs() < 1e-6, "{}", seen.sum);
    }

    #[test]
    fn most_events_are_within_the_bound_of_their_bucket() {
        let histogram = Histogram::new(BOUNDS);
        assert_eq!(histogram.seen().within(0.5), None);
        (0..99).for_each(|_| histogram.observe(Duration::from_millis(3)));
        histogram.observe(Duration::from_secs(2));
        assert_eq!(histogram.seen().within(0.5), Some(0.005));
        assert_eq!(histogram.seen().within(0.99), Some(0.005));
        histogram.observe(Duration::from_secs(100_000));
        assert_eq!(histogram.seen().within(0.99), Some(60.0));
        assert_eq!(histogram.seen().within(1.0), Some(86_400.0));
    }

    #[test]
    fn what_was_observed_in_two_places_is_added_name_by_name() {
        let (here, there) = (Histograms::default(), Histograms::default());
        here.observe("lua", Duration::from_secs(1));
        there.observe("lua", Duration::from_secs(2));
        there.observe("maildir", Duration::ZERO);
        let mut sum = here.seen();
        assert_eq!(sum.keys().collect::<Vec<_>>(), ["lua"]);
        let lua = sum.get_mut("lua").unwrap();
        lua.add(&there.seen()["lua"]);
        assert_eq!(lua.count(), 2);
        assert!((lua.sum - 3.0).abs() < 1e-6, "{}", lua.sum);
    }
}
