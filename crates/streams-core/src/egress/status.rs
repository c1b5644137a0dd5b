use super::Lanes;
use crate::Id;
use serde::Serialize;

/// How an egress webhook stands (contract/klev.md section 4). Times are unix seconds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Status {
    /// Which.
    pub webhook_id: Id,
    /// Whether it sends.
    pub active: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inactive_reason: Option<String>,
    /// The newest message that exists; -1 where there is none.
    pub available_offset: i64,
    /// The message that is delivered next.
    pub next_offset: u64,
    /// The same number, under the name that today's clients know.
    pub next_deliver_offset: u64,
    /// The message that was tried last; -1 before the first.
    pub deliver_offset: i64,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deliver_time: Option<i64>,
    /// What came back, raw: status line, headers, blank line, the beginning of the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deliver_resp: Option<String>,
    /// Why nothing came back, or why it was no success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deliver_error: Option<String>,
    /// When the next attempt is made at the earliest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_deliver_time: Option<i64>,
    /// Ours: offsets that were not delivered yet.
    pub lag_count: u64,
    /// Ours: the age of the oldest of their messages, in seconds.
    pub lag_seconds: i64,
    /// Ours: failed attempts for the message that is next.
    pub attempts: u32,
    /// Ours: messages that were removed before they were delivered.
    pub skipped: u64,
    /// Ours: when a message last arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success_time: Option<i64>,
    /// Ours, in parallel by key: messages that wait behind a failed attempt for their key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parked: Option<usize>,
    /// Ours, in parallel by key: how many keys these have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parked_keys: Option<usize>,
    /// Ours, in parallel by key: the first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parked_offset: Option<u64>,
    /// Ours, in parallel by key: why nothing more is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_up: Option<String>,
}

impl Status {
    /// With what waits in its lanes.
    #[must_use]
    pub fn with_lanes(self, lanes: &Lanes) -> Self {
        let (parked, keys) = lanes.parked();
        let held_up = lanes.is_full().then(|| format!("{parked} messages are parked, which is as many as may be"));
        Status { parked: Some(parked), parked_keys: Some(keys), parked_offset: lanes.first_parked(), held_up, ..self }
    }
}
