//! Publishes that are not stored again when they come again: remembered for a time, and so many of them.

use super::{Memory, UserLog};
use crate::keys::{self, Digest256};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::collections::HashMap;
use waybill_spool::{Batch, Key, StoreError, Table};

/// By what a publish is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Once {
    /// Names of it: who comes with one of them comes again.
    pub(crate) names: Vec<Digest256>,
    /// What it holds: the same name with something else is refused.
    pub(crate) content: Digest256,
}

/// What is remembered under a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Trace {
    /// When, in unix seconds.
    at: i64,
    place: u64,
    /// The offset behind the messages.
    next: u64,
    content: Digest256,
}

/// What is known of a publish.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Judged {
    New,
    /// It was stored; this was the offset behind it.
    Again(u64),
    /// Something else had its name.
    Other,
}

/// What is remembered of the names in a group, and what comes of it.
pub(super) struct Recall {
    now: i64,
    memory: Memory,
    traces: HashMap<Digest256, Trace>,
    first: u64,
    next: u64,
    /// The oldest places, and what stands there.
    oldest: Vec<(u64, Digest256, Option<Trace>)>,
    added: Vec<Digest256>,
    /// Places whose name was remembered anew.
    freed: Vec<u64>,
}

impl UserLog {
    pub(super) async fn recall(&self, group: impl Iterator<Item = &Once>) -> Result<Recall, StoreError> {
        let (number, ground) = (self.0.number, &self.0.ground);
        let mut recall = Recall {
            now: ground.clock.now().secs(),
            memory: ground.memory,
            traces: HashMap::new(),
            first: 0,
            next: 0,
            oldest: Vec::new(),
            added: Vec::new(),
            freed: Vec::new(),
        };
        let names: Vec<&Digest256> = group.flat_map(|once| &once.names).collect();
        if names.is_empty() {
            return Ok(recall);
        }
        for name in &names {
            if let Some(trace) = self.trace(name).await? {
                recall.traces.insert(**name, trace);
            }
        }
        let places = self.row(keys::remembered_places(number)).await?;
        (recall.first, recall.next) = places.as_deref().and_then(places_of).unwrap_or_default();
        // Two for each that comes: so what is too old goes faster than it came.
        let (from, until) = (keys::remembered_at(number, recall.first), keys::remembered_at(number, recall.next));
        for (key, value) in ground.store.range(Table::Logs, from, until, 2 * names.len()).await? {
            let (Some(place), Ok(name)) = (keys::offset_of(&key), Digest256::try_from(&value[..])) else { continue };
            let trace = self.trace(&name).await?.filter(|trace| trace.place == place);
            recall.oldest.push((place, name, trace));
        }
        Ok(recall)
    }

    async fn trace(&self, name: &Digest256) -> Result<Option<Trace>, StoreError> {
        Ok(self.row(keys::remembered(self.0.number, name)).await?.and_then(Trace::decode))
    }

    async fn row(&self, key: Key) -> Result<Option<Bytes>, StoreError> {
        let found = self.0.ground.store.range(Table::Logs, key.clone(), key.after(), 1).await?;
        Ok(found.into_iter().next().map(|(_, value)| value))
    }
}

impl Recall {
    pub(super) fn judge(&self, once: &Once) -> Judged {
        let known = once.names.iter().filter_map(|name| self.traces.get(name));
        match known.filter(|trace| !self.is_over(trace.at)).max_by_key(|trace| trace.place) {
            None => Judged::New,
            Some(trace) if trace.content == once.content => Judged::Again(trace.next),
            Some(_) => Judged::Other,
        }
    }

    /// It is stored in this batch, `next` being the offset behind it.
    pub(super) fn note(&mut self, once: &Once, next: u64) {
        for name in &once.names {
            let trace = Trace { at: self.now, place: self.next, next, content: once.content };
            self.next += 1;
            if let Some(old) = self.traces.insert(*name, trace) {
                self.freed.push(old.place);
            }
            self.added.push(*name);
        }
    }

    pub(super) fn write(self, number: u64, batch: &mut Batch) {
        if self.added.is_empty() {
            return;
        }
        let mut first = self.first;
        for (place, name, trace) in &self.oldest {
            let over = trace.is_none_or(|trace| self.is_over(trace.at));
            if !over && self.next - *place <= self.memory.most {
                break;
            }
            batch.unset(Table::Logs, keys::remembered_at(number, *place));
            // Unless it was remembered anew at another place.
            if trace.is_some() && !self.added.contains(name) {
                batch.unset(Table::Logs, keys::remembered(number, name));
            }
            first = place + 1;
        }
        self.freed.iter().for_each(|place| batch.unset(Table::Logs, keys::remembered_at(number, *place)));
        for name in &self.added {
            let Some(trace) = self.traces.get(name) else { continue };
            batch.set(Table::Logs, keys::remembered(number, name), trace.encode());
            batch.set(Table::Logs, keys::remembered_at(number, trace.place), name.to_vec());
        }
        let mut places = BytesMut::with_capacity(16);
        places.put_u64_le(first);
        places.put_u64_le(self.next);
        batch.set(Table::Logs, keys::remembered_places(number), places.freeze());
    }

    /// Too long ago to count. A clock that was set back lets it count for longer.
    fn is_over(&self, at: i64) -> bool {
        self.now.saturating_sub(at) >= self.memory.seconds
    }
}

impl Trace {
    fn encode(self) -> Bytes {
        let mut out = BytesMut::with_capacity(24 + 32);
        out.put_i64_le(self.at);
        out.put_u64_le(self.place);
        out.put_u64_le(self.next);
        out.put_slice(&self.content);
        out.freeze()
    }

    fn decode(mut bytes: Bytes) -> Option<Self> {
        if bytes.len() != 24 + 32 {
            return None;
        }
        let (at, place, next) = (bytes.get_i64_le(), bytes.get_u64_le(), bytes.get_u64_le());
        Some(Trace { at, place, next, content: Digest256::try_from(&bytes[..]).ok()? })
    }
}

fn places_of(value: &[u8]) -> Option<(u64, u64)> {
    let (first, next) = value.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*first), keys::number_of(next)?))
}
