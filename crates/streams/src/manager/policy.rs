//! Logs for a policy: the operator wrote it, so nobody is asked who it is, and its texts are bytes.

use super::Streams;
use crate::log::{Found, Owned};
use waybill_runtime::Lull;
use waybill_streams_core::{Error, Id, Kind, Message, consume_query};

impl Streams {
    /// Publishes to the log with this id; gives the offset behind the last of the messages, once they are synced.
    ///
    /// # Errors
    /// As over HTTP: the log is not there or may not be written, or there is too much.
    pub async fn publish_bytes(&self, log: &str, messages: Vec<Unsent>) -> Result<u64, Error> {
        let id = Id::parse(Kind::Log, log)?;
        let now = self.now();
        let messages: Vec<Message> = messages
            .into_iter()
            .map(|Unsent { time, key, value }| Message { time: time.unwrap_or(now), key, value, hops: 0 })
            .collect();
        for (number, message) in messages.iter().enumerate() {
            message.check(format_args!("message {}: ", number + 1), self.limits())?;
        }
        Message::check_together(&messages, self.limits())?;
        Ok(self.publish(id, messages, None).await?.next)
    }

    /// Messages of the log with this id by their offsets, and where to go on; the query is that of a consume over HTTP.
    ///
    /// # Errors
    /// As over HTTP.
    pub async fn consume_bytes(&self, log: &str, query: &[(String, String)]) -> Result<Consumed, Error> {
        let id = Id::parse(Kind::Log, log)?;
        let query = consume_query(query, self.limits())?;
        let found = Found::from(self.find(id, query, Owned::default(), &Lull::default()).await?);
        Ok(Consumed { next: found.next, messages: found.messages })
    }
}

/// A message that a policy publishes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Unsent {
    /// Microseconds since the epoch; the time of the publish where it is not given.
    pub time: Option<i64>,
    /// Its key, if it has one.
    pub key: Option<bytes::Bytes>,
    /// Its value, if it has one.
    pub value: Option<bytes::Bytes>,
}

/// What a policy reads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Consumed {
    /// Where to go on.
    pub next: u64,
    /// In the order of their offsets.
    pub messages: Vec<(u64, Message)>,
}
