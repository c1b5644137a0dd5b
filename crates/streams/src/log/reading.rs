use super::UserLog;
use crate::keys;
use parking_lot::Mutex;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use waybill_spool::{Copies, StoreError, Table};
use waybill_streams_core::{Answer, Message, MessageRef, Row};

/// Takes messages as they are read. It may compute, but not wait.
pub(crate) trait Taker: Send + 'static {
    /// It may come to so many messages in rows of so many bytes, going by the first of them.
    fn expect(&mut self, messages: usize, bytes: usize);

    /// One more, behind all that it took before.
    fn take(&mut self, offset: u64, message: &MessageRef<'_>);
}

impl Taker for Answer {
    fn expect(&mut self, messages: usize, bytes: usize) {
        Answer::expect(self, messages, bytes);
    }

    fn take(&mut self, offset: u64, message: &MessageRef<'_>) {
        self.push(offset, message);
    }
}

/// Messages that were read into something.
pub(crate) struct Taken<T> {
    pub(crate) taker: T,
    /// How many.
    pub(crate) count: usize,
    /// Where to go on: behind the last of them, or at the end when there are no more.
    pub(crate) next: u64,
}

/// Messages that were read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Found {
    /// In the order of their offsets.
    pub(crate) messages: Vec<(u64, Message)>,
    /// Where to go on: behind the last of them, or at the end when there are no more.
    pub(crate) next: u64,
}

impl From<Taken<Owned>> for Found {
    fn from(taken: Taken<Owned>) -> Self {
        Found { messages: taken.taker.messages, next: taken.next }
    }
}

/// Keeps what it takes.
#[derive(Default)]
pub(crate) struct Owned {
    messages: Vec<(u64, Message)>,
    copies: Copies,
}

impl Owned {
    pub(super) fn message(&mut self, message: &MessageRef<'_>) -> Message {
        let mut copy = |part: Option<&[u8]>| part.map(|part| self.copies.copy(part));
        let (key, value) = (copy(message.key), copy(message.value));
        Message { time: message.time, key, value, hops: message.hops }
    }
}

impl Taker for Owned {
    fn expect(&mut self, messages: usize, _bytes: usize) {
        self.messages.reserve(messages);
    }

    fn take(&mut self, offset: u64, message: &MessageRef<'_>) {
        let message = self.message(message);
        self.messages.push((offset, message));
    }
}

/// How much is read at once: at most so many messages, about so many bytes of keys and values, at least one if there is one.
#[derive(Clone, Copy)]
pub(super) struct Most {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

impl Most {
    const ONE: Most = Most { messages: 1, bytes: 0 };
}

/// For no more bytes than these room is made before they are read.
const EXPECTED: usize = 256 << 10;

/// A read that is under way.
struct Reading<T> {
    offsets: Range<u64>,
    most: Most,
    bytes: usize,
    /// Whether there may be more than was taken.
    full: bool,
    torn: bool,
    taken: Taken<T>,
}

impl<T: Taker> Reading<T> {
    fn row(&mut self, key: &[u8], row: &[u8]) -> ControlFlow<()> {
        let read = keys::message_offset(key).and_then(|last| Row::read(last, row).ok());
        if let Some(read) = read.as_ref().filter(|_| self.taken.count == 0) {
            self.expect(read.count(), row.len());
        }
        for message in read.into_iter().flatten() {
            let Ok((offset, message)) = message else { break };
            if offset >= self.offsets.end {
                return ControlFlow::Break(());
            }
            if offset >= self.offsets.start {
                let bytes = self.bytes + message.weight();
                if bytes > self.most.bytes && self.taken.count > 0 {
                    self.full = true;
                    return ControlFlow::Break(());
                }
                self.taken.taker.take(offset, &message);
                self.bytes = bytes;
                self.taken.count += 1;
                self.taken.next = offset + 1;
                if self.taken.count >= self.most.messages || bytes >= self.most.bytes {
                    self.full = true;
                    return ControlFlow::Break(());
                }
            }
            if message.ends_row {
                return ControlFlow::Continue(());
            }
        }
        self.torn = true;
        ControlFlow::Break(())
    }

    /// Tells the taker what may come, going by the first row.
    fn expect(&mut self, count: usize, bytes: usize) {
        let left = usize::try_from(self.offsets.end - self.offsets.start).unwrap_or(usize::MAX);
        let messages = left.min(self.most.messages).min(EXPECTED / bytes.div_ceil(count).max(1));
        self.taken.taker.expect(messages, messages.saturating_mul(bytes).div_ceil(count));
    }
}

impl UserLog {
    /// Messages from `from` on: at most so many, about so many bytes of keys and values, at least one if there is one.
    pub(crate) async fn read(&self, from: u64, most: usize, bytes: usize) -> Result<Found, StoreError> {
        Ok(self.read_into(from, most, bytes, Owned::default()).await?.into())
    }

    /// The same, into something.
    pub(crate) async fn read_into<T: Taker>(
        &self,
        from: u64,
        most: usize,
        bytes: usize,
        taker: T,
    ) -> Result<Taken<T>, StoreError> {
        let end = *self.0.end.borrow();
        let most = Most { messages: most, bytes };
        let (mut taken, full) = self.walk(from..end, most, taker).await?;
        if !full {
            taken.next = taken.next.max(end);
        }
        Ok(taken)
    }

    /// The first message at `from` or behind it that readers may see.
    pub(crate) async fn first_from(&self, from: u64) -> Result<Option<(u64, Message)>, StoreError> {
        let end = *self.0.end.borrow();
        self.first_of(from..end).await
    }

    /// The message at an offset, seen by readers or not.
    pub(crate) async fn at(&self, offset: u64) -> Result<Option<Message>, StoreError> {
        Ok(self.first_of(offset..offset.saturating_add(1)).await?.map(|(_, message)| message))
    }

    /// The newest message with a key that readers may see; only in compacting logs.
    pub(crate) async fn by_key(&self, key: &bytes::Bytes) -> Result<Option<(u64, Message)>, StoreError> {
        let end = *self.0.end.borrow();
        Ok(self.newest(key).await?.filter(|(offset, _)| *offset < end))
    }

    /// The last message that exists and readers may see.
    pub(crate) async fn last(&self) -> Result<Option<(u64, Message)>, StoreError> {
        let end = *self.0.end.borrow();
        let Some(newest) = end.checked_sub(1) else { return Ok(None) };
        if let Some(found) = self.first_of(newest..end).await? {
            return Ok(Some(found));
        }
        // The newest is gone, which takes an expiry or a trim of everything. A message exists at `found`, and none at
        // `high` or behind it.
        let Some(mut found) = self.first_of(0..end).await? else { return Ok(None) };
        let mut high = newest;
        while high - found.0 > 1 {
            let middle = found.0 + (high - found.0) / 2;
            match self.first_of(middle..high).await? {
                Some(later) => found = later,
                None => high = middle,
            }
        }
        Ok(Some(found))
    }

    async fn first_of(&self, offsets: Range<u64>) -> Result<Option<(u64, Message)>, StoreError> {
        let (found, _) = self.walk(offsets, Most::ONE, Owned::default()).await?;
        Ok(Found::from(found).messages.pop())
    }

    /// Messages with these offsets; also tells whether there may be more than were taken.
    pub(super) async fn walk<T: Taker>(
        &self,
        mut offsets: Range<u64>,
        most: Most,
        taker: T,
    ) -> Result<(Taken<T>, bool), StoreError> {
        let number = self.0.number;
        let taken = Taken { taker, count: 0, next: offsets.start };
        // Nothing is below the front: what was trimmed is not waded through.
        offsets.start = offsets.start.max(self.0.head.lock().first);
        if offsets.is_empty() || most.messages == 0 {
            return Ok((taken, most.messages == 0));
        }
        // The row of a message is at its offset or behind it, also where that is behind the last offset.
        let (from, until) = (keys::message(number, offsets.start), keys::messages(number).end());
        let reading = Reading { offsets, most, bytes: 0, full: false, torn: false, taken };
        let place = Arc::new(Mutex::new(reading));
        let shown = place.clone();
        let see = move |key: &[u8], row: &[u8]| shown.lock().row(key, row);
        self.0.ground.store.walk(Table::Logs, from, until, Box::new(see)).await?;
        let ended = || StoreError::Failed("a read ended early".into());
        let Reading { full, torn, taken, .. } = Arc::into_inner(place).ok_or_else(ended)?.into_inner();
        if torn {
            return Err(StoreError::Damaged(format!("a message of log {number} cannot be read").into()));
        }
        Ok((taken, full))
    }
}
