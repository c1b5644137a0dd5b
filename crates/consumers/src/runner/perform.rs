//! What the consumer asks for.

use super::jobs::{self, Done, ReadJob};
use super::loads::LoadJob;
use super::{LAZY_TICK, Runner, TICK};
use crate::dispatch::JudgedEvent;
use crate::layout::{self, DeadLetter};
use futures::FutureExt;
use std::sync::Arc;
use waybill_journal_core::{Action, DeadReason, Event, LaneConfig, Parcel, Verdict, Write};
use waybill_spool::{ReadLimit, Table};
use waybill_types::{Offset, QueueName, Timestamp};

/// The most bytes of one read of the journal.
const READ_BYTES: usize = 1 << 20;
/// The settings of so many lanes are asked for at a time.
pub(super) const CONFIGURE_AT_ONCE: usize = 8;

impl Runner {
    /// Does what a step asks for, in order; offers to a lane that follow each other together.
    pub(super) fn perform_all(&mut self, now: Timestamp, actions: Vec<Action>) {
        let mut actions = actions.into_iter().peekable();
        let mut forgets = false;
        while let Some(action) = actions.next() {
            forgets |= matches!(action, Action::Forget { .. });
            let Action::Offer { lane, offset, attempt } = action else {
                self.perform(now, action);
                continue;
            };
            let mut offers = vec![(offset, attempt)];
            while let Some(Action::Offer { offset, attempt, .. }) =
                actions.next_if(|next| matches!(next, Action::Offer { lane: to, .. } if *to == lane))
            {
                offers.push((offset, attempt));
            }
            self.dispatch.offer_all(&lane, &offers);
        }
        if forgets {
            self.save_within(LAZY_TICK);
        }
    }

    /// Nothing in here tells the consumer anything: it is in the middle of a step.
    fn perform(&mut self, now: Timestamp, action: Action) {
        match action {
            Action::Read { from, limit } => self.read(from, limit),
            Action::Judge { offsets } => self.judge(offsets),
            Action::Scout { from, limit } => self.scout(from, limit),
            Action::Rebind { parcel, lane, events } => self.rebind(parcel, lane, events),
            Action::Offer { lane, offset, attempt } => self.dispatch.offer(&lane, offset, attempt),
            Action::Recall { lane } => self.dispatch.recall(&lane),
            Action::Load { lane, from, until, limit } => {
                self.loads.push(self.saver.next_or_last(), LoadJob { lane, from, until, limit });
            }
            Action::Write(write) => self.write(now, &write),
            Action::Forget { offset } => {
                self.entries.remove(&offset);
                if !self.damaged.is_empty() {
                    self.damaged.remove(&offset);
                }
                self.dispatch.forget(offset);
                let letters = self.redriving.done(offset);
                if !letters.is_empty() {
                    letters.into_iter().for_each(|letter| self.saver.redriven(letter));
                    self.save_within(TICK);
                    self.redrive_more();
                }
            }
            Action::Save => self.want_save = true,
            Action::WakeAt(at) => self.wake = Some(at),
        }
    }

    pub(super) fn read(&mut self, from: Offset, limit: usize) {
        let store = self.options.store.clone();
        let stream = self.options.stream;
        let job = ReadJob { from, limit, until: self.end() };
        let limit = ReadLimit { entries: limit, bytes: READ_BYTES };
        if let Some(feed) = &self.source {
            let reading = feed.read(from, limit);
            self.jobs.push(async move { Done::Read { job, result: reading.await } }.boxed());
            return;
        }
        self.jobs.push(async move { Done::Read { job, result: store.read(stream, from, limit).await } }.boxed());
    }

    fn scout(&mut self, from: Offset, limit: usize) {
        let until = self.end();
        let only_lane = self.dispatch.only_lane();
        if self.source.is_some() || only_lane.is_some() {
            // There is one lane: a thousand that are stuck must not read the whole stream each.
            let lanes = only_lane.into_iter().collect();
            let seen = Done::Scouted { lanes, next: until.max(from) };
            return self.jobs.push(std::future::ready(seen).boxed());
        }
        let store = self.options.store.clone();
        let stream = self.options.stream;
        let dispatch = self.dispatch.clone();
        let limit = ReadLimit { entries: limit, bytes: READ_BYTES };
        self.jobs.push(
            async move {
                // What cannot be read now is read, or reported, in its turn.
                let slice = store.read(stream, from, limit).await.unwrap_or_default();
                let next = if slice.entries.is_empty() { until.max(from) } else { slice.next };
                let events =
                    slice.entries.into_iter().map(|(offset, entry)| JudgedEvent { offset, entry, redriven: false });
                let lanes = jobs::survive(dispatch.scout(events.collect())).await;
                Done::Scouted { lanes: lanes.unwrap_or_default(), next }
            }
            .boxed(),
        );
    }

    pub(super) fn judge(&mut self, asked: Vec<Offset>) {
        let (mut verdicts, mut events) = (Vec::new(), Vec::with_capacity(asked.len()));
        for offset in asked.iter().copied() {
            if self.damaged.contains(&offset) {
                let reason = DeadReason::Damaged("the journal entry makes no sense".to_owned());
                verdicts.push((offset, Verdict::Dead(reason)));
            } else if let Some(entry) = self.entries.get(&offset).cloned() {
                let redriven = self.redriving.is_about(offset);
                events.push(JudgedEvent { offset, entry, redriven });
            }
        }
        let dispatch = self.dispatch.clone();
        self.judging += 1;
        self.jobs.push(
            async move {
                verdicts.extend(jobs::judge(dispatch, events).await);
                Done::Judged { asked, verdicts }
            }
            .boxed(),
        );
    }

    fn rebind(&mut self, parcel: Parcel, lane: QueueName, events: Vec<(Offset, u16)>) {
        let asked = events.iter().map(|(offset, _)| *offset).collect();
        let dispatch = self.dispatch.clone();
        self.jobs.push(
            async move {
                let answers = jobs::survive(dispatch.rebind(&parcel, &lane, events)).await;
                Done::Rebound { asked, answers: answers.unwrap_or_default() }
            }
            .boxed(),
        );
    }

    fn write(&mut self, now: Timestamp, write: &Write) {
        self.save_within(TICK);
        match write {
            Write::PutRow { key, .. } => {
                let overlay = self.dispatch.overlay(key.offset);
                let entry = self.entries.get(&key.offset).cloned().unwrap_or_default();
                self.saver.row(write, &overlay, &entry);
            }
            Write::DeleteRow { .. } => self.saver.row(write, &[], &[]),
            Write::Dead { offset, lane, attempts, reason } => {
                let entry = self.entries.get(offset).cloned().unwrap_or_default();
                self.dispatch.buried(lane.as_ref(), *offset, *attempts, reason);
                let letter = DeadLetter::new(lane.clone(), *attempts, reason, entry);
                self.saver.dead_letter(now, *offset, &letter);
            }
        }
    }

    /// Commits what is collected with the checkpoint of this moment, one batch at a time, until it is stored. Never in
    /// the middle of a step.
    pub(super) fn save(&mut self) {
        if self.saver.is_saving() {
            return;
        }
        self.want_save = false;
        self.save_at = None;
        self.saver.memory(&*self.dispatch);
        match self.saver.take(self.consumer.checkpoint()) {
            Some(batch) => {
                let (store, name) = (self.options.store.clone(), self.options.name.clone());
                self.jobs.push(jobs::commit(store, name, batch).map(|()| Done::Saved).boxed());
            }
            None => self.inbox.push_back(Event::Saved),
        }
    }

    /// Begins the loads whose rows are all stored, and has those stored that the others wait for.
    pub(super) fn start_loads(&mut self) {
        for job in self.loads.take_ready(self.saver.stored()) {
            let store = self.options.store.clone();
            let from = layout::row_key(&self.options.name, &job.lane, job.from);
            let end = layout::lane_rows(&self.options.name, &job.lane).end();
            // One more than asked for: it tells when the next one is due.
            let limit = job.limit + 1;
            self.jobs.push(
                async move { Done::Loaded { result: store.range(Table::Rows, from, end, limit).await, job } }.boxed(),
            );
        }
        self.want_save |= self.loads.waits_for() > self.saver.taken();
    }

    /// Asks for the settings of lanes that are on the disk since before the start. Policy may take its time: nobody else
    /// waits for it.
    pub(super) fn configure_lanes(&mut self, most: usize) {
        let most = self.configuring.len().min(most);
        for lane in self.configuring.drain(..most) {
            let dispatch = Arc::clone(&self.dispatch);
            self.jobs.push(
                async move {
                    let config = jobs::survive(dispatch.lane_config(&lane)).await.unwrap_or(LaneConfig::UNKNOWN);
                    Done::Configured(lane, config)
                }
                .boxed(),
            );
        }
    }
}
