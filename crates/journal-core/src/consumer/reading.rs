//! From the journal into memory: what is read, how it is judged, and looking ahead of a cursor that stands still.

use super::{Consumer, Item, Place};
use crate::action::{Action, Attempt, LaneConfig, RowKey, Write};
use crate::event::{Read, Verdict};
use waybill_types::{Offset, QueueName, Timestamp};

/// The most events of one read.
const READ_LIMIT: usize = 512;

/// How far the journal was read and is being read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    visible: Offset,
    reading: bool,
    /// Events that the handlers have.
    judging: usize,
    /// Up to here it is known that there is only the one lane.
    scouted: Offset,
    scouting: bool,
}

impl Reading {
    pub(super) fn visible(&mut self, offset: Offset) {
        self.visible = self.visible.max(offset);
    }

    /// How far it can be read.
    pub(super) fn tail(&self) -> Offset {
        self.visible
    }

    /// Whether the handlers have none.
    pub(super) fn is_judged(&self) -> bool {
        self.judging == 0
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.judging == 0 && !self.reading && !self.scouting
    }
}

impl Consumer {
    pub(super) fn on_read(&mut self, read: Read, actions: &mut Vec<Action>) {
        self.reading.reading = false;
        // Known: behind us, or here because its dead letter is tried again (a replay leaves letters ahead of us).
        let is_known = |offset: &Offset| self.settled.knows(*offset) || self.items.contains_key(offset);
        let (known, fresh): (Vec<_>, Vec<_>) = read.events.into_iter().partition(|(offset, _)| is_known(offset));
        for (offset, _) in known {
            // Its row may have been loaded in the meantime: then it is in memory for that.
            if !self.items.contains_key(&offset) {
                actions.push(Action::Forget { offset });
            }
        }
        let offsets: Vec<Offset> = fresh.iter().map(|(offset, _)| *offset).collect();
        for (offset, created) in fresh {
            self.items.insert(offset, Item { created, attempts: 0, row: None, place: Place::Judging, redriven: false });
        }
        self.reading.judging += offsets.len();
        self.settled.read(offsets.iter().copied(), read.next);
        if !offsets.is_empty() {
            actions.push(Action::Judge { offsets });
        }
    }

    pub(super) fn on_redrive(&mut self, now: Timestamp, offset: Offset, actions: &mut Vec<Action>) {
        if self.items.contains_key(&offset) {
            return;
        }
        // An order of old is not for what an operator wants to be tried again.
        self.drop_orders(now);
        self.items.insert(offset, Item { created: now, attempts: 0, row: None, place: Place::Judging, redriven: true });
        self.reading.judging += 1;
        actions.push(Action::Judge { offsets: vec![offset] });
    }

    pub(super) fn on_judged(&mut self, now: Timestamp, offset: Offset, verdict: Verdict, actions: &mut Vec<Action>) {
        let created = match self.items.get(&offset) {
            Some(item) if item.place == Place::Judging => item.created,
            _ => return,
        };
        self.reading.judging -= 1;
        match verdict {
            Verdict::Skip | Verdict::Materialised => self.forget(offset, actions),
            Verdict::Dead(reason) => {
                actions.push(Action::Write(Write::Dead { offset, lane: None, attempts: 0, reason }));
                self.forget(offset, actions);
            }
            Verdict::Lane(name, config) => self.enter_lane(now, offset, &name, config, actions),
            Verdict::Later(name, config, due) => {
                let no = self.open(&name, config);
                if self.bounce(now, no, offset, actions) || self.heed_rebind(no, offset, Some(due)) {
                    return;
                }
                let attempt = Attempt { attempts: 0, created };
                self.put_row(no, RowKey { due, offset }, attempt, None, actions);
                self.forget(offset, actions);
            }
        }
    }

    fn enter_lane(
        &mut self,
        now: Timestamp,
        offset: Offset,
        name: &QueueName,
        config: LaneConfig,
        actions: &mut Vec<Action>,
    ) {
        let no = self.open(name, config);
        if self.bounce(now, no, offset, actions) || self.heed_rebind(no, offset, None) {
            return;
        }
        let (share, redriven) = (self.share(no), self.items.get(&offset).is_some_and(|item| item.redriven));
        let Some(lane) = self.lanes.get_mut(no) else { return };
        if redriven {
            // Whoever brought it back does not mean the lane's next probe, which may be hours away.
            lane.probe_at = None;
        }
        // A consumer with one lane stops its cursor instead of writing rows.
        if self.several && !(lane.takes_in_memory(now) && lane.in_memory() < share) {
            return self.park(now, no, offset, actions);
        }
        lane.waiting.push_back(offset);
        self.place(offset, Place::Waiting(no));
        self.lanes.touch(no);
    }

    pub(super) fn read_on(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        let from = self.settled.read_to();
        // Events that are being rebound are in memory: no more of them before those are in rows.
        let busy = self.reading.reading || self.reading.judging > 0 || self.rebinds.are_asked();
        if self.rests() || busy || from >= self.reading.visible {
            return;
        }
        let limit = match self.lanes.first() {
            Some((no, lane)) if !self.several => match lane.room_to_read(now) {
                Some(room) => room,
                // It takes no room.
                None if lane.bounces.of(now, from).is_some() => READ_LIMIT,
                // It goes elsewhere, or into rows.
                None if self.lanes.rebind_of(no, from, None).is_some() => READ_LIMIT,
                None => return self.scout_on(actions),
            },
            _ => READ_LIMIT,
        };
        self.reading.reading = true;
        actions.push(Action::Read { from, limit: limit.min(READ_LIMIT) });
    }

    /// A consumer whose only lane is stuck does not write the whole backlog to rows: it stops its cursor. But there may
    /// be events of other lanes behind (I6), so it looks ahead, once at every event.
    fn scout_on(&mut self, actions: &mut Vec<Action>) {
        let from = self.reading.scouted.max(self.settled.read_to());
        if !self.reading.scouting && from < self.reading.visible {
            self.reading.scouting = true;
            actions.push(Action::Scout { from, limit: READ_LIMIT });
        }
    }

    pub(super) fn on_scouted(&mut self, lanes: &[QueueName], next: Offset) {
        self.reading.scouting = false;
        self.reading.scouted = self.reading.scouted.max(next);
        self.several |= lanes.iter().any(|lane| self.lanes.no(lane).is_none());
        if self.several {
            self.lanes.touch_all();
        }
    }
}
