//! What there is, from what the program tells of itself (`waybill dump-reference`) and from the sources, as things that
//! want a page each and parts on it.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::endpoints;
use super::page::{Content, Part, Row};
use super::sources::{self, Source};
use crate::toolchain_env;

/// A folder of the reference, and what its pages are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Commands,
    Endpoints,
    Events,
    Functions,
    Metrics,
    Options,
}

impl Kind {
    /// Every folder.
    pub(super) const ALL: [Kind; 6] =
        [Kind::Commands, Kind::Endpoints, Kind::Events, Kind::Functions, Kind::Metrics, Kind::Options];

    /// Its name below `docs/reference`.
    pub(super) fn folder(self) -> &'static str {
        match self {
            Kind::Commands => "commands",
            Kind::Endpoints => "endpoints",
            Kind::Events => "events",
            Kind::Functions => "functions",
            Kind::Metrics => "metrics",
            Kind::Options => "options",
        }
    }

    /// A name as this kind compares it: titles may say `POST /path` and `kumo.on`.
    pub(super) fn plain(self, name: &str) -> String {
        let name = name.trim().trim_matches('`');
        match self {
            Kind::Endpoints => name.rsplit(' ').next().unwrap_or(name).to_owned(),
            Kind::Functions | Kind::Options => name.strip_prefix("kumo.").unwrap_or(name).to_owned(),
            Kind::Commands | Kind::Events | Kind::Metrics => name.to_owned(),
        }
    }
}

/// One thing.
#[derive(Clone, Debug)]
pub(super) struct Thing {
    pub(super) kind: Kind,
    /// As [`Kind::plain`] has it.
    pub(super) name: String,
    /// As the title of a new page says it.
    pub(super) title: String,
    pub(super) parts: Vec<Part>,
}

/// Asks the program, which is built for it where it has to be.
pub(super) fn ask() -> Result<Value> {
    let mut cargo = toolchain_env::cargo();
    let output = cargo
        .args(["run", "--quiet", "--package", "waybill", "--", "dump-reference"])
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("run cargo run --package waybill -- dump-reference")?;
    if !output.status.success() {
        bail!("waybill dump-reference failed: {}; what it said stands above", output.status);
    }
    serde_json::from_slice(&output.stdout).context("read what waybill dump-reference said")
}

/// Everything that there is.
pub(super) fn things(known: &Value, sources: &[Source]) -> Vec<Thing> {
    let mut things = Vec::new();
    for group in list(&known["options"]) {
        let (name, head) = (text(group, "name"), ["key", "type", "default", "effect"]);
        let rows = list(&group["keys"]).map(|key| row(&[code(key, "name"), kind(key), default(key)], "")).collect();
        let parts = vec![table("options", &head, rows)];
        things.push(Thing { title: format!("kumo.{name}"), ..thing(Kind::Options, name, parts) });
    }
    for event in list(&known["events"]) {
        let name = text(event, "name");
        let callers: Vec<_> = sources::callers(sources, name).into_iter().map(|owner| format!("`{owner}`")).collect();
        let content = format!(
            "Handlers: {}. Without one: {}. Called by: {}.\n",
            if event["many"] == true { "several, asked in order" } else { "one" },
            if event["required"] == true { "an error" } else { "as if it had returned nothing" },
            if callers.is_empty() { "nobody".to_owned() } else { callers.join(", ") },
        );
        things.push(thing(Kind::Events, name, vec![Part { name: "event".into(), content: Content::Text(content) }]));
    }
    for command in list(&known["commands"]) {
        let rows: Vec<Row> = list(&command["arguments"]).map(argument).collect();
        let head = &["argument", "value", "default", "meaning"];
        let parts = if rows.is_empty() { vec![] } else { vec![table("arguments", head, rows)] };
        things.push(thing(Kind::Commands, text(command, "name"), parts));
    }
    for metric in list(&known["metrics"]) {
        let labels: Vec<_> =
            list(&metric["labels"]).filter_map(Value::as_str).map(|label| format!("`{label}`")).collect();
        let cells = [code(metric, "name"), text(metric, "type").to_owned(), labels.join(", ")];
        let rows = vec![row(&cells, text(metric, "help"))];
        things.push(thing(
            Kind::Metrics,
            text(metric, "name"),
            vec![table("metric", &["metric", "type", "labels", "meaning"], rows)],
        ));
    }
    things.extend(endpoints::things(known));
    things.extend(functions(&known["functions"], &things));
    things
}

/// Members of `kumo`. What takes a table of options has its page there.
fn functions(known: &Value, others: &[Thing]) -> Vec<Thing> {
    let has_options = |name: &String| others.iter().any(|thing| thing.kind == Kind::Options && thing.title == **name);
    let names = known.as_object().into_iter().flatten().map(|(name, _)| name).filter(|name| !has_options(name));
    let thing = |name: &String| Thing {
        title: name.clone(),
        ..thing(Kind::Functions, &Kind::Functions.plain(name), Vec::new())
    };
    names.map(thing).collect()
}

/// The methods of an object: a page says with `<!-- generated: methods of TYPE -->` that it is about one.
pub(super) fn methods(object: &str, members: &BTreeSet<String>) -> Part {
    let rows = members.iter().map(|member| row(&[format!("`{member}`")], "")).collect();
    table(&format!("methods of {object}"), &["member", "returns, or does"], rows)
}

fn argument(argument: &Value) -> Row {
    let several = if argument["several"] == true { ", several" } else { "" };
    let needed = if argument["required"] == true { " (required)" } else { "" };
    let default = match (argument["default"].as_str(), argument["variable"].as_str()) {
        (Some(value), _) => format!("`{value}`"),
        (None, Some(variable)) => format!("`{variable}`"),
        (None, None) => String::new(),
    };
    let value = argument["value"].as_str().unwrap_or_default();
    let cells = [code(argument, "name"), format!("{value}{several}{needed}").trim().to_owned(), default];
    row(&cells, text(argument, "help"))
}

fn thing(kind: Kind, name: &str, parts: Vec<Part>) -> Thing {
    Thing { kind, name: name.to_owned(), title: name.to_owned(), parts }
}

pub(super) fn table(name: &str, head: &[&'static str], rows: Vec<Row>) -> Part {
    Part { name: name.to_owned(), content: Content::Table { head: head.to_vec(), rows } }
}

pub(super) fn row(cells: &[String], words: &str) -> Row {
    Row { cells: cells.iter().map(|cell| cell.replace('|', "\\|")).collect(), words: words.replace('|', "\\|") }
}

pub(super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

pub(super) fn code(value: &Value, key: &str) -> String {
    format!("`{}`", text(value, key))
}

/// The type of a key; words of the policy's choice stand as code.
pub(super) fn kind(key: &Value) -> String {
    let words = text(key, "type").trim_start_matches("any");
    if words.starts_with(char::is_uppercase) && !words.starts_with("IP ") {
        let words: Vec<String> = words.split(", ").map(|word| format!("`{word}`")).collect();
        return words.join(", ");
    }
    words.to_owned()
}

/// A default as a policy would write it.
fn default(key: &Value) -> String {
    if key["required"] == true {
        return "required".to_owned();
    }
    shown(&key["default"])
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text.is_empty() => "`''`".to_owned(),
        Value::String(text) => {
            format!("`{}`", text.strip_suffix("/32").or_else(|| text.strip_suffix("/128")).unwrap_or(text))
        }
        Value::Array(items) if items.is_empty() => "`{}`".to_owned(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        // A limit is a number to whoever writes it.
        Value::Object(entries) if entries.contains_key("limit") => shown(&value["limit"]),
        Value::Object(entries) if entries.is_empty() => "`{}`".to_owned(),
        Value::Object(_) => String::new(),
        other => format!("`{other}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn defaults_stand_as_a_policy_writes_them() {
        for (value, expected) in [
            (json!(null), ""),
            (json!("20m"), "`20m`"),
            (json!(["127.0.0.1/32", "::1/128"]), "`127.0.0.1`, `::1`"),
            (json!({ "limit": 32, "force_local": false }), "`32`"),
            (json!(false), "`false`"),
        ] {
            assert_eq!(shown(&value), expected);
        }
    }

    #[test]
    fn titles_may_say_the_method_and_the_table() {
        assert_eq!(Kind::Endpoints.plain("POST /api/inject/v1"), "/api/inject/v1");
        assert_eq!(Kind::Functions.plain("`kumo.on`"), "on");
        assert_eq!(Kind::Commands.plain("waybill hooks list"), "waybill hooks list");
    }

    #[test]
    fn what_the_program_says_becomes_things_with_parts() {
        let known = json!({
            "options": [{ "name": "make_x", "keys": [{ "name": "a", "type": "Ttl, Epoch", "required": false, "default": "Ttl" }] }],
            "events": [{ "name": "init", "many": false, "required": false }],
            "metrics": [{ "name": "m", "type": "gauge", "labels": ["queue"], "help": "how many" }],
            "functions": { "kumo.on": "function" },
        });
        let things = things(&known, &[]);
        let names: Vec<_> = things.iter().map(|thing| (thing.kind.folder(), thing.name.as_str())).collect();
        assert_eq!(names, [("options", "make_x"), ("events", "init"), ("metrics", "m"), ("functions", "on")]);
        let Content::Table { rows, .. } = &things[0].parts[0].content else { panic!("a table") };
        assert_eq!(rows[0].cells, ["`a`", "`Ttl`, `Epoch`", "`Ttl`"]);
    }
}
