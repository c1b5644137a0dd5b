//! How consumers stand in the tables of the store. Numbers little endian in values, big endian in keys.
//!
//! ```text
//! State  "consumer" NAME                    JSON: stream, checkpoint, dead letters so far, detached, replay
//! State  "memory" NAME                      what its dispatcher remembers, as of the position
//! State  "dropped" NAME                     u64: dead letters that were dropped for their age or size
//! State  "left" NAME REPLAY                 u64: dead letters that replays of this name left with the hook
//! Rows   NAME LANE due(u64, order kept) offset    u16 attempts, i64 created, u32 overlay length, overlay, entry
//! Dead   NAME time(u64) offset              JSON line (reason, lane, attempts) "\n" entry
//! ```
//!
//! Rows and dead letters carry a copy of their event: the stream can be trimmed without looking at them (ADR 0003).

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use waybill_journal_core::{Attempt, Checkpoint, DeadReason, RowKey};
use waybill_spool::{Key, Store, StoreError, StreamId, Table};
use waybill_types::{Offset, QueueName, Timestamp};

/// Nothing to keep beside the entry.
pub const EMPTY_OVERLAY: Bytes = Bytes::new();

pub(crate) fn consumer_key(name: &str) -> Key {
    Key::new().text("consumer").text(name)
}

pub(crate) fn all_consumers() -> Key {
    Key::new().text("consumer")
}

pub(crate) fn memory_key(name: &str) -> Key {
    Key::new().text("memory").text(name)
}

/// What is kept of a consumer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Saved {
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) stream: u32,
    pub(crate) cursor: Offset,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) islands: Vec<Offset>,
    #[serde(default)]
    pub(crate) several: bool,
    #[serde(default)]
    pub(crate) lanes: Vec<(QueueName, u64)>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) paused: bool,
    #[serde(flatten)]
    pub(crate) letters: Letters,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) detached: Option<Timestamp>,
    /// It is a replay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) replay: Option<Replay>,
}

/// Dead letters in numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Letters {
    /// Written so far.
    #[serde(rename = "dead", default)]
    pub written: u64,
    /// Of those: tried again by an operator, and replaced by what came of that.
    #[serde(default)]
    pub redriven: u64,
}

impl Letters {
    /// With so many more that were written, by others.
    #[must_use]
    pub fn and(self, more: u64) -> Letters {
        Letters { written: self.written.saturating_add(more), ..self }
    }

    /// Those that are there, when so many were dropped for their age or size.
    pub fn kept(self, dropped: u64) -> u64 {
        self.written.saturating_sub(self.redriven).saturating_sub(dropped)
    }
}

/// A second, temporary cursor of a hook over a part of the journal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Replay {
    /// The hook whose events are sent again.
    pub of: String,
    /// The first event.
    pub from: Offset,
    /// Behind the last event.
    pub until: Offset,
    /// Only events of these kinds; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// When it was asked for: the age of its events counts from there.
    pub started: Timestamp,
}

/// The stream of log records: left out, as it is nearly everybody's.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(stream: &u32) -> bool {
    *stream == 0
}

impl Saved {
    pub(crate) fn new(stream: StreamId, checkpoint: Checkpoint, letters: Letters, replay: Option<Replay>) -> Self {
        let Checkpoint { cursor, islands, several, paused, lanes } = checkpoint;
        Saved { stream: stream.0, cursor, islands, several, paused, lanes, letters, detached: None, replay }
    }

    pub(crate) fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            cursor: self.cursor,
            islands: self.islands.clone(),
            several: self.several,
            paused: self.paused,
            lanes: self.lanes.clone(),
        }
    }

    pub(crate) fn encode(&self) -> Bytes {
        // Numbers, texts and lists of them: this cannot fail.
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }
}

/// Signed times sort as unsigned numbers once the sign is turned.
fn ordered(time: Timestamp) -> u64 {
    time.nanos().cast_unsigned() ^ (1 << 63)
}

fn time_of(ordered: u64) -> Timestamp {
    Timestamp::from_nanos((ordered ^ (1 << 63)).cast_signed())
}

pub(crate) fn rows(consumer: &str) -> Key {
    Key::new().text(consumer)
}

/// The lanes of a consumer that have rows.
pub(crate) async fn lanes_on_disk(store: &dyn Store, consumer: &str) -> Result<Vec<QueueName>, StoreError> {
    let (mut from, end) = (rows(consumer), rows(consumer).end());
    let mut lanes = Vec::new();
    while let Some((key, _)) = store.range(Table::Rows, from, end.clone(), 1).await?.into_iter().next() {
        let mut parts = key.read();
        parts.text();
        from = match parts.text().map(QueueName::new) {
            Some(lane) => {
                let behind = lane_rows(consumer, &lane).end();
                lanes.push(lane);
                behind
            }
            None => key.after(),
        };
    }
    Ok(lanes)
}

pub(crate) fn lane_rows(consumer: &str, lane: &QueueName) -> Key {
    Key::new().text(consumer).text(lane.as_str())
}

pub(crate) fn row_key(consumer: &str, lane: &QueueName, key: RowKey) -> Key {
    lane_rows(consumer, lane).number(ordered(key.due)).number(key.offset.0)
}

pub(crate) fn parse_row_key(key: &Key) -> Option<RowKey> {
    let mut parts = key.read();
    parts.text()?;
    parts.text()?;
    Some(RowKey { due: time_of(parts.number()?), offset: Offset(parts.number()?) })
}

/// The lane of a row.
pub(crate) fn row_lane(key: &Key) -> Option<QueueName> {
    let mut parts = key.read();
    parts.text()?;
    parts.text().map(QueueName::new)
}

/// What of a row comes before its overlay.
const ROW_HEAD: usize = 14;

pub(crate) fn row_value(attempt: Attempt, overlay: &[u8], entry: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(ROW_HEAD + overlay.len() + entry.len());
    out.put_u16_le(attempt.attempts);
    out.put_i64_le(attempt.created.nanos());
    out.put_u32_le(u32::try_from(overlay.len()).unwrap_or(u32::MAX));
    out.put_slice(overlay);
    out.put_slice(entry);
    out.freeze()
}

/// A lane row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) attempt: Attempt,
    pub(crate) overlay: Bytes,
    pub(crate) entry: Bytes,
}

pub(crate) fn parse_row(value: &Bytes) -> Option<Row> {
    let mut head = value.get(..ROW_HEAD)?;
    let attempts = head.get_u16_le();
    let created = Timestamp::from_nanos(head.get_i64_le());
    let len = head.get_u32_le() as usize;
    let end = len.checked_add(ROW_HEAD).filter(|end| *end <= value.len())?;
    let attempt = Attempt { attempts, created };
    Some(Row { attempt, overlay: value.slice(ROW_HEAD..end), entry: value.slice(end..) })
}

pub(crate) fn dead_letters(consumer: &str) -> Key {
    Key::new().text(consumer)
}

pub(crate) fn dead_key(consumer: &str, at: Timestamp, offset: Offset) -> Key {
    dead_letters(consumer).number(ordered(at)).number(offset.0)
}

pub(crate) fn dropped_key(consumer: &str) -> Key {
    Key::new().text("dropped").text(consumer)
}

pub(crate) fn all_dropped() -> Key {
    Key::new().text("dropped")
}

pub(crate) fn left_key(hook: &str, replay: &str) -> Key {
    left_by_replays(hook).text(replay)
}

pub(crate) fn left_by_replays(hook: &str) -> Key {
    all_left().text(hook)
}

pub(crate) fn all_left() -> Key {
    Key::new().text("left")
}

pub(crate) fn number(value: &[u8]) -> u64 {
    value.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

pub(crate) fn number_value(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_le_bytes())
}

/// When the letter of this key was written.
pub(crate) fn dead_since(key: &Key) -> Option<Timestamp> {
    let mut parts = key.read();
    parts.text()?;
    parts.number().map(time_of)
}

/// An event that could not be delivered, with why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// When it was given up.
    #[serde(skip)]
    pub at: Timestamp,
    /// Its place in the journal.
    #[serde(skip)]
    pub offset: Offset,
    /// `permanent`, `expired`, `handler-failed`, `no-queue`, `bounced` or `damaged`.
    pub reason: String,
    /// What was said.
    pub text: String,
    /// Its lane, if it had one.
    pub lane: Option<QueueName>,
    /// Attempts made.
    pub attempts: u16,
    /// The encoded event.
    #[serde(skip)]
    pub entry: Bytes,
}

impl DeadLetter {
    pub(crate) fn new(lane: Option<QueueName>, attempts: u16, reason: &DeadReason, entry: Bytes) -> Self {
        let (word, text) = match reason {
            DeadReason::Permanent(text) => ("permanent", text.as_str()),
            DeadReason::Expired(text) => ("expired", text.as_str()),
            DeadReason::HandlerFailed(text) => ("handler-failed", text.as_str()),
            DeadReason::NoQueue => ("no-queue", "a handler wanted the event, but none gave it a queue"),
            DeadReason::Bounced(bounced) => ("bounced", &*bounced.reason),
            DeadReason::Damaged(text) => ("damaged", text.as_str()),
        };
        DeadLetter {
            at: Timestamp::EPOCH,
            offset: Offset::ZERO,
            reason: word.to_owned(),
            text: text.to_owned(),
            lane,
            attempts,
            entry,
        }
    }

    pub(crate) fn encode(&self) -> Bytes {
        // A struct of texts and numbers: this cannot fail, and JSON holds no bare line end.
        let mut out = serde_json::to_vec(self).unwrap_or_default();
        out.push(b'\n');
        out.extend_from_slice(&self.entry);
        out.into()
    }

    pub(crate) fn decode(key: &Key, value: &Bytes) -> Option<Self> {
        let mut parts = key.read();
        parts.text()?;
        let at = time_of(parts.number()?);
        let offset = Offset(parts.number()?);
        let end = value.iter().position(|byte| *byte == b'\n')?;
        let mut letter: DeadLetter = serde_json::from_slice(&value[..end]).ok()?;
        letter.at = at;
        letter.offset = offset;
        letter.entry = value.slice(end + 1..);
        Some(letter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_sort_by_due_time_also_before_the_epoch() {
        let lane = QueueName::new("c:t@a.example");
        let key = |secs: i64, offset| {
            row_key("hook", &lane, RowKey { due: Timestamp::from_secs(secs), offset: Offset(offset) })
        };
        assert!(key(-5, 9) < key(1, 1) && key(1, 1) < key(1, 2) && key(1, 2) < key(300, 0));
        let parsed = parse_row_key(&key(300, 7)).unwrap();
        assert_eq!(parsed, RowKey { due: Timestamp::from_secs(300), offset: Offset(7) });
    }

    #[test]
    fn row_values_round_trip_and_torn_ones_are_refused() {
        let attempt = Attempt { attempts: 3, created: Timestamp::from_secs(-7) };
        let value = row_value(attempt, b"{}", b"entry");
        let (overlay, entry) = (Bytes::from_static(b"{}"), Bytes::from_static(b"entry"));
        assert_eq!(parse_row(&value), Some(Row { attempt, overlay, entry }));
        assert_eq!(parse_row(&value.slice(..ROW_HEAD - 1)), None);
        assert_eq!(parse_row(&value.slice(..ROW_HEAD + 1)), None);
    }

    #[test]
    fn dead_letters_round_trip() {
        let reason = DeadReason::Permanent("404\nNot Found".into());
        let letter = DeadLetter::new(Some(QueueName::new("q")), 2, &reason, Bytes::from_static(b"x\ny"));
        let key = dead_key("hook", Timestamp::from_secs(5), Offset(9));
        let again = DeadLetter::decode(&key, &letter.encode()).unwrap();
        assert_eq!((again.at, again.offset), (Timestamp::from_secs(5), Offset(9)));
        assert_eq!((again.reason.as_str(), again.text.as_str()), ("permanent", "404\nNot Found"));
        assert_eq!(again.entry, Bytes::from_static(b"x\ny"));
    }
}
