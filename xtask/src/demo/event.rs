//! An event as a webhook brings it: one line for the person who watches.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::timestamp;

/// Over the lines of the events.
pub(super) const HEADING: &str = "time (UTC)    event            recipient                       age  response";

/// What the demo shows of a log record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// `Reception`, `Delivery`, `TransientFailure`, `Bounce`…
    pub(super) kind: String,
    /// Its recipient; several are joined by commas.
    pub(super) recipient: String,
    /// Code and text of the response that made the event.
    pub(super) response: String,
    /// When it happened, since the Unix epoch.
    pub(super) happened: Duration,
}

/// An event and when it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    /// What came.
    pub(super) event: Event,
    /// When, since the Unix epoch.
    pub(super) arrived: Duration,
}

/// The events of a request's body: one record, or a list of records as batched hooks send them.
pub(super) fn parse(body: &[u8]) -> Result<Vec<Event>> {
    match serde_json::from_slice(body).context("the body is no JSON")? {
        Value::Array(records) => records.iter().map(Event::from_record).collect(),
        record => Ok(vec![Event::from_record(&record)?]),
    }
}

impl Event {
    fn from_record(record: &Value) -> Result<Event> {
        let kind = record["type"].as_str().context("the record has no type")?.to_owned();
        let response = &record["response"];
        let content = response["content"].as_str().unwrap_or_default();
        let response = format!("{} {content}", response["code"].as_u64().unwrap_or_default()).trim_end().to_owned();
        Ok(Event { kind, recipient: recipient(record), response, happened: happened(record)? })
    }
}

fn recipient(record: &Value) -> String {
    match &record["recipient"] {
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
        one => one.as_str().unwrap_or_default().to_owned(),
    }
}

/// `event_time` if the record has it, else the whole seconds of `timestamp`, as a reader must.
fn happened(record: &Value) -> Result<Duration> {
    match record["event_time"].as_str() {
        Some(text) => timestamp::parse(text).with_context(|| format!("the record's event_time is `{text}`")),
        None => record["timestamp"]
            .as_u64()
            .map(Duration::from_secs)
            .context("the record has no event_time and no timestamp"),
    }
}

impl Arrival {
    /// How long the event took to get here. Clocks that differ make it nothing, not an error.
    pub(super) fn age(&self) -> Duration {
        self.arrived.saturating_sub(self.event.happened)
    }
}

impl fmt::Display for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Event { kind, recipient, response, happened } = &self.event;
        let seconds = happened.as_secs() % 86_400;
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        let age = format!("{} ms", self.age().as_millis());
        write!(f, "{hour:02}:{minute:02}:{second:02}.{:03}  ", happened.subsec_millis())?;
        write!(f, "{kind:<16} {recipient:<26} {age:>8}  {response}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELIVERY: &str = r#"{"type":"Delivery","recipient":"ada@delivered.example","timestamp":1795450376,
        "event_time":"2026-11-23T16:12:56.210249664Z","response":{"code":200,"content":"wrote it","command":null}}"#;

    fn delivery() -> Event {
        Event {
            kind: "Delivery".into(),
            recipient: "ada@delivered.example".into(),
            response: "200 wrote it".into(),
            happened: Duration::new(1_795_450_376, 210_249_664),
        }
    }

    #[test]
    fn a_body_is_a_record_or_a_list_of_records() {
        assert_eq!(parse(format!("{DELIVERY}\n").as_bytes()).unwrap(), [delivery()]);
        assert_eq!(parse(format!("[{DELIVERY},{DELIVERY}]").as_bytes()).unwrap(), [delivery(), delivery()]);
    }

    #[test]
    fn a_record_without_event_time_still_has_whole_seconds() {
        let events = parse(br#"{"type":"Bounce","recipient":["a@x","b@x"],"timestamp":1795450376}"#).unwrap();
        assert_eq!(events[0].happened, Duration::from_secs(1_795_450_376));
        assert_eq!(events[0].recipient, "a@x,b@x");
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for body in ["", "{", "{}", r#"{"type":"Delivery"}"#, r#"{"type":"Delivery","event_time":"noon"}"#] {
            assert!(parse(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn an_arrival_is_one_line_with_its_age_under_the_heading() {
        let arrival = Arrival { event: delivery(), arrived: Duration::new(1_795_450_376, 217_249_664) };
        let line = arrival.to_string();
        assert_eq!(line, "16:12:56.210  Delivery         ada@delivered.example          7 ms  200 wrote it");
        assert_eq!(line.find("200 wrote"), HEADING.find("response"));
    }

    #[test]
    fn an_event_from_the_future_has_no_age() {
        assert_eq!(Arrival { event: delivery(), arrived: Duration::ZERO }.age(), Duration::ZERO);
    }
}
