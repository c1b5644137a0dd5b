use crate::messages::Messages;
use crate::records::Attempt;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use waybill_queue_core::queues::{Logged, Queues};
use waybill_types::{MessageId, QueueName, ReadyQueueName, Timestamp};

/// Counters since the start, and gauges of the moment.
#[derive(Debug, Default)]
pub struct Stats {
    /// Messages accepted.
    pub received: AtomicU64,
    /// Messages in memory.
    pub messages: AtomicU64,
    by_site: Mutex<BTreeMap<String, [u64; 3]>>,
    queues: Mutex<(Timestamp, QueueSnapshot)>,
}

/// The queues of a moment.
#[derive(Debug, Default, Clone)]
pub struct QueueSnapshot {
    /// Messages in each scheduled queue.
    pub scheduled: BTreeMap<QueueName, usize>,
    /// Ready messages and sessions of each ready queue.
    pub ready: BTreeMap<ReadyQueueName, (usize, usize)>,
}

/// Gauges are looked at this often at most, in nanoseconds.
const EVERY: i64 = 500_000_000;

impl Stats {
    pub(crate) fn count(&self, what: &Logged, attempt: Option<&Attempt>) {
        let index = match what {
            Logged::Delivery => 0,
            Logged::TransientFailure { .. } => 1,
            Logged::Bounce { .. } => 2,
            _ => return,
        };
        let site = attempt.map_or("", |attempt| attempt.site.as_str());
        let mut by_site = self.by_site.lock();
        match by_site.get_mut(site) {
            Some(counts) => counts[index] += 1,
            None => by_site.entry(site.to_owned()).or_default()[index] += 1,
        }
    }

    pub(crate) fn refresh(&self, queues: &Queues<MessageId>, messages: &Messages, now: Timestamp) {
        let mut last = self.queues.lock();
        if now.nanos() - last.0.nanos() < EVERY {
            return;
        }
        last.0 = now;
        self.messages.store(messages.len() as u64, Ordering::Relaxed);
        let count = |name: &QueueName| queues.members(name).count();
        let scheduled = queues.names().map(|name| (name.clone(), count(name))).collect();
        let ready = queues.ready_names().filter_map(|name| {
            let status = queues.ready_status(name, now)?;
            Some((name.clone(), (status.ready, status.opening + status.idle + status.busy)))
        });
        last.1 = QueueSnapshot { scheduled, ready: ready.collect() };
    }

    /// Delivered, failed for now, failed for good: by site.
    pub fn by_site(&self) -> BTreeMap<String, [u64; 3]> {
        self.by_site.lock().clone()
    }

    /// The queues, at most half a second old while something happens.
    pub fn queues(&self) -> QueueSnapshot {
        self.queues.lock().1.clone()
    }
}
