//! `parallel_by_key`: order is kept for each key, and a key whose message waits for a retry holds up nobody else.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;
use waybill_types::Timestamp;
use waybill_webhook_core::{Backoff, Outcome};

/// Of those, attempts for keys that wait: the others are for those that do not.
const RETRIES_AT_ONCE: usize = Lanes::AT_ONCE / 2;
/// Messages in hand that stand in no row yet.
const IN_HAND: usize = 256;
/// Offsets between the first that is not settled and the last that was read: what a position has to remember.
const SPAN: u64 = 512;
/// Rows of a webhook. With more the cursor stops.
const MOST_ROWS: usize = 100_000;

/// Messages that are delivered one after another: those with one key. A message without a key is alone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Lane {
    /// Those with the key of this digest.
    Key([u8; 32]),
    /// The message at this offset.
    Alone(u64),
}

/// A message that waits on disk, behind a failed attempt for it or for one before it with its key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParkedRow {
    /// Its offset.
    pub offset: u64,
    /// Its lane.
    pub lane: Lane,
    /// Failed attempts for it.
    pub attempts: u32,
    /// It is not tried again before this.
    pub not_before: Option<Timestamp>,
}

/// What is to be stored with the position.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RowChanges {
    /// Rows to set.
    pub set: Vec<ParkedRow>,
    /// Offsets whose rows go.
    pub unset: Vec<u64>,
}

impl RowChanges {
    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.unset.is_empty()
    }
}

/// What became of a message that was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Offered {
    /// It was delivered or parked before a restart.
    Known,
    /// It is in hand, and will be sent.
    Taken,
    /// It waits on disk.
    Parked(ParkedRow),
}

/// Where a webhook in this mode stands. A step function: nothing here reads a clock or sends anything.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Lanes {
    /// The next offset to read.
    cursor: u64,
    lanes: HashMap<Lane, Queue>,
    /// Offsets that stand in no row and are not delivered, with their lanes.
    hand: BTreeMap<u64, Lane>,
    /// Of those, the first of each lane that is not under way.
    sendable: BTreeSet<u64>,
    /// Offsets at or behind the first in hand that are delivered or parked.
    settled: BTreeSet<u64>,
    /// Lanes that wait, by when they may go on.
    due: BTreeSet<(Timestamp, Lane)>,
    /// What is under way, and whether its lane has rows.
    under_way: BTreeMap<u64, Way>,
    rows: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Way {
    lane: Lane,
    retry: bool,
    /// It was skipped meanwhile: its lane goes on when the attempt has ended, however that ends.
    skipped: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Queue {
    offsets: VecDeque<u64>,
    /// Where the lane has rows: for the first of them.
    waits: Option<Waits>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Waits {
    attempts: u32,
    until: Timestamp,
}

impl Lanes {
    /// Attempts under way at once.
    pub const AT_ONCE: usize = 16;

    /// Takes up a position: what is settled at or behind its next offset, and the rows.
    pub fn new(next: u64, settled: impl IntoIterator<Item = u64>, rows: impl IntoIterator<Item = ParkedRow>) -> Self {
        let mut lanes = Lanes { cursor: next, settled: settled.into_iter().collect(), ..Lanes::default() };
        let mut rows: Vec<ParkedRow> = rows.into_iter().collect();
        rows.sort_unstable_by_key(|row| row.offset);
        for row in rows {
            let queue = lanes.lanes.entry(row.lane).or_default();
            if queue.offsets.is_empty() {
                let until = row.not_before.unwrap_or(Timestamp::EPOCH);
                queue.waits = Some(Waits { attempts: row.attempts, until });
                lanes.due.insert((until, row.lane));
            }
            queue.offsets.push_back(row.offset);
            if row.offset >= next {
                lanes.settled.insert(row.offset);
            }
            lanes.rows += 1;
        }
        lanes
    }

    /// The next offset to read.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The first offset that is neither delivered nor parked, and what behind it is: what a restart has to know.
    pub fn position(&self) -> (u64, Vec<u64>) {
        (self.floor(), self.settled.iter().copied().collect())
    }

    fn floor(&self) -> u64 {
        self.hand.first_key_value().map_or(self.cursor, |(offset, _)| *offset)
    }

    /// How many more messages may be read now.
    pub fn room(&self) -> usize {
        if self.is_full() || self.cursor - self.floor() >= SPAN {
            return 0;
        }
        IN_HAND - self.hand.len().min(IN_HAND)
    }

    /// Whether the cursor stands still because so many messages are parked.
    pub fn is_full(&self) -> bool {
        self.rows >= MOST_ROWS
    }

    /// The offsets of all rows.
    pub fn row_offsets(&self) -> Vec<u64> {
        let waiting = self.lanes.values().filter(|queue| queue.waits.is_some());
        waiting.flat_map(|queue| queue.offsets.iter().copied()).collect()
    }

    /// The first offset whose message is needed yet.
    pub fn oldest(&self) -> u64 {
        self.lanes.values().filter_map(|queue| queue.offsets.front().copied()).min().unwrap_or(self.cursor)
    }

    /// Messages that wait on disk, and the lanes that they are of.
    pub fn parked(&self) -> (usize, usize) {
        let waiting = self.lanes.values().filter(|queue| queue.waits.is_some() && !queue.offsets.is_empty());
        (self.rows, waiting.count())
    }

    /// The first message that waits on disk.
    pub fn first_parked(&self) -> Option<u64> {
        let waiting = self.lanes.values().filter(|queue| queue.waits.is_some());
        waiting.filter_map(|queue| queue.offsets.front().copied()).min()
    }

    /// A message was read; offsets before it that were not are gone.
    pub fn offer(&mut self, offset: u64, lane: Lane) -> Offered {
        self.cursor = self.cursor.max(offset.saturating_add(1));
        if self.settled.contains(&offset) {
            self.forget();
            return Offered::Known;
        }
        let queue = self.lanes.entry(lane).or_default();
        let first = queue.offsets.is_empty();
        queue.offsets.push_back(offset);
        if queue.waits.is_some() {
            self.settled.insert(offset);
            self.rows += 1;
            self.forget();
            return Offered::Parked(ParkedRow { offset, lane, attempts: 0, not_before: None });
        }
        self.hand.insert(offset, lane);
        if first {
            self.sendable.insert(offset);
        }
        Offered::Taken
    }

    /// Nothing is left to read below this offset.
    pub fn read_to(&mut self, next: u64) {
        self.cursor = self.cursor.max(next);
        self.forget();
    }

    /// A message to send now: from here on it is under way. Keys that wait come first, but never take all places.
    pub fn send(&mut self, now: Timestamp) -> Option<u64> {
        if self.under_way.len() >= Lanes::AT_ONCE {
            return None;
        }
        let retries = self.under_way.values().filter(|way| way.retry).count();
        if retries < RETRIES_AT_ONCE
            && let Some((until, lane)) = self.due.first().copied().filter(|(until, _)| *until <= now)
        {
            self.due.remove(&(until, lane));
            let offset = *self.lanes.get(&lane)?.offsets.front()?;
            self.under_way.insert(offset, Way { lane, retry: true, skipped: false });
            return Some(offset);
        }
        let offset = self.sendable.pop_first()?;
        let lane = *self.hand.get(&offset)?;
        self.under_way.insert(offset, Way { lane, retry: false, skipped: false });
        Some(offset)
    }

    /// When a key that waits may go on.
    pub fn wake(&self) -> Option<Timestamp> {
        self.due.first().map(|(until, _)| *until)
    }

    /// An attempt has ended. `random` is in `0..1`.
    pub fn finished(
        &mut self,
        offset: u64,
        outcome: &Outcome,
        at: Timestamp,
        backoff: &Backoff,
        random: f64,
    ) -> RowChanges {
        match outcome {
            Outcome::Delivered => self.settle(offset),
            Outcome::Transient { retry_after } => self.wait(offset, at, backoff, random, *retry_after),
            Outcome::Disabled | Outcome::Permanent | Outcome::Blocked(_) => {
                self.wait(offset, at, backoff, random, None)
            }
        }
    }

    /// Drops a message that waits on disk: it is not sent any more. `None` where it does not wait there.
    pub fn skip(&mut self, offset: u64) -> Option<RowChanges> {
        let waits = |queue: &Queue| queue.waits.is_some() && queue.offsets.contains(&offset);
        let lane = self.lanes.iter().find(|(_, queue)| waits(queue)).map(|(lane, _)| *lane)?;
        let queue = self.lanes.get_mut(&lane)?;
        let first = queue.offsets.front() == Some(&offset);
        queue.offsets.retain(|other| *other != offset);
        self.rows = self.rows.saturating_sub(1);
        if first {
            let waited = queue.waits.replace(Waits { attempts: 0, until: Timestamp::EPOCH })?;
            self.due.remove(&(waited.until, lane));
            // What is on its way may arrive yet: nothing of its key overtakes it.
            match self.under_way.values_mut().find(|way| way.lane == lane) {
                Some(way) => way.skipped = true,
                None => self.release(lane),
            }
        }
        Some(RowChanges { set: Vec::new(), unset: vec![offset] })
    }

    /// The next of a lane with rows has its turn; a lane with nothing left is as any other.
    fn release(&mut self, lane: Lane) {
        match self.lanes.get(&lane) {
            Some(queue) if queue.offsets.is_empty() => drop(self.lanes.remove(&lane)),
            Some(_) => drop(self.due.insert((Timestamp::EPOCH, lane))),
            None => {}
        }
    }

    /// An attempt is over; gives the lane that this means something for.
    fn ended(&mut self, offset: u64) -> Option<Lane> {
        let Way { lane, skipped, .. } = self.under_way.remove(&offset)?;
        if skipped {
            self.release(lane);
            return None;
        }
        Some(lane)
    }

    /// It is delivered, or gone: the next of its lane has its turn.
    pub fn settle(&mut self, offset: u64) -> RowChanges {
        let mut changes = RowChanges::default();
        let Some(lane) = self.ended(offset) else { return changes };
        let Some(queue) = self.lanes.get_mut(&lane) else { return changes };
        queue.offsets.pop_front();
        let next = queue.offsets.front().copied();
        match &mut queue.waits {
            Some(waits) => {
                changes.unset.push(offset);
                self.rows = self.rows.saturating_sub(1);
                *waits = Waits { attempts: 0, until: Timestamp::EPOCH };
                if next.is_some() {
                    self.due.insert((Timestamp::EPOCH, lane));
                }
            }
            None => {
                self.hand.remove(&offset);
                self.settled.insert(offset);
                self.sendable.extend(next);
            }
        }
        if next.is_none() {
            self.lanes.remove(&lane);
        }
        self.forget();
        changes
    }

    /// It failed: it and all behind it in its lane wait on disk.
    fn wait(
        &mut self,
        offset: u64,
        at: Timestamp,
        backoff: &Backoff,
        random: f64,
        least: Option<Duration>,
    ) -> RowChanges {
        let mut changes = RowChanges::default();
        let Some(lane) = self.ended(offset) else { return changes };
        let Some(queue) = self.lanes.get_mut(&lane) else { return changes };
        let attempts = queue.waits.map_or(0, |waits| waits.attempts).saturating_add(1);
        let until = at + backoff.wait(attempts, random, least);
        changes.set.push(ParkedRow { offset, lane, attempts, not_before: Some(until) });
        if queue.waits.is_none() {
            let behind = queue.offsets.iter().skip(1);
            changes.set.extend(behind.map(|offset| ParkedRow { offset: *offset, lane, attempts: 0, not_before: None }));
            for offset in &queue.offsets {
                self.hand.remove(offset);
                self.settled.insert(*offset);
            }
            self.rows += queue.offsets.len();
        }
        queue.waits = Some(Waits { attempts, until });
        self.due.insert((until, lane));
        self.forget();
        changes
    }

    /// Whoever waits may go on at once.
    pub fn wake_all(&mut self) {
        let lanes: Vec<Lane> = self.due.iter().map(|(_, lane)| *lane).collect();
        self.due = lanes.into_iter().map(|lane| (Timestamp::EPOCH, lane)).collect();
    }

    /// Below the first in hand nothing has to be remembered: it is all delivered or in rows.
    fn forget(&mut self) {
        self.settled = self.settled.split_off(&self.floor());
    }
}

/// The layout of a stored row. It stands on disk: a new one gets another number.
const LAYOUT: u8 = 1;
const NEVER: i64 = i64::MIN;

impl ParkedRow {
    /// Without its offset, which is its key.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(46);
        out.put_u8(LAYOUT);
        out.put_u32_le(self.attempts);
        out.put_i64_le(self.not_before.map_or(NEVER, Timestamp::nanos));
        if let Lane::Key(digest) = self.lane {
            out.put_slice(&digest);
        }
        out.freeze()
    }

    /// Reads what [`ParkedRow::encode`] wrote; `None` for anything else.
    pub fn decode(offset: u64, mut bytes: Bytes) -> Option<Self> {
        if bytes.len() < 13 || bytes.get_u8() != LAYOUT {
            return None;
        }
        let (attempts, not_before) = (bytes.get_u32_le(), bytes.get_i64_le());
        let lane = match bytes.len() {
            0 => Lane::Alone(offset),
            _ => Lane::Key(bytes.as_ref().try_into().ok()?),
        };
        let not_before = (not_before != NEVER).then(|| Timestamp::from_nanos(not_before));
        Some(ParkedRow { offset, lane, attempts, not_before })
    }
}

#[cfg(test)]
mod tests;
