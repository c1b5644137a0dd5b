use crate::layout::{self, DeadLetter, Saved};
use std::sync::Arc;
use waybill_spool::{Batch, Durability, Store, StoreError, StreamId, Table};
use waybill_types::{Offset, Timestamp};

/// A consumer that the store knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registered {
    /// Its name.
    pub name: String,
    /// Which stream it consumes.
    pub stream: StreamId,
    /// Every event below is settled or has a row.
    pub cursor: Offset,
    /// Rows on disk.
    pub rows: u64,
    /// Dead letters so far.
    pub dead: u64,
    /// Since when its hook is not part of the policy.
    pub detached: Option<Timestamp>,
}

/// The consumers that the store knows, running or not.
#[derive(Clone)]
pub struct Registry {
    store: Arc<dyn Store>,
}

/// More consumers than anybody has.
const MOST: usize = 10_000;
/// Rows that are removed at a time.
const PAGE: usize = 1000;

impl Registry {
    /// Those of this store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Registry { store }
    }

    /// All of them, by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list(&self) -> Result<Vec<Registered>, StoreError> {
        let all = layout::all_consumers();
        let found = self.store.range(Table::State, all.clone(), all.end(), MOST).await?;
        let mut list = Vec::new();
        for (key, value) in found {
            let mut parts = key.read();
            parts.text();
            let Some(name) = parts.text() else { continue };
            let saved = Saved::decode(&value)
                .map_err(|error| StoreError::Damaged(format!("position of consumer {name}: {error}").into()))?;
            list.push(Registered {
                name: name.to_owned(),
                stream: StreamId(saved.stream),
                cursor: saved.cursor,
                rows: saved.lanes.iter().map(|(_, rows)| rows).sum(),
                dead: saved.dead,
                detached: saved.detached,
            });
        }
        Ok(list)
    }

    /// Marks those as detached whose hook is not in `configured`, and returns them.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn detach_all_but(&self, configured: &[String], now: Timestamp) -> Result<Vec<Registered>, StoreError> {
        let mut gone = Vec::new();
        let mut batch = Batch::new();
        for mut consumer in self.list().await? {
            if configured.contains(&consumer.name) {
                continue;
            }
            if consumer.detached.is_none() {
                let key = layout::consumer_key(&consumer.name);
                let found = self.store.range(Table::State, key.clone(), key.after(), 1).await?;
                if let Some(mut saved) = found.first().and_then(|(_, value)| Saved::decode(value).ok()) {
                    saved.detached = Some(now);
                    consumer.detached = Some(now);
                    batch.set(Table::State, key, saved.encode());
                }
            }
            gone.push(consumer);
        }
        if !batch.is_empty() {
            self.store.commit(batch, Durability::Synced).await?;
        }
        Ok(gone)
    }

    /// The oldest dead letters of a consumer.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn dead_letters(&self, name: &str, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        let all = layout::dead_letters(name);
        let found = self.store.range(Table::Dead, all.clone(), all.end(), limit).await?;
        Ok(found.iter().filter_map(|(key, value)| DeadLetter::decode(key, value)).collect())
    }

    /// Drops a consumer that does not run, with its position and rows. Its dead letters stay until their time is over.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn forget(&self, name: &str) -> Result<(), StoreError> {
        let rows = layout::rows(name);
        loop {
            let found = self.store.range(Table::Rows, rows.clone(), rows.end(), PAGE).await?;
            let mut batch = Batch::new();
            let last = found.len() < PAGE;
            for (key, _) in found {
                batch.unset(Table::Rows, key);
            }
            // At the end: a consumer that is half gone is still known, and forgotten again.
            if last {
                batch.unset(Table::State, layout::consumer_key(name));
            }
            self.store.commit(batch, Durability::Synced).await?;
            if last {
                return Ok(());
            }
        }
    }

    /// The least cursor of all consumers of log records, detached ones included: everything below is settled.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn settled(&self) -> Result<Option<Offset>, StoreError> {
        let consumers = self.list().await?.into_iter().filter(|consumer| consumer.stream == StreamId::EVENTS);
        Ok(consumers.map(|consumer| consumer.cursor).min())
    }
}
