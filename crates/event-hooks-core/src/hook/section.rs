//! Reading a description field by field, with everything that is wrong in it.

use super::Encoding;
use crate::Violations;
use serde_json::{Map, Value};
use std::time::Duration;
use waybill_types::parse_duration;
use waybill_webhook_core::Target;
use waybill_webhook_sign::Secret;

/// An object that is being read: what was read is taken out, what is left at the end is unknown.
pub(crate) struct Section<'a> {
    map: Map<String, Value>,
    prefix: &'a str,
    encoding: Encoding,
    known: Vec<&'static str>,
    violations: &'a mut Violations,
}

impl<'a> Section<'a> {
    /// `prefix` is empty or ends with a dot.
    pub(crate) fn new(
        map: Map<String, Value>,
        prefix: &'a str,
        encoding: Encoding,
        violations: &'a mut Violations,
    ) -> Self {
        Section { map, prefix, encoding, known: Vec::new(), violations }
    }

    pub(crate) fn wrong(&mut self, field: &str, why: impl Into<String>) {
        self.violations.add(format!("{}{field}", self.prefix), why);
    }

    /// The value of a field, where it is there and no null.
    pub(crate) fn value(&mut self, field: &'static str) -> Option<Value> {
        self.known.push(field);
        self.map.remove(field).filter(|value| !value.is_null())
    }

    /// What a field holds, without taking it out.
    pub(crate) fn peek(&self, field: &str) -> Option<&Value> {
        self.map.get(field)
    }

    fn typed<T>(&mut self, field: &'static str, expected: &str, read: impl Fn(Value) -> Option<T>) -> Option<T> {
        let value = self.value(field)?;
        let read = read(value);
        if read.is_none() {
            self.wrong(field, format!("expected {expected}"));
        }
        read
    }

    pub(crate) fn required<T>(&mut self, field: &'static str, read: impl Fn(&mut Self) -> Option<T>) -> Option<T> {
        if self.map.get(field).is_none_or(Value::is_null) {
            self.known.push(field);
            self.wrong(field, "required field missing");
            return None;
        }
        read(self)
    }

    pub(crate) fn string(&mut self, field: &'static str) -> Option<String> {
        self.typed(field, "a string", |value| match value {
            Value::String(text) => Some(text),
            _ => None,
        })
    }

    pub(crate) fn secret(&mut self, field: &'static str) -> Option<Secret> {
        let secret = self.string(field)?;
        if secret.is_empty() {
            self.wrong(field, "length must be at least 1");
            return None;
        }
        Some(Secret::new(secret))
    }

    pub(crate) fn boolean(&mut self, field: &'static str) -> Option<bool> {
        let form = self.encoding == Encoding::Form;
        self.typed(field, "a boolean", |value| match value {
            Value::Bool(yes) => Some(yes),
            Value::String(text) if form && text == "true" => Some(true),
            Value::String(text) if form && text == "false" => Some(false),
            _ => None,
        })
    }

    /// An integer between these.
    pub(crate) fn integer(&mut self, field: &'static str, least: u64, most: u64) -> Option<u64> {
        let form = self.encoding == Encoding::Form;
        let number = self.typed(field, "an integer", |value| match value {
            Value::Number(number) if number.as_i64().is_some_and(i64::is_negative) => Some(None),
            Value::Number(number) => number.as_u64().map(Some),
            Value::String(text) if form => text.parse::<i64>().ok().map(|number| u64::try_from(number).ok()),
            _ => None,
        })?;
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.wrong(field, format!("value should be between {least} and {most}"));
        }
        number
    }

    /// Seconds, or a text such as `7d`.
    pub(crate) fn duration(&mut self, field: &'static str, most: Duration) -> Option<Duration> {
        let expected = "a duration: seconds, or a text such as \"90s\" or \"7d\"";
        let duration = self.typed(field, expected, |value| match value {
            Value::Number(number) => number.as_u64().map(Duration::from_secs),
            Value::String(text) => match text.parse() {
                Ok(secs) => Some(Duration::from_secs(secs)),
                Err(_) => parse_duration(&text).ok(),
            },
            _ => None,
        })?;
        if duration.is_zero() || duration > most {
            self.wrong(field, format!("must be longer than nothing and at most {} s", most.as_secs()));
            return None;
        }
        Some(duration)
    }

    pub(crate) fn one_of<T: Copy>(&mut self, field: &'static str, words: &[(&str, T)]) -> Option<T> {
        let text = self.string(field)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.wrong(field, format!("expected one of: {}", words.join(", ")));
        }
        found
    }

    /// A list of texts.
    pub(crate) fn strings(&mut self, field: &'static str, most: usize) -> Option<Vec<String>> {
        let form = self.encoding == Encoding::Form;
        let list: Vec<String> = self.typed(field, "an array of strings", |value| match value {
            Value::Array(items) => items
                .into_iter()
                .map(|item| match item {
                    Value::String(text) => Some(text),
                    _ => None,
                })
                .collect(),
            Value::String(text) if form => Some(text.split(',').map(|item| item.trim().to_owned()).collect()),
            _ => None,
        })?;
        if list.len() > most {
            self.wrong(field, format!("length must be at most {most}"));
            return None;
        }
        Some(list)
    }

    /// A list of texts, in which commas are text.
    pub(crate) fn list(&mut self, field: &'static str, most: usize) -> Option<Vec<String>> {
        let encoding = std::mem::replace(&mut self.encoding, Encoding::Json);
        let list = self.strings(field, most);
        self.encoding = encoding;
        list
    }

    pub(crate) fn object(&mut self, field: &'static str) -> Option<Map<String, Value>> {
        self.typed(field, "a map", |value| match value {
            Value::Object(map) => Some(map),
            _ => None,
        })
    }

    /// A map whose fields `read` takes out; what it leaves is unknown.
    pub(crate) fn section<T>(&mut self, field: &'static str, read: impl FnOnce(&mut Section<'_>) -> T) -> Option<T> {
        let map = self.object(field)?;
        let prefix = format!("{}{field}.", self.prefix);
        let mut inner = Section::new(map, &prefix, self.encoding, self.violations);
        let value = read(&mut inner);
        inner.end();
        Some(value)
    }

    /// A URL that can be called.
    pub(crate) fn target(&mut self, field: &'static str) -> Option<Target> {
        let url = self.string(field)?;
        Target::parse(&url).map_err(|error| self.wrong(field, error.to_string())).ok()
    }

    /// A map of texts. A null within it is a name that is not there, so that a PATCH can take one out.
    pub(crate) fn texts(&mut self, field: &'static str) -> Option<Vec<(String, String)>> {
        let mut texts = Vec::new();
        for (name, value) in self.object(field)? {
            match value {
                Value::Null => {}
                Value::String(text) => texts.push((name, text)),
                Value::Number(number) => texts.push((name, number.to_string())),
                _ => self.wrong(&format!("{field}.{name}"), "expected a string"),
            }
        }
        Some(texts)
    }

    /// What is left is unknown.
    pub(crate) fn end(self) {
        for field in self.map.keys() {
            let known = match self.known.as_slice() {
                [] => "none is accepted here".to_owned(),
                known => format!("accepted are: {}", known.join(", ")),
            };
            self.violations.add(format!("{}{field}", self.prefix), format!("unknown field; {known}"));
        }
    }
}
