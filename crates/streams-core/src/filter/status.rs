use crate::Id;
use serde::Serialize;

/// How a filter stands, in the words of an egress webhook's status. Times are unix seconds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FilterStatus {
    /// Which.
    pub filter_id: Id,
    /// Whether it copies.
    pub active: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inactive_reason: Option<String>,
    /// The newest message of the source that exists; -1 where there is none.
    pub available_offset: i64,
    /// The message of the source that is looked at next.
    pub next_offset: u64,
    /// The same number, under the name that today's clients know.
    pub next_deliver_offset: u64,
    /// The message of the source that was copied last; -1 before the first.
    pub deliver_offset: i64,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deliver_time: Option<i64>,
    /// What last went wrong: a message that the condition could not tell of, or a target that could not be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deliver_error: Option<String>,
    /// When the target is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_deliver_time: Option<i64>,
    /// Ours: offsets that were not looked at yet.
    pub lag_count: u64,
    /// Ours: the age of the oldest of their messages, in seconds.
    pub lag_seconds: i64,
    /// Ours: messages that were copied.
    pub copied: u64,
    /// Ours: messages that the condition could not tell of, and that were not copied.
    pub failed: u64,
    /// Ours: messages that were removed before they were looked at.
    pub skipped: u64,
    /// Ours, of a view of last states: messages that came behind the last state of their key, and were not copied.
    #[serde(skip_serializing_if = "is_zero")]
    pub late: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
