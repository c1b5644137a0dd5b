use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize};
use std::net::IpAddr;

/// Where KumoMTA's HTTP listener listens unless told otherwise.
const DEFAULT_LISTEN: &str = "127.0.0.1:8000";
/// Bytes of a request body, after decompression.
const DEFAULT_BODY_LIMIT: usize = 2 * 1024 * 1024;

/// What `kumo.start_http_listener` takes (contract/kumomta.md section 2.3).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpListenerConfig {
    /// `address:port` to listen on.
    pub listen: String,
    /// The name we go by in trace headers and meta; unset means the system's.
    pub hostname: Option<String>,
    /// Whether to speak TLS: not supported yet.
    pub use_tls: bool,
    /// The certificate for TLS: not supported yet.
    pub tls_certificate: Option<serde_json::Value>,
    /// Its key: not supported yet.
    pub tls_private_key: Option<serde_json::Value>,
    /// The most bytes a request body may have, after decompression.
    pub request_body_limit: usize,
    /// Who may use the API without credentials: addresses and CIDRs.
    #[serde(deserialize_with = "networks")]
    pub trusted_hosts: Vec<IpNet>,
}

impl Default for HttpListenerConfig {
    fn default() -> Self {
        HttpListenerConfig {
            listen: DEFAULT_LISTEN.to_owned(),
            hostname: None,
            use_tls: false,
            tls_certificate: None,
            tls_private_key: None,
            request_body_limit: DEFAULT_BODY_LIMIT,
            trusted_hosts: [[127, 0, 0, 1].into(), std::net::Ipv6Addr::LOCALHOST.into()].map(single).to_vec(),
        }
    }
}

/// What a listener was asked for and cannot do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It is no place to listen at.
    #[error("`listen` is to be ADDRESS:PORT, got {0:?}")]
    Listen(String),
    /// TLS is not built yet.
    #[error("start_http_listener: {0} is not supported yet: let a proxy on this machine speak TLS")]
    TlsNotSupported(&'static str),
}

impl HttpListenerConfig {
    /// Refuses what cannot be meant, and what is not built yet.
    ///
    /// # Errors
    /// When `listen` has no port, or any of the TLS options is used.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.listen.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok()).is_none() {
            return Err(ConfigError::Listen(self.listen.clone()));
        }
        let asked = [
            ("use_tls = true", self.use_tls),
            ("tls_certificate", self.tls_certificate.is_some()),
            ("tls_private_key", self.tls_private_key.is_some()),
        ];
        match asked.into_iter().find(|(_, asked)| *asked) {
            Some((what, _)) => Err(ConfigError::TlsNotSupported(what)),
            None => Ok(()),
        }
    }
}

/// The network of one address.
fn single(address: IpAddr) -> IpNet {
    IpNet::from(address)
}

/// A list of CIDRs, where a bare address stands for itself. An empty Lua table arrives as an empty object.
fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts: Vec<String> = match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Object(map) if map.is_empty() => Vec::new(),
        list => serde_json::from_value(list).map_err(serde::de::Error::custom)?,
    };
    let parse = |text: &String| {
        let address = text.parse::<IpAddr>().map(single);
        address.or_else(|_| text.parse::<IpNet>()).map_err(|_| {
            serde::de::Error::custom(format!("trusted_hosts: {text:?} is neither an IP address nor a CIDR block"))
        })
    };
    texts.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<HttpListenerConfig, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_are_those_of_the_contract() {
        let config = parse("{}").unwrap();
        assert_eq!((config.listen.as_str(), config.request_body_limit), ("127.0.0.1:8000", 2 * 1024 * 1024));
        let trusted: Vec<_> = config.trusted_hosts.iter().map(ToString::to_string).collect();
        assert_eq!(trusted, ["127.0.0.1/32", "::1/128"]);
        assert_eq!(config.check(), Ok(()));
    }

    #[test]
    fn addresses_and_blocks_are_hosts_and_anything_else_is_named() {
        let config = parse(r#"{"trusted_hosts":["10.0.0.1","192.0.2.0/24","2001:db8::/32"]}"#).unwrap();
        assert_eq!(config.trusted_hosts.len(), 3);
        assert_eq!(parse(r#"{"trusted_hosts":{}}"#).unwrap().trusted_hosts, [], "an empty Lua table");
        let error = parse(r#"{"trusted_hosts":["example.com"]}"#).unwrap_err();
        assert!(error.contains("\"example.com\" is neither an IP address nor a CIDR block"), "{error}");
    }

    #[test]
    fn unknown_keys_and_tls_are_refused() {
        let error = parse(r#"{"colour":1}"#).unwrap_err();
        assert!(error.starts_with("unknown field `colour`, expected one of `listen`"), "{error}");
        for listen in ["", "8000", "127.0.0.1", "127.0.0.1:http", "[::1]:65536"] {
            let config = HttpListenerConfig { listen: listen.to_owned(), ..HttpListenerConfig::default() };
            assert_eq!(config.check(), Err(ConfigError::Listen(listen.to_owned())));
        }
        for json in
            [r#"{"use_tls":true}"#, r#"{"tls_certificate":"/x.pem"}"#, r#"{"tls_private_key":{"key_data":"x"}}"#]
        {
            let error = parse(json).unwrap().check().unwrap_err().to_string();
            assert!(error.contains("is not supported yet"), "{error}");
        }
    }
}
