//! The metrics as Prometheus' text and as JSON.

use super::Metrics;
use crate::reply::Refusal;
use axum::Json;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus::proto::{Metric, MetricFamily, MetricType};
use prometheus::{TEXT_FORMAT, TextEncoder};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The query of `/metrics` and `/metrics.json`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Selection {
    /// Goes in front of every name, as with KumoMTA: `?prefix=kumomta_`.
    #[serde(default)]
    prefix: String,
    /// Shows only the metrics whose own name begins so (Waybill's own): `?only=waybill_hook_`.
    #[serde(default)]
    only: String,
}

impl Selection {
    fn check(&self) -> Result<(), Refusal> {
        // It becomes part of names: anything else could forge lines of the exposition.
        let mut bytes = self.prefix.bytes();
        let first = bytes.next().is_none_or(|byte| byte.is_ascii_alphabetic() || byte == b'_' || byte == b':');
        if first && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':') {
            return Ok(());
        }
        Err(Refusal::error(StatusCode::BAD_REQUEST, "prefix: a metric name consists of letters, digits, `_` and `:`"))
    }
}

pub(crate) async fn metrics_text(
    State(metrics): State<Metrics>,
    Query(selection): Query<Selection>,
) -> Result<Response, Refusal> {
    selection.check()?;
    let text = metrics.text(&selection.prefix, &selection.only);
    Ok(([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response())
}

pub(crate) async fn metrics_json(
    State(metrics): State<Metrics>,
    Query(selection): Query<Selection>,
) -> Result<Json<Value>, Refusal> {
    selection.check()?;
    Ok(Json(metrics.json(&selection.prefix, &selection.only)))
}

impl Metrics {
    /// Prometheus' text format: names that begin with `only`, shown with `prefix` in front.
    pub fn text(&self, prefix: &str, only: &str) -> String {
        let families = self.families(prefix, only);
        // Only an empty family is an error, and a registry gives none.
        TextEncoder::new().encode_to_string(&families).unwrap_or_default()
    }

    /// `{name: {type, help, value}}`; where there are labels the value is nested by label name and value.
    pub fn json(&self, prefix: &str, only: &str) -> Value {
        let mut all = Map::new();
        for family in self.families(prefix, only) {
            let kind = family.get_field_type();
            let mut value = Value::Null;
            for metric in family.get_metric() {
                let mut place = &mut value;
                for label in metric.get_label() {
                    place = entry(entry(place, label.name()), label.value());
                }
                *place = number(metric, kind);
            }
            let kind = format!("{kind:?}").to_lowercase();
            all.insert(family.name().to_owned(), json!({ "help": family.help(), "type": kind, "value": value }));
        }
        Value::Object(all)
    }

    fn families(&self, prefix: &str, only: &str) -> Vec<MetricFamily> {
        // Outside the lock: a collector may add another.
        let collectors = self.on_scrape.lock().clone();
        let mut families = {
            // What a collector empties and fills again is never seen empty by another who asks.
            let _alone = self.scraping.lock();
            collectors.iter().for_each(|collect| collect());
            self.registry.gather()
        };
        families.retain(|family| family.name().starts_with(only));
        if !prefix.is_empty() {
            for family in &mut families {
                family.set_name(format!("{prefix}{}", family.name()));
            }
        }
        families
    }
}

/// The value under a key of an object; whatever was there before becomes an object.
fn entry<'a>(value: &'a mut Value, key: &str) -> &'a mut Value {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    &mut value[key]
}

fn number(metric: &Metric, kind: MetricType) -> Value {
    match kind {
        MetricType::COUNTER => metric.get_counter().get_value().into(),
        MetricType::GAUGE => metric.get_gauge().get_value().into(),
        MetricType::HISTOGRAM => {
            let histogram = metric.get_histogram();
            let bucket = |b: &prometheus::proto::Bucket| (b.upper_bound().to_string(), b.cumulative_count().into());
            let buckets: Map<String, Value> = histogram.get_bucket().iter().map(bucket).collect();
            json!({
                "count": histogram.get_sample_count(),
                "sum": histogram.get_sample_sum(),
                "bucket": buckets,
            })
        }
        MetricType::SUMMARY | MetricType::UNTYPED => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_help_type_and_values() {
        let metrics = Metrics::new().unwrap();
        metrics.mail.received.with_label_values(&["http_listener"]).inc_by(3);
        let text = metrics.text("", "total_messages_received");
        assert_eq!(
            text,
            "# HELP total_messages_received messages that were accepted\n\
             # TYPE total_messages_received counter\n\
             total_messages_received{service=\"http_listener\"} 3\n"
        );
        assert!(metrics.text("kumomta_", "").contains("\nkumomta_lua_count 0\n"));
    }

    #[test]
    fn json_values_are_nested_by_label() {
        let metrics = Metrics::new().unwrap();
        metrics.hooks.responses.with_label_values(&["webhook", "2xx"]).inc();
        metrics.hooks.responses.with_label_values(&["webhook", "5xx"]).inc_by(2);
        metrics.lua.latency.with_label_values(&["init"]).observe(0.5);
        let json = metrics.json("", "");
        assert_eq!(json["lua_count"], json!({"help": "Lua states that exist", "type": "gauge", "value": 0.0}));
        assert_eq!(json["lua_event_latency"]["value"]["event"]["init"]["count"], 1);
        let responses = &json["waybill_hook_responses_total"];
        assert_eq!(responses["type"], "counter");
        assert_eq!(
            responses["value"],
            json!({"class": {"2xx": {"hook": {"webhook": 1.0}}, "5xx": {"hook": {"webhook": 2.0}}}})
        );
    }

    #[test]
    fn what_a_collector_fills_anew_is_never_missing_for_another_who_asks() {
        let metrics = Metrics::new().unwrap();
        let attempts = metrics.egress.attempts.clone();
        metrics.on_scrape(Box::new(move || {
            attempts.reset();
            std::thread::yield_now();
            attempts.with_label_values(&["w"]).inc_by(7);
        }));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let text = metrics.text("", "waybill_egress_webhook_attempts_total");
                        assert!(text.ends_with("{webhook=\"w\"} 7\n"), "{text}");
                    }
                });
            }
        });
    }

    #[test]
    fn collectors_run_before_each_scrape_and_may_add_others() {
        let metrics = Metrics::new().unwrap();
        let inner = metrics.clone();
        metrics.on_scrape(Box::new(move || {
            inner.queues.scheduled_total.inc();
            inner.on_scrape(Box::new(|| {}));
        }));
        metrics.text("", "");
        assert!(metrics.text("", "scheduled_count_total").ends_with("scheduled_count_total 2\n"));
        assert!(metrics.json("", "")["memory_usage"]["value"].as_f64().unwrap() > 1e6);
    }

    #[test]
    fn a_prefix_cannot_forge_lines() {
        for (prefix, ok) in
            [("", true), ("kumomta_", true), ("a:b9", true), ("9", false), ("x\n", false), ("x y", false)]
        {
            let selection = Selection { prefix: prefix.into(), only: String::new() };
            assert_eq!(selection.check().is_ok(), ok, "{prefix:?}");
        }
    }
}
