use crate::messages::Messages;
use crate::outcomes::Attempt;
use crate::ways::Ways;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use waybill_log_record::RecordType;
use waybill_queue_core::queues::{Logged, Queues};
use waybill_queue_core::reason::{Reason, Reasons};
use waybill_ready::{Finished, stopped_by_watchdog};
use waybill_runtime::{Histogram, Histograms, Observed};
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
    /// Messages whose bodies these are.
    pub bodies: AtomicU64,
    /// Deliveries that the watchdog stopped, counted by message.
    pub aborted: AtomicU64,
    /// Rejection events that the journal never got, because the store stood still.
    pub rejections_lost: AtomicU64,
    /// How long it took to find out about the queue of an accepted message; policy is asked where it is new.
    pub resolved: Histogram,
    /// How long messages took to be stored at their reception, all of a transaction together.
    pub saved: Histogram,
    /// How long messages took from the store into their queues.
    pub inserted: Histogram,
    /// How long bodies took to be read back from the store.
    pub loaded: Histogram,
    deliveries: Histograms,
    stopped: Mutex<BTreeMap<ReadyQueueName, u64>>,
    delayed: Mutex<BTreeMap<QueueName, Delays>>,
    by_ready_queue: Mutex<BTreeMap<ReadyQueueName, [u64; 3]>>,
    by_protocol: Mutex<BTreeMap<String, [u64; 3]>>,
    by_provider: Mutex<BTreeMap<Arc<str>, [u64; 3]>>,
    queues: Mutex<Arc<QueueSnapshot>>,
}

/// How often messages of a scheduled queue had to wait, by why.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Delays {
    /// Every ready queue that they could go to was full.
    pub ready_queue_full: u64,
    /// A `max_message_rate`, of the queue or of a way out, or a selection rate was spent.
    pub message_rate: u64,
    /// The policy's `throttle_insert_ready_queue` said so.
    pub throttle_insert: u64,
}

impl Delays {
    fn add(&mut self, reasons: Reasons) {
        for (reason, count) in [
            (Reason::ReadyQueueWasFull, &mut self.ready_queue_full),
            (Reason::MessageRateThrottle, &mut self.message_rate),
            (Reason::ThrottledByThrottleInsertReadyQueue, &mut self.throttle_insert),
        ] {
            *count += u64::from(reasons.contains(reason));
        }
    }
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
    /// The same by `provider_name` and egress pool.
    pub by_provider_and_pool: BTreeMap<(String, String), usize>,
    /// Sessions, those that connect included, by the `provider_name` of their path and egress source.
    pub sessions_by_provider: BTreeMap<(Arc<str>, Arc<str>), usize>,
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
    /// A session is done with a batch.
    pub(crate) fn worked<K>(&self, finished: &Finished<K>) {
        let ready_queue = finished.route.ready_queue();
        self.deliveries.observe(ready_queue.protocol(), finished.took);
        if stopped_by_watchdog(&finished.outcome) {
            *self.stopped.lock().entry(ready_queue.clone()).or_default() += 1;
        }
    }

    pub(crate) fn count(&self, queue: &QueueName, what: &Logged, attempt: Option<&Attempt>) {
        if let Logged::Delayed { reasons, .. } = what {
            self.delayed.lock().entry(queue.clone()).or_default().add(*reasons);
        }
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

    pub(crate) fn refresh(&self, queues: &Queues<MessageId>, ways: &Ways, messages: &Messages, now: Timestamp) {
        self.messages.store(messages.len() as u64, Ordering::Relaxed);
        self.resident.store(messages.resident(), Ordering::Relaxed);
        self.bodies.store(messages.bodies() as u64, Ordering::Relaxed);
        let mut by_provider: BTreeMap<String, usize> = BTreeMap::new();
        let mut by_provider_and_pool: BTreeMap<(String, String), usize> = BTreeMap::new();
        let scheduled = queues.names().filter_map(|name| {
            let status = queues.status(name, now)?;
            if let Some(provider) = &status.config.provider_name {
                let count = status.scheduled + status.ready + status.in_flight;
                *by_provider.entry(provider.clone()).or_default() += count;
                let pool = status.config.egress_pool().to_owned();
                *by_provider_and_pool.entry((provider.clone(), pool)).or_default() += count;
            }
            Some((name.clone(), status.scheduled))
        });
        let scheduled = scheduled.collect();
        let mut sessions_by_provider: BTreeMap<_, usize> = BTreeMap::new();
        let ready = queues.ready_names().filter_map(|name| {
            let status = queues.ready_status(name, now)?;
            let sessions = status.opening + status.idle + status.busy;
            if let Some((provider, path)) = ways.get(name).and_then(|path| path.provider.as_ref().zip(Some(path))) {
                *sessions_by_provider.entry((provider.clone(), path.source.clone())).or_default() += sessions;
            }
            Some((name.clone(), ReadyCounts { ready: status.ready, sessions, full: status.full }))
        });
        let ready = ready.collect();
        let snapshot = QueueSnapshot { scheduled, ready, by_provider, by_provider_and_pool, sessions_by_provider };
        *self.queues.lock() = Arc::new(snapshot);
    }

    /// A ready queue is gone from memory, and so are its numbers: its next life begins at zero.
    pub(crate) fn forget(&self, queue: &ReadyQueueName) {
        self.by_ready_queue.lock().remove(queue);
        self.stopped.lock().remove(queue);
    }

    /// A scheduled queue is gone from memory, likewise.
    pub(crate) fn forget_scheduled(&self, queue: &QueueName) {
        self.delayed.lock().remove(queue);
    }

    /// Sessions that the watchdog ended: by ready queue, of those that are in memory.
    pub fn stopped_by_watchdog(&self) -> BTreeMap<ReadyQueueName, u64> {
        self.stopped.lock().clone()
    }

    /// How often messages had to wait: by scheduled queue, of those that are in memory.
    pub fn delayed(&self) -> BTreeMap<QueueName, Delays> {
        self.delayed.lock().clone()
    }

    /// How long the sessions worked on each batch, by the way of delivery.
    pub fn deliveries(&self) -> BTreeMap<String, Observed> {
        self.deliveries.seen()
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

    /// How often each ready queue was full, as of the last look.
    pub(crate) fn full(&self) -> impl Fn(&ReadyQueueName) -> u64 + use<> {
        let snapshot = self.queues.lock().clone();
        move |queue| snapshot.ready.get(queue).map_or(0, |counts| counts.full)
    }

    /// The queues, at most half a second old, or a little more where there are very many.
    pub fn queues(&self) -> QueueSnapshot {
        let snapshot = self.queues.lock().clone();
        QueueSnapshot::clone(&snapshot)
    }
}
