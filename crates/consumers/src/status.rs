use serde::Serialize;
use std::sync::Arc;
use waybill_types::{QueueName, Timestamp};

/// Whether a consumer's hook is part of the policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ConsumerState {
    /// It is, and it runs.
    Active,
    /// An operator paused it.
    Paused,
    /// It sends a part of the journal again, and ends with it.
    Replay,
    /// It left the policy; its position is kept.
    Detached,
}

/// What an endpoint said last.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LastResponse {
    /// The text, one line.
    pub text: String,
    /// When.
    pub at: Timestamp,
}

/// How a consumer stands, for people and metrics.
#[derive(Clone, PartialEq, Debug)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// Active or detached.
    pub state: ConsumerState,
    /// Events appended and not settled: unread, in memory and in rows.
    pub lag_events: u64,
    /// Age of the oldest event that is not settled, in seconds: unread, in memory, or in the first rows of the lanes
    /// that are due longest. Looked up twice a second. Of a detached consumer: since when it is.
    pub lag_seconds: f64,
    /// Being tried or about to be.
    pub in_flight: usize,
    /// In rows on disk.
    pub parked: u64,
    /// Events of each lane, in memory and in rows. Looked up twice a second, and for so many lanes at most as make sense
    /// to people.
    pub lanes: Arc<[(QueueName, u64)]>,
    /// Dead letters that are there. Of a runner: without regard to those that retention dropped.
    pub dead_letters: u64,
    /// Attempts since the start.
    pub attempts: u64,
    /// Of a replay: how much of its part of the journal it has read, from 0 to 1.
    pub progress: Option<f64>,
    /// What the endpoint said last.
    pub last_response: Option<LastResponse>,
}
