use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

/// Histograms that somebody else keeps, brought here before a scrape: those of the `prometheus` crate can only be added
/// to, one observation at a time. One label, or none. Clones are the same.
#[derive(Clone)]
pub struct HistogramTotals(Arc<Inner>);

struct Inner {
    desc: Desc,
    label: Option<&'static str>,
    totals: Mutex<BTreeMap<String, Total>>,
}

struct Total {
    bounds: &'static [f64],
    buckets: Vec<u64>,
    sum: f64,
}

impl HistogramTotals {
    /// None yet.
    pub(super) fn new(name: &str, help: &str, label: Option<&'static str>) -> Result<Self, prometheus::Error> {
        let desc = Desc::new(
            name.to_owned(),
            help.to_owned(),
            label.map(str::to_owned).into_iter().collect(),
            HashMap::new(),
        )?;
        Ok(HistogramTotals(Arc::new(Inner { desc, label, totals: Mutex::default() })))
    }

    /// What is shown for a value of the label (anything, where there is none) from now on: upper bounds of the buckets, observations in each of them with
    /// those beyond all bounds at the end, and the sum of what was observed.
    pub fn set(&self, value: &str, bounds: &'static [f64], buckets: &[u64], sum: f64) {
        self.0.totals.lock().insert(value.to_owned(), Total { bounds, buckets: buckets.to_vec(), sum });
    }

    /// Shows none any more.
    pub fn reset(&self) {
        self.0.totals.lock().clear();
    }
}

impl fmt::Debug for HistogramTotals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HistogramTotals({})", self.0.desc.fq_name)
    }
}

impl Collector for HistogramTotals {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let totals = self.0.totals.lock();
        if totals.is_empty() {
            return Vec::new();
        }
        let metrics = totals.iter().map(|(value, total)| {
            let label = self.0.label.map(|name| {
                let mut label = LabelPair::default();
                label.set_name(name.to_owned());
                label.set_value(value.clone());
                label
            });
            let mut metric = Metric::from_label(label.into_iter().collect());
            metric.set_histogram(histogram(total));
            metric
        });
        let mut family = MetricFamily::default();
        family.set_name(self.0.desc.fq_name.clone());
        family.set_help(self.0.desc.help.clone());
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(metrics.collect());
        vec![family]
    }
}

fn histogram(total: &Total) -> Histogram {
    let mut below = 0;
    let buckets = total.bounds.iter().zip(&total.buckets).map(|(bound, count)| {
        below += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(below);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(total.buckets.iter().sum());
    histogram.set_sample_sum(total.sum);
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::{Registry, TextEncoder};

    #[test]
    fn totals_are_shown_as_prometheus_shows_a_histogram() {
        let registry = Registry::new();
        let totals = HistogramTotals::new("wait_seconds", "how long", Some("hook")).unwrap();
        registry.register(Box::new(totals.clone())).unwrap();
        totals.set("gone", &[0.5, 2.0], &[1, 0, 0], 0.1);
        totals.reset();
        totals.set("webhook", &[0.5, 2.0], &[3, 1, 2], 99.5);
        assert_eq!(
            TextEncoder::new().encode_to_string(&registry.gather()).unwrap(),
            "# HELP wait_seconds how long\n\
             # TYPE wait_seconds histogram\n\
             wait_seconds_bucket{hook=\"webhook\",le=\"0.5\"} 3\n\
             wait_seconds_bucket{hook=\"webhook\",le=\"2\"} 4\n\
             wait_seconds_bucket{hook=\"webhook\",le=\"+Inf\"} 6\n\
             wait_seconds_sum{hook=\"webhook\"} 99.5\n\
             wait_seconds_count{hook=\"webhook\"} 6\n"
        );
    }
}
