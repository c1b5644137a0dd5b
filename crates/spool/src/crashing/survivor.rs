use super::appends;
use crate::{
    Batch, Committed, Durability, Health, Key, MemoryStore, Op, Part, ReadLimit, Slice, SpoolEntry, Store, StoreError,
    StreamId, Table,
};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use tokio::sync::watch;
use waybill_types::{MessageId, Offset};

/// A memory store after a loss of power: events that are gone leave a gap, for their offsets were given out and may
/// never be used again.
pub(super) struct Survivor {
    memory: MemoryStore,
    gaps: BTreeMap<StreamId, Gap>,
    /// What `visible` answers, with the gap in it.
    visible: Mutex<BTreeMap<StreamId, watch::Sender<Offset>>>,
}

/// `lost` offsets from `at` on are missing; the memory behind us knows nothing of them and goes on at `at`.
#[derive(Clone, Copy, Default)]
struct Gap {
    at: u64,
    lost: u64,
}

impl Gap {
    /// The offset of an event of the memory, as we show it.
    fn event(self, inner: Offset) -> Offset {
        if inner.0 >= self.at { Offset(inner.0.saturating_add(self.lost)) } else { inner }
    }

    /// An end of what is visible, as we show it: behind the last event, not behind the gap.
    fn end(self, inner: Offset) -> Offset {
        if inner.0 > self.at { Offset(inner.0.saturating_add(self.lost)) } else { inner }
    }

    /// A place of ours, in the memory.
    fn place(self, shown: Offset) -> Offset {
        if shown.0 <= self.at { shown } else { Offset(shown.0.saturating_sub(self.lost).max(self.at)) }
    }

    fn contains(self, shown: Offset) -> bool {
        shown.0 >= self.at && shown.0 < self.at.saturating_add(self.lost)
    }
}

impl Survivor {
    /// Does `kept` again, and leaves gaps for what `lost` appended.
    pub(super) fn after_power_loss(kept: &[Batch], lost: &[Batch]) -> Self {
        let memory = MemoryStore::new();
        for batch in kept {
            memory.apply(batch.clone());
        }
        let mut gaps: BTreeMap<StreamId, Gap> = BTreeMap::new();
        for stream in lost.iter().flat_map(appends) {
            let gap = gaps.entry(stream).or_insert_with(|| Gap { at: memory.visible(stream).borrow().0, lost: 0 });
            gap.lost += 1;
        }
        Survivor { memory, gaps, visible: Mutex::default() }
    }

    fn gap(&self, stream: StreamId) -> Gap {
        self.gaps.get(&stream).copied().unwrap_or_default()
    }

    fn end(&self, stream: StreamId) -> Offset {
        self.gap(stream).end(*self.memory.visible(stream).borrow())
    }

    fn apply(&self, batch: Batch) -> Committed {
        let streams: Vec<StreamId> = appends(&batch).collect();
        let mut inner = Batch::new();
        for op in batch.into_ops() {
            inner.push(match op {
                Op::Trim { stream, below } => Op::Trim { stream, below: self.gap(stream).place(below) },
                op => op,
            });
        }
        // Under the lock, so that what is visible never goes back.
        let visible = self.visible.lock();
        let offsets = self.memory.apply(inner).offsets;
        let offsets = streams.iter().zip(offsets).map(|(stream, offset)| self.gap(*stream).event(offset)).collect();
        for (stream, sender) in &*visible {
            let end = self.end(*stream);
            sender.send_if_modified(|shown| std::mem::replace(shown, end) != end);
        }
        Committed { offsets }
    }
}

impl Store for Survivor {
    fn commit(&self, batch: Batch, _durability: Durability) -> BoxFuture<'_, Result<Committed, StoreError>> {
        async move { Ok(self.apply(batch)) }.boxed()
    }

    fn load(&self, id: MessageId, part: Part) -> BoxFuture<'_, Result<Option<Bytes>, StoreError>> {
        self.memory.load(id, part)
    }

    fn scan(&self, after: Option<MessageId>, limit: usize) -> BoxFuture<'_, Result<Vec<SpoolEntry>, StoreError>> {
        self.memory.scan(after, limit)
    }

    fn read(&self, stream: StreamId, from: Offset, limit: ReadLimit) -> BoxFuture<'_, Result<Slice, StoreError>> {
        async move {
            let gap = self.gap(stream);
            let mut slice = self.memory.read(stream, gap.place(from), limit).await?;
            for (offset, _) in &mut slice.entries {
                *offset = gap.event(*offset);
            }
            slice.next = slice.entries.last().map_or(from, |(last, _)| last.next());
            Ok(slice)
        }
        .boxed()
    }

    fn fetch(&self, stream: StreamId, offsets: Vec<Offset>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>, StoreError>> {
        async move {
            let gap = self.gap(stream);
            let places = offsets.iter().map(|offset| gap.place(*offset)).collect();
            let mut found = self.memory.fetch(stream, places).await?;
            for (offset, found) in offsets.iter().zip(&mut found) {
                if gap.contains(*offset) {
                    *found = None;
                }
            }
            Ok(found)
        }
        .boxed()
    }

    fn visible(&self, stream: StreamId) -> watch::Receiver<Offset> {
        let mut visible = self.visible.lock();
        visible.entry(stream).or_insert_with(|| watch::channel(self.end(stream)).0).subscribe()
    }

    fn range(
        &self,
        table: Table,
        from: Key,
        until: Key,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<(Key, Bytes)>, StoreError>> {
        self.memory.range(table, from, until, limit)
    }

    fn compact(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.memory.compact()
    }

    fn health(&self) -> Health {
        self.memory.health()
    }
}
