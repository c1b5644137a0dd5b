//! What the endpoints of contract/kumomta.md section 7.2 take. The order of fields is the order in which an error lists
//! the names that would have been right.

use crate::Criteria;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Duration;
use utoipa::ToSchema;
use waybill_types::{ReadyQueueName, Timestamp, serde_duration_opt};

/// How long an order is in force unless it says so.
const DURATION: Duration = Duration::from_secs(300);

/// `POST /api/admin/bounce/v1`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BounceRequest {
    #[serde(default)]
    pub(crate) campaign: Option<String>,
    #[serde(default)]
    pub(crate) tenant: Option<String>,
    #[serde(default)]
    pub(crate) domain: Option<String>,
    #[serde(default)]
    pub(crate) routing_domain: Option<String>,
    pub(crate) reason: String,
    #[serde(default, with = "serde_duration_opt")]
    #[schema(value_type = Option<String>, example = "5m")]
    pub(crate) duration: Option<Duration>,
    #[serde(default)]
    pub(crate) suppress_logging: bool,
    #[serde(default, deserialize_with = "moment")]
    #[schema(value_type = Option<String>, example = "2026-11-23T16:12:56Z")]
    pub(crate) expires: Option<Timestamp>,
    #[serde(default)]
    pub(crate) queue_names: Vec<String>,
}

/// `POST /api/admin/suspend/v1`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SuspendRequest {
    #[serde(default)]
    pub(crate) campaign: Option<String>,
    #[serde(default)]
    pub(crate) tenant: Option<String>,
    #[serde(default)]
    pub(crate) domain: Option<String>,
    pub(crate) reason: String,
    #[serde(default, with = "serde_duration_opt")]
    #[schema(value_type = Option<String>, example = "5m")]
    pub(crate) duration: Option<Duration>,
    #[serde(default, deserialize_with = "moment")]
    #[schema(value_type = Option<String>, example = "2026-11-23T16:12:56Z")]
    pub(crate) expires: Option<Timestamp>,
    #[serde(default)]
    pub(crate) queue_names: Vec<String>,
}

/// `POST /api/admin/suspend-ready-q/v1`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SuspendReadyRequest {
    #[schema(value_type = String)]
    pub(crate) name: ReadyQueueName,
    pub(crate) reason: String,
    #[serde(default, with = "serde_duration_opt")]
    #[schema(value_type = Option<String>, example = "5m")]
    pub(crate) duration: Option<Duration>,
    #[serde(default, deserialize_with = "moment")]
    #[schema(value_type = Option<String>, example = "2026-11-23T16:12:56Z")]
    pub(crate) expires: Option<Timestamp>,
}

/// `POST /api/admin/rebind/v1`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RebindRequest {
    #[serde(default)]
    pub(crate) campaign: Option<String>,
    #[serde(default)]
    pub(crate) tenant: Option<String>,
    #[serde(default)]
    pub(crate) domain: Option<String>,
    #[serde(default)]
    pub(crate) routing_domain: Option<String>,
    pub(crate) reason: String,
    #[serde(deserialize_with = "texts")]
    #[schema(value_type = BTreeMap<String, String>)]
    pub(crate) data: Map<String, Value>,
    #[serde(default)]
    pub(crate) suppress_logging: bool,
    #[serde(default)]
    pub(crate) trigger_rebind_event: bool,
    #[serde(default)]
    pub(crate) always_flush: bool,
}

impl BounceRequest {
    pub(crate) fn criteria(self) -> Criteria {
        let BounceRequest { campaign, tenant, domain, routing_domain, queue_names, .. } = self;
        Criteria { campaign, tenant, domain, routing_domain, queue_names }
    }
}

impl SuspendRequest {
    pub(crate) fn criteria(self) -> Criteria {
        let SuspendRequest { campaign, tenant, domain, queue_names, .. } = self;
        Criteria { campaign, tenant, domain, routing_domain: None, queue_names }
    }
}

/// When an order ends: a moment that is named counts before a duration.
pub(crate) fn end(now: Timestamp, duration: Option<Duration>, expires: Option<Timestamp>) -> Timestamp {
    expires.unwrap_or_else(|| now + duration.unwrap_or(DURATION))
}

/// A moment as RFC 3339 writes it, or null.
fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let wrong = || serde::de::Error::custom(format!("expected a time such as 2026-11-23T16:12:56Z, got {text:?}"));
    Timestamp::parse_rfc3339(&text).map(Some).ok_or_else(wrong)
}

/// An object whose values are texts.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    let texts = BTreeMap::<String, String>::deserialize(deserializer)?;
    Ok(texts.into_iter().map(|(name, text)| (name, Value::String(text))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error<T: serde::de::DeserializeOwned + std::fmt::Debug>(json: &str) -> String {
        serde_json::from_str::<T>(json).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_lists_the_names_in_the_order_of_the_live_daemon() {
        assert_eq!(
            error::<BounceRequest>(r#"{"reason": "x", "colour": 1}"#),
            "unknown field `colour`, expected one of `campaign`, `tenant`, `domain`, `routing_domain`, `reason`, \
             `duration`, `suppress_logging`, `expires`, `queue_names` at line 1 column 24"
        );
        assert!(error::<SuspendRequest>(r#"{"reason": "x", "routing_domain": "x"}"#).contains("`routing_domain`"));
    }

    #[test]
    fn data_is_texts_and_times_are_times() {
        assert!(error::<RebindRequest>(r#"{"reason": "x", "data": {"a": 1}}"#).contains("expected a string"));
        assert!(error::<RebindRequest>(r#"{"reason": "x"}"#).contains("missing field `data`"));
        let wrong = error::<SuspendReadyRequest>(r#"{"name": "q", "reason": "x", "expires": "soon"}"#);
        assert!(wrong.starts_with("expected a time such as 2026-11-23T16:12:56Z, got \"soon\""), "{wrong}");
    }

    #[test]
    fn an_order_lasts_five_minutes_unless_it_says_otherwise() {
        let now = Timestamp::from_secs(1_700_000_000);
        let end = |json: &str| {
            let request: BounceRequest = serde_json::from_str(json).unwrap();
            end(now, request.duration, request.expires).since(now).as_secs()
        };
        assert_eq!(end(r#"{"reason": "x"}"#), 300);
        assert_eq!(end(r#"{"reason": "x", "duration": "2 hours"}"#), 7200);
        assert_eq!(end(r#"{"reason": "x", "duration": 90}"#), 90);
        assert_eq!(end(r#"{"reason": "x", "duration": 90, "expires": "2023-11-14T22:13:30Z"}"#), 10);
    }
}
