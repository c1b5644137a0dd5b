use crate::layout::Letters;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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

/// How many dead letters replays left with the hook that they are of, for everybody who shows them. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct LeftLetters(Arc<AtomicU64>);

impl LeftLetters {
    /// What the store says ([`crate::Registry::left`]).
    pub fn set(&self, count: u64) {
        self.0.store(count, Ordering::Relaxed);
    }

    /// How many there are.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }
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
    /// that are due longest. Looked up twice a second. Of a detached consumer: since when it is;
    /// of a replay: since it began.
    pub lag_seconds: f64,
    /// Being tried or about to be.
    pub in_flight: usize,
    /// In rows on disk.
    pub parked: u64,
    /// Events of each lane, in memory and in rows. Looked up twice a second, and for so many lanes at most as make sense
    /// to people.
    pub lanes: Arc<[(QueueName, u64)]>,
    /// Dead letters that are there. Of a runner: without regard to those that retention dropped, and to those that replays
    /// left with their hook.
    pub dead_letters: u64,
    /// The same in numbers.
    pub letters: Letters,
    /// Dead letters are being tried again, as somebody asked for. Until the last of them is known to be gone, or to be a
    /// letter again.
    pub redriving: bool,
    /// Attempts since the start.
    pub attempts: u64,
    /// Of a replay: how much of its part of the journal is settled, from 0 to 1.
    pub progress: Option<f64>,
    /// What the endpoint said last.
    pub last_response: Option<LastResponse>,
}
