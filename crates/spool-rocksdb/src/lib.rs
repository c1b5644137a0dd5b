//! The [`waybill_spool::Store`] on RocksDB: messages, journal and tables in one database, so that a batch is one write.
//!
//! One thread writes, in groups and without sync; another syncs the log again and again and answers who waits for that,
//! so that nobody waits behind the fsync of others. A small row that somebody waits for is written by whoever waits, while
//! the thread has nothing to write. Reads run on a bounded number of blocking threads. This crate
//! refuses to know what is in a message or an event, and nobody else knows RocksDB.
//!
//! ```
//! use waybill_spool::{Batch, Durability, Key, Store, Table};
//! use waybill_spool_rocksdb::{Options, RocksStore};
//! # let rt = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # let dir = tempfile::tempdir().unwrap();
//! # rt.block_on(async {
//! let store = RocksStore::open(Options::new(dir.path().join("spool"))).await?;
//! let mut batch = Batch::new();
//! batch.set(Table::State, Key::new().text("cursor"), "7");
//! store.commit(batch, Durability::Synced).await.unwrap();
//! store.close().await.unwrap();
//! # Ok::<(), waybill_spool_rocksdb::OpenError>(())
//! # }).unwrap();
//! ```

mod care;
mod columns;
mod commit;
mod database;
mod engine;
mod health;
mod here;
mod layout;
mod open;
mod options;
mod params;
mod progress;
mod queue;
mod running;
mod shared;
mod space;
mod stats;
mod store;
mod streams;
mod sync;
mod tuning;
mod visibility;
mod wal;

#[cfg(test)]
mod tests;

pub use layout::OpenError;
pub use options::{Options, Room, SyncFailure};
pub use params::{Params, check as check_params};
pub use stats::Stats;
pub use store::RocksStore;
