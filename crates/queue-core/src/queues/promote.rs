//! Scheduled => Ready.

use super::items::{Place, QueueId, Slot};
use super::returns::Return;
use super::scheduled::{RouteState, Standing, Turn};
use super::step::{Queues, SWEEP};
use super::{Action, Choice, Order, Route, Unroutable};
use crate::ready::{NoRoom, ReadyEvent, Reservation, TURN_KEPT};
use crate::reason::{Reason, Reasons};
use crate::retry::Expiry;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;
use waybill_types::{ReadyQueueName, Response, Timestamp};

/// What is to be done with the message in front of a line.
enum Next {
    /// It becomes ready, at this place.
    Ready(Reservation),
    /// Nobody in this line moves before something happens.
    Stop,
    /// A rate is spent for so long, and lets one pass each interval.
    Throttled(Duration, Duration),
    /// There is no room anywhere; perhaps it is known for how long.
    Full(Reasons, Option<Duration>),
    /// It fails for now.
    Fail(Response, Reason),
    /// It fails as the route did.
    Unroutable(Arc<Unroutable>),
    /// The policy wants to see it first.
    Ask,
}

impl<K: Copy + Eq + Hash + Ord + Debug> Queues<K> {
    /// What is due joins the line of its queue.
    pub(super) fn line_up_due(&mut self, now: Timestamp) {
        for _ in 0..SWEEP {
            let Some((key, slot)) = self.due.pop_due(now) else { return };
            self.stand_in_line(slot, key.due());
        }
    }

    /// It stands in line: due, and waiting for its turn.
    pub(super) fn stand_in_line(&mut self, slot: Slot, due: Timestamp) {
        let Some(id) = self.items.get(slot).map(|entry| entry.queue) else { return };
        let mut place = Standing::NOWHERE;
        self.with_queue(id, |queue| place = queue.line.push(slot));
        self.put(slot, Place::Held { due, place });
        self.call(id);
    }

    /// Lines move as far as they can, each queue in its turn.
    pub(super) fn promote(&mut self, now: Timestamp, actions: &mut Vec<Action<K>>) {
        let mut budget = SWEEP;
        while let Some(id) = self.called.pop_front() {
            self.with_queue(id, |queue| queue.line.called = false);
            self.move_line(now, id, &mut budget, actions);
            if budget == 0 {
                self.call(id);
                return;
            }
        }
    }

    fn move_line(&mut self, now: Timestamp, id: QueueId, budget: &mut usize, actions: &mut Vec<Action<K>>) {
        while let Some((place, slot)) = self.queue(id).and_then(|queue| queue.line.front()) {
            if *budget == 0 {
                return;
            }
            *budget -= 1;
            let Some(due) = self.due_in_line(slot, id, place) else {
                self.with_queue(id, |queue| queue.line.pop());
                continue;
            };
            if self.expire_if_held_too_long(now, slot, due, actions) {
                continue;
            }
            let next = self.next(now, id, slot, actions);
            match next {
                Next::Stop => return,
                Next::Throttled(wait, interval) => {
                    self.set_timer(id, now + wait);
                    self.with_queue(id, |queue| queue.blocked_until = Some(now + wait));
                    self.explain(now, id, interval, budget, actions);
                    return;
                }
                _ => self.with_queue(id, |queue| queue.line.pop()),
            }
            match next {
                Next::Ready(place) => self.become_ready(now, slot, place),
                Next::Full(reasons, delay) => self.go_back(now, slot, Return::untried(reasons, delay), actions),
                Next::Fail(response, reason) => {
                    self.go_back(now, slot, Return::failed(reason, Some(Arc::new(response))), actions);
                }
                Next::Unroutable(unroutable) => self.fail_unroutable(now, slot, &unroutable, actions),
                Next::Ask => {
                    self.put(slot, Place::Asked { due });
                    if let (Some(entry), Some(queue)) = (self.items.get(slot), self.queue(id)) {
                        actions.push(Action::AskBeforeReady { item: entry.item, queue: queue.name.clone() });
                    }
                }
                Next::Stop | Next::Throttled(..) => {}
            }
        }
        // Everybody has heard that there is no way: the next one asks again.
        self.with_queue(id, |queue| {
            if matches!(queue.route, RouteState::Failed(_)) {
                queue.route = RouteState::Unknown;
            }
        });
    }

    /// Since when the message is due, if it really stands at this place of this line.
    fn due_in_line(&self, slot: Slot, id: QueueId, at: Standing) -> Option<Timestamp> {
        let entry = self.items.get(slot)?;
        match entry.place {
            Place::Held { due, place } if entry.queue == id && place == at => Some(due),
            _ => None,
        }
    }

    fn next(&mut self, now: Timestamp, id: QueueId, slot: Slot, actions: &mut Vec<Action<K>>) -> Next {
        let Some(queue) = self.queue(id) else { return Next::Stop };
        if let Some(order) = queue.suspension(now) {
            return suspended("scheduled", order);
        }
        let route = match &queue.route {
            RouteState::Known(route) => Arc::clone(route),
            RouteState::Failed(unroutable) => return Next::Unroutable(Arc::clone(unroutable)),
            RouteState::Asked => return Next::Stop,
            RouteState::Unknown => {
                actions.push(Action::ResolveRoute { queue: queue.name.clone() });
                self.with_queue(id, |queue| queue.route = RouteState::Asked);
                return Next::Stop;
            }
        };
        if let Some(until) = queue.blocked_until
            && now < until
        {
            return Next::Throttled(until.since(now), self.interval(id, now));
        }
        if self.ask_before_ready && self.items.get(slot).is_some_and(|entry| !entry.cleared) {
            return Next::Ask;
        }
        let Some(Some(queue)) = self.queues.get_mut(id.0 as usize) else { return Next::Stop };
        if let Some(spec) = &queue.config.max_message_rate {
            let wait = queue.rate.wait(now, spec, 1);
            if !wait.is_zero() {
                return Next::Throttled(wait, spec.interval());
            }
        }
        // Reserve before the rate is charged: a full ready queue must not cost a place in it.
        let place = match self.reserve(now, id, &route, actions) {
            Ok(place) => place,
            Err(next) => return next,
        };
        self.with_queue(id, |queue| {
            queue.blocked_until = None;
            if let Some(spec) = &queue.config.max_message_rate {
                queue.rate.take(now, spec, 1);
            }
        });
        Next::Ready(place)
    }

    /// How far apart the messages of a line are that a rate holds back.
    fn interval(&mut self, id: QueueId, now: Timestamp) -> Duration {
        let Some(queue) = self.queue(id) else { return Duration::ZERO };
        let own = queue.config.max_message_rate.as_ref().map(|spec| spec.interval()).unwrap_or_default();
        let turn = queue.turn.as_ref().map(|turn| turn.ready_queue.clone());
        turn.map_or(own, |ready_queue| self.ready.selection_turn(&ready_queue, now).1.max(own))
    }

    /// A place in the first ready queue that has one, the ways taken in turn.
    fn reserve(
        &mut self,
        now: Timestamp,
        id: QueueId,
        route: &Route,
        actions: &mut Vec<Action<K>>,
    ) -> Result<Reservation, Next> {
        if let Some(place) = self.reserve_in_turn(now, id, route, actions) {
            return Ok(place);
        }
        let Some(Some(queue)) = self.queues.get_mut(id.0 as usize) else { return Err(Next::Stop) };
        let mut turns = std::mem::take(&mut queue.turns);
        let mut reasons = Reasons::new();
        let mut order = None;
        let mut sources_until: Option<Timestamp> = None;
        let mut found = None;
        let mut later: Option<(Timestamp, Duration, &ReadyQueueName)> = None;
        for index in turns.order(route) {
            let choice = route.choice(index);
            let (turn, interval) = self.ready.selection_turn(&choice.ready_queue, now);
            if turn > now {
                reasons.add(Reason::MessageRateThrottle);
                if later.is_none_or(|(earliest, ..)| turn < earliest) {
                    later = Some((turn, interval, &choice.ready_queue));
                }
                continue;
            }
            match self.room(now, choice, actions) {
                Ok(place) => {
                    turns.taken(route, index);
                    self.ready.select(&choice.ready_queue, now);
                    found = Some(place);
                    break;
                }
                Err(NoRoom::Suspended(suspended)) => {
                    reasons.add(Reason::ReadyQueueWasSuspended);
                    order = Some(suspended);
                }
                Err(NoRoom::SourceSuspended(order)) => {
                    reasons.add(Reason::SourceIsUnhealthyAndSuspended);
                    let until = order.until.unwrap_or(Timestamp::MAX);
                    sources_until = Some(sources_until.map_or(until, |first| first.min(until)));
                }
                Err(NoRoom::Full) => reasons.add(Reason::ReadyQueueWasFull),
                Err(NoRoom::Unknown | NoRoom::Stopping) => reasons.add(Reason::FailedToInsertIntoReadyQueue),
            }
        }
        self.with_queue(id, |queue| queue.turns = turns);
        // Several reasons: what is full or closed now may open before a turn comes.
        let only = reasons.iter().count() == 1;
        match (found, order, later) {
            (Some(place), ..) => Ok(place),
            // Every way is closed by an operator: waiting here would only fill the queue.
            (None, Some(order), _) if only => Err(suspended("ready", &order)),
            (None, _, Some((at, interval, name))) if only => {
                self.ready.select(name, now);
                let turn = Turn { ready_queue: name.clone(), at, taken: self.ready.selected(name) };
                self.with_queue(id, |queue| queue.turn = Some(turn));
                Err(Next::Throttled(at.since(now), interval))
            }
            // Nothing opens before the first of the sources is tried again.
            (None, ..) => Err(Next::Full(reasons, sources_until.filter(|_| only).map(|until| until.since(now)))),
        }
    }

    /// A place in the ready queue whose turn was booked and has come.
    fn reserve_in_turn(
        &mut self,
        now: Timestamp,
        id: QueueId,
        route: &Route,
        actions: &mut Vec<Action<K>>,
    ) -> Option<Reservation> {
        let Some(Some(queue)) = self.queues.get_mut(id.0 as usize) else { return None };
        let turn = queue.turn.take()?;
        let mut place = None;
        // One that was missed is not made up for: many of them would pass together.
        if turn.at <= now && now <= turn.at + TURN_KEPT {
            let choice = route.choices().find(|choice| choice.ready_queue == turn.ready_queue);
            place = choice.and_then(|choice| self.room(now, choice, actions).ok());
        }
        if place.is_none() {
            self.ready.deselect(&turn.ready_queue, now, &turn.taken);
        }
        place
    }

    fn room(&mut self, now: Timestamp, choice: &Choice, actions: &mut Vec<Action<K>>) -> Result<Reservation, NoRoom> {
        match self.ready.reserve(&choice.ready_queue, now) {
            Err(NoRoom::Unknown) => {
                // It was reaped since the route was resolved.
                self.configure_ready(now, choice, actions);
                self.ready.reserve(&choice.ready_queue, now)
            }
            room => room,
        }
    }

    /// The rates of the ways out have changed: a turn that was booked under the old ones counts no more.
    pub(super) fn forget_turn_if_changed(&mut self, now: Timestamp, id: QueueId, fresh: &Route) {
        let Some(Some(queue)) = self.queues.get_mut(id.0 as usize) else { return };
        let (Some(turn), RouteState::Known(known)) = (&queue.turn, &queue.route) else { return };
        let rates = |route: &Route| {
            let choice = route.choices().find(|choice| choice.ready_queue == turn.ready_queue)?;
            Some((choice.limits.source_selection_rate, choice.limits.additional_source_selection_rates.clone()))
        };
        if rates(known) != rates(fresh)
            && let Some(turn) = queue.turn.take()
        {
            queue.blocked_until = None;
            self.ready.deselect(&turn.ready_queue, now, &turn.taken);
        }
    }

    pub(super) fn configure_ready(&mut self, now: Timestamp, choice: &Choice, actions: &mut Vec<Action<K>>) {
        let (queue, limits, batch) = (choice.ready_queue.clone(), choice.limits.clone(), choice.batch);
        self.ready_step(now, ReadyEvent::Configure { queue, limits: Box::new(limits), batch }, None, actions);
    }

    /// Held => Ready. The reservation cannot fail any more.
    fn become_ready(&mut self, now: Timestamp, slot: Slot, place: Reservation) {
        self.put(slot, Place::Ready(place.queue()));
        let Some(entry) = self.items.get_mut(slot) else { return };
        entry.cleared = false;
        let id = entry.queue;
        if let Some(name) = self.queue(id).map(|queue| queue.name.clone()) {
            self.ready.redeem(place, slot, name, now);
        }
    }

    /// A line that a rate holds back tells each of its messages once.
    fn explain(
        &mut self,
        now: Timestamp,
        id: QueueId,
        interval: Duration,
        budget: &mut usize,
        actions: &mut Vec<Action<K>>,
    ) {
        let Some(queue) = self.queue(id) else { return };
        let first = queue.blocked_until.unwrap_or(now);
        while *budget > 0 {
            let Some(Some(queue)) = self.queues.get_mut(id.0 as usize) else { return };
            let Some((place, standing, slot)) = queue.line.unexplained() else { return };
            *budget -= 1;
            if self.due_in_line(slot, id, standing).is_some() {
                if let Some(entry) = self.items.get_mut(slot) {
                    entry.reasons = Reason::MessageRateThrottle.into();
                }
                let place = u32::try_from(place).unwrap_or(u32::MAX);
                self.log_delayed(now, slot, first + interval.saturating_mul(place), actions);
            }
        }
    }

    /// In a line that a rate holds back, a message may become too old before it is its turn; one with an end of its
    /// own in any line.
    fn expire_if_held_too_long(
        &mut self,
        now: Timestamp,
        slot: Slot,
        due: Timestamp,
        actions: &mut Vec<Action<K>>,
    ) -> bool {
        let Some(entry) = self.items.get(slot) else { return false };
        let Some(queue) = self.queue(entry.queue) else { return false };
        if now == due || (queue.config.max_message_rate.is_none() && queue.turn.is_none() && entry.expires().is_none())
        {
            return false;
        }
        let max_age = queue.config.max_age;
        let expiry = Expiry { created: entry.created, max_age, expires: entry.expires() };
        let Some(expired) = expiry.after_attempt(now) else { return false };
        self.expire(now, slot, &expired, actions);
        true
    }
}

fn suspended(which: &str, order: &Order) -> Next {
    let text = format!("4.4.4 KumoMTA internal: {which} queue is suspended: {}", order.reason);
    Next::Fail(Response::new(451, text), Reason::ReadyQueueWasSuspended)
}
