use std::time::Instant;

use anyhow::{Context, Result};
use rocksdb::{DB, Options, WriteBatch, WriteOptions};

use super::{BATCH, VALUE};
use crate::scratch::Scratch;

/// The bare RocksDB loop: messages a second where one thread writes batches, each with a sync, and does nothing else.
pub(super) fn limit(messages: u64) -> Result<f64> {
    let scratch = Scratch::create(false)?;
    let mut options = Options::default();
    options.create_if_missing(true);
    let store = DB::open(&options, scratch.path().join("bare")).context("open a bare RocksDB")?;
    let mut synced = WriteOptions::default();
    synced.set_sync(true);
    let value = vec![b'x'; VALUE];
    let started = Instant::now();
    for first in (0..messages).step_by(BATCH as usize) {
        let mut batch = WriteBatch::default();
        for offset in first..first + BATCH {
            batch.put(offset.to_be_bytes(), &value);
        }
        store.write_opt(batch, &synced).context("write to a bare RocksDB")?;
    }
    Ok(messages as f64 / started.elapsed().as_secs_f64())
}
