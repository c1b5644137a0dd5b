//! The hosts of `mx_list`, read where the policy names them.

use serde::de::{Deserialize, Deserializer, Error};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};

/// What an entry may look like.
const FORMS: &str = "expected 'host', 'host:port', an address with or without a port, or { name = '..', addr = '..' }";
/// Octets of a name, and of one label of it (RFC 1035 section 2.3.4).
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

/// One host of `mx_list`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MxHost {
    /// Its name, or its address where it has none. International names are as they were written.
    pub name: String,
    /// Where it is; unset, the DNS knows.
    pub address: Option<IpAddr>,
    /// Where it listens; unset, where the path says.
    pub port: Option<u16>,
    /// `addr` of a table; unset for an entry that is a text.
    addr: Option<String>,
    /// The whole of an entry that is a text.
    text: String,
}

impl MxHost {
    /// What stands for it in the name of a site: `host:port` as written, or `name/addr`.
    pub fn word(&self) -> String {
        match &self.addr {
            Some(addr) => format!("{}/{addr}", self.name),
            None => self.text.clone(),
        }
    }

    fn parse(entry: &Value) -> Result<Self, String> {
        match entry {
            Value::String(text) => MxHost::of_text(text).map_err(|why| format!("{why}, {FORMS}")),
            Value::Object(fields) => {
                if let Some(other) = fields.keys().find(|key| !matches!(key.as_str(), "name" | "addr")) {
                    return Err(format!("unknown field `{other}`, expected `name` and `addr`"));
                }
                let text = |name: &str| match fields.get(name) {
                    Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
                    Some(other) => Err(format!("{name} is {other}, {FORMS}")),
                    None => Err(format!("{entry} has no {name}, {FORMS}")),
                };
                let (name, addr) = (text("name")?, text("addr")?);
                if name.chars().any(|char| char.is_whitespace() || char.is_control()) {
                    return Err(format!("name is {name:?}, which is no host, {FORMS}"));
                }
                match MxHost::of_text(&addr) {
                    Ok(host) if host.address.is_some() => Ok(MxHost { name, addr: Some(addr), ..host }),
                    _ => Err(format!("addr is {addr:?}, expected an address with or without a port")),
                }
            }
            other => Err(format!("got {other}, {FORMS}")),
        }
    }

    fn of_text(text: &str) -> Result<Self, String> {
        let host = |name: &str, address: Option<IpAddr>, port| MxHost {
            name: name.to_owned(),
            address,
            port,
            addr: None,
            text: text.to_owned(),
        };
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(host(text, Some(address), None));
        }
        if let Ok(socket) = text.parse::<SocketAddr>() {
            return Ok(host(&socket.ip().to_string(), Some(socket.ip()), Some(port(text, socket.port())?)));
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, digits)) if !name.contains(':') && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                (name, Some(port(text, digits.parse().unwrap_or(0))?))
            }
            _ => (text, None),
        };
        match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inner) => {
                let tag = inner.get(..5).filter(|tag| tag.eq_ignore_ascii_case("IPv6:"));
                let address = inner[tag.map_or(0, str::len)..].parse();
                Ok(host(name, Some(address.map_err(|_| format!("{text:?} is no address"))?), port))
            }
            None if is_name(name) => Ok(host(name, None, port)),
            None => Err(format!("{text:?} is no host")),
        }
    }
}

fn port(text: &str, number: u16) -> Result<u16, String> {
    if number == 0 { Err(format!("{text:?} has no port from 1 to 65535")) } else { Ok(number) }
}

/// Whether this could be a host's name. What an international one becomes in ASCII is for whoever asks the DNS.
fn is_name(name: &str) -> bool {
    let bare = name.strip_suffix('.').unwrap_or(name);
    let fits = |char: char| char.is_ascii_graphic() || (!char.is_ascii() && char.is_alphanumeric());
    let label = |label: &str| !label.is_empty() && label.len() <= LONGEST_LABEL && label.chars().all(fits);
    bare.len() <= LONGEST_NAME && !bare.contains(':') && bare.split('.').all(label)
}

impl<'de> Deserialize<'de> for MxHost {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        MxHost::parse(&Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// As the policy wrote it.
impl Serialize for MxHost {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.addr {
            Some(addr) => json!({"name": self.name, "addr": addr}).serialize(serializer),
            None => self.text.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(entry: Value) -> Result<MxHost, String> {
        serde_json::from_value(entry).map_err(|error| error.to_string())
    }

    #[test]
    fn every_form_of_a_host_is_read_and_shown_as_it_was_written() {
        for (entry, name, address, port, word) in [
            (json!("relay.example"), "relay.example", None, None, "relay.example"),
            (json!("relay.example.:2525"), "relay.example.", None, Some(2525), "relay.example.:2525"),
            (json!("bücher.example"), "bücher.example", None, None, "bücher.example"),
            (json!("_smtp.host_1"), "_smtp.host_1", None, None, "_smtp.host_1"),
            (json!("192.0.2.1:26"), "192.0.2.1", Some("192.0.2.1"), Some(26), "192.0.2.1:26"),
            (json!("[::1]:27"), "::1", Some("::1"), Some(27), "[::1]:27"),
            (json!("2001:db8::1"), "2001:db8::1", Some("2001:db8::1"), None, "2001:db8::1"),
            (json!("[192.0.2.2]:28"), "[192.0.2.2]", Some("192.0.2.2"), Some(28), "[192.0.2.2]:28"),
            (json!("[IPv6:2001:db8::1]"), "[IPv6:2001:db8::1]", Some("2001:db8::1"), None, "[IPv6:2001:db8::1]"),
            (json!({"name": "mx", "addr": "192.0.2.3:29"}), "mx", Some("192.0.2.3"), Some(29), "mx/192.0.2.3:29"),
        ] {
            let host = read(entry.clone()).unwrap();
            assert_eq!((host.name.as_str(), host.port), (name, port));
            assert_eq!(host.address, address.map(|text| text.parse().unwrap()));
            assert_eq!(host.word(), word);
            assert_eq!(serde_json::to_value(&host).unwrap(), entry);
        }
    }

    #[test]
    fn what_is_no_host_is_shown_with_what_would_be_one() {
        let long = "a".repeat(64);
        for (entry, begins) in [
            (json!("a b"), "\"a b\" is no host, expected 'host', 'host:port', an address"),
            (json!(""), "\"\" is no host, "),
            (json!("a..b"), "\"a..b\" is no host, "),
            (json!(long), "\"aaaaa"),
            (json!("a:b"), "\"a:b\" is no host, "),
            (json!("relay.example:0"), "\"relay.example:0\" has no port from 1 to 65535, "),
            (json!("relay.example:70000"), "\"relay.example:70000\" has no port from 1 to 65535, "),
            (json!("192.0.2.1:0"), "\"192.0.2.1:0\" has no port from 1 to 65535, "),
            (json!("[192.0.2]"), "\"[192.0.2]\" is no address, "),
            (json!(1), "got 1, expected 'host'"),
            (json!(["a"]), "got [\"a\"], expected 'host'"),
            (json!({"name": "x"}), "{\"name\":\"x\"} has no addr, expected 'host'"),
            (json!({"name": 1, "addr": "192.0.2.1"}), "name is 1, expected 'host'"),
            (json!({"name": "a\nb", "addr": "192.0.2.1"}), "name is \"a\\nb\", which is no host, "),
            (json!({"name": "x", "addr": "zz"}), "addr is \"zz\", expected an address with or without a port"),
            (json!({"name": "x", "addr": "192.0.2.1", "port": 1}), "unknown field `port`, expected `name` and `addr`"),
        ] {
            let error = read(entry.clone()).unwrap_err();
            assert!(error.starts_with(begins), "{entry}: {error}");
        }
    }
}
