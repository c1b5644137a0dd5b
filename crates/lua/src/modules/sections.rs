//! Sections that no other crate parses yet: they are checked here, so that a misspelt key is found while the policy
//! loads.

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value as Json;

/// A list; `{}` is an empty one, as nothing tells an empty table from a list.
fn list<'de, T: DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    match Json::deserialize(deserializer)? {
        Json::Object(map) if map.is_empty() => Ok(Vec::new()),
        other => serde_json::from_value(other).map_err(D::Error::custom),
    }
}

/// `kumo.make_listener_domain`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerDomain {
    #[serde(default)]
    relay_to: bool,
    #[serde(default, deserialize_with = "list")]
    relay_from: Vec<String>,
    #[serde(default, deserialize_with = "list")]
    relay_from_authz: Vec<String>,
    #[serde(default)]
    log_oob: Option<ReportLogging>,
    #[serde(default)]
    log_arf: Option<ReportLogging>,
}

/// What happens to reports: a word, or a switch.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected true, false, \"Ignore\", \"LogThenDrop\" or \"LogThenRelay\"")]
enum ReportLogging {
    Switch(bool),
    Word(ReportWord),
}

#[derive(Serialize, Deserialize)]
enum ReportWord {
    Ignore,
    LogThenDrop,
    LogThenRelay,
}
