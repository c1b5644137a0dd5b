//! Ready or InFlight => Scheduled, or gone.

use super::items::{Place, QueueId, Slot};
use super::returns::Return;
use super::scheduled::Standing;
use super::step::Queues;
use super::{Action, Logged, Outcome, Unroutable};
use crate::reason::{Reason, Reasons};
use crate::retry::{Expired, Expiry};
use crate::throttle::whole_seconds;
use rand::Rng;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;
use waybill_types::{QueueName, Response, Timestamp, format_duration};

impl<K: Copy + Eq + Hash + Ord + Debug> Queues<K> {
    /// What a session said about one message.
    pub(super) fn settle(&mut self, now: Timestamp, slot: Slot, outcome: Outcome, actions: &mut Vec<Action<K>>) {
        match outcome {
            // InFlight => gone.
            Outcome::Delivered => {
                self.log(slot, Logged::Delivery, actions);
                self.remove(now, slot, actions);
            }
            // InFlight => gone.
            Outcome::Permanent => {
                self.log(slot, Logged::Bounce { response: None }, actions);
                self.remove(now, slot, actions);
            }
            // InFlight => Scheduled. The peer said "later", so `attempts` grows behind the computed delay.
            Outcome::Transient { retry_after } => {
                self.fail(now, slot, retry_after, Reason::LoggedTransientFailure, None, actions);
            }
            // InFlight => Scheduled. Nothing was tried: `attempts` stays.
            Outcome::Requeue { reason, delay } => {
                self.go_back(now, slot, Return::untried(reason.into(), delay), actions);
            }
            // InFlight => Scheduled, in the queue where its way begins.
            Outcome::Forwarded { to } => self.forward(now, slot, &to, actions),
            // InFlight => Scheduled, in another queue.
            Outcome::Moved { to } => {
                self.log(slot, Logged::TransientFailure { response: None }, actions);
                let id = self.queue_id(now, &to);
                self.relink(now, slot, id);
                self.try_again(now, slot, now, Reason::LoggedTransientFailure, actions);
            }
        }
    }

    fn forward(&mut self, now: Timestamp, slot: Slot, to: &QueueName, actions: &mut Vec<Action<K>>) {
        let id = self.queue_id(now, to);
        self.relink(now, slot, id);
        self.log(slot, Logged::Forwarded, actions);
        if self.bounce_if_ordered(now, slot, actions) {
            return;
        }
        let due = self.allowed(now, slot, now);
        let Some(entry) = self.items.get_mut(slot) else { return };
        // What was tried for it there was no attempt to deliver it.
        entry.attempts = 0;
        actions.push(Action::Save { item: entry.item, attempts: 0, due });
        self.schedule(slot, due, Reason::Received.into());
    }

    /// A ready queue sends a message back.
    pub(super) fn returned(
        &mut self,
        now: Timestamp,
        slot: Slot,
        reason: Reason,
        delay: Option<Duration>,
        response: Option<&Arc<Response>>,
        actions: &mut Vec<Action<K>>,
    ) {
        if reason.is_attempt() && response.is_some_and(|response| response.is_permanent()) {
            self.log(slot, Logged::Bounce { response: response.cloned() }, actions);
            self.remove(now, slot, actions);
        } else if reason.is_attempt() {
            self.go_back(now, slot, Return::failed(reason, response.cloned()).after(delay), actions);
        } else if matches!(reason, Reason::ReadyQueueWasSuspended | Reason::SourceIsUnhealthyAndSuspended) {
            // It may have another way: it is due now, and the promotion sees to it. Only where there is none it goes back.
            self.send_back(now, slot, reason.into(), Some(Duration::ZERO), actions);
        } else {
            self.go_back(now, slot, Return::untried(reason.into(), delay), actions);
        }
    }

    /// An attempt failed for now: a record, one more attempt, and the schedule.
    pub(super) fn fail(
        &mut self,
        now: Timestamp,
        slot: Slot,
        retry_after: Option<Duration>,
        reason: Reason,
        response: Option<&Arc<Response>>,
        actions: &mut Vec<Action<K>>,
    ) {
        self.log(slot, Logged::TransientFailure { response: response.cloned() }, actions);
        let unit = self.random.random();
        let Some((entry, queue)) = self.entry_and_queue(slot) else { return };
        let delay = queue.config.retry().wait(entry.attempts, unit, retry_after);
        self.try_again(now, slot, now + delay, reason, actions);
    }

    /// The record has been written: the message expires, or is scheduled with one more attempt.
    pub(super) fn try_again(
        &mut self,
        now: Timestamp,
        slot: Slot,
        due: Timestamp,
        reason: Reason,
        actions: &mut Vec<Action<K>>,
    ) {
        if self.bounce_if_ordered(now, slot, actions) {
            return;
        }
        let due = self.allowed(now, slot, due);
        if let Some(expired) = self.expiry(slot).and_then(|expiry| expiry.after_attempt(due)) {
            return self.expire(now, slot, &expired, actions);
        }
        let Some(entry) = self.items.get_mut(slot) else { return };
        entry.attempts = entry.attempts.saturating_add(1);
        actions.push(Action::Save { item: entry.item, attempts: entry.attempts, due });
        self.schedule(slot, due, reason.into());
    }

    /// Back to the scheduled queue without an attempt, for `delay` or a random time below a minute.
    pub(super) fn send_back(
        &mut self,
        now: Timestamp,
        slot: Slot,
        reasons: Reasons,
        delay: Option<Duration>,
        actions: &mut Vec<Action<K>>,
    ) {
        if self.bounce_if_ordered(now, slot, actions) {
            return;
        }
        let delay = delay.unwrap_or_else(|| self.below_a_minute());
        let due = self.allowed(now, slot, now + delay);
        if let Some(expired) = self.expiry(slot).and_then(|expiry| expiry.after_return(due)) {
            return self.expire(now, slot, &expired, actions);
        }
        self.schedule(slot, due, reasons);
        // Due at once is no delay to tell anybody about.
        if due > now {
            self.log_delayed(now, slot, due, actions);
        }
    }

    /// There is no way out for it.
    pub(super) fn fail_unroutable(
        &mut self,
        now: Timestamp,
        slot: Slot,
        unroutable: &Unroutable,
        actions: &mut Vec<Action<K>>,
    ) {
        let response = Some(Arc::new(unroutable.response.clone()));
        if unroutable.response.is_permanent() {
            self.log(slot, Logged::Bounce { response }, actions);
            self.remove(now, slot, actions);
        } else {
            self.go_back(now, slot, Return::failed(unroutable.reason, response), actions);
        }
    }

    /// When a message that is due then may be tried, as its own schedule says.
    pub(super) fn allowed(&self, now: Timestamp, slot: Slot, due: Timestamp) -> Timestamp {
        let Some(schedule) = self.items.schedule(slot) else { return due };
        let later = schedule.apply(due.max(now));
        if later > now { later } else { due }
    }

    /// Any state => gone, for its age.
    pub(super) fn expire(&mut self, now: Timestamp, slot: Slot, expired: &Expired, actions: &mut Vec<Action<K>>) {
        self.log(slot, Logged::Expiration { response: expired.response() }, actions);
        self.remove(now, slot, actions);
    }

    /// Any state => gone, with the action that says so.
    pub(super) fn remove(&mut self, now: Timestamp, slot: Slot, actions: &mut Vec<Action<K>>) {
        if let Some(item) = self.forget(now, slot) {
            actions.push(Action::Remove { item });
        }
    }

    /// Any state => gone.
    pub(super) fn forget(&mut self, now: Timestamp, slot: Slot) -> Option<K> {
        self.leave_place(slot);
        self.unlink(now, slot);
        self.items.remove(slot).map(|entry| entry.item)
    }

    /// Any state => Scheduled.
    pub(super) fn schedule(&mut self, slot: Slot, due: Timestamp, reasons: Reasons) {
        let key = self.due.insert(due, slot);
        self.put(slot, Place::Scheduled(key));
        if let Some(entry) = self.items.get_mut(slot) {
            entry.reasons = reasons;
            entry.cleared = false;
        }
    }

    /// Any state => Held: due, and in its queue's line.
    pub(super) fn hold(&mut self, slot: Slot, due: Timestamp, reasons: Reasons) {
        if let Some(entry) = self.items.get_mut(slot) {
            entry.reasons = reasons;
        }
        self.stand_in_line(slot, due);
    }

    /// Changes the state of a message, leaving the old one first. The one place where states change.
    pub(super) fn put(&mut self, slot: Slot, place: Place) {
        self.leave_place(slot);
        let Some(entry) = self.items.get_mut(slot) else { return };
        entry.place = place;
        let (id, now) = (entry.queue, self.now);
        self.with_queue(id, |queue| {
            queue.last_changed = now;
            match place {
                Place::Ready(_) => queue.ready += 1,
                Place::InFlight(_) => queue.in_flight += 1,
                Place::Scheduled(_)
                | Place::Held { .. }
                | Place::Asked { .. }
                | Place::Taken { .. }
                | Place::Returning { .. } => {}
            }
        });
    }

    /// Takes a message out of where it is; the caller puts it somewhere else or forgets it.
    fn leave_place(&mut self, slot: Slot) {
        let Some(entry) = self.items.get_mut(slot) else { return };
        let (place, id) = (entry.place, entry.queue);
        entry.place = Place::Held { due: entry.created, place: Standing::NOWHERE };
        match place {
            Place::Scheduled(key) => {
                self.due.remove(key);
            }
            Place::Ready(_) => self.with_queue(id, |queue| queue.ready -= 1),
            Place::InFlight(_) => self.with_queue(id, |queue| queue.in_flight -= 1),
            // A line passes over those who have left.
            Place::Held { .. } | Place::Asked { .. } | Place::Taken { .. } => {}
            Place::Returning { .. } => {
                self.returning.remove(&slot);
            }
        }
    }

    pub(super) fn link(&mut self, slot: Slot, id: QueueId) {
        if let Some(Some(queue)) = self.queues.get_mut(id.0 as usize) {
            self.items.link(slot, id, &mut queue.members);
        }
    }

    fn unlink(&mut self, now: Timestamp, slot: Slot) {
        let Some(id) = self.items.get(slot).map(|entry| entry.queue) else { return };
        let Some(Some(queue)) = self.queues.get_mut(id.0 as usize) else { return };
        self.items.unlink(slot, &mut queue.members);
        queue.last_changed = now;
        if queue.members.len == 0 {
            queue.empty_since = now;
            self.look_again_if_empty(now, id);
        }
    }

    /// Moves a message to another queue; it must be put somewhere there.
    pub(super) fn relink(&mut self, now: Timestamp, slot: Slot, id: QueueId) {
        self.leave_place(slot);
        self.unlink(now, slot);
        self.link(slot, id);
    }

    fn expiry(&self, slot: Slot) -> Option<Expiry> {
        let (entry, queue) = self.entry_and_queue(slot)?;
        Some(Expiry { created: entry.created, max_age: queue.config.max_age, expires: entry.expires() })
    }

    fn entry_and_queue(&self, slot: Slot) -> Option<(&super::items::Entry<K>, &super::scheduled::Scheduled)> {
        let entry = self.items.get(slot)?;
        Some((entry, self.queue(entry.queue)?))
    }

    pub(super) fn log(&self, slot: Slot, what: Logged, actions: &mut Vec<Action<K>>) {
        if let Some((entry, queue)) = self.entry_and_queue(slot) {
            let (item, queue, attempts) = (entry.item, queue.name.clone(), entry.attempts);
            actions.push(Action::Log { item, queue, attempts, what });
        }
    }

    /// `Context: A, B. Next due in 31s at 2025-09-12T11:08:32Z`, with the message's reasons.
    pub(super) fn log_delayed(&self, now: Timestamp, slot: Slot, due: Timestamp, actions: &mut Vec<Action<K>>) {
        let Some(reasons) = self.items.get(slot).map(|entry| entry.reasons) else { return };
        let wait = whole_seconds(due.since(now));
        let text = format!("Context: {reasons}. Next due in {} at {}", format_duration(wait), now + wait);
        self.log(slot, Logged::Delayed { reasons, due, response: Response::new(400, text) }, actions);
    }
}
