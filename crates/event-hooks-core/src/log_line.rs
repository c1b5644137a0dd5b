use crate::Event;
use serde_json::Value;
use std::fmt::Write;

/// Bytes of a line; what is longer is cut.
const LONGEST: usize = 32 * 1024;

/// The line of the handler `log`: `"log callback: " { event, source, {data}, pid }`, as Kong writes it, on one line. Nothing
/// in it can end the line or move a terminal's cursor.
pub fn log_line(event: &Event<'_>, pid: u32) -> String {
    let mut line = String::from("\"log callback: \" { ");
    quoted(&mut line, event.event);
    line.push_str(", ");
    quoted(&mut line, event.source);
    line.push_str(", ");
    table(&mut line, event.data.iter().map(|(name, value)| (name.as_str(), value)));
    if line.len() > LONGEST {
        let mut end = LONGEST;
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        line.truncate(end);
        line.push_str("...");
    }
    let _ = write!(line, ", {pid} }}");
    line
}

fn value(line: &mut String, from: &Value) {
    // Nothing more is seen of it.
    if line.len() > LONGEST {
        return;
    }
    match from {
        Value::Null => line.push_str("nil"),
        Value::Bool(yes) => line.push_str(if *yes { "true" } else { "false" }),
        Value::Number(number) => line.push_str(&number.to_string()),
        Value::String(text) => quoted(line, text),
        Value::Array(items) if items.is_empty() => line.push_str("{}"),
        Value::Array(items) => {
            line.push_str("{ ");
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    line.push_str(", ");
                }
                value(line, item);
            }
            line.push_str(" }");
        }
        Value::Object(map) => table(line, map.iter().map(|(name, value)| (name.as_str(), value))),
    }
}

/// A Lua table has no nil in it, and its fields are sorted.
fn table<'a>(line: &mut String, fields: impl Iterator<Item = (&'a str, &'a Value)>) {
    let mut fields: Vec<_> = fields.filter(|(_, value)| !value.is_null()).collect();
    fields.sort_by_key(|(name, _)| *name);
    if fields.is_empty() {
        line.push_str("{}");
        return;
    }
    line.push_str("{ ");
    for (index, (name, inner)) in fields.into_iter().enumerate() {
        if index > 0 {
            line.push_str(", ");
        }
        if is_name(name) {
            line.push_str(name);
        } else {
            line.push('[');
            quoted(line, name);
            line.push(']');
        }
        line.push_str(" = ");
        value(line, inner);
    }
    line.push_str(" }");
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn quoted(line: &mut String, text: &str) {
    line.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => line.extend(['\\', c]),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            // Controls, line separators and what turns the direction of writing.
            c if c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
                let _ = write!(line, "\\u{{{:x}}}", u32::from(c));
            }
            c => line.push(c),
        }
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use waybill_types::Timestamp;

    fn line(data: &Value) -> String {
        let data = data.as_object().unwrap();
        log_line(&Event { id: "1", source: "log", event: "Bounce", time: Timestamp::EPOCH, tenant: None, data }, 2120)
    }

    #[test]
    fn the_line_has_kong_s_shape() {
        let data =
            json!({"recipient": "a@b", "response": {"code": 550}, "l": ["x", 1], "e": {}, "n": null, "x-y": true});
        assert_eq!(
            line(&data),
            r#""log callback: " { "Bounce", "log", { e = {}, l = { "x", 1 }, recipient = "a@b", response = { code = 550 }, ["x-y"] = true }, 2120 }"#
        );
    }

    #[test]
    fn nothing_in_it_ends_the_line_or_moves_the_cursor() {
        let text = line(&json!({"a": "x\r\n\u{1b}[31m\0\u{85}\u{2028}\u{202e}\"\\", "k\n": 1}));
        assert!(text.chars().all(|c| !c.is_control() && c != '\u{2028}' && c != '\u{202e}'), "{text}");
        assert!(text.contains(r#"a = "x\r\n\u{1b}[31m\u{0}\u{85}\u{2028}\u{202e}\"\\""#), "{text}");
    }

    #[test]
    fn a_line_has_an_end() {
        let text = line(&json!({"a": vec!["é".repeat(50); 10_000]}));
        assert!(text.len() < LONGEST + 100 && text.ends_with("..., 2120 }"), "{}", text.len());
    }
}
