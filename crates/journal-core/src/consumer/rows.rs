//! Between memory and disk: parking, loading, and making way for the cursor.

use super::lanes::LaneNo;
use super::{Consumer, Item, Place};
use crate::action::{Action, Attempt, DeadReason, RowKey, Write};
use crate::event::LoadedRow;
use std::collections::HashSet;
use waybill_queue_core::retry::Expiry;
use waybill_types::{Offset, QueueName, Timestamp};

/// With so many settled events above an open one, the open ones are saved as rows.
const MOST_ISLANDS: usize = 1024;

impl Consumer {
    /// Moves an event, which is not among those that wait (any more), to disk.
    pub(super) fn park(&mut self, now: Timestamp, no: LaneNo, offset: Offset, actions: &mut Vec<Action>) {
        let Some(item) = self.items.get(&offset).copied() else { return };
        match item.row {
            // It is on disk already: forget that it was loaded.
            Some(key) => {
                if let Some(lane) = self.lanes.get_mut(no) {
                    lane.loaded = lane.loaded.saturating_sub(1);
                    lane.put_on_disk(key);
                }
                self.lanes.touch(no);
            }
            None => self.put_row(no, RowKey { due: now, offset }, item.attempt(), None, actions),
        }
        self.forget(offset, actions);
    }

    /// Moves everything that waits in a lane to disk.
    pub(super) fn park_waiting(&mut self, now: Timestamp, no: LaneNo, actions: &mut Vec<Action>) {
        let waiting = self.lanes.get_mut(no).map(|lane| std::mem::take(&mut lane.waiting));
        for offset in waiting.into_iter().flatten() {
            self.park(now, no, offset, actions);
        }
    }

    /// Writes a row that is not (any more) in memory.
    pub(super) fn put_row(
        &mut self,
        no: LaneNo,
        key: RowKey,
        attempt: Attempt,
        replaces: Option<RowKey>,
        actions: &mut Vec<Action>,
    ) {
        let Some((name, lane)) = self.lanes.named_mut(no) else { return };
        match replaces {
            Some(old) => lane.row_gone(old),
            None => lane.rows += 1,
        }
        lane.put_on_disk(key);
        actions.push(Action::Write(Write::PutRow { lane: name.clone(), key, attempt, replaces }));
        self.lanes.touch(no);
    }

    /// Removes the row of an event that is done or goes elsewhere.
    pub(super) fn delete_row(&mut self, no: LaneNo, offset: Offset, actions: &mut Vec<Action>) {
        let Some(key) = self.items.get(&offset).and_then(|item| item.row) else { return };
        let Some((name, lane)) = self.lanes.named_mut(no) else { return };
        lane.rows = lane.rows.saturating_sub(1);
        lane.row_gone(key);
        actions.push(Action::Write(Write::DeleteRow { lane: name.clone(), key }));
        self.lanes.touch(no);
    }

    pub(super) fn on_loaded(
        &mut self,
        now: Timestamp,
        name: &QueueName,
        rows: &[LoadedRow],
        next_due: Option<Timestamp>,
        actions: &mut Vec<Action>,
    ) {
        let Some(no) = self.lanes.no(name) else { return };
        let Some(lane) = self.lanes.get_mut(no) else { return };
        let loading = lane.loading.take().unwrap_or_default();
        if loading.sweeps {
            return self.on_swept(now, no, rows, &loading, next_due.is_none(), actions);
        }
        if loading.rebinds {
            return self.on_rows_to_rebind(no, rows, &loading, next_due.is_none(), actions);
        }
        let fresh = self.take_rows(no, rows, &loading.gone, actions);
        let Some(lane) = self.lanes.get_mut(no) else { return };
        lane.next_due = next_due;
        if let Some(last) = rows.last() {
            lane.load_from = RowKey { due: last.key.due, offset: last.key.offset.next() };
        }
        lane.loaded += fresh.len() as u64;
        // The count of rows is for people; where it differs from what was seen, what was seen is true.
        lane.rows = lane.rows.max(lane.loaded + lane.passed);
        match loading.put {
            Some(key) => lane.put_on_disk(key),
            None if next_due.is_none() => lane.count_rows(),
            None => {}
        }
        for offset in fresh.into_iter().rev() {
            if self.bounce(now, no, offset, actions) {
                continue;
            }
            match self.too_old(now, no, offset) {
                Some(text) => self.bury(no, offset, DeadReason::Expired(text), actions),
                None if loading.ordered.as_ref().is_some_and(|given| given.is_in_a_lane(offset)) => {
                    loading.ordered.iter().for_each(|given| self.ask_to_rebind(no, given, offset, None));
                }
                // Parked events go first.
                None => self.lanes.get_mut(no).into_iter().for_each(|lane| lane.waiting.push_front(offset)),
            }
        }
        self.lanes.touch(no);
    }

    /// Takes loaded rows into memory, those that are news.
    fn take_rows(
        &mut self,
        no: LaneNo,
        rows: &[LoadedRow],
        gone: &HashSet<RowKey>,
        actions: &mut Vec<Action>,
    ) -> Vec<Offset> {
        let mut fresh = Vec::with_capacity(rows.len());
        for LoadedRow { key, attempts, created } in rows.iter().copied() {
            if self.items.contains_key(&key.offset) {
                self.pass_over(no, key, gone);
                continue;
            }
            if gone.contains(&key) {
                actions.push(Action::Forget { offset: key.offset });
                continue;
            }
            self.items.insert(
                key.offset,
                Item { created, attempts, row: Some(key), place: Place::Waiting(no), redriven: false },
            );
            fresh.push(key.offset);
        }
        fresh
    }

    /// A row whose event is in memory for something else, as an operator had its dead letter tried again: it has its turn
    /// once that is done.
    fn pass_over(&mut self, no: LaneNo, key: RowKey, gone: &HashSet<RowKey>) {
        let is_its_own = self.items.get(&key.offset).is_some_and(|item| item.row == Some(key));
        let passed = self.passed.get(&key.offset);
        let is_known = passed.is_some_and(|rows| rows.contains(&(no, key)));
        if is_its_own || is_known || gone.contains(&key) {
            return;
        }
        if let Some(lane) = self.lanes.get_mut(no) {
            lane.passed += 1;
            self.passed.entry(key.offset).or_default().push((no, key));
        }
    }

    /// An event leaves memory: rows of it that were passed over can be loaded.
    pub(super) fn pick_up(&mut self, offset: Offset) {
        // Mostly there are none: then nothing is hashed.
        if self.passed.is_empty() {
            return;
        }
        for (no, key) in self.passed.remove(&offset).into_iter().flatten() {
            if let Some(lane) = self.lanes.get_mut(no) {
                lane.passed = lane.passed.saturating_sub(1);
                lane.put_on_disk(key);
            }
            self.lanes.touch(no);
        }
    }

    /// What the Expiration record says, when the event is too old to be tried now.
    fn too_old(&self, now: Timestamp, no: LaneNo, offset: Offset) -> Option<String> {
        let (item, lane) = (self.items.get(&offset)?, self.lanes.get(no)?);
        let expiry = Expiry { created: item.created, max_age: lane.config.retry.max_age, expires: None };
        expiry.after_return(now).map(|expired| expired.response().content)
    }

    /// Too many settled events above an open one: save the open ones as rows, so that the cursor can pass.
    pub(super) fn unblock(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if self.settled.count_islands() < MOST_ISLANDS {
            return;
        }
        for offset in self.settled.blockers() {
            let Some(item) = self.items.get_mut(&offset) else { continue };
            let (Place::Waiting(no) | Place::Offered(no)) = item.place else { continue };
            if item.row.is_none() {
                let Some((name, lane)) = self.lanes.named_mut(no) else { continue };
                let key = RowKey { due: now, offset };
                lane.rows += 1;
                lane.loaded += 1;
                item.row = Some(key);
                let (lane, attempt) = (name.clone(), item.attempt());
                actions.push(Action::Write(Write::PutRow { lane, key, attempt, replaces: None }));
            }
            self.settled.close(offset);
        }
    }
}
