use super::UserLog;
use crate::keys;
use bytes::Bytes;
use waybill_spool::{StoreError, Table};
use waybill_streams_core::Message;

/// Messages that were read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Found {
    /// In the order of their offsets.
    pub(crate) messages: Vec<(u64, Message)>,
    /// Where to go on: behind the last of them, or at the end when there are no more.
    pub(crate) next: u64,
}

/// Messages of the first page, when nothing is known of their size: as large as they may be they fit into memory.
const FIRST_PAGE: usize = 16;

impl UserLog {
    /// Messages from `from` on: at most so many, about so many bytes of keys and values, at least one if there is one.
    pub(crate) async fn read(&self, from: u64, most: usize, bytes: usize) -> Result<Found, StoreError> {
        let end = *self.0.end.borrow();
        let mut found = Found { messages: Vec::new(), next: from };
        let (mut weight, mut page) = (0, FIRST_PAGE);
        loop {
            let wanted = page.min(most - found.messages.len());
            let rows = self.rows(found.next, end, wanted).await?;
            let exhausted = rows.len() < wanted;
            for (offset, message) in rows {
                weight += message.weight();
                if weight > bytes && !found.messages.is_empty() {
                    return Ok(found);
                }
                found.messages.push((offset, message));
                found.next = offset + 1;
            }
            if exhausted {
                found.next = found.next.max(end);
                return Ok(found);
            }
            if found.messages.len() >= most || weight >= bytes {
                return Ok(found);
            }
            // As many as fit, going by those that were seen, and at most twice what was read so far.
            let average = (weight / found.messages.len().max(1)).max(1);
            page = ((bytes - weight) / average).clamp(1, 2 * found.messages.len().max(1));
        }
    }

    /// The first message at `from` or behind it that readers may see.
    pub(crate) async fn first_from(&self, from: u64) -> Result<Option<(u64, Message)>, StoreError> {
        let end = *self.0.end.borrow();
        Ok(self.rows(from, end, 1).await?.pop())
    }

    /// The message at an offset, seen by readers or not.
    pub(crate) async fn at(&self, offset: u64) -> Result<Option<Message>, StoreError> {
        Ok(self.rows(offset, offset.saturating_add(1), 1).await?.pop().map(|(_, message)| message))
    }

    /// The newest message with a key that readers may see; only in compacting logs.
    pub(crate) async fn by_key(&self, key: &Bytes) -> Result<Option<(u64, Message)>, StoreError> {
        let end = *self.0.end.borrow();
        Ok(self.newest(key).await?.filter(|(offset, _)| *offset < end))
    }

    /// The last message that exists and readers may see.
    pub(crate) async fn last(&self) -> Result<Option<(u64, Message)>, StoreError> {
        let end = *self.0.end.borrow();
        let Some(newest) = end.checked_sub(1) else { return Ok(None) };
        if let Some(found) = self.rows(newest, end, 1).await?.pop() {
            return Ok(Some(found));
        }
        // The newest is gone, which takes an expiry or a trim of everything. A message exists at `found`, and none at
        // `high` or behind it.
        let Some(mut found) = self.rows(0, end, 1).await?.pop() else { return Ok(None) };
        let mut high = newest;
        while high - found.0 > 1 {
            let middle = found.0 + (high - found.0) / 2;
            match self.rows(middle, high, 1).await?.pop() {
                Some(later) => found = later,
                None => high = middle,
            }
        }
        Ok(Some(found))
    }

    /// Messages with `from <= offset < until`.
    pub(super) async fn rows(&self, from: u64, until: u64, most: usize) -> Result<Vec<(u64, Message)>, StoreError> {
        let number = self.0.number;
        // Nothing is below the front: what was trimmed is not waded through.
        let from = from.max(self.0.head.lock().first);
        if from >= until {
            return Ok(Vec::new());
        }
        let (from, until) = (keys::message(number, from), keys::message(number, until));
        let rows = self.0.ground.store.range(Table::Logs, from, until, most).await?;
        let message = |(key, value): (_, Bytes)| {
            let parts = keys::offset_of(&key).zip(Message::decode(&value));
            parts.ok_or_else(|| StoreError::Damaged(format!("a message of log {number} cannot be read").into()))
        };
        rows.into_iter().map(message).collect()
    }
}
