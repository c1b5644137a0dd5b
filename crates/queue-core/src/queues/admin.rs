//! What operators and policies do to messages that wait.

use super::items::{Place, QueueId, Slot};
use super::scheduled::{Bounce, RouteState};
use super::step::{Queues, SWEEP};
use super::{Action, Logged, Order};
use crate::reason::{Reason, Reasons};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;
use waybill_types::{QueueName, ReadyQueueName, Response, Schedule, Timestamp};

impl<K: Copy + Eq + Hash + Ord + Debug> Queues<K> {
    /// A bounce begins: a sweep over what is there, and an order for what comes.
    pub(super) fn bounced(&mut self, now: Timestamp, queue: &QueueName, order: Order, silent: bool) {
        let id = self.queue_id(now, queue);
        self.with_queue(id, |queue| queue.bounce = Some(Bounce { order, silent }));
        let members = self.queue(id).map_or(0, |queue| queue.members.len);
        self.sweeps.retain(|(sweep, _)| *sweep != id);
        self.sweeps.push_back((id, members));
        self.look_again_if_empty(now, id);
    }

    /// Goes on with the sweeps: at most [`SWEEP`] messages a step.
    pub(super) fn sweep(&mut self, now: Timestamp, actions: &mut Vec<Action<K>>) {
        let mut budget = SWEEP;
        while let Some((id, members)) = self.sweeps.pop_front() {
            let count = members.min(budget);
            self.sweep_queue(now, id, count, actions);
            budget -= count;
            if members > count {
                self.sweeps.push_front((id, members - count));
                return;
            }
        }
    }

    /// Looks at the first messages of a queue. Those in flight go to the end of the list, so that the next look
    /// begins behind them.
    fn sweep_queue(&mut self, now: Timestamp, id: QueueId, count: usize, actions: &mut Vec<Action<K>>) {
        // Lifted meanwhile, or another queue has the place of one that was reaped: nothing to sweep.
        let Some(members) = self.queue(id).filter(|queue| queue.bounce(now).is_some()).map(|queue| queue.members)
        else {
            return;
        };
        let slots: Vec<Slot> = self.items.members(members).take(count).map(|(slot, _)| slot).collect();
        for slot in slots {
            let Some(place) = self.items.get(slot).map(|entry| entry.place) else { continue };
            if matches!(place, Place::InFlight(_)) {
                self.rotate(slot, id);
            } else {
                self.tell_failure(slot, actions);
                self.withdraw(slot);
                self.bounce_if_ordered(now, slot, actions);
            }
        }
    }

    /// A message that comes (back) to a queue under a bounce goes no further.
    pub(super) fn bounce_if_ordered(&mut self, now: Timestamp, slot: Slot, actions: &mut Vec<Action<K>>) -> bool {
        let Some(id) = self.items.get(slot).map(|entry| entry.queue) else { return false };
        let Some(bounce) = self.queue(id).and_then(|queue| queue.bounce(now)) else { return false };
        let silent = bounce.silent;
        let text = format!("5.7.1 Administrator bounced with reason: {}", bounce.order.reason);
        self.log(slot, Logged::AdminBounce { response: Response::new(551, text), silent }, actions);
        self.remove(now, slot, actions);
        true
    }

    /// A suspension begins. What became ready already goes back into the line, where it fails for now like the rest:
    /// nothing of the queue is handed out any more.
    pub(super) fn suspended(&mut self, now: Timestamp, queue: &QueueName, order: Order) {
        let id = self.queue_id(now, queue);
        self.with_queue(id, |queue| queue.suspended = Some(order));
        let route = self.queue(id).and_then(|queue| match &queue.route {
            RouteState::Known(route) => Some(Arc::clone(route)),
            _ => None,
        });
        let ways = route.iter().flat_map(|route| route.choices()).map(|choice| choice.ready_queue.clone());
        self.take_back(now, id, queue, ways.collect());
        if self.queue(id).is_some_and(|queue| queue.ready > 0) {
            // They became ready before the way changed: now they may be anywhere.
            let ready_queues = self.ready.names().cloned().collect();
            self.take_back(now, id, queue, ready_queues);
        }
        self.call(id);
    }

    /// Takes what is ready of a queue out of these ready queues, until nothing of it is ready.
    fn take_back(&mut self, now: Timestamp, id: QueueId, queue: &QueueName, from: Vec<ReadyQueueName>) {
        for name in from {
            if self.queue(id).is_none_or(|queue| queue.ready == 0) {
                return;
            }
            for slot in self.ready.take_back(&name, queue) {
                self.hold(slot, now, Reason::ReadyQueueWasSuspended.into());
            }
        }
    }

    /// Takes the first messages of a queue aside.
    pub(super) fn take_aside(&mut self, now: Timestamp, queue: QueueName, limit: usize, actions: &mut Vec<Action<K>>) {
        let mut items = Vec::new();
        if let Some(id) = self.by_name.get(&queue).copied() {
            let members = self.queue(id).map(|queue| queue.members).unwrap_or_default();
            let slots: Vec<Slot> = self.items.members(members).take(limit.min(SWEEP)).map(|(slot, _)| slot).collect();
            for slot in slots {
                self.rotate(slot, id);
                let Some(entry) = self.items.get(slot) else { continue };
                let due = match entry.place {
                    Place::InFlight(_) | Place::Taken { .. } | Place::Returning { .. } => continue,
                    Place::Scheduled(key) => key.due(),
                    Place::Held { due, .. } | Place::Asked { due } => due,
                    Place::Ready(_) => now,
                };
                items.push(entry.item);
                self.withdraw(slot);
                self.put(slot, Place::Taken { due });
            }
        }
        actions.push(Action::Taken { queue, items });
    }

    /// A message that was aside comes back.
    pub(super) fn rebound(
        &mut self,
        now: Timestamp,
        item: K,
        to: &QueueName,
        note: Option<&str>,
        flush: bool,
        actions: &mut Vec<Action<K>>,
    ) {
        let Some(slot) = self.items.slot(&item) else { return };
        let Some(entry) = self.items.get(slot).filter(|entry| matches!(entry.place, Place::Taken { .. })) else {
            return;
        };
        let attempts = entry.attempts;
        let Some(from) = self.queue(entry.queue).map(|queue| queue.name.clone()) else { return };
        let moves = from != *to;
        if moves {
            let id = self.queue_id(now, to);
            self.relink(now, slot, id);
            if let Some(reason) = note {
                let response = Response::new(250, format!("Rebound from {from} to {to}: {reason}"));
                self.log(slot, Logged::AdminRebind { response }, actions);
            }
        }
        let due = if moves || flush { now } else { now + self.below_a_minute() };
        actions.push(Action::Save { item, attempts, due });
        self.arrange(now, slot, due, Reason::AdminRebind.into(), actions);
    }

    fn rotate(&mut self, slot: Slot, id: QueueId) {
        if let Some(Some(queue)) = self.queues.get_mut(id.0 as usize) {
            self.items.rotate(slot, id, &mut queue.members);
        }
    }

    /// Takes a message out of its ready queue, if it is in one. It must be put somewhere else.
    fn withdraw(&mut self, slot: Slot) {
        if let Some(Place::Ready(ready)) = self.items.get(slot).map(|entry| entry.place) {
            self.ready.withdraw(ready, slot);
        }
    }

    /// The slot of a message that is neither in flight nor shown to the policy on its way back.
    fn at_rest(&self, item: &K) -> Option<Slot> {
        let slot = self.items.slot(item)?;
        let entry = self.items.get(slot)?;
        let is_busy = matches!(entry.place, Place::InFlight(_) | Place::Returning { .. });
        if is_busy { None } else { Some(slot) }
    }

    pub(super) fn moved(
        &mut self,
        now: Timestamp,
        item: K,
        to: &QueueName,
        due: Option<Timestamp>,
        reason: Reason,
        actions: &mut Vec<Action<K>>,
    ) {
        let Some(slot) = self.at_rest(&item) else { return };
        self.withdraw(slot);
        let id = self.queue_id(now, to);
        self.relink(now, slot, id);
        self.arrange(now, slot, due.unwrap_or(now), reason.into(), actions);
    }

    pub(super) fn rescheduled(&mut self, now: Timestamp, item: K, due: Timestamp, actions: &mut Vec<Action<K>>) {
        let Some(slot) = self.at_rest(&item) else { return };
        let Some(entry) = self.items.get(slot) else { return };
        let reasons = entry.reasons;
        if !matches!(entry.place, Place::Ready(_)) {
            self.arrange(now, slot, due, reasons, actions);
        }
    }

    pub(super) fn schedule_changed(&mut self, item: &K, schedule: Option<Arc<Schedule>>) {
        if let Some(slot) = self.items.slot(item) {
            self.items.set_schedule(slot, schedule);
        }
    }

    pub(super) fn dropped(&mut self, now: Timestamp, item: K) {
        if let Some(slot) = self.at_rest(&item) {
            self.withdraw(slot);
            self.forget(now, slot);
        }
    }

    pub(super) fn answered(&mut self, now: Timestamp, item: K, delay: Option<Duration>, actions: &mut Vec<Action<K>>) {
        let Some(slot) = self.items.slot(&item) else { return };
        let Some(entry) = self.items.get_mut(slot) else { return };
        let Place::Asked { due } = entry.place else { return };
        match delay.filter(|delay| !delay.is_zero()) {
            Some(delay) => {
                let reasons = Reasons::from(Reason::ThrottledByThrottleInsertReadyQueue);
                self.send_back(now, slot, reasons, Some(delay), actions);
            }
            None => {
                entry.cleared = true;
                self.stand_in_line(slot, due);
            }
        }
    }

    /// Puts a message where its due time says.
    fn arrange(&mut self, now: Timestamp, slot: Slot, due: Timestamp, reasons: Reasons, actions: &mut Vec<Action<K>>) {
        let due = self.allowed(now, slot, due);
        if due > now {
            self.send_back(now, slot, reasons, Some(due.since(now)), actions);
        } else if !self.bounce_if_ordered(now, slot, actions) {
            self.hold(slot, due, reasons);
        }
    }
}
