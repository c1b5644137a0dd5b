use crate::dead_letters;
use crate::layout::{self, DeadLetter, Letters, Replay, Saved};
use std::collections::HashMap;
use std::sync::Arc;
use waybill_spool::{Batch, Durability, Key, Store, StoreError, StreamId, Table};
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
    /// Dead letters in numbers, those included that its replays left.
    pub letters: Letters,
    /// The part of the journal that it sends again, where it is a replay.
    pub replay: Option<Replay>,
    /// Whether an operator paused it.
    pub paused: bool,
    /// Since when its hook is not part of the policy.
    pub detached: Option<Timestamp>,
}

/// The consumers that the store knows, running or not.
#[derive(Clone)]
pub struct Registry {
    pub(crate) store: Arc<dyn Store>,
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
        let mut left = dead_letters::left(&*self.store).await?;
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
                letters: saved.letters.and(left.remove(name).unwrap_or(0)),
                replay: saved.replay,
                paused: saved.paused,
                detached: saved.detached,
            });
        }
        Ok(list)
    }

    /// Has a consumer begin at an offset, as soon as the batch is committed and whenever it is started: with what is
    /// appended from then on nothing is missed, also when the daemon dies before it first ran.
    pub fn enrol(batch: &mut Batch, name: &str, stream: StreamId, begin: Offset) {
        let saved = Saved { stream: stream.0, cursor: begin, ..Saved::default() };
        batch.set(Table::State, layout::consumer_key(name), saved.encode());
    }

    /// Marks those as detached whose hook is not in `configured`, and returns them. A replay goes with its hook.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn detach_all_but(&self, configured: &[String], now: Timestamp) -> Result<Vec<Registered>, StoreError> {
        let mut gone = Vec::new();
        let mut batch = Batch::new();
        for mut consumer in self.list().await? {
            let hook = consumer.replay.as_ref().map_or(&consumer.name, |replay| &replay.of);
            if configured.contains(hook) {
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

    /// The oldest dead letters of a consumer, those behind `after`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn dead_letters(
        &self,
        name: &str,
        after: Option<(Timestamp, Offset)>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let all = layout::dead_letters(name);
        let from = after.map_or_else(|| all.clone(), |(at, offset)| layout::dead_key(name, at, offset).after());
        let found = self.store.range(Table::Dead, from, all.end(), limit).await?;
        Ok(found.iter().filter_map(|(key, value)| DeadLetter::decode(key, value)).collect())
    }

    /// Drops a consumer that does not run, with its position, rows and dead letters.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn forget(&self, name: &str) -> Result<(), StoreError> {
        self.clear(Table::Rows, &layout::rows(name)).await?;
        self.clear(Table::Dead, &layout::dead_letters(name)).await?;
        // At the end: a consumer that is half gone is still known, and forgotten again.
        let mut batch = Batch::new();
        batch.unset(Table::State, layout::consumer_key(name));
        batch.unset(Table::State, layout::memory_key(name));
        batch.unset(Table::State, layout::dropped_key(name));
        let left = layout::left_by_replays(name);
        for (key, _) in self.store.range(Table::State, left.clone(), left.end(), MOST).await? {
            batch.unset(Table::State, key);
        }
        self.store.commit(batch, Durability::Synced).await?;
        Ok(())
    }

    /// Removes everything below a key.
    async fn clear(&self, table: Table, all: &Key) -> Result<(), StoreError> {
        loop {
            let found = self.store.range(table, all.clone(), all.end(), PAGE).await?;
            let last = found.len() < PAGE;
            let mut batch = Batch::new();
            found.into_iter().for_each(|(key, _)| batch.unset(table, key));
            if !batch.is_empty() {
                self.store.commit(batch, Durability::Written).await?;
            }
            if last {
                return Ok(());
            }
        }
    }

    /// How many dead letters of each consumer were dropped for their age or size.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn dropped(&self) -> Result<HashMap<String, u64>, StoreError> {
        dead_letters::dropped(&*self.store).await
    }

    /// How many dead letters the replays of each hook left with it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn left(&self) -> Result<HashMap<String, u64>, StoreError> {
        dead_letters::left(&*self.store).await
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
