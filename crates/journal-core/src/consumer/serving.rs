//! After every event: offer, load, read, save, wake, whatever has become possible.

use super::lanes::LaneNo;
use super::{Consumer, MAX_UNSAVED, Place};
use crate::action::{Action, Attempt};
use crate::lane::{FIRST_ROW, Lane, Loading};
use waybill_types::Timestamp;

/// With so many events tried and not saved, a save is asked for at once.
const SAVE_AT: usize = MAX_UNSAVED / 2;
/// About how many events a consumer with several lanes keeps in memory; a lane that would exceed its share parks.
const SHARED_MEMORY: usize = 10_000;
/// Every lane may keep so many in memory, however many lanes there are.
const LEAST_SHARE: usize = 64;
/// The most rows of one load.
const LOAD_LIMIT: usize = 512;

impl Consumer {
    pub(super) fn settle_down(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        self.go_on_rebinding(now, actions);
        for no in self.lanes.take_touched() {
            self.serve(now, no, actions);
            self.reap(now, no);
        }
        self.read_on(now, actions);
        self.unblock(now, actions);
        if self.settled.unsaved() >= SAVE_AT && !self.saving {
            actions.push(Action::Save);
        }
        let next = self.lanes.next_wake();
        if let Some(at) = next.filter(|at| self.announced.is_none_or(|announced| *at < announced)) {
            self.announced = Some(at);
            actions.push(Action::WakeAt(at));
        }
    }

    /// How many events a lane may keep in memory.
    pub(super) fn share(&self, no: LaneNo) -> usize {
        let capacity = self.lanes.get(no).map_or(0, |lane| lane.config.capacity);
        if !self.several {
            return capacity;
        }
        capacity.min((SHARED_MEMORY / (2 * self.lanes.len().max(2))).max(LEAST_SHARE))
    }

    /// Offers and loads for one lane, and sets its timer.
    fn serve(&mut self, now: Timestamp, no: LaneNo, actions: &mut Vec<Action>) {
        let (share, resting) = (self.share(no), self.rests());
        let room = MAX_UNSAVED.saturating_sub(self.settled.unsaved());
        let may_rebind = !self.stopping && self.rebinds.searches(no);
        // Beyond what the sessions can take at once, so that they need not wait for us; shared by all lanes.
        let window = self.window + room / self.lanes.len().max(1);
        let Some((name, lane)) = self.lanes.named_mut(no) else { return };
        if let Some(from) = lane.sweep.filter(|_| lane.loading.is_none() && !self.stopping) {
            lane.loading = Some(Loading { sweeps: true, ..Loading::default() });
            actions.push(Action::Load { lane: name.clone(), from, until: Timestamp::MAX, limit: LOAD_LIMIT });
        }
        if let Some(from) = lane.rebinds.filter(|_| lane.loading.is_none() && may_rebind) {
            lane.loading = Some(Loading { rebinds: true, ..Loading::default() });
            actions.push(Action::Load { lane: name.clone(), from, until: Timestamp::MAX, limit: LOAD_LIMIT });
        }
        let may_offer = !resting && !lane.rests(now) && room > 0;
        lane.calm_down(now);
        let most = match lane.is_failing() {
            true if lane.probe_at.is_some_and(|at| at > now) => 0,
            true => 1,
            false => window,
        };
        while may_offer && lane.offered < most {
            let Some(offset) = lane.next_to_offer(now) else { break };
            let item = self.items.get_mut(&offset);
            let attempt = item.map_or(Attempt { attempts: 0, created: now }, |item| {
                item.place = Place::Offered(no);
                item.attempt()
            });
            actions.push(Action::Offer { lane: name.clone(), offset, attempt });
        }
        // Load where there is room, and a failing lane only for its next probe.
        let may_load = may_offer && lane.loading.is_none() && lane.rebinds.is_none();
        let due = may_load && lane.next_due.is_some_and(|due| due <= now);
        let room = share.saturating_sub(lane.in_memory());
        let limit = match lane.is_failing() {
            true => usize::from(most > 0 && lane.in_memory() == 0),
            false if room > share / 2 => room.min(LOAD_LIMIT),
            false => 0,
        };
        if due && limit > 0 {
            lane.loading = Some(Loading::default());
            if lane.loaded == 0 {
                lane.load_from = FIRST_ROW;
            }
            actions.push(Action::Load { lane: name.clone(), from: lane.load_from, until: now, limit });
        }
        self.lanes.set_timer(no, now);
    }

    /// A lane without events and rows is forgotten; it comes back with the next event.
    fn reap(&mut self, now: Timestamp, no: LaneNo) {
        // An only lane stays: the next event will be its own.
        let rested = |lane: &Lane| lane.rate_rests_at().is_none_or(|at| at <= now);
        let spent = |lane: &Lane| lane.is_empty() && !lane.is_failing() && rested(lane);
        if self.several && self.lanes.get(no).is_some_and(spent) {
            self.lanes.close(no, now);
        }
    }
}
