//! Latencies, counted in buckets that are one per cent wide.

use std::time::Duration;

/// The factor between one bucket and the next.
const STEP: f64 = 1.01;

/// How many of each size; quantiles are exact to one per cent.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
}

impl Histogram {
    pub(crate) fn record(&mut self, latency: Duration) {
        let micros = latency.as_secs_f64() * 1e6;
        let bucket = if micros <= 1.0 { 0 } else { (micros.ln() / STEP.ln()).ceil() as usize };
        if self.buckets.len() <= bucket {
            self.buckets.resize(bucket + 1, 0);
        }
        self.buckets[bucket] += 1;
        self.count += 1;
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The latency that this share of all did not exceed; `None` when nothing was counted.
    pub(crate) fn quantile(&self, share: f64) -> Option<Duration> {
        let wanted = (self.count as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= wanted {
                return Some(Duration::from_secs_f64(STEP.powi(bucket as i32) / 1e6));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_bucket_of_the_truth() {
        let mut histogram = Histogram::default();
        for millis in 1..=1000 {
            histogram.record(Duration::from_millis(millis));
        }
        let half = histogram.quantile(0.5).unwrap().as_secs_f64();
        assert!((half / 0.5 - 1.0).abs() < 0.011, "{half}");
        let most = histogram.quantile(0.99).unwrap().as_secs_f64();
        assert!((most / 0.99 - 1.0).abs() < 0.011, "{most}");
    }

    #[test]
    fn nothing_has_no_quantile() {
        assert_eq!(Histogram::default().quantile(0.5), None);
    }
}
