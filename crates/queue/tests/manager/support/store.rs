use super::within;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::Arc;
use tokio::sync::watch;
use waybill_spool::{
    Batch, Committed, Durability, Health, Key, MemoryStore, Part, ReadLimit, Slice, SpoolEntry, Store, StoreError,
    StreamId, Table,
};
use waybill_types::{MessageId, Offset};

/// A memory store whose commits wait or fail when the test says so.
#[derive(Clone)]
pub(crate) struct GateStore {
    pub(crate) memory: MemoryStore,
    state: Arc<watch::Sender<State>>,
}

#[derive(Clone, Debug, Default)]
struct State {
    closed: bool,
    failing: bool,
    scans_fail: bool,
    waiting: usize,
    failed: usize,
    asked: Vec<Durability>,
    weights: Vec<usize>,
}

impl GateStore {
    pub(crate) fn new() -> Self {
        GateStore { memory: MemoryStore::new(), state: Arc::new(watch::channel(State::default()).0) }
    }

    /// Commits wait from now on.
    pub(crate) fn close_gate(&self) {
        self.state.send_modify(|state| state.closed = true);
    }

    pub(crate) fn open_gate(&self) {
        self.state.send_modify(|state| state.closed = false);
    }

    /// Commits fail from now on, or work again. The health says the same.
    pub(crate) fn fail(&self, failing: bool) {
        self.state.send_modify(|state| state.failing = failing);
    }

    /// Scans fail from now on, or work again.
    pub(crate) fn fail_scans(&self, failing: bool) {
        self.state.send_modify(|state| state.scans_fail = failing);
    }

    /// Waits until so many commits wait at the gate.
    pub(crate) async fn waiting(&self, count: usize) {
        within(self.state.subscribe().wait_for(|state| state.waiting >= count)).await.unwrap();
    }

    /// Waits until so many calls have failed.
    pub(crate) async fn failed(&self, count: usize) {
        within(self.state.subscribe().wait_for(|state| state.failed >= count)).await.unwrap();
    }

    pub(crate) fn failures(&self) -> usize {
        self.state.borrow().failed
    }

    /// The durabilities that were asked for.
    pub(crate) fn durabilities(&self) -> Vec<Durability> {
        self.state.borrow().asked.clone()
    }

    /// About how many bytes each commit wrote.
    pub(crate) fn weights(&self) -> Vec<usize> {
        self.state.borrow().weights.clone()
    }

    async fn pass(&self, durability: Durability) -> Result<(), StoreError> {
        self.state.send_modify(|state| {
            state.asked.push(durability);
            state.waiting += 1;
        });
        let mut states = self.state.subscribe();
        let failing = states.wait_for(|state| !state.closed).await.map(|state| state.failing);
        self.state.send_modify(|state| state.waiting -= 1);
        match failing {
            Ok(false) => Ok(()),
            _ => Err(self.failure()),
        }
    }

    fn failure(&self) -> StoreError {
        self.state.send_modify(|state| state.failed += 1);
        StoreError::Failed("the disk does not write".into())
    }
}

impl Store for GateStore {
    fn commit(&self, batch: Batch, durability: Durability) -> BoxFuture<'_, Result<Committed, StoreError>> {
        async move {
            self.pass(durability).await?;
            self.state.send_modify(|state| state.weights.push(batch.weight()));
            Ok(self.memory.apply(batch))
        }
        .boxed()
    }

    fn load(&self, id: MessageId, part: Part) -> BoxFuture<'_, Result<Option<Bytes>, StoreError>> {
        self.memory.load(id, part)
    }

    fn scan(&self, after: Option<MessageId>, limit: usize) -> BoxFuture<'_, Result<Vec<SpoolEntry>, StoreError>> {
        if self.state.borrow().scans_fail {
            let failure = self.failure();
            return async move { Err(failure) }.boxed();
        }
        self.memory.scan(after, limit)
    }

    fn read(&self, stream: StreamId, from: Offset, limit: ReadLimit) -> BoxFuture<'_, Result<Slice, StoreError>> {
        self.memory.read(stream, from, limit)
    }

    fn fetch(&self, stream: StreamId, offsets: Vec<Offset>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>, StoreError>> {
        self.memory.fetch(stream, offsets)
    }

    fn visible(&self, stream: StreamId) -> watch::Receiver<Offset> {
        self.memory.visible(stream)
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
        match self.state.borrow().failing {
            true => Health::Failing("the disk does not write".into()),
            false => Health::Ok,
        }
    }
}
