//! What `/metrics` shows. A registry of its own: two daemons in one process do not share a number.

mod expose;
mod groups;
mod totals;

pub(crate) use expose::{metrics_json, metrics_text};
pub use groups::{
    DiskMetrics, EgressMetrics, EventHookMetrics, HookMetrics, LuaMetrics, MailMetrics, MemoryMetrics, QueueMetrics,
};
pub use totals::HistogramTotals;

use parking_lot::Mutex;
use prometheus::core::Collector;
use prometheus::proto::MetricType;
use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};
use std::fmt;
use std::sync::Arc;
use waybill_runtime::resident_memory;

/// What a metric is, for those who describe it.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct MetricInfo {
    /// Its name.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Names of its labels.
    pub labels: Vec<String>,
    /// What `/metrics` says about it.
    pub help: String,
}

/// Brings numbers up to date right before they are shown. It must be quick and must not wait.
pub type ScrapeCollector = Box<Collect>;

type Collect = dyn Fn() + Send + Sync;

/// Two metrics have the same name, or a name is not valid: a mistake in the program.
#[derive(Debug, thiserror::Error)]
#[error("metric: {0}")]
pub struct MetricsError(#[from] prometheus::Error);

/// The daemon's metrics: handles to set them by, and what is behind `/metrics`. Clones are the same metrics.
///
/// Handles are from the `prometheus` crate: whoever sets one often keeps the child that `with_label_values` gives.
/// A series about something that is gone is to be removed by whoever made it (`remove_label_values`).
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    described: Arc<Mutex<Vec<MetricInfo>>>,
    on_scrape: Arc<Mutex<Vec<Arc<Collect>>>>,
    /// Held from the first collector until all is read.
    scraping: Arc<Mutex<()>>,
    /// Messages and connections.
    pub mail: MailMetrics,
    /// Queues.
    pub queues: QueueMetrics,
    /// The policy engine.
    pub lua: LuaMetrics,
    /// Hooks (Waybill's own).
    pub hooks: HookMetrics,
    /// Event hooks (Waybill's own).
    pub event_hooks: EventHookMetrics,
    /// Egress webhooks of logs (Waybill's own).
    pub egress: EgressMetrics,
    /// Room on disks.
    pub disks: DiskMetrics,
    /// Limits of memory.
    pub memory: MemoryMetrics,
}

impl Metrics {
    /// All metrics that Waybill has, at zero; memory usage is looked up on each scrape.
    ///
    /// # Errors
    /// Never, unless two of them have got the same name.
    pub fn new() -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let described = Arc::default();
        let register = Register { registry: &registry, described: &described };
        let metrics = Metrics {
            mail: MailMetrics::new(&register)?,
            queues: QueueMetrics::new(&register)?,
            lua: LuaMetrics::new(&register)?,
            hooks: HookMetrics::new(&register)?,
            event_hooks: EventHookMetrics::new(&register)?,
            egress: EgressMetrics::new(&register)?,
            disks: DiskMetrics::new(&register)?,
            memory: MemoryMetrics::new(&register)?,
            on_scrape: Arc::default(),
            scraping: Arc::default(),
            described: described.clone(),
            registry: registry.clone(),
        };
        let memory = register.gauge("memory_usage", "bytes of memory that the process holds (resident set)")?;
        metrics.on_scrape(Box::new(move || {
            if let Some(bytes) = resident_memory() {
                memory.set(bytes.try_into().unwrap_or(i64::MAX));
            }
        }));
        Ok(metrics)
    }

    /// Every metric that there is so far, by name.
    pub fn described(&self) -> Vec<MetricInfo> {
        let mut described = self.described.lock().clone();
        described.sort_by(|one, other| one.name.cmp(&other.name));
        described
    }

    fn register(&self) -> Register<'_> {
        Register { registry: &self.registry, described: &self.described }
    }

    /// Calls `collect` before each scrape.
    pub fn on_scrape(&self, collect: ScrapeCollector) {
        self.on_scrape.lock().push(Arc::from(collect));
    }

    /// A counter with labels, for a metric that is not among the fields.
    ///
    /// # Errors
    /// When the name is taken or not valid.
    pub fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, MetricsError> {
        self.register().counters(name, help, labels)
    }

    /// A gauge with labels, likewise.
    ///
    /// # Errors
    /// As [`Metrics::counters`].
    pub fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, MetricsError> {
        self.register().gauges(name, help, labels)
    }

    /// A histogram of seconds with labels, likewise.
    ///
    /// # Errors
    /// As [`Metrics::counters`].
    pub fn histograms(&self, name: &str, help: &str, labels: &[&str]) -> Result<HistogramVec, MetricsError> {
        self.register().histograms(name, help, labels)
    }

    /// Counts one more HTTP connection until the guard is dropped.
    pub(crate) fn http_connection(&self) -> ConnectionGuard {
        self.mail.connections.with_label_values(&["http_listener"]).inc();
        let open = self.mail.open_connections.with_label_values(&["http_listener"]);
        open.inc();
        ConnectionGuard(open)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// An open connection, for its gauge.
pub(crate) struct ConnectionGuard(IntGauge);

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Makes metrics and registers them.
struct Register<'a> {
    registry: &'a Registry,
    described: &'a Mutex<Vec<MetricInfo>>,
}

impl Register<'_> {
    fn add<C: Collector + Clone + 'static>(&self, collector: C) -> Result<C, MetricsError> {
        let kind = collector.collect().first().map_or("untyped", |family| kind(family.get_field_type()));
        self.add_as(kind, collector)
    }

    /// For a collector that says nothing of its kind before it has something to show.
    fn add_as<C: Collector + Clone + 'static>(&self, kind: &'static str, collector: C) -> Result<C, MetricsError> {
        self.registry.register(Box::new(collector.clone()))?;
        self.described.lock().extend(collector.desc().into_iter().map(|desc| MetricInfo {
            name: desc.fq_name.clone(),
            kind,
            labels: desc.variable_labels.clone(),
            help: desc.help.clone(),
        }));
        Ok(collector)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, MetricsError> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, MetricsError> {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn float_gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, MetricsError> {
        self.add(GaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str]) -> Result<HistogramVec, MetricsError> {
        self.add(HistogramVec::new(HistogramOpts::new(name, help), labels)?)
    }

    fn totals(&self, name: &str, help: &str, label: Option<&'static str>) -> Result<HistogramTotals, MetricsError> {
        self.add_as("histogram", HistogramTotals::new(name, help, label)?)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, MetricsError> {
        self.add(IntCounter::new(name, help)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, MetricsError> {
        self.add(IntGauge::new(name, help)?)
    }
}

fn kind(kind: MetricType) -> &'static str {
    match kind {
        MetricType::COUNTER => "counter",
        MetricType::GAUGE => "gauge",
        MetricType::HISTOGRAM => "histogram",
        MetricType::SUMMARY | MetricType::UNTYPED => "untyped",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_tells_what_it_is_before_it_has_a_value() {
        let metrics = Metrics::new().expect("metrics");
        metrics.gauges("late", "a metric that comes later", &["one", "two"]).expect("a name that is free");
        let described = metrics.described();
        assert!(described.is_sorted_by(|one, other| one.name < other.name));
        for (name, kind, labels) in [
            ("total_messages_received", "counter", &["service"][..]),
            ("lua_load_count", "counter", &[]),
            ("waybill_hook_oldest_seconds", "gauge", &["hook"]),
            ("lua_event_latency", "histogram", &["event"]),
            ("late", "gauge", &["one", "two"]),
        ] {
            let info = described.iter().find(|info| info.name == name).unwrap_or_else(|| panic!("no {name}"));
            assert_eq!(
                (info.kind, info.labels.as_slice()),
                (kind, &labels.iter().map(ToString::to_string).collect::<Vec<_>>()[..])
            );
            assert!(!info.help.is_empty(), "{name}");
        }
    }
}
