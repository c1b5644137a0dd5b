//! What comes in: messages, configurations, routes.

use super::scheduled::RouteState;
use super::step::Queues;
use super::{Action, Arrival, Route, Unroutable};
use crate::config::QueueConfig;
use crate::reason::{Reason, Reasons};
use crate::retry::Expiry;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use waybill_types::{QueueName, Timestamp};

impl<K: Copy + Eq + Hash + Ord + Debug> Queues<K> {
    pub(super) fn arrived(&mut self, now: Timestamp, arrival: Arrival<K>, actions: &mut Vec<Action<K>>) {
        let Arrival { item, queue, created, due, attempts, schedule, reason } = arrival;
        if self.items.slot(&item).is_some() {
            return;
        }
        let id = self.queue_id(now, &queue);
        let Some(queue) = self.queue(id) else { return };
        let retry = queue.config.retry();
        let inferred = retry.infer(now.since(created));
        let (attempts, due) = match attempts {
            Some(attempts) => (attempts, due.unwrap_or(now)),
            None => (inferred.attempts, due.unwrap_or(now + inferred.wait)),
        };
        let expires = schedule.as_ref().and_then(|schedule| schedule.expires());
        let slot = self.items.insert(item, created, schedule, attempts);
        let due = self.allowed(now, slot, due);
        self.link(slot, id);
        if self.bounce_if_ordered(now, slot, actions) {
            return;
        }
        let expiry = Expiry { created, max_age: retry.max_age, expires };
        // What the spool held while we were down had no chance to expire there.
        let expired = match reason {
            Reason::Enumerated => expiry.after_attempt(due.max(now)),
            _ if due > now || expires.is_some() => expiry.after_return(due.max(now)),
            _ => None,
        };
        if let Some(expired) = expired {
            self.expire(now, slot, &expired, actions);
        } else if due <= now {
            self.hold(slot, due, Reasons::from(reason));
        } else if reason == Reason::Enumerated {
            self.schedule(slot, due, Reasons::from(reason));
        } else {
            let why = if reason == Reason::Received { Reason::ScheduledForLater } else { reason };
            self.schedule(slot, due, Reasons::from(why));
            self.log_delayed(now, slot, due, actions);
        }
    }

    pub(super) fn config_changed(&mut self, now: Timestamp, queue: QueueName, config: Arc<QueueConfig>) {
        let id = self.queue_id(now, &queue);
        self.with_queue(id, |queue| queue.configure(config));
        self.call(id);
        self.look_again_if_empty(now, id);
    }

    pub(super) fn route_resolved(
        &mut self,
        now: Timestamp,
        queue: &QueueName,
        route: Result<Arc<Route>, Unroutable>,
        actions: &mut Vec<Action<K>>,
    ) {
        // Reaped while it was asked for: the next message asks again.
        let Some(id) = self.by_name.get(queue).copied() else { return };
        let state = match route {
            Ok(route) => {
                self.forget_turn_if_changed(now, id, &route);
                for choice in route.choices() {
                    self.configure_ready(now, choice, actions);
                }
                RouteState::Known(route)
            }
            // An old failure must not meet a message that comes later.
            Err(_) if self.queue(id).is_some_and(|queue| queue.line.is_empty()) => RouteState::Unknown,
            Err(unroutable) => RouteState::Failed(Arc::new(unroutable)),
        };
        self.with_queue(id, |queue| queue.route = state);
        self.call(id);
    }
}
