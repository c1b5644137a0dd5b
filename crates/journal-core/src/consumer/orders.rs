//! Orders of operators about lanes.

use super::lanes::LaneNo;
use super::{Consumer, Item, Place};
use crate::action::{Action, DeadReason, RowKey};
use crate::event::LoadedRow;
use crate::lane::{FIRST_ROW, Loading};
use crate::order::{Demand, Given, LaneOrder};
use waybill_types::{Offset, Timestamp};

impl Consumer {
    pub(super) fn on_ordered(&mut self, now: Timestamp, order: LaneOrder, actions: &mut Vec<Action>) {
        self.drop_orders(now);
        if matches!(order.demand, Demand::Rebind(_)) {
            return self.begin_rebind(now, order);
        }
        if order.until <= now {
            return;
        }
        let given = Given::new(order, self.settled.read_to(), self.reading.tail());
        let is_bounce = given.is_bounce();
        for no in self.lanes.order(given) {
            let Some((name, lane)) = self.lanes.named_mut(no) else { continue };
            actions.push(Action::Recall { lane: name.clone() });
            if is_bounce {
                lane.sweep = (lane.rows > 0 || lane.next_due.is_some()).then_some(FIRST_ROW);
                // What failed is gone: whatever comes after the order finds out for itself.
                (lane.streak, lane.probe_at) = (0, None);
                // What is put on disk from here on sets it anew.
                lane.next_due = lane.next_due.filter(|_| lane.sweep.is_none());
                self.bounce_waiting(now, no, actions);
            } else if self.several {
                self.park_waiting(now, no, actions);
            }
        }
        self.lanes.touch_all();
    }

    pub(super) fn on_order_ended(&mut self, id: u128) {
        self.lanes.keep_orders(|given| given.order.id != id);
        self.lanes.touch_all();
    }

    /// Forgets orders that mean nothing to any event to come.
    pub(super) fn drop_orders(&mut self, now: Timestamp) {
        let read = self.settled.read_to();
        // What is being judged was unread when an order was given.
        if self.reading.is_quiet() && !self.lanes.iter().any(|(_, lane)| lane.sweep.is_some()) {
            self.lanes.keep_orders(|given| given.matters(now, read));
        }
    }

    /// Bounces everything that waits in a lane.
    fn bounce_waiting(&mut self, now: Timestamp, no: LaneNo, actions: &mut Vec<Action>) {
        let waiting = self.lanes.get_mut(no).map(|lane| std::mem::take(&mut lane.waiting));
        for offset in waiting.into_iter().flatten() {
            self.bounce(now, no, offset, actions);
        }
    }

    /// Bounces an event that is to wait in a lane, where an order says so.
    pub(super) fn bounce(&mut self, now: Timestamp, no: LaneNo, offset: Offset, actions: &mut Vec<Action>) -> bool {
        let redriven = self.items.get(&offset).is_some_and(|item| item.redriven);
        let found = self.lanes.get(no).and_then(|lane| match redriven {
            true => lane.bounces.in_force(now),
            false => lane.bounces.of(now, offset),
        });
        let Some(bounced) = found else { return false };
        self.bury(no, offset, DeadReason::Bounced(bounced), actions);
        self.lanes.touch(no);
        true
    }

    /// Rows that an order had looked for are here. Those that do not bounce stay where they are.
    pub(super) fn on_swept(
        &mut self,
        now: Timestamp,
        no: LaneNo,
        rows: &[LoadedRow],
        loading: &Loading,
        is_last: bool,
        actions: &mut Vec<Action>,
    ) {
        let mut kept = 0;
        for LoadedRow { key, attempts, created } in rows.iter().copied() {
            let offset = key.offset;
            let gone = loading.gone.contains(&key);
            if let Some(item) = self.items.get(&offset) {
                // One that is in memory for something else has its row still.
                kept += u64::from(item.row != Some(key) && !gone);
                continue;
            }
            let Some(lane) = self.lanes.get_mut(no) else { return };
            let bounced = lane.bounces.of_row(now, offset).filter(|_| !gone);
            let Some(bounced) = bounced else {
                kept += u64::from(!gone);
                actions.push(Action::Forget { offset });
                continue;
            };
            lane.loaded += 1;
            lane.rows = lane.rows.max(lane.loaded);
            self.items
                .insert(offset, Item { created, attempts, row: Some(key), place: Place::Waiting(no), redriven: false });
            self.bury(no, offset, DeadReason::Bounced(bounced), actions);
        }
        let Some(lane) = self.lanes.get_mut(no) else { return };
        if kept > 0 {
            // When they are due will be seen.
            lane.put_on_disk(FIRST_ROW);
            lane.rows = lane.rows.max(lane.loaded + kept);
        }
        let next = rows.last().map(|last| RowKey { due: last.key.due, offset: last.key.offset.next() });
        lane.sweep = next.filter(|_| !is_last && lane.sweep.is_some());
        if lane.sweep.is_none() {
            match is_last && lane.next_due.is_none() {
                true => lane.count_rows(),
                false => lane.put_on_disk(FIRST_ROW),
            }
        }
        self.lanes.touch(no);
    }
}
