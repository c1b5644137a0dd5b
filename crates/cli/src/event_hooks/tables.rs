//! Answers as tables.

use crate::show::{cut, plain_table, printable};
use serde_json::Value;

/// Longer texts are cut in tables; `--json` shows all of them.
const WIDTH: usize = 60;

fn text(value: &Value, field: &str) -> String {
    match &value[field] {
        Value::Null => "-".to_owned(),
        Value::String(text) => cut(printable(text), WIDTH),
        other => printable(&other.to_string()),
    }
}

fn list(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["data"].as_array().into_iter().flatten()
}

pub(super) fn hooks(answer: &Value) -> String {
    if list(answer).next().is_none() {
        return "no event hooks\n".to_owned();
    }
    let rows = list(answer).map(|hook| {
        let state = match hook["state"].as_str() {
            Some("dormant") => "dormant".to_owned(),
            _ if hook["enabled"] == true => "enabled".to_owned(),
            _ => "disabled".to_owned(),
        };
        let event = if hook["event"].is_null() { "(all)".to_owned() } else { text(hook, "event") };
        let about = if hook["reason"].is_null() { text(&hook["config"], "url") } else { text(hook, "reason") };
        vec![text(hook, "id"), text(hook, "source"), event, text(hook, "handler"), state, about]
    });
    plain_table(&["ID", "SOURCE", "EVENT", "HANDLER", "STATE", "URL OR REASON"], 0..=0, rows)
}

pub(super) fn sources(answer: &Value, only: Option<&str>) -> String {
    let events = |source: &str, events: &Value| -> Vec<Vec<String>> {
        let events = events.as_object().into_iter().flatten();
        events.map(|(name, event)| vec![printable(source), printable(name), text(event, "description")]).collect()
    };
    let rows: Vec<Vec<String>> = match only {
        Some(source) => events(source, &answer["data"]),
        None => answer["data"].as_object().into_iter().flatten().flat_map(|(name, all)| events(name, all)).collect(),
    };
    plain_table(&["SOURCE", "EVENT", "DESCRIPTION"], 0..=0, rows)
}

pub(super) fn attempts(answer: &Value) -> String {
    if list(answer).next().is_none() {
        return "no attempts\n".to_owned();
    }
    let rows = list(answer).map(|attempt| {
        let said = if attempt["error"].is_null() { text(attempt, "body") } else { text(attempt, "error") };
        let columns = ["id", "at", "outcome", "status", "duration_ms", "address"];
        columns.iter().map(|column| text(attempt, column)).chain([said]).collect()
    });
    plain_table(&["ATTEMPT", "AT", "OUTCOME", "STATUS", "MS", "ADDRESS", "SAID"], 3..=4, rows)
}
