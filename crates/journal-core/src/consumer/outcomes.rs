//! What becomes of events that were offered.

use super::lanes::LaneNo;
use super::{Consumer, Item, Place};
use crate::action::{Action, DeadReason, RowKey, Write};
use crate::event::Outcome;
use std::time::Duration;
use waybill_queue_core::retry::Expiry;
use waybill_types::{Offset, Timestamp};

/// An endpoint that asks for a longer wait than this is taken to have meant this.
const MOST_PATIENCE: Duration = Duration::from_secs(86_400);

/// A batch as one of its lanes sees it.
struct Tally {
    lane: LaneNo,
    /// Every event of the lane failed for now.
    failed: bool,
    /// When to try the lane again, should it be failing.
    probe_at: Option<Timestamp>,
}

impl Consumer {
    pub(super) fn on_finished(&mut self, now: Timestamp, results: Vec<(Offset, Outcome)>, actions: &mut Vec<Action>) {
        let mut tallies: Vec<Tally> = Vec::new();
        for (offset, outcome) in results {
            let Some(no) = self.take_offered(offset) else { continue };
            self.settled.tried();
            let (failed, probe_at) = match outcome {
                Outcome::Delivered => {
                    self.finish(no, offset, actions);
                    (false, None)
                }
                Outcome::Permanent(text) => {
                    self.bury(no, offset, DeadReason::Permanent(text), actions);
                    (false, None)
                }
                Outcome::Transient { retry_after, unit } => {
                    (true, self.retry(now, no, offset, retry_after, unit, actions))
                }
                Outcome::Aborted(wait) => (true, self.try_again(now, no, offset, now + wait, actions)),
                Outcome::Moved(name, config) => {
                    let wait = self.lanes.get(no).map(|lane| lane.config.retry.retry_interval);
                    let to = self.open(&name, config);
                    self.move_to(now, no, to, offset, actions);
                    (true, wait.map(|wait| now + wait))
                }
                // Neither says anything about the endpoint.
                Outcome::Dead(reason) => {
                    self.bury(no, offset, reason, actions);
                    continue;
                }
                Outcome::Materialised => {
                    self.finish(no, offset, actions);
                    continue;
                }
            };
            match tallies.iter_mut().find(|tally| tally.lane == no) {
                Some(tally) => {
                    tally.failed &= failed;
                    tally.probe_at = tally.probe_at.max(probe_at);
                }
                None => tallies.push(Tally { lane: no, failed, probe_at }),
            }
        }
        for tally in tallies {
            self.on_batch(now, &tally, actions);
        }
    }

    /// A batch went well enough or failed for now as a whole.
    fn on_batch(&mut self, now: Timestamp, tally: &Tally, actions: &mut Vec<Action>) {
        let Some((name, lane)) = self.lanes.named_mut(tally.lane) else { return };
        let was_failing = lane.is_failing();
        // What comes after a bounce finds out for itself: what sessions had before it says nothing.
        let failed = tally.failed && lane.bounces.in_force(now).is_none();
        lane.streak = if failed { lane.streak.saturating_add(1) } else { 0 };
        lane.probe_at = tally.probe_at.filter(|_| failed);
        if lane.is_failing() {
            // Flowing => Failing. What was offered but not begun comes back, what waits goes to disk.
            if !was_failing {
                actions.push(Action::Recall { lane: name.clone() });
            }
            if self.several {
                self.park_waiting(now, tally.lane, actions);
            }
        }
        self.lanes.touch(tally.lane);
    }

    /// The event is tried again later, unless it is too old for that. Tells when the lane may be probed: no later than
    /// for a first failure, so that an event with many attempts behind it does not keep the others waiting.
    fn retry(
        &mut self,
        now: Timestamp,
        no: LaneNo,
        offset: Offset,
        retry_after: Option<Duration>,
        unit: f64,
        actions: &mut Vec<Action>,
    ) -> Option<Timestamp> {
        let (item, lane) = (self.items.get_mut(&offset)?, self.lanes.get(no)?);
        let policy = lane.config.retry;
        let asked = retry_after.map(|asked| asked.min(MOST_PATIENCE));
        let due = now + policy.wait(item.attempts, unit, asked);
        let probe_at = due.min(now + policy.wait(0, unit, asked));
        item.attempts = item.attempts.saturating_add(1);
        let (attempt, row) = (item.attempt(), item.row);
        if self.bounce(now, no, offset, actions) {
            return Some(probe_at);
        }
        let expiry = Expiry { created: attempt.created, max_age: policy.max_age, expires: None };
        match expiry.after_attempt(due) {
            Some(expired) => self.bury(no, offset, DeadReason::Expired(expired.response().content), actions),
            // It is what an operator wants to be elsewhere.
            None if self.follow_rebind(no, offset, Some(due)) => {}
            None => {
                self.put_row(no, RowKey { due, offset }, attempt, row, actions);
                self.forget(offset, actions);
            }
        }
        Some(probe_at)
    }

    /// The event is due again at `due` as if nothing had happened; its lane may be probed no sooner than that.
    fn try_again(
        &mut self,
        now: Timestamp,
        no: LaneNo,
        offset: Offset,
        due: Timestamp,
        actions: &mut Vec<Action>,
    ) -> Option<Timestamp> {
        let (item, lane) = (*self.items.get(&offset)?, self.lanes.get(no)?);
        let wait = lane.config.retry.retry_interval;
        if self.bounce(now, no, offset, actions) {
            return Some(due.max(now + wait));
        }
        if self.follow_rebind(no, offset, Some(due)) {
            return Some(due.max(now + wait));
        }
        self.put_row(no, RowKey { due, offset }, item.attempt(), item.row, actions);
        self.forget(offset, actions);
        Some(due.max(now + wait))
    }

    /// The event is tried again at once, in another lane.
    fn move_to(&mut self, now: Timestamp, from: LaneNo, to: LaneNo, offset: Offset, actions: &mut Vec<Action>) {
        let Some(mut attempt) = self.items.get(&offset).map(Item::attempt) else { return };
        attempt.attempts = attempt.attempts.saturating_add(1);
        self.delete_row(from, offset, actions);
        if let Some(item) = self.items.get_mut(&offset) {
            (item.attempts, item.row) = (attempt.attempts, None);
        }
        if self.bounce(now, to, offset, actions) {
            return;
        }
        self.put_row(to, RowKey { due: now, offset }, attempt, None, actions);
        self.forget(offset, actions);
    }

    /// The event goes to the dead letters.
    pub(super) fn bury(&mut self, no: LaneNo, offset: Offset, reason: DeadReason, actions: &mut Vec<Action>) {
        let attempts = self.items.get(&offset).map_or(0, |item| item.attempts);
        let lane = self.lanes.named_mut(no).map(|(name, _)| name.clone());
        actions.push(Action::Write(Write::Dead { offset, lane, attempts, reason }));
        self.finish(no, offset, actions);
    }

    /// The event of a lane is done for good; its row goes.
    pub(super) fn finish(&mut self, no: LaneNo, offset: Offset, actions: &mut Vec<Action>) {
        self.delete_row(no, offset, actions);
        self.forget(offset, actions);
    }

    pub(super) fn on_returned(
        &mut self,
        now: Timestamp,
        offset: Offset,
        delay: Option<Duration>,
        actions: &mut Vec<Action>,
    ) {
        let Some(no) = self.take_offered(offset) else { return };
        let Some(lane) = self.lanes.get_mut(no) else { return };
        if let Some(delay) = delay {
            lane.hold(now, now + delay);
        }
        let parks = self.several && (lane.is_failing() || lane.is_suspended(now));
        if self.bounce(now, no, offset, actions) {
            return;
        }
        if self.follow_rebind(no, offset, None) {
            return;
        }
        if parks {
            return self.park(now, no, offset, actions);
        }
        self.lanes.get_mut(no).into_iter().for_each(|lane| lane.put_back(offset));
        self.place(offset, Place::Waiting(no));
    }

    /// An offered event is ours again; `None` when it was not offered.
    fn take_offered(&mut self, offset: Offset) -> Option<LaneNo> {
        let Some(Item { place: Place::Offered(no), .. }) = self.items.get(&offset) else { return None };
        let no = *no;
        let lane = self.lanes.get_mut(no)?;
        lane.offered = lane.offered.saturating_sub(1);
        self.lanes.touch(no);
        Some(no)
    }
}
