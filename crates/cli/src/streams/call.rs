use hyper::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::{Map, Value};
use std::time::Duration;

/// What is asked of a daemon.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Value,
    /// How long the daemon may wait before it answers.
    pub(super) wait: Duration,
    /// By what a publish is known when it comes again.
    pub(super) idempotency_key: Option<String>,
}

impl Call {
    fn new(method: Method, path: String, body: Value) -> Self {
        Call { method, path, body, wait: Duration::ZERO, idempotency_key: None }
    }

    pub(super) fn get(path: String) -> Self {
        Call::new(Method::GET, path, Value::Null)
    }

    pub(super) fn list(path: &str, metadata: Option<&str>) -> Self {
        let query = metadata.map(|metadata| format!("?metadata={}", percent(metadata)));
        Call::get(format!("{path}{}", query.unwrap_or_default()))
    }

    pub(super) fn post(path: String, body: Value) -> Self {
        Call::new(Method::POST, path, body)
    }

    pub(super) fn patch(path: String, body: Value) -> Self {
        Call::new(Method::PATCH, path, body)
    }

    pub(super) fn delete(path: String) -> Self {
        Call::new(Method::DELETE, path, Value::Null)
    }
}

/// A body that holds what was said.
#[derive(Default)]
pub(super) struct Body(Map<String, Value>);

impl Body {
    /// Says something, or leaves it unsaid.
    pub(super) fn set(&mut self, name: &str, value: Option<impl Serialize>) -> &mut Self {
        if let Some(value) = value.and_then(|value| serde_json::to_value(value).ok()) {
            self.0.insert(name.to_owned(), value);
        }
        self
    }

    pub(super) fn json(self) -> Value {
        Value::Object(self.0)
    }
}

const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-');

/// Whatever was typed, as one part of a path or query.
pub(crate) fn percent(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}
