use crate::store::{Durability, Health, Part, ReadLimit, Slice, SpoolEntry, Store, StoreError, StreamId, Table};
use crate::{Batch, Committed, Key, Op};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;
use tokio::sync::watch;
use waybill_types::{MessageId, Offset};

/// The in-memory twin: for tests, and the model that other stores are compared with.
#[derive(Debug, Default, Clone)]
pub struct MemoryStore {
    inner: Arc<Mutex<Contents>>,
}

#[derive(Debug, Default)]
struct Contents {
    /// Envelope and body; a body may come ahead of its envelope.
    messages: BTreeMap<MessageId, (Option<Bytes>, Option<Bytes>)>,
    streams: BTreeMap<StreamId, Stream>,
    tables: BTreeMap<(Table, Key), Bytes>,
    health: Option<Health>,
}

#[derive(Debug)]
struct Stream {
    entries: BTreeMap<Offset, Bytes>,
    next: watch::Sender<Offset>,
}

impl Default for Stream {
    fn default() -> Self {
        Stream { entries: BTreeMap::new(), next: watch::channel(Offset::ZERO).0 }
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        MemoryStore::default()
    }

    /// Makes `health` answer this.
    pub fn set_health(&self, health: Health) {
        self.inner.lock().health = Some(health);
    }

    /// How many messages there are.
    pub fn message_count(&self) -> usize {
        self.inner.lock().messages.values().filter(|(envelope, _)| envelope.is_some()).count()
    }

    /// Applies a batch at once.
    pub fn apply(&self, batch: Batch) -> Committed {
        let mut contents = self.inner.lock();
        let mut committed = Committed::default();
        for op in batch.into_ops() {
            contents.apply(op, &mut committed);
        }
        committed
    }
}

impl Contents {
    fn apply(&mut self, op: Op, committed: &mut Committed) {
        match op {
            Op::Put { id, envelope, data } => {
                let entry = self.messages.entry(id).or_default();
                entry.0 = Some(envelope);
                if data.is_some() {
                    entry.1 = data;
                }
            }
            Op::Body { id, data } => self.messages.entry(id).or_default().1 = Some(data),
            Op::Remove { id } => {
                self.messages.remove(&id);
            }
            Op::Append { stream, entry } => {
                let stream = self.streams.entry(stream).or_default();
                let offset = *stream.next.borrow();
                stream.entries.insert(offset, entry);
                stream.next.send_replace(offset.next());
                committed.offsets.push(offset);
            }
            Op::Set { table, key, value } => {
                self.tables.insert((table, key), value);
            }
            Op::Unset { table, key } => {
                self.tables.remove(&(table, key));
            }
            Op::Trim { stream, below } => {
                let entries = &mut self.streams.entry(stream).or_default().entries;
                *entries = entries.split_off(&below);
            }
        }
    }
}

impl Store for MemoryStore {
    fn commit(&self, batch: Batch, _durability: Durability) -> BoxFuture<'_, Result<Committed, StoreError>> {
        async move { Ok(self.apply(batch)) }.boxed()
    }

    fn load(&self, id: MessageId, part: Part) -> BoxFuture<'_, Result<Option<Bytes>, StoreError>> {
        let contents = self.inner.lock();
        let found = contents.messages.get(&id).and_then(|(envelope, data)| match part {
            Part::Envelope => envelope.clone(),
            Part::Data => data.clone(),
        });
        ready(Ok(found)).boxed()
    }

    fn scan(&self, after: Option<MessageId>, limit: usize) -> BoxFuture<'_, Result<Vec<SpoolEntry>, StoreError>> {
        let contents = self.inner.lock();
        let found = contents
            .messages
            .iter()
            .filter(|(id, _)| after.is_none_or(|after| **id > after))
            .filter_map(|(id, (envelope, _))| Some(SpoolEntry { id: *id, envelope: envelope.clone()? }))
            .take(limit)
            .collect();
        ready(Ok(found)).boxed()
    }

    fn read(&self, stream: StreamId, from: Offset, limit: ReadLimit) -> BoxFuture<'_, Result<Slice, StoreError>> {
        let contents = self.inner.lock();
        let mut slice = Slice { entries: Vec::new(), next: from };
        let mut bytes = 0;
        if let Some(stream) = contents.streams.get(&stream) {
            for (offset, entry) in stream.entries.range(from..) {
                bytes += entry.len();
                if slice.entries.len() >= limit.entries || (bytes > limit.bytes && !slice.entries.is_empty()) {
                    break;
                }
                slice.entries.push((*offset, entry.clone()));
                slice.next = offset.next();
            }
        }
        ready(Ok(slice)).boxed()
    }

    fn fetch(&self, stream: StreamId, offsets: Vec<Offset>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>, StoreError>> {
        let contents = self.inner.lock();
        let entries = contents.streams.get(&stream).map(|stream| &stream.entries);
        let found = offsets.iter().map(|offset| entries.and_then(|all| all.get(offset).cloned())).collect();
        ready(Ok(found)).boxed()
    }

    fn visible(&self, stream: StreamId) -> watch::Receiver<Offset> {
        self.inner.lock().streams.entry(stream).or_default().next.subscribe()
    }

    fn range(
        &self,
        table: Table,
        from: Key,
        until: Key,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<(Key, Bytes)>, StoreError>> {
        let contents = self.inner.lock();
        let found = if from < until {
            let pairs = contents.tables.range((table, from)..(table, until)).take(limit);
            pairs.map(|((_, key), value)| (key.clone(), value.clone())).collect()
        } else {
            Vec::new()
        };
        ready(Ok(found)).boxed()
    }

    fn compact(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        // What is removed from memory leaves no gap.
        ready(Ok(())).boxed()
    }

    fn health(&self) -> Health {
        self.inner.lock().health.clone().unwrap_or(Health::Ok)
    }
}
