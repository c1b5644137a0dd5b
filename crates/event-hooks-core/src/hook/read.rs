//! From a description to a draft.

use super::{Draft, Encoding, Section, rotation};
use crate::filter::Filter;
use crate::handler::{Handler, Kind};
use crate::{BatchRule, Catalogue, Document, Format, GateRule, Shape, Violations};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::time::Duration;
use uuid::Uuid;
use waybill_types::ThrottleSpec;

/// A snooze of a year, an age of a month.
const LONGEST_SNOOZE: u64 = 365 * 86_400;
const LONGEST_AGE: Duration = Duration::from_secs(30 * 86_400);
const LONGEST_OVERLAP: Duration = Duration::from_secs(30 * 86_400);
/// How long a replaced secret signs on, where nothing else is said.
const OVERLAP: Duration = Duration::from_secs(86_400);
/// Events of one body.
const LARGEST_BATCH: u64 = 1000;
/// Bytes of one body, where nothing else is said, and at most.
const BATCH_BYTES: u64 = 1 << 20;
const MOST_BATCH_BYTES: u64 = 16 << 20;
/// How long the first event of a body may wait for others.
const LONGEST_BATCH_WAIT: Duration = Duration::from_secs(3600);
/// Requests that may be under way.
const MOST_CONNECTIONS: u64 = 100;
/// Paths of a list.
const MOST_PATHS: usize = 100;
/// What is ours to set: a hook that was read can be sent back.
pub(super) const READ_ONLY: &[&str] = &["id", "created_at", "updated_at", "state", "reason"];

#[derive(Deserialize)]
pub(super) struct Stored {
    pub(super) id: Uuid,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
    pub(super) reason: Option<String>,
    pub(super) before: Vec<rotation::Stored>,
    pub(super) document: Map<String, Value>,
}

impl Draft {
    /// Checks a description.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(document: &Document, encoding: Encoding, catalogue: &Catalogue) -> Result<Draft, Violations> {
        let mut violations = Violations::default();
        let mut map = document.0.clone();
        READ_ONLY.iter().for_each(|field| drop(map.remove(*field)));
        let config = map.get_mut("config").map(Value::take);
        let mut root = Section::new(map, "", encoding, &mut violations);
        root.value("config");

        let source = root.required("source", |root| source(root, catalogue));
        let event = root.string("event");
        let event =
            event.filter(|event| source.as_ref().is_none_or(|source| known(&mut root, source, event, catalogue)));
        let kind = root.required("handler", |root| root.one_of("handler", Kind::WORDS));
        let snooze = root.integer("snooze", 0, LONGEST_SNOOZE).filter(|secs| *secs > 0).map(Duration::from_secs);
        let gate = GateRule { on_change: root.boolean("on_change").unwrap_or(false), snooze };
        let enabled = root.boolean("enabled").unwrap_or(true);
        let filter = root.string("filter").and_then(|text| filter(&mut root, &text));
        let shape = shape(&mut root);
        let tenant = root.string("tenant");
        let format = root.one_of("format", Format::WORDS);
        let batch = batch(&mut root);
        let max_age = root.duration("max_age", LONGEST_AGE);
        let rate = root.string("rate").and_then(|text| rate(&mut root, &text));
        let connections = root.integer("connections", 1, MOST_CONNECTIONS);
        let overlap = overlap(&mut root);
        if kind.is_some_and(|kind| kind != Kind::Webhook) {
            if format.is_some() {
                root.wrong("format", "goes with the handler webhook only");
            }
            if batch.is_some() {
                root.wrong("batch", "goes with the handler webhook only");
            }
        }
        if connections.is_some() && matches!(kind, Some(Kind::Log | Kind::Lambda)) {
            root.wrong("connections", "goes with the handlers webhook and webhook-custom, which make requests");
        }
        root.end();

        let config = match config {
            None | Some(Value::Null) => Some(Map::new()),
            Some(Value::Object(map)) => Some(map),
            Some(_) => {
                violations.add("config", "expected a map");
                None
            }
        };
        let handler = match (kind, config) {
            (Some(kind), Some(config)) => {
                Handler::read(kind, Section::new(config, "config.", encoding, &mut violations))
            }
            _ => None,
        };
        let draft = source.zip(handler).map(|(source, handler)| Draft {
            source,
            event,
            handler,
            gate,
            enabled,
            filter,
            shape,
            tenant,
            format: format.unwrap_or_default(),
            batch,
            max_age,
            rate,
            connections: connections.and_then(|count| u32::try_from(count).ok()),
            secret_overlap: overlap,
            document: Document::default(),
        });
        let mut draft = violations.or(draft)?;
        draft.document = super::show::normal(document, encoding);
        Ok(draft)
    }
}

fn source(root: &mut Section<'_>, catalogue: &Catalogue) -> Option<String> {
    let source = root.string("source")?;
    if catalogue.events(&source).is_some() {
        return Some(source);
    }
    let sources: Vec<&str> = catalogue.sources().collect();
    root.wrong("source", format!("expected one of: {}", sources.join(", ")));
    None
}

fn known(root: &mut Section<'_>, source: &str, event: &str, catalogue: &Catalogue) -> bool {
    let Some(events) = catalogue.events(source) else { return false };
    if events.contains_key(event) {
        return true;
    }
    let names: Vec<&str> = events.keys().map(String::as_str).collect();
    root.wrong("event", format!("expected one of: {}", names.join(", ")));
    false
}

fn filter(root: &mut Section<'_>, text: &str) -> Option<Filter> {
    Filter::parse(text).map_err(|error| root.wrong("filter", error.to_string())).ok()
}

fn shape(root: &mut Section<'_>) -> Shape {
    let keep = root.strings("fields", MOST_PATHS);
    let hash = root.strings("hash", MOST_PATHS).unwrap_or_default();
    for (field, paths) in [("fields", keep.as_deref().unwrap_or_default()), ("hash", &hash)] {
        if let Err(path) = Shape::new(None, paths) {
            let why = format!("{path:?} is no path such as response.code");
            root.wrong(field, why);
        }
    }
    Shape::new(keep.as_deref(), &hash).unwrap_or_default()
}

/// What goes together; the bytes and the wait say nothing without a number.
fn batch(root: &mut Section<'_>) -> Option<BatchRule> {
    let events = root.integer("batch", 1, LARGEST_BATCH);
    let bytes = root.integer("batch_bytes", 1, MOST_BATCH_BYTES);
    let wait = root.duration("batch_wait", LONGEST_BATCH_WAIT);
    let Some(events) = events else {
        for (field, is_there) in [("batch_bytes", bytes.is_some()), ("batch_wait", wait.is_some())] {
            if is_there {
                root.wrong(field, "goes with batch, which says how many events go together");
            }
        }
        return None;
    };
    let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let bytes = whole(bytes.unwrap_or(BATCH_BYTES));
    Some(BatchRule { events: whole(events), bytes, wait: wait.unwrap_or_default() })
}

fn rate(root: &mut Section<'_>, text: &str) -> Option<ThrottleSpec> {
    text.parse::<ThrottleSpec>().map_err(|error| root.wrong("rate", error.to_string())).ok()
}

/// 0 drops the old secret at once.
fn overlap(root: &mut Section<'_>) -> Duration {
    match root.peek("secret_overlap") {
        Some(Value::Number(number)) if number.as_u64() == Some(0) => {
            root.value("secret_overlap");
            Duration::ZERO
        }
        Some(Value::String(text)) if text == "0" || text == "0s" => {
            root.value("secret_overlap");
            Duration::ZERO
        }
        _ => root.duration("secret_overlap", LONGEST_OVERLAP).unwrap_or(OVERLAP),
    }
}
