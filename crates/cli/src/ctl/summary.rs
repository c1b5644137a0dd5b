//! What `/metrics.json` tells about queues, in two tables.

use super::Ctl;
use super::args::Summary;
use super::table::table;
use crate::show::printable;
use anyhow::Result;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Delivered, failed for now, failed for good, connections, waiting.
type Counts = [u64; 5];

/// The metrics behind [`Counts`], each with what its label is called.
const BY_SERVICE: [&str; 5] =
    ["total_messages_delivered", "total_messages_transfail", "total_messages_fail", "connection_count", "ready_count"];
const BY_PROVIDER: [&str; 5] = [
    "total_messages_delivered_by_provider",
    "total_messages_transfail_by_provider",
    "total_messages_fail_by_provider",
    "connection_count_by_provider",
    "queued_count_by_provider",
];

impl Ctl {
    pub(super) async fn queue_summary(&self, options: &Summary) -> Result<String> {
        let metrics: Value = self.client.get("/metrics.json").await?;
        let fits = |name: &str| options.domain.as_deref().is_none_or(|domain| name.contains(domain));
        let mut ready = collect(&metrics, &BY_SERVICE, "service");
        ready.retain(|name, _| name.contains("->") && fits(name));
        let mut scheduled: BTreeMap<String, u64> = values(&metrics, "scheduled_count", "queue").into_iter().collect();
        scheduled.retain(|name, count| *count > 0 && fits(name));
        if self.json {
            let ready = ready.iter().map(|(name, counts)| (name.clone(), named(counts)));
            let all = json!({"ready": ready.collect::<serde_json::Map<_, _>>(), "scheduled": scheduled});
            return Ok(format!("{all:#}\n"));
        }
        let rows = sorted(ready, options, |counts| counts.iter().sum());
        let rows = rows.into_iter().map(|(name, counts)| row(&split(&name), &counts));
        let first = table(
            &["SITE", "SOURCE", "PROTO", "DELIVERED", "TRANSFAIL", "FAIL", "CONN", "READY"],
            rows,
            "no ready queues are in memory",
        );
        let rows = sorted(scheduled, options, |count| *count);
        let rows = rows.into_iter().map(|(name, count)| vec![printable(&name), count.to_string()]);
        let second = table(&["SCHEDULED QUEUE", "COUNT"], rows, "nothing waits in scheduled queues");
        Ok(format!("{first}\n{second}"))
    }

    pub(super) async fn provider_summary(&self, options: &Summary) -> Result<String> {
        let metrics: Value = self.client.get("/metrics.json").await?;
        let mut providers = collect(&metrics, &BY_PROVIDER, "provider");
        providers.retain(|name, _| options.domain.as_deref().is_none_or(|domain| name.contains(domain)));
        if self.json {
            let providers = providers.iter().map(|(name, counts)| (name.clone(), named(counts)));
            let all = Value::Object(providers.collect());
            return Ok(format!("{all:#}\n"));
        }
        let rows = sorted(providers, options, |counts| counts.iter().sum());
        let rows = rows.into_iter().map(|(name, counts)| row(&[printable(&name)], &counts));
        let header = ["PROVIDER", "DELIVERED", "TRANSFAIL", "FAIL", "CONN", "QUEUED"];
        Ok(table(&header, rows, "no counts by provider: the policy sets no provider_name, or nothing was sent yet"))
    }
}

fn named(counts: &Counts) -> Value {
    let [delivered, transfailed, failed, connections, waiting] = counts;
    json!({"delivered": delivered, "transfailed": transfailed, "failed": failed, "connections": connections,
           "waiting": waiting})
}

fn row(names: &[String], counts: &Counts) -> Vec<String> {
    names.iter().cloned().chain(counts.iter().map(u64::to_string)).collect()
}

/// Site, source and protocol of `[SERVICE:]SOURCE->SITE@PROTOCOL`.
pub(super) fn split(name: &str) -> [String; 3] {
    let (source, rest) = name.split_once("->").unwrap_or(("-", name));
    let source = source.rsplit_once(':').map_or(source, |(_, source)| source);
    let (site, protocol) = rest.split_once('@').unwrap_or((rest, "-"));
    [site, source, protocol].map(printable)
}

fn sorted<T>(all: BTreeMap<String, T>, options: &Summary, volume: impl Fn(&T) -> u64) -> Vec<(String, T)> {
    let mut all: Vec<(String, T)> = all.into_iter().collect();
    if options.by_volume {
        all.sort_by_key(|(_, counts)| std::cmp::Reverse(volume(counts)));
    }
    all.truncate(options.limit.unwrap_or(usize::MAX));
    all
}

fn collect(metrics: &Value, names: &[&str; 5], label: &str) -> BTreeMap<String, Counts> {
    let mut all: BTreeMap<String, Counts> = BTreeMap::new();
    for (index, metric) in names.iter().enumerate() {
        for (name, count) in values(metrics, metric, label) {
            all.entry(name).or_default()[index] = count;
        }
    }
    all
}

/// The values of a metric with one label; none where there is no such metric.
pub(super) fn values(metrics: &Value, metric: &str, label: &str) -> Vec<(String, u64)> {
    let by_label = metrics[metric]["value"][label].as_object();
    let entries = by_label.into_iter().flatten();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts, which saturate")]
    let count = |value: &Value| value.as_u64().or_else(|| value.as_f64().map(|count| count as u64)).unwrap_or_default();
    entries.map(|(name, value)| (name.clone(), count(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_ready_queues_are_taken_apart() {
        assert_eq!(split("unspecified->a.example@smtp_client"), ["a.example", "unspecified", "smtp_client"]);
        assert_eq!(split("lua:ip-1->w.log_hook@lua:make.w"), ["w.log_hook", "ip-1", "lua:make.w"]);
    }

    #[test]
    fn metrics_are_read_by_label() {
        let metrics = json!({"ready_count": {"value": {"service": {"a->b@c": 3.0}}},
                             "total_messages_delivered": {"value": {"service": {"a->b@c": 7, "x": 1}}}});
        let all = collect(&metrics, &BY_SERVICE, "service");
        assert_eq!((all["a->b@c"], all["x"]), ([7, 0, 0, 0, 3], [1, 0, 0, 0, 0]));
        assert!(values(&metrics, "scheduled_count", "queue").is_empty());
    }

    #[test]
    fn the_largest_come_first_where_asked_for() {
        let all = BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 3), ("c".to_owned(), 2)]);
        let options = Summary { limit: Some(2), by_volume: true, domain: None };
        assert_eq!(sorted(all.clone(), &options, |count| *count), [("b".to_owned(), 3), ("c".to_owned(), 2)]);
        let options = Summary { limit: Some(1), ..Summary::default() };
        assert_eq!(sorted(all, &options, |count| *count), [("a".to_owned(), 1)]);
    }
}
