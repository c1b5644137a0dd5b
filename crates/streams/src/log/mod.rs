//! A user's log in the store: offsets from 0 without a gap, never given twice.

mod head;
mod once;
mod orders;
mod publishing;
mod reading;
mod sweeping;

use crate::keys;
use head::Head;
use orders::{Order, Queue};
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use tokio::sync::{oneshot, watch};
use waybill_runtime::{Clock, Supervisor};
use waybill_spool::{Health, Store, StoreError, Table};
#[cfg(test)]
use waybill_streams_core::Message;
use waybill_streams_core::{Cleanup, Code, Error, Log, Stats};

pub(crate) use once::Once;
pub(crate) use publishing::{Publish, Stored};
pub(crate) use reading::{Found, Owned, Taken, Taker};

/// What all logs stand on.
#[derive(Clone)]
pub(crate) struct Ground {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) supervisor: Supervisor,
    /// How long, and how many, publishes are remembered that must not be stored again.
    pub(crate) memory: Memory,
}

/// Bounds of what a log remembers.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) seconds: i64,
    pub(crate) most: u64,
}

/// A log that is open. Cheap to clone; clones are the same log.
///
/// One task at a time changes it ([`orders`]), so that offsets have no gap and what it holds is always counted right.
/// Readers see what is as durable as its publisher was told, and nothing behind.
#[derive(Clone)]
pub(crate) struct UserLog(Arc<Inner>);

struct Inner {
    ground: Ground,
    number: u64,
    log: RwLock<Log>,
    head: Mutex<Head>,
    /// The offset behind the last message that readers may see. One notification for all who wait.
    end: watch::Sender<u64>,
    queue: Mutex<Queue>,
}

impl UserLog {
    /// Takes up a log as the store has it.
    pub(crate) async fn open(ground: Ground, number: u64, log: Log) -> Result<Self, StoreError> {
        let key = keys::head(number);
        let found = ground.store.range(Table::Logs, key.clone(), key.after(), 1).await?;
        let head = match found.first() {
            None => Head::default(),
            Some((_, value)) => Head::decode(value)
                .ok_or_else(|| StoreError::Damaged(format!("the head of {} cannot be read", log.log_id).into()))?,
        };
        let inner = Inner {
            ground,
            number,
            log: RwLock::new(log),
            head: Mutex::new(head),
            end: watch::channel(head.next).0,
            queue: Mutex::default(),
        };
        Ok(UserLog(Arc::new(inner)))
    }

    /// Its number in the store.
    pub(crate) fn number(&self) -> u64 {
        self.0.number
    }

    /// How it is configured.
    pub(crate) fn log(&self) -> Log {
        self.0.log.read().clone()
    }

    /// It is configured differently from now on; the caller has stored that.
    pub(crate) fn set_log(&self, log: Log) {
        *self.0.log.write() = log;
    }

    /// How much it holds.
    pub(crate) fn stats(&self) -> Stats {
        self.0.head.lock().stats
    }

    /// The offset behind the last message, as it moves.
    pub(crate) fn end(&self) -> watch::Receiver<u64> {
        self.0.end.subscribe()
    }

    /// Stores messages, all or none, synced; gives the offset behind the last of them. Goes on when the future is
    /// dropped.
    #[cfg(test)]
    pub(crate) async fn publish(&self, messages: Vec<Message>) -> Result<u64, Error> {
        Ok(self.put(messages.into()).await?.next)
    }

    /// Publishes, and stores what is to be stored with it. Goes on when the future is dropped.
    pub(crate) async fn put(&self, publish: Publish) -> Result<Stored, Error> {
        match self.0.ground.store.health() {
            Health::Ok => {}
            Health::DiskFull(why) | Health::Failing(why) => {
                return Err(Error::new(Code::ServerError, format!("nothing is stored now: {why}")));
            }
        }
        let (answer, done) = oneshot::channel();
        self.order(Order::Publish { publish, answer });
        done.await.unwrap_or_else(|_| Err(stopping()))
    }

    /// Drops what the rule says; gives the bytes that were freed. Goes on when the future is dropped.
    pub(crate) async fn clean_up(&self, rule: Cleanup) -> Result<u64, Error> {
        rule.check(self.log().compacting)?;
        let (answer, done) = oneshot::channel();
        self.order(Order::Sweep(sweeping::Sweep::new(rule, answer)));
        done.await.unwrap_or_else(|_| Err(stopping()))
    }

    /// Nothing is published or dropped any more, once this is done.
    pub(crate) async fn close(&self) {
        let (answer, done) = oneshot::channel();
        self.order(Order::Close(answer));
        // An error means that the process ends: then nothing happens any more either.
        let _ = done.await;
    }
}

pub(crate) fn stopping() -> Error {
    Error::new(Code::ServerError, "the daemon stops; whether this was done is not known")
}

/// What a failed store means for whoever asked.
pub(crate) fn failed(error: &StoreError) -> Error {
    Error::new(Code::ServerError, error.to_string())
}

#[cfg(test)]
mod tests;
