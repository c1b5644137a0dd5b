use super::UserLog;
use super::head::Head;
use super::once::{Judged, Once};
use super::orders::Published;
use crate::keys;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, ready, try_join_all};
use std::collections::HashMap;
use waybill_spool::{Batch, Key, StoreError, Table, Written};
use waybill_streams_core::{Code, Error, Front, Message, Rows};

/// What somebody publishes.
#[derive(Default)]
pub(crate) struct Publish {
    pub(crate) messages: Vec<Message>,
    /// A row of [`Table::State`] that is stored with the messages or not at all.
    pub(crate) beside: Option<(Key, Bytes)>,
    /// By what it is known when it comes again.
    pub(crate) once: Option<Once>,
}

impl From<Vec<Message>> for Publish {
    fn from(messages: Vec<Message>) -> Self {
        Publish { messages, ..Publish::default() }
    }
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stored {
    /// The offset behind the last of the messages.
    pub(crate) next: u64,
    /// They had been stored before, and were not stored again.
    pub(crate) again: bool,
}

/// A group that is written, and perhaps not on the disk yet.
pub(super) struct Group {
    /// What each of its publishes is answered once it is.
    pub(super) results: Vec<Result<Stored, Error>>,
    /// The offset behind it.
    pub(super) end: u64,
    pub(super) synced: BoxFuture<'static, Result<(), StoreError>>,
}

/// Where a key's newest message is.
#[derive(Clone, Copy)]
struct Newest {
    offset: u64,
    front: Front,
}

impl UserLog {
    /// Writes the messages of a group in one batch; the disk need not have them yet. When this fails with
    /// [`StoreError::Failed`] nothing was stored and no offset was given.
    pub(super) async fn write_messages(&self, group: &[Published]) -> Result<Group, StoreError> {
        let mut newest = self.newest_of(group).await?;
        let mut recall = self.recall(group.iter().filter_map(|one| one.publish.once.as_ref())).await?;
        let mut head = *self.0.head.lock();
        let (mut batch, mut rows) = (Batch::new(), Rows::default());
        let mut results = Vec::with_capacity(group.len());
        for Published { publish, .. } in group {
            match publish.once.as_ref().map_or(Judged::New, |once| recall.judge(once)) {
                Judged::Again(next) => {
                    results.push(Ok(Stored { next, again: true }));
                    continue;
                }
                Judged::Other => {
                    let why = "Idempotency-Key: it came with another body before; a new message needs a new key";
                    results.push(Err(Error::new(Code::MessageIdempotencyKeyReused, why)));
                    continue;
                }
                Judged::New => {}
            }
            for message in &publish.messages {
                self.add(&mut batch, &mut head, &mut newest, &mut rows, message);
            }
            if let Some((key, value)) = publish.beside.clone() {
                batch.set(Table::State, key, value);
            }
            if let Some(once) = &publish.once {
                recall.note(once, head.next);
            }
            results.push(Ok(Stored { next: head.next, again: false }));
        }
        self.close_row(&mut batch, head.next, &mut rows);
        recall.write(self.0.number, &mut batch);
        let end = head.next;
        if !batch.is_empty() {
            batch.set(Table::Logs, keys::head(self.0.number), head.encode());
        } else if end <= *self.0.end.borrow() {
            return Ok(Group { results, end, synced: ready(Ok(())).boxed() });
        }
        // An empty one is for what was published before and is not on the disk yet: the same answer waits for the same.
        let Written { synced, .. } = self.0.ground.store.commit_ahead(batch).await?;
        *self.0.head.lock() = head;
        Ok(Group { results, end, synced })
    }

    fn add(
        &self,
        batch: &mut Batch,
        head: &mut Head,
        newest: &mut Option<HashMap<Bytes, Newest>>,
        rows: &mut Rows,
        message: &Message,
    ) {
        let (number, offset) = (self.0.number, head.next);
        // What compacting removes for itself shares no row.
        let row = if newest.is_none() && Rows::takes(message) {
            rows.add(message)
        } else {
            self.close_row(batch, offset, rows);
            Some(message.encode())
        };
        let front = Front { time: message.time, size: message.size() };
        if let (Some(newest), Some(key)) = (newest, &message.key) {
            batch.set(Table::Logs, keys::newest(number, key), keys::number_value(offset));
            if let Some(old) = newest.insert(key.clone(), Newest { offset, front }) {
                batch.set(Table::Logs, keys::superseded(number, old.offset), keys::front_value(old.front));
            }
        }
        if message.value.is_none() {
            batch.set(Table::Logs, keys::valueless(number, offset), keys::front_value(front));
        }
        if let Some(row) = row {
            batch.set(Table::Logs, keys::message(number, offset), row);
        }
        head.next += 1;
        head.stats.count += 1;
        head.stats.size += front.size;
    }

    /// Stores the row that is open, if there is one; `next` is the offset behind its last message.
    fn close_row(&self, batch: &mut Batch, next: u64, rows: &mut Rows) {
        if let Some((row, last)) = rows.end().zip(next.checked_sub(1)) {
            batch.set(Table::Logs, keys::message(self.0.number, last), row);
        }
    }

    /// In a compacting log: where the newest message of each key is before this group.
    async fn newest_of(&self, group: &[Published]) -> Result<Option<HashMap<Bytes, Newest>>, StoreError> {
        if !self.0.log.read().compacting {
            return Ok(None);
        }
        let mut keys: Vec<&Bytes> =
            group.iter().flat_map(|one| &one.publish.messages).filter_map(|message| message.key.as_ref()).collect();
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
