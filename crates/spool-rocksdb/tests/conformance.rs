//! The store on RocksDB under the suite that every store passes.

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use waybill_spool::Store;
use waybill_spool::conformance::{self, Fixture};
use waybill_spool_rocksdb::{Options, RocksStore, Room};

/// A directory for each store, and the store that is open.
struct OnDisk {
    root: TempDir,
    flush: bool,
    now: Mutex<Option<(PathBuf, Arc<RocksStore>)>>,
}

impl OnDisk {
    fn new(flush: bool) -> Self {
        OnDisk { root: tempfile::tempdir().unwrap(), flush, now: Mutex::default() }
    }

    fn take(&self) -> Option<(PathBuf, Arc<RocksStore>)> {
        self.now.lock().take()
    }

    async fn open_at(&self, path: &Path) -> Arc<dyn Store> {
        let mut options = Options::new(path);
        options.flush = self.flush;
        // The machine that runs the tests may be as full as it likes.
        (options.room, options.data_room) = (Room::NONE, Room::NONE);
        let store = Arc::new(RocksStore::open(options).await.unwrap());
        *self.now.lock() = Some((path.to_owned(), store.clone()));
        store
    }
}

impl Fixture for OnDisk {
    fn open(&self) -> BoxFuture<'_, Arc<dyn Store>> {
        async move {
            if let Some((path, store)) = self.take() {
                store.abandon().await;
                std::fs::remove_dir_all(path).unwrap();
            }
            self.open_at(&self.root.path().join("spool")).await
        }
        .boxed()
    }

    fn close_and_reopen(&self) -> BoxFuture<'_, Arc<dyn Store>> {
        async move {
            let (path, store) = self.take().unwrap();
            store.close().await.unwrap();
            self.open_at(&path).await
        }
        .boxed()
    }

    fn crash_and_reopen(&self) -> BoxFuture<'_, Arc<dyn Store>> {
        async move {
            let (path, store) = self.take().unwrap();
            store.abandon().await;
            self.open_at(&path).await
        }
        .boxed()
    }
}

#[tokio::test]
async fn the_rocksdb_store_keeps_the_contract() {
    conformance::run(&OnDisk::new(false)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_keeps_the_contract_on_many_threads_and_with_flush() {
    conformance::run(&OnDisk::new(true)).await;
}

#[tokio::test]
async fn it_matches_the_memory_store_under_more_seeds() {
    let fixture = OnDisk::new(false);
    for seed in 100..108 {
        conformance::matches_the_memory_store(&fixture, seed, 150).await;
    }
}
