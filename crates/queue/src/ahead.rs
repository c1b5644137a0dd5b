//! The bodies of a large transaction come into the store ahead of it, one by one: its messages together may be a hundred
//! times as large as what the client sent, and a batch has all of it in memory. Until the envelopes and their events follow
//! in one batch nobody sees any of it, and what a crash leaves is removed by the next start.
//!
//! ```text
//! State  "arriving" run(u64) number(u64)    ids of 16 bytes
//! ```

use crate::manager::Shared;
use bytes::BytesMut;
use std::sync::atomic::{AtomicU64, Ordering};
use waybill_spool::{Batch, Durability, Key, Message, StoreError, Table};
use waybill_types::MessageId;

/// Bodies of a transaction that go into the batch of their envelopes, in bytes.
const TOGETHER: u64 = 16 << 20;
/// So many transactions of earlier runs are looked at together.
const PAGE: usize = 100;
const ARRIVING: &str = "arriving";

/// Tells transactions that arrive apart, also from those of earlier runs.
pub(crate) struct Arrivals {
    run: u64,
    next: AtomicU64,
}

/// A transaction whose bodies are stored.
pub(crate) struct Ahead {
    key: Key,
    ids: Vec<MessageId>,
}

impl Arrivals {
    pub(crate) fn new() -> Self {
        Arrivals { run: rand::random(), next: AtomicU64::new(0) }
    }

    fn key(&self) -> Key {
        Key::new().text(ARRIVING).number(self.run).number(self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn is_ours(&self, key: &Key) -> bool {
        let mut reader = key.read();
        reader.text().is_some() && reader.number() == Some(self.run)
    }
}

impl Ahead {
    /// Part of the batch that has the envelopes.
    pub(crate) fn complete(&self, batch: &mut Batch) {
        batch.unset(Table::State, self.key.clone());
    }
}

impl Shared {
    /// Stores the bodies of these messages, where they are too large to be stored with their envelopes.
    ///
    /// # Errors
    /// When the store refuses one of them: then none is left.
    pub(crate) async fn bodies_ahead(&self, messages: &[Message]) -> Result<Option<Ahead>, StoreError> {
        let bytes: u64 = messages.iter().map(Message::in_memory).sum();
        if messages.len() < 2 || bytes <= TOGETHER {
            return Ok(None);
        }
        let ahead = Ahead { key: self.arrivals.key(), ids: messages.iter().map(Message::id).collect() };
        let mut list = BytesMut::with_capacity(ahead.ids.len() * 16);
        ahead.ids.iter().for_each(|id| list.extend_from_slice(id.as_bytes()));
        let mut batch = Batch::new();
        batch.set(Table::State, ahead.key.clone(), list);
        self.options.store.commit(batch, Durability::Written).await?;
        for message in messages {
            let mut batch = Batch::new();
            batch.save_body(message);
            if let Err(error) = self.options.store.commit(batch, Durability::Written).await {
                self.take_back(ahead).await;
                return Err(error);
            }
        }
        Ok(Some(ahead))
    }

    /// The transaction is not taken: its bodies go again.
    pub(crate) async fn take_back(&self, ahead: Ahead) {
        if let Err(error) = self.remove_bodies(ahead.key, &ahead.ids).await {
            tracing::error!("bodies of a transaction that was not taken stay until the next start: {error}");
        }
    }

    /// Removes what earlier runs left in the middle of a transaction.
    pub(crate) async fn remove_leftovers(&self) -> Result<(), StoreError> {
        let all = Key::new().text(ARRIVING);
        let (mut from, end) = (all.clone(), all.end());
        loop {
            let page = self.options.store.range(Table::State, from, end.clone(), PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            from = last.after();
            for (key, list) in page {
                if !self.arrivals.is_ours(&key) {
                    let ids: Vec<MessageId> = list.as_chunks().0.iter().copied().map(MessageId::from_bytes).collect();
                    tracing::info!(bodies = ids.len(), "a transaction that was cut off is removed from the spool");
                    self.remove_bodies(key, &ids).await?;
                }
            }
        }
    }

    async fn remove_bodies(&self, key: Key, ids: &[MessageId]) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        ids.iter().for_each(|id| batch.remove(*id));
        batch.unset(Table::State, key);
        self.options.store.commit(batch, Durability::Written).await.map(|_| ())
    }
}
