//! The store in memory under the suite that every store passes.

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::sync::Arc;
use waybill_spool::conformance::{self, Fixture};
use waybill_spool::{MemoryStore, Store};

/// Memory outlives nothing, so a reopened store is the same one.
#[derive(Default)]
struct InMemory(Mutex<MemoryStore>);

impl Fixture for InMemory {
    fn open(&self) -> BoxFuture<'_, Arc<dyn Store>> {
        *self.0.lock() = MemoryStore::new();
        self.close_and_reopen()
    }

    fn close_and_reopen(&self) -> BoxFuture<'_, Arc<dyn Store>> {
        let store: Arc<dyn Store> = Arc::new(self.0.lock().clone());
        async move { store }.boxed()
    }

    fn crash_and_reopen(&self) -> BoxFuture<'_, Arc<dyn Store>> {
        self.close_and_reopen()
    }
}

#[tokio::test]
async fn the_memory_store_keeps_the_contract() {
    conformance::run(&InMemory::default()).await;
}

#[tokio::test]
async fn the_memory_store_is_its_own_model() {
    for seed in 0..20 {
        conformance::matches_the_memory_store(&InMemory::default(), seed, 200).await;
    }
}
