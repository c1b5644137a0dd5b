use super::check::{above_zero, above_zero_if_set, at_least_one, greeting, printable_if_set};
use super::hidden::open_key_source;
use super::{Hidden, IpLookup, MemoryReduction, Reconnect, RefreshStrategy, Tls, TlsMode, Wakeup, defaults};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use waybill_types::text;
use waybill_types::{CidrSet, LimitSpec, ThrottleSpec, serde_duration, serde_duration_opt};

/// What `get_egress_path_config` says about the way from a source to a site (`kumo.make_egress_path`).
///
/// Keys that a protocol of ours does not use are kept with their types, so that a policy is checked and shown whole.
/// Keys and certificates are texts (a path) or tables (a key source): whoever uses one resolves it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, remote = "Self")]
pub struct EgressPathConfig {
    /// How many connections at a time.
    pub connection_limit: LimitSpec,
    /// Further limits, shared by all paths that name them.
    pub additional_connection_limits: BTreeMap<String, LimitSpec>,
    /// How TLS is asked for.
    pub enable_tls: Tls,
    /// When TLS begins.
    pub tls_mode: TlsMode,
    /// Asks for the destination's MTA-STS policy.
    pub enable_mta_sts: bool,
    /// Asks for the destination's DANE records.
    pub enable_dane: bool,
    /// Sends several commands before it reads the answers, where the destination offers it.
    pub enable_pipelining: bool,
    /// Sends RSET between transactions.
    pub enable_rset: bool,
    /// Accepted for scripts; we have one TLS library.
    pub tls_prefer_openssl: bool,
    /// The client's certificate.
    #[serde(deserialize_with = "open_key_source")]
    pub tls_certificate: Option<Value>,
    /// Its key.
    pub tls_private_key: Option<Hidden>,
    /// Accepted for scripts; we have one TLS library.
    #[serde(deserialize_with = "text::name_opt")]
    pub openssl_cipher_list: Option<String>,
    /// Accepted for scripts; we have one TLS library.
    #[serde(deserialize_with = "text::name_opt")]
    pub openssl_cipher_suites: Option<String>,
    /// Accepted for scripts; we have one TLS library.
    #[serde(deserialize_with = "texts")]
    pub openssl_options: Option<Value>,
    /// Names of cipher suites.
    #[serde(deserialize_with = "text::names")]
    pub rustls_cipher_suites: Vec<String>,
    /// Until the TCP connection stands.
    #[serde(with = "serde_duration")]
    pub connect_timeout: Duration,
    /// Until the server greets.
    #[serde(with = "serde_duration")]
    pub banner_timeout: Duration,
    /// Until EHLO is answered.
    #[serde(with = "serde_duration")]
    pub ehlo_timeout: Duration,
    /// Until MAIL FROM is answered.
    #[serde(with = "serde_duration")]
    pub mail_from_timeout: Duration,
    /// Until RCPT TO is answered.
    #[serde(with = "serde_duration")]
    pub rcpt_to_timeout: Duration,
    /// Until DATA is answered.
    #[serde(with = "serde_duration")]
    pub data_timeout: Duration,
    /// Until the final dot is answered.
    #[serde(with = "serde_duration")]
    pub data_dot_timeout: Duration,
    /// Until RSET is answered.
    #[serde(with = "serde_duration")]
    pub rset_timeout: Duration,
    /// How long a connection without work stays open.
    #[serde(with = "serde_duration")]
    pub idle_timeout: Duration,
    /// Until STARTTLS is answered.
    #[serde(with = "serde_duration")]
    pub starttls_timeout: Duration,
    /// Until AUTH is answered.
    #[serde(with = "serde_duration")]
    pub auth_timeout: Duration,
    /// How long a stopping daemon lets this path's connections finish; unset derives it from the timeouts.
    #[serde(with = "serde_duration_opt")]
    pub system_shutdown_timeout: Option<Duration>,
    /// How many messages may wait in the ready queue.
    pub max_ready: usize,
    /// More failures in a row than this send the ready queue back to its scheduled queues.
    pub consecutive_connection_failures_before_delay: u32,
    /// Where the destination listens.
    pub smtp_port: u16,
    /// The name for AUTH PLAIN.
    pub smtp_auth_plain_username: Option<String>,
    /// The password for AUTH PLAIN.
    pub smtp_auth_plain_password: Option<Hidden>,
    /// Allows AUTH PLAIN on a connection without TLS.
    pub allow_smtp_auth_plain_without_tls: bool,
    /// Allows AUTH PLAIN where the certificate was not checked.
    pub allow_smtp_auth_plain_without_valid_certificate: bool,
    /// How fast messages may leave.
    pub max_message_rate: Option<ThrottleSpec>,
    /// Further rates, shared by all paths that name them.
    pub additional_message_rate_throttles: BTreeMap<String, ThrottleSpec>,
    /// How fast this source may be chosen.
    pub source_selection_rate: Option<ThrottleSpec>,
    /// Further rates, shared by all paths that name them.
    pub additional_source_selection_rates: BTreeMap<String, ThrottleSpec>,
    /// How fast connections may be opened.
    pub max_connection_rate: Option<ThrottleSpec>,
    /// After how many messages a connection is closed and replaced.
    pub max_deliveries_per_connection: usize,
    /// How many recipients one transaction carries.
    pub max_recipients_per_batch: usize,
    /// Networks that mail never goes to.
    pub prohibited_hosts: CidrSet,
    /// Networks that are passed over.
    pub skip_hosts: CidrSet,
    /// Which addresses of a host are asked for.
    pub ip_lookup_strategy: IpLookup,
    /// The name we greet with.
    pub ehlo_domain: Option<String>,
    /// One connection for each batch at once, up to the limit, instead of the usual curve.
    pub aggressive_connection_opening: bool,
    /// How often this configuration is asked for again.
    #[serde(with = "serde_duration")]
    pub refresh_interval: Duration,
    /// What makes this configuration stale.
    pub refresh_strategy: RefreshStrategy,
    /// Accepted for scripts; our queues have no task to wake.
    pub dispatcher_wakeup_strategy: Wakeup,
    /// Accepted for scripts; our queues have no task to wake.
    pub maintainer_wakeup_strategy: Wakeup,
    /// How long a delivery may go without a step; unset derives it.
    #[serde(with = "serde_duration_opt")]
    pub dispatcher_progress_watchdog_timeout: Option<Duration>,
    /// The provider shown in records and metrics.
    pub provider_name: Option<String>,
    /// For how long a destination's broken TLS is remembered.
    #[serde(with = "serde_duration_opt")]
    pub remember_broken_tls: Option<Duration>,
    /// After a failed handshake the same address is tried without TLS.
    pub opportunistic_tls_reconnect_on_failed_handshake: bool,
    /// Speaks LMTP.
    pub use_lmtp: bool,
    /// What a session does after its connection broke.
    pub reconnect_strategy: Reconnect,
    /// Accepted for scripts; ready queues share the mail runtime.
    pub readyq_pool_name: Option<String>,
    /// What leaves memory when it is short.
    pub low_memory_reduction_policy: MemoryReduction,
    /// What leaves memory when there is none left.
    pub no_memory_reduction_policy: MemoryReduction,
    /// A transport error makes the message ready for the next host at once.
    pub try_next_host_on_transport_error: bool,
    /// Sends 8-bit data to a destination that does not offer 8BITMIME.
    pub ignore_8bit_checks: bool,
    /// Accepted for scripts; it has had no effect in KumoMTA for years.
    pub suspended: bool,
}

impl Default for EgressPathConfig {
    fn default() -> Self {
        EgressPathConfig {
            connection_limit: LimitSpec::new(defaults::CONNECTION_LIMIT),
            additional_connection_limits: BTreeMap::new(),
            enable_tls: Tls::default(),
            tls_mode: TlsMode::default(),
            enable_mta_sts: true,
            enable_dane: false,
            enable_pipelining: true,
            enable_rset: true,
            tls_prefer_openssl: false,
            tls_certificate: None,
            tls_private_key: None,
            openssl_cipher_list: None,
            openssl_cipher_suites: None,
            openssl_options: None,
            rustls_cipher_suites: Vec::new(),
            connect_timeout: defaults::CONNECT_TIMEOUT,
            banner_timeout: defaults::CONNECT_TIMEOUT,
            ehlo_timeout: defaults::COMMAND_TIMEOUT,
            mail_from_timeout: defaults::COMMAND_TIMEOUT,
            rcpt_to_timeout: defaults::COMMAND_TIMEOUT,
            data_timeout: defaults::COMMAND_TIMEOUT,
            data_dot_timeout: defaults::COMMAND_TIMEOUT,
            rset_timeout: defaults::QUICK_TIMEOUT,
            idle_timeout: defaults::IDLE_TIMEOUT,
            starttls_timeout: defaults::QUICK_TIMEOUT,
            auth_timeout: defaults::CONNECT_TIMEOUT,
            system_shutdown_timeout: None,
            max_ready: defaults::MAX_READY,
            consecutive_connection_failures_before_delay: defaults::CONSECUTIVE_CONNECTION_FAILURES,
            smtp_port: defaults::SMTP_PORT,
            smtp_auth_plain_username: None,
            smtp_auth_plain_password: None,
            allow_smtp_auth_plain_without_tls: false,
            allow_smtp_auth_plain_without_valid_certificate: false,
            max_message_rate: None,
            additional_message_rate_throttles: BTreeMap::new(),
            source_selection_rate: None,
            additional_source_selection_rates: BTreeMap::new(),
            max_connection_rate: None,
            max_deliveries_per_connection: defaults::MAX_DELIVERIES_PER_CONNECTION,
            max_recipients_per_batch: defaults::MAX_RECIPIENTS_PER_BATCH,
            prohibited_hosts: defaults::prohibited_hosts(),
            skip_hosts: CidrSet::default(),
            ip_lookup_strategy: IpLookup::default(),
            ehlo_domain: None,
            aggressive_connection_opening: false,
            refresh_interval: defaults::REFRESH_INTERVAL,
            refresh_strategy: RefreshStrategy::default(),
            dispatcher_wakeup_strategy: Wakeup::default(),
            maintainer_wakeup_strategy: Wakeup::default(),
            dispatcher_progress_watchdog_timeout: None,
            provider_name: None,
            remember_broken_tls: None,
            opportunistic_tls_reconnect_on_failed_handshake: false,
            use_lmtp: false,
            reconnect_strategy: Reconnect::default(),
            readyq_pool_name: None,
            low_memory_reduction_policy: MemoryReduction::default(),
            no_memory_reduction_policy: MemoryReduction::default(),
            try_next_host_on_transport_error: false,
            ignore_8bit_checks: false,
            suspended: false,
        }
    }
}

/// A text, or a list of texts.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    let Some(value) = Option::<Value>::deserialize(deserializer)? else { return Ok(None) };
    let is_text =
        |value: &Value| value.as_str().is_some_and(|text| !text.is_empty() && !text.contains(char::is_control));
    let texts = match &value {
        Value::Array(items) => items.iter().all(is_text),
        Value::Object(table) => table.is_empty(),
        other => is_text(other),
    };
    match texts {
        true => Ok(Some(value)),
        false => {
            let expected = "expected a text without control characters or a list of such texts";
            Err(D::Error::custom(format_args!("{expected}, got {value}")))
        }
    }
}

impl EgressPathConfig {
    /// How long a stopping daemon waits for this path: as set, else the timeouts of one transaction together.
    pub fn shutdown_timeout(&self) -> Duration {
        self.system_shutdown_timeout.unwrap_or_else(|| {
            [self.mail_from_timeout, self.rcpt_to_timeout, self.data_timeout, self.data_dot_timeout]
                .into_iter()
                .fold(Duration::ZERO, Duration::saturating_add)
        })
    }

    /// The limits and rates of this path that are in force, for the admin API. Those with a name count together with
    /// all other paths that name them.
    pub fn constraints(&self) -> Value {
        json!({
            "connection_limit": self.connection_limit,
            "additional_connection_limits": self.additional_connection_limits,
            "max_connection_rate": self.max_connection_rate,
            "max_message_rate": self.max_message_rate,
            "additional_message_rate_throttles": self.additional_message_rate_throttles,
            "source_selection_rate": self.source_selection_rate,
            "additional_source_selection_rates": self.additional_source_selection_rates,
        })
    }

    fn check<E: serde::de::Error>(&self) -> Result<(), E> {
        at_least_one("max_ready", self.max_ready)?;
        at_least_one("max_deliveries_per_connection", self.max_deliveries_per_connection)?;
        at_least_one("max_recipients_per_batch", self.max_recipients_per_batch)?;
        at_least_one("smtp_port", usize::from(self.smtp_port))?;
        for (field, value) in [
            ("refresh_interval", self.refresh_interval),
            ("connect_timeout", self.connect_timeout),
            ("banner_timeout", self.banner_timeout),
            ("ehlo_timeout", self.ehlo_timeout),
            ("mail_from_timeout", self.mail_from_timeout),
            ("rcpt_to_timeout", self.rcpt_to_timeout),
            ("data_timeout", self.data_timeout),
            ("data_dot_timeout", self.data_dot_timeout),
            ("rset_timeout", self.rset_timeout),
            ("starttls_timeout", self.starttls_timeout),
            ("auth_timeout", self.auth_timeout),
        ] {
            above_zero(field, value)?;
        }
        above_zero_if_set("remember_broken_tls", self.remember_broken_tls)?;
        above_zero_if_set("dispatcher_progress_watchdog_timeout", self.dispatcher_progress_watchdog_timeout)?;
        printable_if_set("provider_name", self.provider_name.as_ref())?;
        printable_if_set("readyq_pool_name", self.readyq_pool_name.as_ref())?;
        printable_if_set("smtp_auth_plain_username", self.smtp_auth_plain_username.as_ref())?;
        greeting("ehlo_domain", self.ehlo_domain.as_ref())
    }
}

impl<'de> Deserialize<'de> for EgressPathConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let config = EgressPathConfig::deserialize(deserializer)?;
        config.check()?;
        Ok(config)
    }
}

impl Serialize for EgressPathConfig {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        EgressPathConfig::serialize(self, serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(config: Value) -> Result<EgressPathConfig, String> {
        serde_json::from_value(config).map_err(|error| error.to_string())
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_known_ones() {
        let error = parse(json!({"colour": 1})).unwrap_err();
        assert!(error.starts_with("unknown field `colour`, expected one of `connection_limit`, "), "{error}");
    }

    #[test]
    fn wrong_values_read_as_scripts_expect() {
        assert_eq!(parse(json!({"max_message_rate": "lots"})).unwrap_err(), "expected 'limit/period', got lots");
        let error = parse(json!({"idle_timeout": "soon"})).unwrap_err();
        assert_eq!(error, "invalid value: string \"soon\", expected a duration");
        assert!(parse(json!({"smtp_port": 70_000})).is_err());
        assert!(parse(json!({"enable_tls": "Perhaps"})).unwrap_err().contains("unknown variant `Perhaps`"));
    }

    #[test]
    fn an_empty_table_of_lua_is_an_empty_list() {
        let config = parse(json!({"prohibited_hosts": {}, "skip_hosts": {}, "rustls_cipher_suites": {}})).unwrap();
        assert_eq!((config.prohibited_hosts, config.skip_hosts), (CidrSet::default(), CidrSet::default()));
        assert!(parse(json!({"prohibited_hosts": {"a": 1}})).is_err());
    }

    #[test]
    fn nonsense_names_its_field() {
        assert_eq!(parse(json!({"max_ready": 0})).unwrap_err(), "max_ready: expected a number above zero");
        assert!(parse(json!({"max_deliveries_per_connection": 0})).unwrap_err().starts_with("max_deliveries"));
        assert!(parse(json!({"connect_timeout": 0})).unwrap_err().starts_with("connect_timeout: "));
        for (config, why) in [
            (json!({"prohibited_hosts": ["10.0.0.1", "zz"]}), "expected an IP address or a CIDR, got \"zz\""),
            (json!({"skip_hosts": ["10.0.0.0/33"]}), "expected an IP address or a CIDR, got \"10.0.0.0/33\""),
            (json!({"ehlo_domain": "a b"}), "ehlo_domain: expected a host's name without spaces, got \"a b\""),
            (json!({"ehlo_domain": ""}), "ehlo_domain: expected a host's name without spaces, got \"\""),
            (json!({"ehlo_domain": "a\r\nRSET"}), "ehlo_domain: expected a host's name without spaces, got \"a\\r\\n"),
            (json!({"provider_name": "a\nb"}), "provider_name: expected a text without control characters, got \"a\\n"),
            (json!({"smtp_auth_plain_username": "a\u{0}b"}), "smtp_auth_plain_username: expected a text without"),
        ] {
            let error = parse(config.clone()).unwrap_err();
            assert!(error.starts_with(why), "{config}: {error}");
        }
    }

    #[test]
    fn a_limit_of_none_is_refused_where_it_stands() {
        for (config, place) in [
            (json!({"connection_limit": 0}), "connection_limit"),
            (json!({"connection_limit": "local:0"}), "connection_limit"),
            (json!({"connection_limit": {"limit": 0}}), "connection_limit"),
            (json!({"additional_connection_limits": {"provider": 0}}), "additional_connection_limits.provider"),
            (
                json!({"additional_connection_limits": {"provider": {"limit": 0}}}),
                "additional_connection_limits.provider",
            ),
        ] {
            let error = serde_path_to_error::deserialize::<_, EgressPathConfig>(&config).unwrap_err();
            assert_eq!(error.path().to_string(), place, "{config}");
            assert!(error.inner().to_string().contains("expected a"), "{error}");
        }
    }

    #[test]
    fn the_defaults_are_those_the_admin_api_showed() {
        // From samples/http.txt, resolve-egress-path, as far as the sample goes.
        let sample: Value = serde_json::from_str(
            r#"{"connection_limit":{"limit":32,"force_local":false},"additional_connection_limits":{},
            "enable_tls":"Opportunistic","enable_mta_sts":true,"enable_dane":false,"enable_pipelining":true,
            "enable_rset":true,"tls_prefer_openssl":false,"tls_certificate":null,"tls_private_key":null,
            "openssl_cipher_list":null,"openssl_cipher_suites":null,"connect_timeout":"1m","banner_timeout":"1m",
            "ehlo_timeout":"5m","mail_from_timeout":"5m","rcpt_to_timeout":"5m","data_timeout":"5m",
            "data_dot_timeout":"5m","rset_timeout":"5s","idle_timeout":"5s","starttls_timeout":"5s",
            "auth_timeout":"1m","system_shutdown_timeout":null,"max_ready":1024,
            "consecutive_connection_failures_before_delay":100,"smtp_port":25,"smtp_auth_plain_username":null,
            "smtp_auth_plain_password":null,"allow_smtp_auth_plain_without_tls":false,
            "allow_smtp_auth_plain_without_valid_certificate":false,"max_message_rate":null,
            "additional_message_rate_throttles":{},"source_selection_rate":null,
            "additional_source_selection_rates":{},"max_connection_rate":null,"max_deliveries_per_connection":1024,
            "max_recipients_per_batch":100,"prohibited_hosts":["0.0.0.0","127.0.0.0/8","::/127"],"skip_hosts":[],
            "ip_lookup_strategy":"Ipv4AndIpv6","ehlo_domain":null}"#,
        )
        .unwrap();
        let ours = serde_json::to_value(EgressPathConfig::default()).unwrap();
        for (key, value) in sample.as_object().unwrap() {
            assert_eq!(ours.get(key), Some(value), "{key}");
        }
    }

    #[test]
    fn a_config_survives_the_way_out_and_back() {
        let config = parse(json!({"connection_limit": "local:10", "max_ready": 10_000, "idle_timeout": "1m",
            "max_connection_rate": "10/s", "tls_certificate": {"key_data": "x"},
            "additional_connection_limits": {"provider": 5}}))
        .unwrap();
        assert_eq!(config.connection_limit, LimitSpec { limit: 10, force_local: true });
        assert_eq!(parse(serde_json::to_value(&config).unwrap()).unwrap(), config);
    }

    #[test]
    fn a_stop_waits_for_one_transaction_unless_told_otherwise() {
        assert_eq!(EgressPathConfig::default().shutdown_timeout(), Duration::from_secs(1200));
        let config = parse(json!({"system_shutdown_timeout": "30s"})).unwrap();
        assert_eq!(config.shutdown_timeout(), Duration::from_secs(30));
    }
}
