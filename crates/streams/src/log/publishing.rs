use super::UserLog;
use super::orders::Published;
use crate::keys;
use bytes::Bytes;
use futures::future::try_join_all;
use std::collections::HashMap;
use waybill_spool::{Batch, Durability, StoreError, Table};
use waybill_streams_core::{Front, Message};

/// Where a key's newest message is.
#[derive(Clone, Copy)]
struct Newest {
    offset: u64,
    front: Front,
}

impl UserLog {
    /// Stores the messages of a group in one synced batch; gives the offset behind each part. When this fails with
    /// [`StoreError::Failed`] nothing was stored and no offset was given.
    pub(super) async fn store_messages(&self, group: &[Published]) -> Result<Vec<u64>, StoreError> {
        let number = self.0.number;
        let mut newest = self.newest_of(group).await?;
        let mut head = *self.0.head.lock();
        let mut batch = Batch::new();
        let mut ends = Vec::with_capacity(group.len());
        for one in group {
            for message in &one.messages {
                let (offset, bytes) = (head.next, message.encode());
                let front = Front { time: message.time, size: message.size() };
                if let (Some(newest), Some(key)) = (&mut newest, &message.key) {
                    batch.set(Table::Logs, keys::newest(number, key), keys::number_value(offset));
                    if let Some(old) = newest.insert(key.clone(), Newest { offset, front }) {
                        let row = keys::superseded(number, old.offset);
                        batch.set(Table::Logs, row, keys::front_value(old.front));
                    }
                }
                if message.value.is_none() {
                    batch.set(Table::Logs, keys::valueless(number, offset), keys::front_value(front));
                }
                batch.set(Table::Logs, keys::message(number, offset), bytes);
                head.next += 1;
                head.stats.count += 1;
                head.stats.size += front.size;
            }
            ends.push(head.next);
        }
        if !batch.is_empty() {
            batch.set(Table::Logs, keys::head(number), head.encode());
            self.0.ground.store.commit(batch, Durability::Synced).await?;
            *self.0.head.lock() = head;
            self.0.end.send_replace(head.next);
        }
        Ok(ends)
    }

    /// In a compacting log: where the newest message of each key is before this group.
    async fn newest_of(&self, group: &[Published]) -> Result<Option<HashMap<Bytes, Newest>>, StoreError> {
        if !self.0.log.read().compacting {
            return Ok(None);
        }
        let mut keys: Vec<&Bytes> =
            group.iter().flat_map(|one| &one.messages).filter_map(|message| message.key.as_ref()).collect();
        keys.sort_unstable();
        keys.dedup();
        let found = try_join_all(keys.into_iter().map(|key| async move {
            let Some((offset, message)) = self.newest(key).await? else { return Ok::<_, StoreError>(None) };
            let front = Front { time: message.time, size: message.size() };
            Ok(Some((key.clone(), Newest { offset, front })))
        }));
        Ok(Some(found.await?.into_iter().flatten().collect()))
    }

    /// The newest message with a key, as the index tells.
    pub(super) async fn newest(&self, key: &Bytes) -> Result<Option<(u64, Message)>, StoreError> {
        let row = keys::newest(self.0.number, key);
        let found = self.0.ground.store.range(Table::Logs, row.clone(), row.after(), 1).await?;
        let Some(offset) = found.first().and_then(|(_, value)| keys::number_of(value)) else { return Ok(None) };
        let message = self.at(offset).await?;
        Ok(message.filter(|message| message.key.as_ref() == Some(key)).map(|message| (offset, message)))
    }
}
