//! Targets, as they are told of: nobody learns a path from it, which may hold a token.

use crate::signals::Told;
use serde_json::{Map, Value, json};
use uuid::Uuid;
use waybill_types::Timestamp;
use waybill_webhook_core::{Scheme, Target};

/// Whom a target is, for people: scheme, host and port.
pub(crate) fn shown(target: &Target) -> String {
    let scheme = match target.scheme() {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    format!("{scheme}://{}", target.authority())
}

/// What tells a target from others: a hash of all of it but the query.
pub(crate) fn mark(target: &Target) -> String {
    let url = format!("{}{}", shown(target), target.path());
    Uuid::new_v5(&Uuid::NAMESPACE_URL, url.as_bytes()).to_string()
}

/// Something that happened to an endpoint.
#[derive(Clone, Copy, Debug)]
pub struct EndpointTold<'a> {
    /// `failing`, `recovered` or `disabled`.
    pub event: &'a str,
    /// The id of the hook or webhook that calls it.
    pub endpoint: &'a str,
    /// Whom it calls.
    pub target: Option<&'a Target>,
    /// Whose it is.
    pub tenant: Option<&'a str>,
    /// Since when it fails.
    pub since: Option<Timestamp>,
    /// Attempts that failed in a row.
    pub attempts: u64,
    /// What it said last, or why it said nothing.
    pub last_response: Option<&'a str>,
}

impl From<EndpointTold<'_>> for Told {
    fn from(told: EndpointTold<'_>) -> Self {
        let data = json!({
            "endpoint": told.endpoint,
            "url": told.target.map(shown),
            "since": told.since.map(Timestamp::to_rfc3339),
            "attempts": told.attempts,
            "last_response": told.last_response,
        });
        let data = match data {
            Value::Object(data) => data,
            _ => Map::new(),
        };
        let about = [Some(told.endpoint.to_owned()), told.target.map(mark)].into_iter().flatten().collect();
        let (event, tenant) = (told.event.to_owned(), told.tenant.map(str::to_owned));
        Told { source: "endpoint".to_owned(), event, tenant, about, data }
    }
}
