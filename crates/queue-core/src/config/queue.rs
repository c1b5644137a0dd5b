use super::check::{above_zero, above_zero_if_set, printable_if_set};
use super::{MemoryReduction, ProtocolSection, RefreshStrategy, WheelStrategy, defaults};
use crate::retry::{Jitter, RetryPolicy};
use serde::{Deserialize, Deserializer, Serialize};
use std::time::Duration;
use waybill_types::{ThrottleSpec, serde_duration, serde_duration_opt};

/// One line of `shrink_policy`: from which wait on a message's data leaves memory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShrinkRule {
    /// Applies to waits of at least this; the last rule that fits wins.
    #[serde(with = "serde_duration")]
    pub interval: Duration,
    /// What leaves memory.
    pub policy: MemoryReduction,
}

/// What `get_queue_config` says about a scheduled queue (`kumo.make_queue_config`).
///
/// The order of the fields is the order in which an error lists the names that would have been right.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, remote = "Self")]
pub struct QueueConfig {
    /// The wait before the first retry; it doubles with each attempt.
    #[serde(with = "serde_duration")]
    pub retry_interval: Duration,
    /// No wait is longer than this. One below `retry_interval` simply is the wait.
    #[serde(with = "serde_duration_opt")]
    pub max_retry_interval: Option<Duration>,
    /// A message whose next attempt would be later than this after its creation expires.
    #[serde(with = "serde_duration")]
    pub max_age: Duration,
    /// The pool whose sources send; unset is the built-in `unspecified`.
    pub egress_pool: Option<String>,
    /// How fast messages may become ready.
    pub max_message_rate: Option<ThrottleSpec>,
    /// How messages leave; unset is SMTP.
    pub protocol: Option<ProtocolSection>,
    /// How long the queue stays in memory once it is empty.
    #[serde(with = "serde_duration")]
    pub reap_interval: Duration,
    /// How often this configuration is asked for again.
    #[serde(with = "serde_duration")]
    pub refresh_interval: Duration,
    /// Accepted for scripts; our due index is exact.
    #[serde(with = "serde_duration_opt")]
    pub timerwheel_tick_interval: Option<Duration>,
    /// Accepted for scripts; there is one due index.
    pub strategy: WheelStrategy,
    /// What makes this configuration stale.
    pub refresh_strategy: RefreshStrategy,
    /// The provider shown in records and metrics.
    pub provider_name: Option<String>,
    /// When a waiting message's data leaves memory.
    #[serde(deserialize_with = "super::list::list")]
    pub shrink_policy: Vec<ShrinkRule>,
}

impl Default for QueueConfig {
    fn default() -> Self {
        QueueConfig {
            retry_interval: defaults::RETRY_INTERVAL,
            max_retry_interval: None,
            max_age: defaults::MAX_AGE,
            egress_pool: None,
            max_message_rate: None,
            protocol: None,
            reap_interval: defaults::REAP_INTERVAL,
            refresh_interval: defaults::REFRESH_INTERVAL,
            timerwheel_tick_interval: None,
            strategy: WheelStrategy::default(),
            refresh_strategy: RefreshStrategy::default(),
            provider_name: None,
            shrink_policy: Vec::new(),
        }
    }
}

impl QueueConfig {
    /// The name of the pool, `unspecified` where none is set.
    pub fn egress_pool(&self) -> &str {
        self.egress_pool.as_deref().unwrap_or("unspecified")
    }

    /// The name of the protocol, `smtp` where none is set.
    pub fn protocol_name(&self) -> &str {
        self.protocol.as_ref().map_or("smtp", ProtocolSection::name)
    }

    /// The arithmetic of its retries.
    pub fn retry(&self) -> RetryPolicy {
        RetryPolicy {
            retry_interval: self.retry_interval,
            max_retry_interval: self.max_retry_interval,
            max_age: self.max_age,
            jitter: Jitter::WholeSeconds,
        }
    }

    /// What leaves memory while a message waits for `wait`; `None` where the policy does not say.
    pub fn shrink(&self, wait: Duration) -> Option<MemoryReduction> {
        self.shrink_policy.iter().rev().find(|rule| rule.interval <= wait).map(|rule| rule.policy)
    }

    fn check<E: serde::de::Error>(&self) -> Result<(), E> {
        above_zero("retry_interval", self.retry_interval)?;
        above_zero_if_set("max_retry_interval", self.max_retry_interval)?;
        above_zero("reap_interval", self.reap_interval)?;
        above_zero("refresh_interval", self.refresh_interval)?;
        above_zero_if_set("timerwheel_tick_interval", self.timerwheel_tick_interval)?;
        printable_if_set("egress_pool", self.egress_pool.as_ref())?;
        printable_if_set("provider_name", self.provider_name.as_ref())
    }
}

// `remote = "Self"` gives inherent functions, so that the checks stand between serde and everybody else.
impl<'de> Deserialize<'de> for QueueConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let config = QueueConfig::deserialize(deserializer)?;
        config.check()?;
        Ok(config)
    }
}

impl Serialize for QueueConfig {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        QueueConfig::serialize(self, serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn error(config: serde_json::Value) -> String {
        serde_json::from_value::<QueueConfig>(config).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_lists_the_names_in_the_order_scripts_have_seen() {
        let expected = "unknown field `colour`, expected one of `retry_interval`, `max_retry_interval`, `max_age`, \
                        `egress_pool`, `max_message_rate`, `protocol`, `reap_interval`, `refresh_interval`, \
                        `timerwheel_tick_interval`, `strategy`, `refresh_strategy`, `provider_name`, `shrink_policy`";
        assert_eq!(error(json!({"colour": 1})), expected);
    }

    #[test]
    fn wrong_values_read_as_scripts_expect() {
        assert_eq!(error(json!({"retry_interval": "soon"})), "invalid value: string \"soon\", expected a duration");
        assert_eq!(error(json!({"retry_interval": {}})), "invalid type: map, expected a duration");
        let error = error(json!({"protocol": {"custom_lua": {"constructor": "x", "batch": 1}}}));
        assert!(error.starts_with("data did not match any variant of untagged enum DeliveryProto: "), "{error}");
    }

    #[test]
    fn nonsense_names_its_field() {
        assert_eq!(error(json!({"retry_interval": 0})), "retry_interval: expected a duration above zero");
        assert_eq!(error(json!({"max_retry_interval": "0s"})), "max_retry_interval: expected a duration above zero");
        assert!(error(json!({"refresh_interval": 0})).starts_with("refresh_interval:"));
        assert!(error(json!({"reap_interval": 0})).starts_with("reap_interval:"));
        assert!(error(json!({"egress_pool": ""})).starts_with("egress_pool: expected a text"));
        assert!(error(json!({"provider_name": "a\r"})).starts_with("provider_name: expected a text"));
        assert!(error(json!({"max_message_rate": "lots"})).contains("expected 'limit/period', got lots"));
    }

    #[test]
    fn a_maximum_below_the_interval_is_a_policy_that_works() {
        // The log_hooks helper merges a user's retry_interval over its own maximum of 20 minutes.
        let config: QueueConfig =
            serde_json::from_value(json!({"retry_interval": "30m", "max_retry_interval": "20m"})).unwrap();
        assert_eq!(config.retry().delay(0), Duration::from_secs(1200));
    }

    #[test]
    fn it_serialises_as_the_admin_api_shows_it() {
        // From samples/http.txt, resolve-egress-path.
        let sample = r#"{"egress_pool":null,"max_age":"7days","max_message_rate":null,"max_retry_interval":"20m","protocol":{"custom_lua":{"batch_size":1,"constructor":"make.webhook.log_hook","max_batch_latency":"0s","min_batch_size":1}},"provider_name":null,"reap_interval":"10m","refresh_interval":"1m","refresh_strategy":"Ttl","retry_interval":"1m","shrink_policy":[],"strategy":"SingletonTimerWheel","timerwheel_tick_interval":null}"#;
        let config: QueueConfig = serde_json::from_value(json!({
            "retry_interval": "1m",
            "max_retry_interval": "20m",
            "protocol": {"custom_lua": {"constructor": "make.webhook.log_hook"}},
        }))
        .unwrap();
        assert_eq!(serde_json::to_value(&config).unwrap().to_string(), sample);
        assert_eq!(serde_json::from_str::<QueueConfig>(sample).unwrap(), config);
        assert_eq!(config.protocol_name(), "custom_lua");
    }

    #[test]
    fn the_last_shrink_rule_that_fits_wins() {
        let config: QueueConfig = serde_json::from_value(json!({"shrink_policy": [
            {"interval": 0, "policy": "NoShrink"}, {"interval": "1m", "policy": "ShrinkData"}]}))
        .unwrap();
        assert_eq!(config.shrink(Duration::from_secs(59)), Some(MemoryReduction::NoShrink));
        assert_eq!(config.shrink(Duration::from_secs(60)), Some(MemoryReduction::ShrinkData));
        assert_eq!(QueueConfig::default().shrink(Duration::ZERO), None);
    }
}
