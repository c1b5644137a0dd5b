//! Sections that no other crate parses yet: they are checked here, so that a misspelt key is found while the policy
//! loads.

use std::net::IpAddr;
use std::time::Duration;

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value as Json;
use waybill_types::serde_duration;

/// How long what an event said about a source or pool is used, unless it says so itself.
fn ttl() -> Duration {
    Duration::from_secs(60)
}

/// A list; `{}` is an empty one, as nothing tells an empty table from a list.
fn list<'de, T: DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    match Json::deserialize(deserializer)? {
        Json::Object(map) if map.is_empty() => Ok(Vec::new()),
        other => serde_json::from_value(other).map_err(D::Error::custom),
    }
}

/// `kumo.make_egress_source`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EgressSource {
    name: String,
    #[serde(default)]
    source_address: Option<IpAddr>,
    #[serde(default)]
    ehlo_domain: Option<String>,
    #[serde(default)]
    remote_port: Option<u16>,
    #[serde(default)]
    ha_proxy_server: Option<String>,
    #[serde(default)]
    ha_proxy_source_address: Option<IpAddr>,
    #[serde(default)]
    socks5_proxy_server: Option<String>,
    #[serde(default)]
    socks5_proxy_source_address: Option<IpAddr>,
    #[serde(default)]
    socks5_proxy_username: Option<String>,
    #[serde(default)]
    socks5_proxy_password: Option<Json>,
    #[serde(default)]
    suspend_when_unplumbed: Option<bool>,
    #[serde(default)]
    suspend_when_proxy_unhealthy: Option<bool>,
    #[serde(default = "ttl", with = "serde_duration")]
    ttl: Duration,
}

/// `kumo.make_egress_pool`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EgressPool {
    name: String,
    #[serde(default, deserialize_with = "list")]
    entries: Vec<EgressPoolEntry>,
    #[serde(default = "ttl", with = "serde_duration")]
    ttl: Duration,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EgressPoolEntry {
    name: String,
    #[serde(default = "one")]
    weight: u32,
}

fn one() -> u32 {
    1
}

/// `kumo.make_listener_domain`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListenerDomain {
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
#[serde(untagged)]
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
