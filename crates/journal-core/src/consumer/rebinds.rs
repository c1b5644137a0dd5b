//! Events that an operator wants to be elsewhere.
//!
//! An order is about the events that are there when it is given, each once. What waits in memory is taken at once, what
//! a session has when it comes back, what is unread as it is read, and rows are looked through a page at a time, one lane
//! after the other. Whatever the dispatcher says of an event, it ends as a row: what was changed of it is as durable as
//! its place, and both are written in one batch.
//!
//! An event that was asked about must not come before the search again, in the lane it was in or in the one it went to.
//! So a row that stays gets no later place than it had, every other one a place before all that the search looks at
//! ([`crate::order::RebindFacts::mark`]), and lanes that are still to be looked through load nothing until then.

use super::lanes::LaneNo;
use super::{Consumer, Item, Place};
use crate::action::{Action, RowKey};
use crate::event::{LoadedRow, Rebound};
use crate::lane::Loading;
use crate::order::{Given, LaneOrder, RebindFacts};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use waybill_types::{Offset, Timestamp};

/// The orders, and events that are on their way because of them.
#[derive(Debug, Default)]
pub(super) struct Rebinds {
    /// Orders whose events in memory and in rows are still to be looked at: one after the other.
    jobs: VecDeque<Job>,
    /// Offered events that an order wants: they follow when they come back.
    marked: HashMap<Offset, Arc<Given>>,
    /// Events that the dispatcher has, or is to get next.
    asked: HashMap<Offset, Asked>,
    /// Those that it is to get next, in order.
    gathered: Vec<(LaneNo, Arc<Given>, Offset)>,
    /// The lane whose rows are being looked through.
    searched: Option<LaneNo>,
    last_mark: Option<Timestamp>,
}

#[derive(Debug)]
struct Job {
    given: Arc<Given>,
    /// Lanes whose rows are still to be looked at; `None` before it has begun.
    lanes: Option<VecDeque<LaneNo>>,
}

#[derive(Debug)]
struct Asked {
    lane: LaneNo,
    given: Arc<Given>,
    /// When it is due where it is; `None`: at once.
    due: Option<Timestamp>,
    /// It has just come from the journal: orders that were given later may want it too.
    unread: bool,
}

impl Rebinds {
    pub(super) fn are_asked(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Whether this lane's rows are what is looked at next.
    pub(super) fn searches(&self, no: LaneNo) -> bool {
        self.asked.is_empty() && self.searched == Some(no)
    }

    pub(super) fn forget(&mut self, offset: Offset) {
        // Mostly there are none: then nothing is hashed.
        if !self.marked.is_empty() {
            self.marked.remove(&offset);
        }
    }

    /// The time under which the rows of a new order are put: before 1970 and before those of all orders until now, those
    /// of earlier lives included.
    fn next_mark(&mut self, now: Timestamp) -> Timestamp {
        let before = |mark: Timestamp| mark.nanos().saturating_sub(1);
        let mark = now.nanos().saturating_neg();
        let mark = Timestamp::from_nanos(self.last_mark.map_or(mark, |last| mark.min(before(last))));
        self.last_mark = Some(mark);
        mark
    }
}

impl Consumer {
    pub(super) fn begin_rebind(&mut self, now: Timestamp, order: LaneOrder) {
        let mark = self.rebinds.next_mark(now);
        let read = self.settled.read_to();
        let judged = |item: &Item| item.place == Place::Judging && !item.redriven;
        let judging = self.items.iter().filter(|(_, item)| judged(item)).map(|(offset, _)| *offset).collect();
        let islands = self.settled.islands().filter(|island| *island >= read).collect();
        let rebind = RebindFacts { mark, judging, islands };
        let given = Given::new(order, read, self.reading.tail()).of_rebind(rebind);
        let given = self.lanes.remember(given);
        self.rebinds.jobs.push_back(Job { given, lanes: None });
    }

    /// Looks at the next rows once the dispatcher has answered for those before.
    pub(super) fn go_on_rebinding(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        self.ask_gathered(actions);
        while !self.rebinds.are_asked() && !self.stopping {
            let Some(job) = self.rebinds.jobs.front_mut() else { return };
            let Some(lanes) = &mut job.lanes else {
                let given = job.given.clone();
                let lanes = self.take_aside(&given, actions);
                if let Some(job) = self.rebinds.jobs.front_mut() {
                    job.lanes = Some(lanes);
                }
                self.ask_gathered(actions);
                continue;
            };
            let Some(no) = lanes.front().copied() else {
                self.rebinds.jobs.pop_front();
                self.drop_orders(now);
                continue;
            };
            // It goes on with its next page, or there is none.
            if self.lanes.get(no).is_some_and(|lane| lane.rebinds.is_some()) {
                self.rebinds.searched = Some(no);
                return self.lanes.touch(no);
            }
            lanes.pop_front();
            self.rebinds.searched = None;
        }
    }

    /// Takes what waits in the lanes of an order, and has what is offered follow. Gives the lanes that have rows.
    fn take_aside(&mut self, given: &Arc<Given>, actions: &mut Vec<Action>) -> VecDeque<LaneNo> {
        let fitting = self.lanes.fitting(given);
        for (offset, item) in &self.items {
            if matches!(item.place, Place::Offered(no) if fitting.contains(&no)) && given.is_in_a_lane(*offset) {
                self.rebinds.marked.insert(*offset, given.clone());
            }
        }
        let first = Timestamp::from_nanos(given.rebind.mark.nanos().saturating_add(1));
        let mut with_rows = VecDeque::new();
        for no in fitting {
            let Some((name, lane)) = self.lanes.named_mut(no) else { continue };
            actions.push(Action::Recall { lane: name.clone() });
            if lane.rows > 0 || lane.next_due.is_some() {
                lane.rebinds = Some(RowKey { due: first, offset: Offset::ZERO });
                with_rows.push_back(no);
            }
            if let Some(loading) = lane.loading.as_mut().filter(|loading| !loading.sweeps) {
                loading.ordered = Some(given.clone());
            }
            let (taken, rest) = std::mem::take(&mut lane.waiting).into_iter().partition(|one| given.is_in_a_lane(*one));
            lane.waiting = rest;
            let taken: VecDeque<Offset> = taken;
            for offset in taken {
                self.ask_to_rebind(no, given, offset, None);
            }
        }
        with_rows
    }

    /// The dispatcher is to be asked about an event that is in no other place any more.
    pub(super) fn ask_to_rebind(&mut self, no: LaneNo, given: &Arc<Given>, offset: Offset, due: Option<Timestamp>) {
        let unread = self.items.get(&offset).is_some_and(|item| item.place == Place::Judging);
        self.place(offset, Place::Rebinding);
        self.lanes.get_mut(no).into_iter().for_each(|lane| lane.rebinding += 1);
        self.rebinds.asked.insert(offset, Asked { lane: no, given: given.clone(), due, unread });
        self.rebinds.gathered.push((no, given.clone(), offset));
    }

    /// An event that was offered comes back: an order may have been waiting for it.
    pub(super) fn follow_rebind(&mut self, no: LaneNo, offset: Offset, due: Option<Timestamp>) -> bool {
        let Some(given) = self.rebinds.marked.remove(&offset) else { return false };
        self.ask_to_rebind(no, &given, offset, due);
        true
    }

    /// An event comes to a lane from the journal: an order may have been given when it was unread.
    pub(super) fn heed_rebind(&mut self, no: LaneNo, offset: Offset, due: Option<Timestamp>) -> bool {
        // What an operator brought back is news.
        let redriven = self.items.get(&offset).is_none_or(|item| item.redriven);
        let Some(given) = self.lanes.rebind_of(no, offset, None).filter(|_| !redriven) else { return false };
        self.ask_to_rebind(no, &given, offset, due);
        true
    }

    /// Asks for all that was gathered, once everything that was read is judged: one question is for many events.
    fn ask_gathered(&mut self, actions: &mut Vec<Action>) {
        if !self.reading.is_judged() {
            return;
        }
        let gathered = std::mem::take(&mut self.rebinds.gathered);
        let is_one =
            |a: &(LaneNo, Arc<Given>, Offset), b: &(LaneNo, Arc<Given>, Offset)| a.0 == b.0 && Arc::ptr_eq(&a.1, &b.1);
        for together in gathered.chunk_by(is_one) {
            let Some((no, given, _)) = together.first() else { continue };
            let (Some((lane, _)), Some(parcel)) = (self.lanes.named_mut(*no), given.parcel()) else { continue };
            let attempts = |offset| self.items.get(offset).map_or(0, |item| item.attempts);
            let events = together.iter().map(|(.., offset)| (*offset, attempts(offset))).collect();
            actions.push(Action::Rebind { parcel: parcel.clone(), lane: lane.clone(), events });
        }
    }

    /// Rows that an order had looked for are here. Those that came later than it stay where they are.
    pub(super) fn on_rows_to_rebind(
        &mut self,
        no: LaneNo,
        rows: &[LoadedRow],
        loading: &Loading,
        is_last: bool,
        actions: &mut Vec<Action>,
    ) {
        let given = self.rebinds.jobs.front().map(|job| job.given.clone());
        for LoadedRow { key, attempts, created } in rows.iter().copied() {
            let offset = key.offset;
            // In memory: it was taken from there, or follows when it comes back.
            if self.items.contains_key(&offset) {
                continue;
            }
            let wanted = given.as_ref().filter(|given| given.is_in_a_lane(offset) && !loading.gone.contains(&key));
            let (Some(given), Some(lane)) = (wanted, self.lanes.get_mut(no)) else {
                actions.push(Action::Forget { offset });
                continue;
            };
            lane.loaded += 1;
            lane.rows = lane.rows.max(lane.loaded);
            let place = Place::Waiting(no);
            self.items.insert(offset, Item { created, attempts, row: Some(key), place, redriven: false });
            self.ask_to_rebind(no, given, offset, Some(key.due));
        }
        let next = rows.last().map(|last| RowKey { due: last.key.due, offset: last.key.offset.next() });
        if let Some(lane) = self.lanes.get_mut(no) {
            lane.rebinds = next.filter(|_| !is_last && lane.rebinds.is_some());
        }
        self.lanes.touch(no);
    }

    pub(super) fn on_rebound(&mut self, now: Timestamp, offset: Offset, rebound: Rebound, actions: &mut Vec<Action>) {
        let Some(Asked { lane: from, given, due, unread }) = self.rebinds.asked.remove(&offset) else { return };
        self.lanes.get_mut(from).into_iter().for_each(|lane| lane.rebinding = lane.rebinding.saturating_sub(1));
        self.lanes.touch(from);
        let (to, wait) = match rebound {
            Rebound::Materialised => return self.finish(from, offset, actions),
            Rebound::Stays(wait) => (from, Some(wait)),
            Rebound::Moves(name, config) => (self.open(&name, config), None),
        };
        // Whoever wants it to be tried now does not mean the lane's next probe, which may be far away: a clock that was set
        // back has put it there.
        if wait == Some(Duration::ZERO) {
            self.lanes.get_mut(to).into_iter().for_each(|lane| lane.probe_at = None);
        }
        if to != from {
            self.delete_row(from, offset, actions);
            self.items.get_mut(&offset).into_iter().for_each(|item| item.row = None);
        }
        if self.bounce(now, to, offset, actions) {
            return;
        }
        let later = self.lanes.rebind_of(to, offset, Some(&given)).filter(|_| unread);
        if let Some(later) = later {
            self.place(offset, Place::Judging);
            return self.ask_to_rebind(to, &later, offset, due.filter(|_| to == from));
        }
        let Some(item) = self.items.get(&offset).copied() else { return };
        let due = match (due, wait) {
            (Some(due), Some(wait)) if to == from => due.min(now + wait),
            _ => given.rebind.mark,
        };
        // The search of its lane may not have come there yet: one that failed meanwhile is due at once then.
        let ahead = |from: RowKey| RowKey { due, offset } >= from;
        let is_ahead = self.lanes.get(to).and_then(|lane| lane.rebinds).is_some_and(ahead);
        let due = if is_ahead { given.rebind.mark } else { due };
        self.put_row(to, RowKey { due, offset }, item.attempt(), item.row, actions);
        self.forget(offset, actions);
    }
}
