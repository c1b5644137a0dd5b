//! What the commands of `waybill` answer, as JSON.

use super::Daemon;
use serde_json::Value;

/// The answer of a command, which must succeed.
pub(crate) fn json_of(daemon: &Daemon, words: &[&str]) -> Value {
    let text = daemon.client(words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{words:?}: {error}: {text}"))
}

/// The id of something new: a field of the answer.
pub(crate) fn made(daemon: &Daemon, words: &[&str], field: &str) -> String {
    let answer = json_of(daemon, words);
    answer[field].as_str().unwrap_or_else(|| panic!("{words:?}: no {field} in {answer}")).to_owned()
}
