use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use uuid::Uuid;
use waybill_types::{QueueName, Timestamp};

/// Counts of orders are kept as long at least; a backlog may be read long after the order's end.
const KEPT: Duration = Duration::from_secs(86_400);

/// How many events of a hook each bounce has taken, by queue.
#[derive(Debug, Default)]
pub(crate) struct Bounced(Mutex<HashMap<Uuid, Counted>>);

#[derive(Debug)]
struct Counted {
    touched: Timestamp,
    by_queue: BTreeMap<QueueName, u64>,
}

impl Bounced {
    /// A bounce begins; what long passed is forgotten.
    pub(crate) fn begin(&self, order: Uuid, now: Timestamp) {
        let mut orders = self.0.lock();
        orders.retain(|_, counted| now.since(counted.touched) < KEPT);
        orders.entry(order).or_insert_with(|| Counted { touched: now, by_queue: BTreeMap::new() });
    }

    pub(crate) fn add(&self, order: Uuid, queue: &QueueName, now: Timestamp) {
        if let Some(counted) = self.0.lock().get_mut(&order) {
            counted.touched = now;
            *counted.by_queue.entry(queue.clone()).or_default() += 1;
        }
    }

    pub(crate) fn of(&self, order: Uuid) -> BTreeMap<QueueName, u64> {
        self.0.lock().get(&order).map(|counted| counted.by_queue.clone()).unwrap_or_default()
    }
}
