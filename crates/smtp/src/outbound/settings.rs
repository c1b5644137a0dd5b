//! What a path and its source say, checked and ready to be used.

use super::auth::Credentials;
use super::failure::Refusal;
use super::proxy::Proxy;
use crate::inbound::CidrSet;
use serde::Deserialize;
use serde_json::Value;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use waybill_delivery::{ConfigError, Egress, TroubledSource};
use waybill_queue_core::config::{EgressPathConfig, Hidden, SourceSuspension};
use waybill_queue_core::ready::SourceTrouble;
use waybill_tls::{ClientParams, KeySource};

/// No session is given up for standing still before this.
const SHORTEST_WATCHDOG: Duration = Duration::from_secs(60);

/// How mail goes over one route.
pub(super) struct Settings {
    pub(super) path: EgressPathConfig,
    /// Where connections of this machine come from, to the server or to the proxy.
    pub(super) source: Option<IpAddr>,
    /// Where servers listen that say nothing else.
    pub(super) port: u16,
    /// The name that we greet with.
    pub(super) ehlo_domain: String,
    pub(super) prohibited: CidrSet,
    pub(super) skipped: CidrSet,
    pub(super) credentials: Option<Credentials>,
    pub(super) proxy: Option<Proxy>,
    source_name: Arc<str>,
    when_unplumbed: Option<SourceSuspension>,
    when_proxy_unhealthy: Option<SourceSuspension>,
    /// How TLS is spoken, but for what is asked of the server's certificate.
    pub(super) tls: ClientParams,
}

impl Settings {
    /// Checks. `hostname` is what we are called where nothing else is said.
    pub(super) fn new(egress: &Egress, hostname: &str) -> Result<Self, ConfigError> {
        let Egress { source, path, .. } = egress;
        let name = &source.name;
        let proxy = Proxy::of(source).map_err(|why| ConfigError(format!("egress source {name}: {why}").into()))?;
        let ehlo_domain = source.ehlo_domain.as_deref().or(path.ehlo_domain.as_deref()).unwrap_or(hostname);
        if ehlo_domain.is_empty() || ehlo_domain.bytes().any(|byte| byte <= b' ' || byte == 127) {
            return Err(ConfigError(format!("ehlo_domain: {ehlo_domain:?} is no name").into()));
        }
        let credentials = match (&path.smtp_auth_plain_username, &path.smtp_auth_plain_password) {
            (None, _) => None,
            (Some(_), None) => {
                return Err(ConfigError("smtp_auth_plain_username: there is no smtp_auth_plain_password".into()));
            }
            (Some(user), Some(password)) => Some(
                Credentials::new(user, password.given())
                    .map_err(|why| ConfigError(format!("smtp_auth_plain_password: {why}").into()))?,
            ),
        };
        Ok(Settings {
            source: source.source_address,
            port: source.remote_port.unwrap_or(path.smtp_port),
            ehlo_domain: ehlo_domain.to_owned(),
            prohibited: path.prohibited_hosts.clone(),
            skipped: path.skip_hosts.clone(),
            credentials,
            proxy,
            source_name: name.as_str().into(),
            when_unplumbed: source.suspend_when_unplumbed.clone(),
            when_proxy_unhealthy: source.suspend_when_proxy_unhealthy.clone(),
            tls: tls(path).map_err(|why| ConfigError(why.into()))?,
            path: path.clone(),
        })
    }

    /// The address that servers see, where policy says.
    pub(super) fn seen_source(&self) -> Option<IpAddr> {
        match &self.proxy {
            Some(proxy) => proxy.source(),
            None => self.source,
        }
    }

    /// What a refusal says of the source, where the source has a rule for that.
    pub(super) fn troubled_source(&self, refusal: &Refusal) -> Option<TroubledSource> {
        let (trouble, rule) = match refusal {
            Refusal::Unplumbed(_) => (SourceTrouble::Unplumbed, &self.when_unplumbed),
            Refusal::Proxy(_) => (SourceTrouble::Proxy, &self.when_proxy_unhealthy),
            Refusal::Trouble(_) | Refusal::Said { .. } | Refusal::Ours(_) => return None,
        };
        let why = format!("source {}: {refusal}", self.source_name);
        Some(TroubledSource { name: self.source_name.clone(), trouble, rule: rule.clone()?, why: why.into() })
    }

    pub(super) fn lmtp(&self) -> bool {
        self.path.use_lmtp
    }

    /// How long a session may stand still: twice the longest wait that is allowed to it.
    pub(super) fn watchdog(&self) -> Duration {
        let path = &self.path;
        let longest = [
            path.connect_timeout,
            path.banner_timeout,
            path.ehlo_timeout,
            path.starttls_timeout,
            path.auth_timeout,
            path.mail_from_timeout,
            path.rcpt_to_timeout,
            path.data_timeout,
            path.data_dot_timeout,
            path.rset_timeout,
        ]
        .into_iter()
        .fold(Duration::ZERO, Duration::max);
        longest.saturating_mul(2).max(SHORTEST_WATCHDOG)
    }
}

fn tls(path: &EgressPathConfig) -> Result<ClientParams, String> {
    let source = |option: &str, value: Option<&Value>| {
        let read = value.map(KeySource::deserialize).transpose();
        read.map_err(|error| format!("{option}: {error}"))
    };
    let params = ClientParams {
        certificate: source("tls_certificate", path.tls_certificate.as_ref())?,
        private_key: source("tls_private_key", path.tls_private_key.as_ref().map(Hidden::given))?,
        cipher_suites: path.rustls_cipher_suites.as_slice().into(),
        ..ClientParams::default()
    };
    params.check("rustls_cipher_suites")?;
    Ok(params)
}

/// Options of a path that are about another library's TLS than ours. They are accepted for the sake of scripts.
pub(super) fn without_effect(path: &EgressPathConfig) -> impl Iterator<Item = &'static str> {
    let named = [
        ("tls_prefer_openssl", path.tls_prefer_openssl),
        ("openssl_cipher_list", path.openssl_cipher_list.is_some()),
        ("openssl_cipher_suites", path.openssl_cipher_suites.is_some()),
        ("openssl_options", path.openssl_options.is_some()),
    ];
    named.into_iter().filter(|(_, set)| *set).map(|(option, _)| option)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use waybill_queue_core::config::EgressSource;

    fn settings(path: serde_json::Value, source: serde_json::Value) -> Result<Settings, String> {
        let path = serde_json::from_value(path).unwrap();
        let source: EgressSource = serde_json::from_value(source).unwrap();
        Settings::new(&Egress { source, path, ..Egress::default() }, "host.example").map_err(|error| error.to_string())
    }

    #[test]
    fn the_source_goes_before_the_path() {
        let path = json!({"ehlo_domain": "path.example", "smtp_port": 26});
        let ours = settings(path.clone(), json!({"name": "s"})).unwrap();
        assert_eq!((ours.ehlo_domain.as_str(), ours.port), ("path.example", 26));
        let ours = settings(path, json!({"name": "s", "ehlo_domain": "s.example", "remote_port": 27})).unwrap();
        assert_eq!((ours.ehlo_domain.as_str(), ours.port), ("s.example", 27));
        let ours = settings(json!({}), json!({"name": "s"})).unwrap();
        assert_eq!((ours.ehlo_domain.as_str(), ours.port), ("host.example", 25));
        assert_eq!(ours.watchdog(), Duration::from_secs(600));
    }

    #[test]
    fn this_machine_is_prohibited_unless_a_policy_says_otherwise() {
        let ours = settings(json!({}), json!({"name": "s"})).unwrap();
        for address in ["127.0.0.1", "127.1.2.3", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1"] {
            assert!(ours.prohibited.contains(address.parse().unwrap()), "{address}");
        }
        let ours = settings(json!({"prohibited_hosts": []}), json!({"name": "s"})).unwrap();
        assert!(!ours.prohibited.contains("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn options_of_another_library_are_named() {
        let path = json!({"tls_prefer_openssl": true, "openssl_cipher_list": "HIGH", "openssl_options": ["NO_TLSV1"]});
        let path: EgressPathConfig = serde_json::from_value(path).unwrap();
        let named: Vec<_> = without_effect(&path).collect();
        assert_eq!(named, ["tls_prefer_openssl", "openssl_cipher_list", "openssl_options"]);
        assert_eq!(without_effect(&EgressPathConfig::default()).count(), 0);
    }

    #[test]
    fn nonsense_names_its_field() {
        let source = || json!({"name": "s"});
        for (path, source, field) in [
            (json!({"smtp_auth_plain_username": "u"}), source(), "smtp_auth_plain_username: "),
            (
                json!({}),
                json!({"name": "s", "ha_proxy_server": "192.0.2.1:1"}),
                "egress source s: ha_proxy_server needs ha_proxy_source_address",
            ),
            (json!({"tls_certificate": "/x.pem"}), source(), "`tls_certificate` needs `tls_private_key`"),
            (json!({"rustls_cipher_suites": ["RC4"]}), source(), "`rustls_cipher_suites`: there is no cipher suite"),
        ] {
            let error = settings(path, source).err().unwrap();
            assert!(error.starts_with(field), "{error}");
        }
    }
}
