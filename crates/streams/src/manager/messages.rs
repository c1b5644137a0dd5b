use super::{Streams, stored};
use crate::log::{Once, Publish, Stored, Taken, Taker};
use crate::source::Source;
use bytes::Bytes;
use serde::Serialize;
use waybill_runtime::Lull;
use waybill_streams_core::{
    Answer, Cleanup, Code, ConsumeQuery, Encoding, Error, Extent, Id, Message, MessageOut, Place, Start,
};

/// One message, for an answer.
pub(crate) struct OneMessage {
    offset: u64,
    message: Message,
    encoding: Encoding,
}

/// It, as it is answered.
#[derive(Serialize)]
pub(crate) struct OneShown<'a> {
    encoding: Encoding,
    #[serde(flatten)]
    message: MessageOut<'a>,
}

/// What a cleanup freed.
#[derive(Serialize)]
pub(crate) struct Freed {
    size: u64,
}

impl OneMessage {
    /// As it is answered.
    pub(crate) fn shown(&self) -> Result<OneShown<'_>, Error> {
        Ok(OneShown { encoding: self.encoding, message: self.message.shown(self.offset, self.encoding)? })
    }
}

impl Streams {
    /// Publishes; what is known by the name of `once` is not stored again.
    pub(crate) async fn publish(&self, id: Id, messages: Vec<Message>, once: Option<Once>) -> Result<Stored, Error> {
        self.user_log(id)?.put(Publish { messages, beside: None, once }).await
    }

    /// Messages from somewhere on, as they are answered. Where there is none it waits as long as the query says, and then
    /// answers none. `lull` is told before it waits.
    pub(crate) async fn consume(&self, id: Id, query: ConsumeQuery, lull: &Lull) -> Result<Bytes, Error> {
        let taken = self.find(id, query, Answer::new(query.encoding), lull).await?;
        taken.taker.end(taken.next)
    }

    /// The same, into something.
    pub(super) async fn find<T: Taker>(
        &self,
        id: Id,
        query: ConsumeQuery,
        taker: T,
        lull: &Lull,
    ) -> Result<Taken<T>, Error> {
        let source = self.found_source(id)?;
        let mut end = source.end();
        let offset = match query.start {
            Start::At(offset) => offset,
            Start::Stored(stored) => self.stored_place(id, stored).await?,
            Start::Time(time) => i64::try_from(stored(source.at_time(time).await)?).unwrap_or(i64::MAX),
        };
        let from = Extent { end: end.now() }.start(offset)?;
        let (most, bytes) = (query.len, self.0.limits.consume_bytes);
        let mut taken = stored(source.read_into(from, most, bytes, taker).await)?;
        if taken.count == 0 && !query.poll.is_zero() {
            let too_many = || Error::new(Code::MessagePollLimited, "too many consumers wait already; ask without poll");
            let _place = self.0.waiting.try_acquire().map_err(|_| too_many())?;
            let deadline = tokio::time::Instant::now() + query.poll;
            let mut stop = self.0.base.stop.clone();
            lull.begin();
            while taken.count == 0 {
                let from = taken.next;
                tokio::select! {
                    biased;
                    () = stop.requested() => break,
                    () = end.beyond(from) => {}
                    () = tokio::time::sleep_until(deadline) => break,
                }
                taken = stored(source.read_into(from, most, bytes, taken.taker).await)?;
            }
        }
        Ok(taken)
    }

    /// The place that a stored offset of this log stands for.
    async fn stored_place(&self, log: Id, id: Id) -> Result<i64, Error> {
        let offset = self.offset(id).await?;
        if offset.log_id != log {
            let why = format!("{id} is a place in {}, not in {log}", offset.log_id);
            return Err(Error::new(Code::MessageOffsetLogMismatch, why));
        }
        Ok(offset.value)
    }

    pub(crate) async fn message(&self, id: Id, offset: i64, encoding: Encoding) -> Result<OneMessage, Error> {
        let source = self.found_source(id)?;
        let found = match (Extent { end: source.end().now() }).place(offset)? {
            Place::First => stored(source.first_from(0).await)?,
            Place::Last => stored(source.last().await)?,
            Place::At(offset) => stored(source.first_from(offset).await)?.filter(|(found, _)| *found == offset),
        };
        let missing = || Error::new(Code::MessageOffsetNotFound, format!("there is no message at offset {offset}"));
        let (offset, message) = found.ok_or_else(missing)?;
        Ok(OneMessage { offset, message, encoding })
    }

    pub(crate) async fn by_key(&self, id: Id, key: Bytes, encoding: Encoding) -> Result<OneMessage, Error> {
        let not_compacting =
            || Error::new(Code::MessageNotCompacting, format!("{id} does not compact: only such logs know keys"));
        let Source::User(log) = self.found_source(id)? else { return Err(not_compacting()) };
        if !log.log().compacting {
            return Err(not_compacting());
        }
        let missing = || Error::new(Code::MessageKeyNotFound, "there is no message with this key");
        let (offset, message) = stored(log.by_key(&key).await)?.ok_or_else(missing)?;
        Ok(OneMessage { offset, message, encoding })
    }

    pub(crate) async fn clean_up(&self, id: Id, rule: Cleanup) -> Result<Freed, Error> {
        Ok(Freed { size: self.user_log(id)?.clean_up(rule).await? })
    }
}
