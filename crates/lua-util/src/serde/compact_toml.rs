//! The compact layout of TOML: keys sorted at every level, an empty table as `key = {}` in its place.

use std::fmt::Write;

use ::toml::{Table, Value};

/// The document in that layout.
pub(super) fn encode(document: &Table) -> String {
    let mut out = String::new();
    table(&mut out, "", document);
    out
}

fn table(out: &mut String, path: &str, members: &Table) {
    let mut members: Vec<_> = members.iter().collect();
    members.sort_by_key(|(key, _)| *key);
    let (sections, plain): (Vec<_>, Vec<_>) = members.into_iter().partition(|(_, value)| is_section(value));
    for (key, value) in plain {
        entry(out, key, value);
    }
    for (key, value) in sections {
        let path = if path.is_empty() { key_text(key) } else { format!("{path}.{}", key_text(key)) };
        match value {
            Value::Table(inner) => {
                // A table of tables needs no header of its own: theirs imply it.
                if !inner.values().all(is_section) {
                    header(out, &format!("[{path}]"));
                }
                table(out, &path, inner);
            }
            Value::Array(items) => {
                for inner in items.iter().filter_map(Value::as_table) {
                    header(out, &format!("[[{path}]]"));
                    table(out, &path, inner);
                }
            }
            _ => {}
        }
    }
}

/// What gets a `[header]`: tables with something in them, and lists of tables.
fn is_section(value: &Value) -> bool {
    match value {
        Value::Table(table) => !table.is_empty(),
        Value::Array(items) => !items.is_empty() && items.iter().all(Value::is_table),
        _ => false,
    }
}

fn header(out: &mut String, text: &str) {
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(text);
    out.push('\n');
}

fn entry(out: &mut String, key: &str, value: &Value) {
    out.push_str(&key_text(key));
    out.push_str(" = ");
    match value {
        Value::Table(table) if table.is_empty() => out.push_str("{}"),
        Value::Array(items) if items.len() > 1 => {
            out.push_str("[\n");
            for item in items {
                // Writing to a String cannot fail.
                let _ = writeln!(out, "    {item},");
            }
            out.push(']');
        }
        value => {
            let _ = write!(out, "{value}");
        }
    }
    out.push('\n');
}

fn key_text(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(bare) {
        return key.to_owned();
    }
    // JSON's escapes are all TOML escapes too; only DEL must be escaped in TOML alone.
    serde_json::Value::from(key).to_string().replace('\x7f', "\\u007F")
}
