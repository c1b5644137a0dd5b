//! What the admin API answers, as JSON.

use super::{Daemon, http};
use serde_json::Value;

/// Status and body of an answer; `Null` stands for no body, on either side.
pub(crate) fn ask(daemon: &Daemon, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (status, text) = http::ask(daemon.http(), method, path, &body).expect("an answer");
    let read = |text| serde_json::from_str(text).unwrap_or_else(|error| panic!("{method} {path}: {error}: {text}"));
    (status, if text.is_empty() { Value::Null } else { read(&text) })
}

/// The body of an answer to what must succeed.
pub(crate) fn done(daemon: &Daemon, method: &str, path: &str, body: &Value) -> Value {
    let (status, answer) = ask(daemon, method, path, body);
    assert!(status < 300, "{method} {path}: {status} {answer}");
    answer
}

/// Makes an event hook; gives its id.
pub(crate) fn create_hook(daemon: &Daemon, hook: &Value) -> String {
    let (status, made) = ask(daemon, "POST", "/event-hooks", hook);
    assert_eq!(status, 201, "{made}");
    made["id"].as_str().expect("an id").to_owned()
}
