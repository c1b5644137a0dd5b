use crate::messages::Messages;
use crate::outcomes::Attempt;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use waybill_log_record::RecordType;
use waybill_queue_core::queues::{Logged, Queues};
use waybill_types::{MessageId, QueueName, ReadyQueueName, Timestamp};

/// Counters since the start, and gauges of the moment.
#[derive(Debug, Default)]
pub struct Stats {
    /// Messages accepted, those for the queue `null` included.
    pub received: AtomicU64,
    /// Messages in memory.
    pub messages: AtomicU64,
    /// Bytes of message bodies in memory.
    pub resident: AtomicU64,
    /// Deliveries that the watchdog stopped, counted by message.
    pub aborted: AtomicU64,
    /// Rejection events that the journal never got, because the store stood still.
    pub rejections_lost: AtomicU64,
    by_ready_queue: Mutex<BTreeMap<ReadyQueueName, [u64; 3]>>,
    by_protocol: Mutex<BTreeMap<String, [u64; 3]>>,
    by_provider: Mutex<BTreeMap<Arc<str>, [u64; 3]>>,
    queues: Mutex<Arc<QueueSnapshot>>,
}

/// The queues of a moment.
#[derive(Debug, Default, Clone)]
pub struct QueueSnapshot {
    /// Messages in each scheduled queue, those not counted that are ready or in flight.
    pub scheduled: BTreeMap<QueueName, usize>,
    /// Each ready queue.
    pub ready: BTreeMap<ReadyQueueName, ReadyCounts>,
    /// Messages by the `provider_name` of their scheduled queue, in whatever state.
    pub by_provider: BTreeMap<String, usize>,
}

/// A ready queue in numbers.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ReadyCounts {
    /// Messages that wait for a session.
    pub ready: usize,
    /// Sessions, those that connect included.
    pub sessions: usize,
    /// How often there was no place for a message, since the queue is in memory.
    pub full: u64,
}

/// Gauges are looked at this often at most.
const EVERY: Duration = Duration::from_millis(500);
/// And they may take this part of the driver's time: with a hundred thousand queues a look is no small thing.
const SHARE: u32 = 50;

/// When gauges may be looked at again after a look that began at `begun`.
pub(crate) fn next_look(begun: Instant) -> Instant {
    begun + EVERY.max(begun.elapsed() * SHARE)
}

impl Stats {
    pub(crate) fn count(&self, what: &Logged, attempt: Option<&Attempt>) {
        if attempt.is_some_and(|attempt| attempt.aborted) {
            self.aborted.fetch_add(1, Ordering::Relaxed);
        }
        let (index, refused) = match what {
            Logged::Delivery => (0, false),
            Logged::TransientFailure { .. } => (1, false),
            Logged::Bounce { .. } => (2, attempt.is_some_and(|attempt| attempt.refused.is_some())),
            _ => return,
        };
        // What failed before it came to a way out counts for none.
        let Some(attempt) = attempt else { return };
        let mut counted = [0; 3];
        counted[index] += 1;
        // It failed for now, and then policy refused another try.
        counted[1] += u64::from(refused);
        for part in &attempt.others {
            counted[if part.kind == RecordType::Delivery { 0 } else { 2 }] += 1;
        }
        let add = |counts: &mut [u64; 3]| counts.iter_mut().zip(counted).for_each(|(count, more)| *count += more);
        let ready_queue = &attempt.batch.ready_queue;
        add(self.by_ready_queue.lock().entry(ready_queue.clone()).or_default());
        add(self.by_protocol.lock().entry(ready_queue.protocol().to_owned()).or_default());
        if let Some(provider) = &attempt.batch.provider {
            add(self.by_provider.lock().entry(provider.clone()).or_default());
        }
    }

    pub(crate) fn refresh(&self, queues: &Queues<MessageId>, messages: &Messages, now: Timestamp) {
        self.messages.store(messages.len() as u64, Ordering::Relaxed);
        self.resident.store(messages.resident(), Ordering::Relaxed);
        let mut by_provider: BTreeMap<String, usize> = BTreeMap::new();
        let scheduled = queues.names().filter_map(|name| {
            let status = queues.status(name, now)?;
            if let Some(provider) = &status.config.provider_name {
                let count = status.scheduled + status.ready + status.in_flight;
                *by_provider.entry(provider.clone()).or_default() += count;
            }
            Some((name.clone(), status.scheduled))
        });
        let scheduled = scheduled.collect();
        let ready = queues.ready_names().filter_map(|name| {
            let status = queues.ready_status(name, now)?;
            let sessions = status.opening + status.idle + status.busy;
            Some((name.clone(), ReadyCounts { ready: status.ready, sessions, full: status.full }))
        });
        let snapshot = QueueSnapshot { scheduled, ready: ready.collect(), by_provider };
        *self.queues.lock() = Arc::new(snapshot);
    }

    /// A ready queue is gone from memory, and so are its numbers: its next life begins at zero.
    pub(crate) fn forget(&self, queue: &ReadyQueueName) {
        self.by_ready_queue.lock().remove(queue);
    }

    /// Delivered, failed for now, failed for good: by ready queue, of those that are in memory.
    pub fn by_ready_queue(&self) -> BTreeMap<ReadyQueueName, [u64; 3]> {
        self.by_ready_queue.lock().clone()
    }

    /// The same by the way of delivery, since the start.
    pub fn by_protocol(&self) -> BTreeMap<String, [u64; 3]> {
        self.by_protocol.lock().clone()
    }

    /// The same by the `provider_name` of the path, where it has one.
    pub fn by_provider(&self) -> BTreeMap<Arc<str>, [u64; 3]> {
        self.by_provider.lock().clone()
    }

    /// The queues, at most half a second old, or a little more where there are very many.
    pub fn queues(&self) -> QueueSnapshot {
        let snapshot = self.queues.lock().clone();
        QueueSnapshot::clone(&snapshot)
    }
}
