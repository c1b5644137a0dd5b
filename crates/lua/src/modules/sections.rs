//! Sections that no other crate parses yet: they are checked here, so that a misspelt key is found while the policy
//! loads.

use serde::{Deserialize, Serialize};
use waybill_types::{CidrSet, text};

/// `kumo.make_listener_domain`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerDomain {
    #[serde(default)]
    relay_to: bool,
    #[serde(default)]
    relay_from: CidrSet,
    #[serde(default, deserialize_with = "text::names")]
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
