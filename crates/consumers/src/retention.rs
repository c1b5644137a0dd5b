use crate::{Registry, dead_letters};
use std::sync::Arc;
use std::time::Duration;
use waybill_journal_core::{Sample, TrimRule, trim_below};
use waybill_runtime::{Clock, Stop};
use waybill_spool::{Batch, Durability, Op, ReadLimit, Store, StoreError, StreamId};
use waybill_types::{Offset, Timestamp};

/// How much history is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetentionRule {
    /// Settled events older than this go.
    pub retention: Duration,
    /// When the stream is larger, older settled events go before their time.
    pub max_size: u64,
    /// Dead letters older than this go.
    pub dead_max_age: Duration,
}

impl Default for RetentionRule {
    fn default() -> Self {
        let day = Duration::from_secs(86_400);
        RetentionRule { retention: day, max_size: 10 << 30, dead_max_age: 7 * day }
    }
}

/// Trims the journal and drops old dead letters.
pub struct Retention {
    /// What to trim.
    pub store: Arc<dyn Store>,
    /// Whose positions count.
    pub registry: Registry,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How much is kept.
    pub rule: RetentionRule,
    /// When an encoded event was appended.
    pub created: fn(&bytes::Bytes) -> Option<Timestamp>,
    /// The least position of those who read the stream without being consumers, if there is any: from there on nothing
    /// is settled.
    pub others: Arc<dyn Fn() -> Option<Offset> + Send + Sync>,
}

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(60);
/// How many samples of the stream decide.
const SAMPLES: u64 = 64;
/// The most bytes of dead letters that are kept.
const MOST_DEAD: u64 = 1 << 30;
/// Their bytes are counted at every so many looks: that reads them all.
const COUNT_EVERY: u32 = 60;

impl Retention {
    /// Trims once a minute until asked to stop.
    pub async fn run(self, mut stop: Stop) {
        for look in 0u32.. {
            tokio::select! {
                biased;
                () = stop.requested() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
            if let Err(error) = self.trim().await {
                tracing::error!("the journal was not trimmed: {error}");
            }
            if let Err(error) = self.trim_dead_letters(look.is_multiple_of(COUNT_EVERY)).await {
                tracing::error!("old dead letters were not dropped: {error}");
            }
        }
    }

    /// Trims what may go now, and tells below which offset nothing is kept any more.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn trim(&self) -> Result<Option<Offset>, StoreError> {
        let now = self.clock.now();
        let tail = *self.store.visible(StreamId::EVENTS).borrow();
        let settled = self.registry.settled().await?.unwrap_or(tail);
        let settled = (self.others)().map_or(settled, |others| settled.min(others));
        let (samples, size) = self.sample(tail).await?;
        let rule = TrimRule { retention: self.rule.retention, max_size: self.rule.max_size };
        let below = trim_below(rule, now, settled, &samples, tail, size);
        if let Some(below) = below {
            let mut batch = Batch::new();
            batch.push(Op::Trim { stream: StreamId::EVENTS, below });
            self.store.commit(batch, Durability::Written).await?;
        }
        Ok(below)
    }

    /// Looks at events spread over the stream, and guesses its size from theirs.
    async fn sample(&self, tail: Offset) -> Result<(Vec<Sample>, u64), StoreError> {
        let one = ReadLimit { entries: 1, bytes: 1 };
        let first = self.store.read(StreamId::EVENTS, Offset::ZERO, one).await?;
        let Some((head, _)) = first.entries.first() else { return Ok((Vec::new(), 0)) };
        let span = tail.0.saturating_sub(head.0);
        let step = (span / SAMPLES).max(1);
        let mut samples: Vec<Sample> = Vec::new();
        let mut bytes = 0u64;
        let mut at = *head;
        while at < tail {
            let slice = self.store.read(StreamId::EVENTS, at, one).await?;
            let Some((offset, entry)) = slice.entries.first() else { break };
            if let Some(time) = (self.created)(entry) {
                samples.push(Sample { offset: *offset, time });
                bytes += entry.len() as u64;
            }
            at = Offset((at.0 + step).max(offset.0 + 1));
        }
        let average = bytes / (samples.len() as u64).max(1);
        Ok((samples, average.saturating_mul(span)))
    }

    /// Drops dead letters that are too old, and with `count` also the oldest where all of them take more than 1 GiB.
    /// Tells how many.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn trim_dead_letters(&self, count: bool) -> Result<u64, StoreError> {
        let horizon = self.clock.now() - self.rule.dead_max_age;
        let mut dropped = dead_letters::drop_older(&*self.store, horizon).await?;
        if count {
            dropped += dead_letters::drop_beyond(&*self.store, MOST_DEAD).await?;
        }
        if dropped > 0 {
            tracing::warn!("{dropped} dead letters were dropped: too old or too many");
        }
        Ok(dropped)
    }
}
