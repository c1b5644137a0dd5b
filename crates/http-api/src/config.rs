use ipnet::IpNet;
use serde::{Deserialize, Deserializer};
use std::net::IpAddr;
use waybill_tls::{KeySource, ServerParams};
use waybill_types::text::{self, is_address_and_port};

/// Where KumoMTA's HTTP listener listens unless told otherwise.
const DEFAULT_LISTEN: &str = "127.0.0.1:8000";
/// Bytes of a request body, after decompression.
const DEFAULT_BODY_LIMIT: usize = 2 * 1024 * 1024;

/// What `kumo.start_http_listener` takes (contract/kumomta.md section 2.3).
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpListenerConfig {
    /// `address:port` to listen on.
    pub listen: String,
    /// The name we go by in trace headers and meta; unset means the system's.
    #[serde(deserialize_with = "text::name_opt")]
    pub hostname: Option<String>,
    /// Whether to speak TLS, and nothing else.
    pub use_tls: bool,
    /// The chain of certificates for it; one of our own making when there is none.
    pub tls_certificate: Option<KeySource>,
    /// The key that belongs to the first of them.
    pub tls_private_key: Option<KeySource>,
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

impl HttpListenerConfig {
    /// Refuses what cannot be meant; reads the certificate and the key that the listener names. Blocks.
    ///
    /// # Errors
    /// A sentence naming the option: `listen` has no port; or the file and what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        if !is_address_and_port(&self.listen) {
            return Err(format!("`listen` is to be ADDRESS:PORT, got {:?}", self.listen));
        }
        if self.request_body_limit == 0 {
            return Err("`request_body_limit` is 0, expected a number above zero".into());
        }
        self.tls().map_or(Ok(()), |params| params.check())
    }

    /// Whether it names a certificate or a key and speaks no TLS all the same: mostly a line that was forgotten.
    pub fn has_idle_certificate(&self) -> bool {
        !self.use_tls && (self.tls_certificate.is_some() || self.tls_private_key.is_some())
    }

    /// How it speaks TLS, where it does.
    pub fn tls(&self) -> Option<ServerParams> {
        self.use_tls.then(|| ServerParams {
            certificate: self.tls_certificate.clone(),
            private_key: self.tls_private_key.clone(),
            required_client_ca: None,
        })
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
    fn unknown_keys_are_refused() {
        let error = parse(r#"{"colour":1}"#).unwrap_err();
        assert!(error.starts_with("unknown field `colour`, expected one of `listen`"), "{error}");
        let none = HttpListenerConfig { request_body_limit: 0, ..HttpListenerConfig::default() };
        assert_eq!(none.check(), Err("`request_body_limit` is 0, expected a number above zero".to_owned()));
        for listen in ["", "8000", "a b:80", ":80", "127.0.0.1", "127.0.0.1:http", "[::1]:65536"] {
            let config = HttpListenerConfig { listen: listen.to_owned(), ..HttpListenerConfig::default() };
            assert_eq!(config.check(), Err(format!("`listen` is to be ADDRESS:PORT, got {listen:?}")));
        }
    }

    #[test]
    fn a_certificate_that_cannot_be_used_is_named() {
        for (json, why) in [
            (r#"{"use_tls":true,"tls_certificate":"/x.pem"}"#, "`tls_certificate` needs `tls_private_key`"),
            (
                r#"{"use_tls":true,"tls_certificate":"/no/x.pem","tls_private_key":{"key_data":"x"}}"#,
                "`tls_certificate`: cannot read /no/x.pem: ",
            ),
        ] {
            let error = parse(json).unwrap().check().unwrap_err();
            assert!(error.starts_with(why), "{error}");
        }
        let made = parse(r#"{"use_tls":true}"#).unwrap();
        assert_eq!((made.check(), made.has_idle_certificate(), made.tls().is_some()), (Ok(()), false, true));
        let idle = parse(r#"{"tls_certificate":"/no/x.pem"}"#).unwrap();
        assert_eq!((idle.check(), idle.has_idle_certificate(), idle.tls()), (Ok(()), true, None));
    }
}
