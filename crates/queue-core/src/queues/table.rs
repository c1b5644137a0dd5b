//! The scheduled queues in memory: made on demand, looked at when they want to be, reaped when they are of no use.

use super::Action;
use super::items::QueueId;
use super::scheduled::Scheduled;
use super::step::Queues;
use rand::Rng;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;
use waybill_types::{QueueName, Timestamp};

impl<K: Copy + Eq + Hash + Ord + Debug> Queues<K> {
    /// The queue of that name, made with the defaults if it is not there.
    pub(super) fn queue_id(&mut self, now: Timestamp, name: &QueueName) -> QueueId {
        if let Some(id) = self.by_name.get(name) {
            return *id;
        }
        let queue = Scheduled::new(name.clone(), Arc::clone(&self.defaults), now);
        let id = match self.free.pop() {
            Some(id) => {
                self.queues[id.0 as usize] = Some(queue);
                id
            }
            None => {
                self.queues.push(Some(queue));
                QueueId(u32::try_from(self.queues.len() - 1).unwrap_or(u32::MAX))
            }
        };
        self.by_name.insert(name.clone(), id);
        self.look_again_if_empty(now, id);
        id
    }

    /// A queue's time has come: its rate lets something pass again, or it has been empty for long.
    pub(super) fn look_at(&mut self, now: Timestamp, id: QueueId, actions: &mut Vec<Action<K>>) {
        let Some(queue) = self.queue(id) else { return };
        if queue.is_spent(now) {
            self.by_name.remove(&queue.name.clone());
            if let Some(queue) = self.queues[id.0 as usize].take() {
                self.free.push(id);
                actions.push(Action::Forgotten { queue: queue.name });
            }
        } else if queue.members.len == 0 {
            self.look_again_if_empty(now, id);
        } else {
            self.call(id);
        }
    }

    /// An empty queue is looked at again when it may leave memory.
    pub(super) fn look_again_if_empty(&mut self, now: Timestamp, id: QueueId) {
        let Some(queue) = self.queue(id) else { return };
        if queue.members.len > 0 {
            return;
        }
        let orders = [queue.suspension(now), queue.bounce(now).map(|bounce| &bounce.order)];
        // An order without an end keeps the queue; its end looks again.
        if orders.iter().flatten().any(|order| order.until.is_none()) {
            return;
        }
        let ends = orders.iter().flatten().filter_map(|order| order.until);
        let at = ends.fold(queue.reap_at(), Timestamp::max).max(now);
        self.set_timer(id, at);
    }

    pub(super) fn set_timer(&mut self, id: QueueId, at: Timestamp) {
        let Some(Some(queue)) = self.queues.get_mut(id.0 as usize) else { return };
        if queue.timer.is_some_and(|timer| timer.due() == at) {
            return;
        }
        if let Some(timer) = queue.timer.take() {
            self.timers.remove(timer);
        }
        queue.timer = (at < Timestamp::MAX).then(|| self.timers.insert(at, id));
    }

    /// A queue wants its line looked at.
    pub(super) fn call(&mut self, id: QueueId) {
        if let Some(Some(queue)) = self.queues.get_mut(id.0 as usize)
            && !queue.line.called
            && !queue.line.is_empty()
        {
            queue.line.called = true;
            self.called.push_back(id);
        }
    }

    pub(super) fn queue(&self, id: QueueId) -> Option<&Scheduled> {
        self.queues.get(id.0 as usize).and_then(Option::as_ref)
    }

    pub(super) fn with_queue(&mut self, id: QueueId, change: impl FnOnce(&mut Scheduled)) {
        if let Some(Some(queue)) = self.queues.get_mut(id.0 as usize) {
            change(queue);
        }
    }

    /// A whole number of seconds below a minute, so that messages that were sent back do not return as one.
    pub(super) fn below_a_minute(&mut self) -> Duration {
        Duration::from_secs(self.random.random_range(0..60))
    }
}
