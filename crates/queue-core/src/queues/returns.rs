//! Ready, InFlight or Held => Returning => Scheduled, or gone: messages whose way back the policy sees first.

use super::items::{Place, Slot};
use super::step::Queues;
use super::{Action, Logged, Verdict};
use crate::reason::{Reason, Reasons};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;
use waybill_types::{Response, Timestamp};

/// How a message goes back to its scheduled queue.
#[derive(Debug)]
pub(super) struct Return {
    reasons: Reasons,
    /// An attempt was made for it: there is a record of that, and one more attempt.
    attempt: Option<Attempt>,
    delay: Option<Duration>,
}

#[derive(Debug)]
struct Attempt {
    reason: Reason,
    response: Option<Arc<Response>>,
}

impl Return {
    /// Nothing was tried: it waits for `delay`, or a random time below a minute.
    pub(super) fn untried(reasons: Reasons, delay: Option<Duration>) -> Self {
        Return { reasons, attempt: None, delay }
    }

    /// It failed for now, and waits as its schedule says.
    pub(super) fn failed(reason: Reason, response: Option<Arc<Response>>) -> Self {
        let reasons = Reasons::from(reason).with(Reason::LoggedTransientFailure);
        Return { reasons, attempt: Some(Attempt { reason, response }), delay: None }
    }

    /// It waits at least so long.
    pub(super) fn after(self, delay: Option<Duration>) -> Self {
        Return { delay, ..self }
    }

    /// Whether `requeue_message` is for it: not where there was only no room (contract section 3).
    fn concerns_policy(&self) -> bool {
        let no_room = [Reason::ReadyQueueWasFull, Reason::ReadyQueueWasDelayedDueToLowMemory];
        !no_room.into_iter().any(|reason| self.reasons.contains(reason))
    }
}

impl<K: Copy + Eq + Hash + Ord + Debug> Queues<K> {
    /// A message goes back: now, or once the policy has seen that.
    pub(super) fn go_back(&mut self, now: Timestamp, slot: Slot, going: Return, actions: &mut Vec<Action<K>>) {
        let asked = self.ask_before_return && !self.stopping && going.concerns_policy();
        let Some((item, id)) = self.items.get(slot).map(|entry| (entry.item, entry.queue)) else { return };
        // One that is bounced does not go back.
        let Some(queue) = self.queue(id).filter(|queue| asked && queue.bounce(now).is_none()) else {
            return self.goes_back(now, slot, going, actions);
        };
        actions.push(Action::AskBeforeReturn {
            item,
            queue: queue.name.clone(),
            reasons: going.reasons,
            attempt: going.attempt.is_some(),
            response: going.attempt.as_ref().and_then(|attempt| attempt.response.clone()),
            delay: going.delay,
        });
        self.put(slot, Place::Returning { since: now });
        self.returning.insert(slot, going);
    }

    fn goes_back(&mut self, now: Timestamp, slot: Slot, going: Return, actions: &mut Vec<Action<K>>) {
        let Return { reasons, attempt, delay } = going;
        match attempt {
            Some(Attempt { reason, response }) => self.fail(now, slot, delay, reason, response.as_ref(), actions),
            None => self.send_back(now, slot, reasons, delay, actions),
        }
    }

    /// The policy has seen it.
    pub(super) fn return_answered(&mut self, now: Timestamp, item: K, verdict: Verdict, actions: &mut Vec<Action<K>>) {
        let Some(slot) = self.items.slot(&item) else { return };
        if let Verdict::Stands = verdict {
            let Some(going) = self.returning.remove(&slot) else { return };
            return self.goes_back(now, slot, going, actions);
        }
        if !self.returning.contains_key(&slot) {
            return;
        }
        self.tell_failure(slot, actions);
        match verdict {
            Verdict::Stands => {}
            Verdict::Refused(response) => {
                self.log(slot, Logged::Bounce { response: Some(Arc::new(response)) }, actions);
                self.remove(now, slot, actions);
            }
            Verdict::Moved { to } => {
                let id = self.queue_id(now, &to);
                self.relink(now, slot, id);
                self.try_again(now, slot, now, Reason::LoggedTransientFailure, actions);
            }
        }
    }

    /// Returning => Scheduled, or gone. The daemon stops: an answer may come too late to be heard, and the attempts that
    /// were made must not be lost with it.
    pub(super) fn go_back_unanswered(&mut self, now: Timestamp, actions: &mut Vec<Action<K>>) {
        let mut unanswered: Vec<(Slot, Return)> = self.returning.drain().collect();
        unanswered.sort_unstable_by_key(|(slot, _)| *slot);
        for (slot, going) in unanswered {
            self.goes_back(now, slot, going, actions);
        }
    }

    /// The record of the attempt for which a message goes back, if there was one.
    pub(super) fn tell_failure(&self, slot: Slot, actions: &mut Vec<Action<K>>) {
        if let Some(attempt) = self.returning.get(&slot).and_then(|going| going.attempt.as_ref()) {
            self.log(slot, Logged::TransientFailure { response: attempt.response.clone() }, actions);
        }
    }
}
