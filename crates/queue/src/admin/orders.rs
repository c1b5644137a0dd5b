use crate::driver::Driver;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use uuid::Uuid;
use waybill_admin::{Order, Target};
use waybill_queue_core::queues::{Action, Event, Order as CoreOrder};
use waybill_types::{MessageId, QueueName, ReadyQueueName, Timestamp};

/// While one turn has more actions than this, queues that an order reaches wait for the next one.
const TURN: usize = 1000;

/// How many messages each bounce has taken, by queue.
#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<HashMap<Uuid, BTreeMap<QueueName, u64>>>);

impl Counts {
    pub(crate) fn of(&self, order: Uuid) -> BTreeMap<QueueName, u64> {
        self.0.lock().get(&order).cloned().unwrap_or_default()
    }

    fn add(&self, order: Uuid, queue: &QueueName) {
        *self.0.lock().entry(order).or_default().entry(queue.clone()).or_default() += 1;
    }

    fn keep(&self, orders: &[Arc<Order>]) {
        self.0.lock().retain(|id, _| orders.iter().any(|order| order.id == *id));
    }
}

/// The orders in force, and which of them the core goes by.
///
/// The core knows one order of a kind for each queue: of several that fit, the one that ends last, so that no other has
/// to take its place in between.
#[derive(Default)]
pub(crate) struct Orders {
    all: Vec<Arc<Order>>,
    applied: HashMap<QueueName, Applied>,
    /// Queues that have to be looked at because the orders have changed.
    walk: VecDeque<QueueName>,
}

/// What the core goes by in one queue.
#[derive(Default, PartialEq, Eq)]
struct Applied {
    bounce: Option<Uuid>,
    suspension: Option<Uuid>,
}

impl Orders {
    /// The events that bring the core to what is in force for this queue now.
    fn changes(&mut self, now: Timestamp, queue: &QueueName) -> Vec<Event<MessageId>> {
        let bounce = self.last(now, |order| order.bounces(queue).is_some());
        let suspension = self.last(now, |order| order.suspends(queue));
        let wanted = Applied {
            bounce: bounce.as_ref().map(|order| order.id),
            suspension: suspension.as_ref().map(|order| order.id),
        };
        let before = self.applied.remove(queue).unwrap_or_default();
        let mut events = Vec::new();
        if wanted.suspension != before.suspension {
            events.push(match &suspension {
                Some(order) => Event::Suspended { queue: queue.clone(), order: for_the_core(order) },
                None => Event::Resumed { queue: queue.clone() },
            });
        }
        if wanted.bounce != before.bounce {
            events.push(match &bounce {
                Some(order) => Event::Bounced {
                    queue: queue.clone(),
                    order: for_the_core(order),
                    silent: order.bounces(queue).unwrap_or_default(),
                },
                None => Event::BounceEnded { queue: queue.clone() },
            });
        }
        if wanted != Applied::default() {
            self.applied.insert(queue.clone(), wanted);
        }
        events
    }

    /// Of those that fit, the one that ends last; the first of equals.
    fn last(&self, now: Timestamp, fits: impl Fn(&Order) -> bool) -> Option<Arc<Order>> {
        let fitting = self.all.iter().filter(|order| order.holds(now) && fits(order));
        fitting.rev().max_by_key(|order| order.until).cloned()
    }

    /// The queue is gone from the core, which keeps those that an order holds.
    pub(crate) fn forget(&mut self, queue: &QueueName) {
        self.applied.remove(queue);
    }

    /// The bounce that the core goes by in this queue.
    fn bounce_of(&self, queue: &QueueName) -> Option<Uuid> {
        self.applied.get(queue)?.bounce
    }
}

fn for_the_core(order: &Order) -> CoreOrder {
    CoreOrder { reason: order.reason.clone(), until: Some(order.until) }
}

impl Driver {
    /// An order begins.
    pub(crate) fn begin_order(&mut self, now: Timestamp, order: Arc<Order>, actions: &mut Vec<Action<MessageId>>) {
        self.orders.all.retain(|order| order.holds(now));
        self.orders.all.push(order.clone());
        self.shared.bounced.keep(&self.orders.all);
        self.reconsider(now, &order.target, actions);
    }

    /// An order ends before its time.
    pub(crate) fn end_order(&mut self, now: Timestamp, id: Uuid, actions: &mut Vec<Action<MessageId>>) {
        let Some(place) = self.orders.all.iter().position(|order| order.id == id) else { return };
        let order = self.orders.all.remove(place);
        self.shared.bounced.keep(&self.orders.all);
        self.reconsider(now, &order.target, actions);
    }

    fn reconsider(&mut self, now: Timestamp, target: &Target, actions: &mut Vec<Action<MessageId>>) {
        match target {
            Target::SuspendReady { queue } => self.reconsider_ready(now, queue, actions),
            Target::Bounce { criteria, .. } | Target::Suspend { criteria } => {
                let meant = self.queues.names().filter(|queue| criteria.fit(queue));
                self.orders.walk.extend(meant.cloned());
            }
        }
    }

    fn reconsider_ready(&mut self, now: Timestamp, queue: &ReadyQueueName, actions: &mut Vec<Action<MessageId>>) {
        let event = match self.orders.last(now, |order| order.suspends_ready(queue)) {
            Some(order) => Event::ReadySuspended { queue: queue.clone(), order: for_the_core(&order) },
            None => Event::ReadyResumed { queue: queue.clone() },
        };
        self.queues.step(now, event, actions);
    }

    /// Something comes to this queue: orders that fit it must be known to the core before.
    pub(crate) fn heed_orders(&mut self, now: Timestamp, queue: &QueueName, actions: &mut Vec<Action<MessageId>>) {
        if self.orders.all.is_empty() && self.orders.applied.is_empty() {
            return;
        }
        for event in self.orders.changes(now, queue) {
            self.queues.step(now, event, actions);
        }
    }

    /// Goes on with what changed orders mean to the queues that are there: as much as one turn may do.
    pub(crate) fn walk_orders(&mut self, now: Timestamp, actions: &mut Vec<Action<MessageId>>) {
        while actions.len() < TURN
            && !self.writer.is_behind()
            && let Some(queue) = self.orders.walk.pop_front()
        {
            // Gone since: an order for it would only bring it back.
            if self.queues.status(&queue, now).is_some() {
                self.heed_orders(now, &queue, actions);
            }
        }
        if !self.orders.walk.is_empty() && !self.writer.is_behind() {
            self.again.push(Event::Tick);
        }
    }

    /// A message was bounced on order.
    pub(crate) fn count_bounce(&self, queue: &QueueName) {
        if let Some(order) = self.orders.bounce_of(queue) {
            self.shared.bounced.add(order, queue);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use waybill_admin::Criteria;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn order(number: u128, seconds: u64, silent: bool) -> Arc<Order> {
        let target = Target::Bounce { criteria: Criteria::default(), silent };
        let until = NOW + Duration::from_secs(seconds);
        Arc::new(Order { id: Uuid::from_u128(number), target, reason: "r".into(), until })
    }

    fn queue() -> QueueName {
        QueueName::new("a.example")
    }

    #[test]
    fn of_several_orders_the_one_that_ends_last_counts() {
        let mut orders = Orders::default();
        orders.all.push(order(1, 60, false));
        assert_eq!(orders.changes(NOW, &queue()).len(), 1);
        assert_eq!(orders.changes(NOW, &queue()), [], "the core knows it");
        orders.all.push(order(2, 90, true));
        let events = orders.changes(NOW, &queue());
        assert!(matches!(&events[..], [Event::Bounced { silent: true, .. }]), "{events:?}");
        orders.all.push(order(3, 70, false));
        assert_eq!(orders.changes(NOW, &queue()), []);
        assert_eq!(orders.bounce_of(&queue()), Some(Uuid::from_u128(2)));
        orders.all.remove(1);
        let events = orders.changes(NOW, &queue());
        assert!(matches!(&events[..], [Event::Bounced { silent: false, .. }]), "{events:?}");
    }

    #[test]
    fn what_is_over_is_taken_back_and_forgotten() {
        let mut orders = Orders::default();
        orders.all.push(order(1, 60, false));
        orders.changes(NOW, &queue());
        let events = orders.changes(NOW + Duration::from_secs(60), &queue());
        assert!(matches!(&events[..], [Event::BounceEnded { .. }]), "{events:?}");
        assert!(orders.applied.is_empty());
    }
}
