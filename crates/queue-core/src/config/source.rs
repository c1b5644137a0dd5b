use super::Hidden;
use super::check::{above_zero, greeting, printable, refuse};
use super::list::list;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use waybill_types::{ThrottleSpec, serde_duration};

/// The name of the source and the pool that need no event.
const UNSPECIFIED: &str = "unspecified";
/// How long an answer of `get_egress_source` or `get_egress_pool` is good for unless it says so itself.
const TTL: Duration = Duration::from_secs(60);

/// Where mail leaves from: what `get_egress_source` says (`kumo.make_egress_source`).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct EgressSource {
    /// Its name, part of the ready queue's.
    pub name: String,
    /// The address that connections come from.
    #[serde(default, deserialize_with = "address")]
    pub source_address: Option<IpAddr>,
    /// The name that it greets with; goes before the path's.
    #[serde(default)]
    pub ehlo_domain: Option<String>,
    /// Where the destination listens; goes before the path's `smtp_port`.
    #[serde(default)]
    pub remote_port: Option<u16>,
    /// A proxy that speaks the HAProxy protocol.
    #[serde(default, deserialize_with = "server")]
    pub ha_proxy_server: Option<SocketAddr>,
    /// The address that this proxy connects from.
    #[serde(default, deserialize_with = "address")]
    pub ha_proxy_source_address: Option<IpAddr>,
    /// A proxy that speaks SOCKS 5.
    #[serde(default, deserialize_with = "server")]
    pub socks5_proxy_server: Option<SocketAddr>,
    /// The address that this proxy connects from.
    #[serde(default, deserialize_with = "address")]
    pub socks5_proxy_source_address: Option<IpAddr>,
    /// The name for that proxy.
    #[serde(default)]
    pub socks5_proxy_username: Option<String>,
    /// The password for that proxy, a key source.
    #[serde(default)]
    pub socks5_proxy_password: Option<Hidden>,
    /// When it is left alone because its address is not one of this machine.
    #[serde(default)]
    pub suspend_when_unplumbed: Option<SourceSuspension>,
    /// When it is left alone because its proxy cannot be reached or does not do its part.
    #[serde(default)]
    pub suspend_when_proxy_unhealthy: Option<SourceSuspension>,
    /// How long this answer is good for.
    #[serde(default = "ttl", with = "serde_duration")]
    pub ttl: Duration,
}

/// When a source is left alone, and for how long: its messages take other ways.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { trigger = 'Immediate', duration = '5 minutes' }")]
pub struct SourceSuspension {
    /// After which troubles.
    pub trigger: SuspensionTrigger,
    /// For how long.
    #[serde(serialize_with = "serde_duration::serialize", deserialize_with = "suspension_time")]
    pub duration: Duration,
}

impl SourceSuspension {
    /// After the first trouble, for so long.
    pub fn immediate(duration: Duration) -> Self {
        SourceSuspension { trigger: SuspensionTrigger::Immediate, duration }
    }
}

/// After which troubles a source is left alone.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(expecting = "'Immediate' or { Threshold = '10/hr' }")]
pub enum SuspensionTrigger {
    /// After the first.
    Immediate,
    /// After so many in a period.
    Threshold(ThrottleSpec),
}

fn suspension_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let duration = serde_duration::deserialize(deserializer)?;
    above_zero::<D::Error>("duration", duration)?;
    Ok(duration)
}

/// An IP address, or none. What is no address is refused with what would be one.
fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpAddr>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let wrong =
        || D::Error::custom(format_args!("expected an IP address such as 192.0.2.1 or 2001:db8::1, got {text:?}"));
    text.parse().map(Some).map_err(|_| wrong())
}

/// Only addresses: names would have to be asked for, and mean another machine tomorrow.
fn server<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    match text.parse::<SocketAddr>() {
        Ok(server) if server.port() != 0 => Ok(Some(server)),
        _ => Err(D::Error::custom(format_args!("expected ADDRESS:PORT such as 192.0.2.1:1080, got {text:?}"))),
    }
}

fn ttl() -> Duration {
    TTL
}

impl EgressSource {
    /// A source about which nothing is said but its name.
    pub fn named(name: impl Into<String>) -> Self {
        EgressSource {
            name: name.into(),
            source_address: None,
            ehlo_domain: None,
            remote_port: None,
            ha_proxy_server: None,
            ha_proxy_source_address: None,
            socks5_proxy_server: None,
            socks5_proxy_source_address: None,
            socks5_proxy_username: None,
            socks5_proxy_password: None,
            suspend_when_unplumbed: None,
            suspend_when_proxy_unhealthy: None,
            ttl: TTL,
        }
    }

    fn check<E: serde::de::Error>(&self) -> Result<(), E> {
        printable("name", &self.name)?;
        greeting("ehlo_domain", self.ehlo_domain.as_ref())?;
        if self.remote_port == Some(0) {
            return Err(refuse("remote_port", "expected a port from 1 to 65535"));
        }
        match &self.socks5_proxy_username {
            // One octet says how long it is (RFC 1929 section 2).
            Some(name) if !(1..=255).contains(&name.len()) || name.contains(char::is_control) => {
                Err(refuse("socks5_proxy_username", "expected 1 to 255 bytes without control characters"))
            }
            _ => Ok(()),
        }
    }
}

// `remote = "Self"` gives inherent functions, so that the checks stand between serde and everybody else.
impl<'de> Deserialize<'de> for EgressSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let source = EgressSource::deserialize(deserializer)?;
        source.check()?;
        Ok(source)
    }
}

impl Serialize for EgressSource {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        EgressSource::serialize(self, serializer)
    }
}

impl Default for EgressSource {
    fn default() -> Self {
        EgressSource::named(UNSPECIFIED)
    }
}

/// What `get_egress_pool` says (`kumo.make_egress_pool`): the sources that share a queue's mail.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EgressPool {
    #[serde(deserialize_with = "name")]
    /// Its name.
    pub name: String,
    /// Its sources.
    #[serde(default, deserialize_with = "list")]
    pub entries: Vec<EgressPoolEntry>,
    /// How long this answer is good for.
    #[serde(default = "ttl", with = "serde_duration")]
    pub ttl: Duration,
}

/// One source of a pool.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EgressPoolEntry {
    #[serde(deserialize_with = "name")]
    /// Its name.
    pub name: String,
    /// Its share; none with 0.
    #[serde(default = "one")]
    pub weight: u32,
}

fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    printable::<D::Error>("name", &name)?;
    Ok(name)
}

fn one() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_source_is_its_name_and_what_is_said_of_it() {
        let source: EgressSource =
            serde_json::from_value(json!({"name": "s", "source_address": "192.0.2.1", "remote_port": 2525})).unwrap();
        assert_eq!(source.source_address, Some("192.0.2.1".parse().unwrap()));
        assert_eq!((source.remote_port, source.ttl), (Some(2525), Duration::from_secs(60)));
        let error = serde_json::from_value::<EgressSource>(json!({"name": "s", "source_address": "here"})).unwrap_err();
        assert_eq!(error.to_string(), "expected an IP address such as 192.0.2.1 or 2001:db8::1, got \"here\"");
        let error = serde_json::from_value::<EgressSource>(json!({"name": "s", "source_address": 1})).unwrap_err();
        assert_eq!(error.to_string(), "invalid type: integer `1`, expected a string");
        assert_eq!(EgressSource::default().name, "unspecified");
    }

    #[test]
    fn what_no_source_could_be_is_refused_by_name() {
        for (field, value, why) in [
            ("name", json!(""), "name: expected a text without control characters, got \"\""),
            ("name", json!("a\nb"), "name: expected a text without control characters, got \"a\\nb\""),
            ("ehlo_domain", json!("a b"), "ehlo_domain: expected a host's name without spaces, got \"a b\""),
            ("remote_port", json!(0), "remote_port: expected a port from 1 to 65535"),
            ("socks5_proxy_server", json!("zz"), "expected ADDRESS:PORT such as 192.0.2.1:1080, got \"zz\""),
            ("socks5_proxy_server", json!("192.0.2.1"), "expected ADDRESS:PORT such as 192.0.2.1:1080"),
            ("ha_proxy_server", json!("proxy.example:1"), "expected ADDRESS:PORT such as 192.0.2.1:1080"),
            ("ha_proxy_server", json!("192.0.2.1:0"), "expected ADDRESS:PORT such as 192.0.2.1:1080"),
            ("socks5_proxy_username", json!(""), "socks5_proxy_username: expected 1 to 255 bytes without"),
            ("socks5_proxy_username", json!("a\n"), "socks5_proxy_username: expected 1 to 255 bytes without"),
        ] {
            let mut source = json!({"name": "s"});
            source[field] = value;
            let error = serde_json::from_value::<EgressSource>(source).unwrap_err().to_string();
            assert!(error.starts_with(why), "{error}");
        }
        let pool = |name, entry| json!({"name": name, "entries": [{"name": entry}]});
        for wrong in [pool("", "a"), pool("p", "\t")] {
            let error = serde_json::from_value::<EgressPool>(wrong).unwrap_err().to_string();
            assert!(error.starts_with("name: expected a text"), "{error}");
        }
    }

    #[test]
    fn a_source_may_be_left_alone_at_once_or_after_some_troubles() {
        let read = |rule: serde_json::Value| {
            let source = serde_json::from_value::<EgressSource>(json!({"name": "s", "suspend_when_unplumbed": rule}));
            source.map(|source| source.suspend_when_unplumbed).map_err(|error| error.to_string())
        };
        let rule = read(json!({"trigger": "Immediate", "duration": "5 minutes"})).unwrap().unwrap();
        assert_eq!((rule.trigger, rule.duration), (SuspensionTrigger::Immediate, Duration::from_secs(300)));
        let written = json!({"trigger": {"Threshold": "10/h"}, "duration": "1h"});
        let rule = read(written.clone()).unwrap().unwrap();
        assert_eq!(rule.trigger, SuspensionTrigger::Threshold("10/h".parse().unwrap()));
        assert_eq!(serde_json::to_value(rule).unwrap(), written);
        for (rule, why) in [
            (json!(true), "expected a table such as { trigger = 'Immediate', duration = '5 minutes' }"),
            (json!({"trigger": "Immediate"}), "missing field `duration`"),
            (json!({"duration": "1m"}), "missing field `trigger`"),
            (
                json!({"trigger": "Never", "duration": "1m"}),
                "unknown variant `Never`, expected `Immediate` or `Threshold`",
            ),
            (json!({"trigger": {"Threshold": "often"}, "duration": "1m"}), "often"),
            (json!({"trigger": "Immediate", "duration": 0}), "duration: expected a duration above zero"),
            (json!({"trigger": "Immediate", "duration": "1m", "x": 1}), "unknown field `x`"),
        ] {
            let error = read(rule.clone()).unwrap_err();
            assert!(error.contains(why), "{rule}: {error}");
        }
    }

    #[test]
    fn an_entry_has_a_weight_of_one_unless_it_says_otherwise() {
        let pool: EgressPool =
            serde_json::from_value(json!({"name": "p", "entries": [{"name": "a"}, {"name": "b", "weight": 0}]}))
                .unwrap();
        let weights: Vec<u32> = pool.entries.iter().map(|entry| entry.weight).collect();
        assert_eq!(weights, [1, 0]);
        let empty: EgressPool = serde_json::from_value(json!({"name": "p", "entries": {}})).unwrap();
        assert!(empty.entries.is_empty());
    }
}
