//! What comes back: reports of the dispatcher, answers to jobs.

use super::jobs::{Done, ReadJob};
use super::loads::LoadJob;
use super::{LAZY_TICK, REPORTS_A_TURN, RETRY, Runner, TICK};
use crate::dispatch::Report;
use crate::layout::{self, DeadLetter, Row};
use bytes::Bytes;
use futures::FutureExt;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use waybill_journal_core::{Attempt, DeadReason, Event, LoadedRow, Read, Rebound, RowKey, Verdict, Write};
use waybill_spool::{Key, Slice, StoreError};
use waybill_types::{Offset, QueueName};

impl Runner {
    pub(super) fn on_reports(&mut self, first: Report) {
        let before = self.attempts;
        self.on_report(first);
        // Whatever else is there: one turn of the loop serves many.
        for _ in 0..REPORTS_A_TURN {
            match self.reports.try_recv() {
                Ok(report) => self.on_report(report),
                Err(_) => break,
            }
        }
        if self.attempts != before {
            self.save_within(TICK);
        }
        self.settle();
    }

    fn on_report(&mut self, report: Report) {
        match report {
            Report::Finished(results) => {
                self.attempts += results.len() as u64;
                self.inbox.push_back(Event::Finished { results });
            }
            Report::Returned(offset, delay) => self.inbox.push_back(Event::Returned { offset, delay }),
            Report::Configured(lane, config) => self.inbox.push_back(Event::Configured { lane, config }),
            Report::Window(window) => self.inbox.push_back(Event::Window(window)),
            Report::Suspended(lane, until) => self.inbox.push_back(Event::Suspended { lane, until }),
        }
    }

    pub(super) fn on_done(&mut self, done: Done) {
        match done {
            Done::Read { job, result } => self.on_read(job, result),
            Done::ReadAgain(job) => self.read(job.from, job.limit),
            Done::Judged { asked, verdicts } => self.on_judged(asked, verdicts),
            Done::JudgeAgain(offsets) => {
                if !self.stopping {
                    self.judge(offsets);
                }
            }
            Done::Rebound { asked, answers } => self.on_rebound(asked, answers),
            Done::Scouted { lanes, next } => self.feed(Event::Scouted { lanes, next }),
            Done::Loaded { job, result } => self.on_loaded(job, result),
            Done::LoadAgain(job) => {
                self.loads.push(self.saver.stored(), job);
                self.start_loads();
            }
            Done::Configured(lane, config) => {
                self.loads.configured(&lane);
                self.feed(Event::Configured { lane, config });
                self.configure_lanes(1);
            }
            Done::Saved => {
                self.saver.saved();
                self.feed(Event::Saved);
            }
            Done::Looked(oldest) => self.on_looked(oldest),
            Done::Letters(found) => self.on_letters(found),
        }
    }

    fn on_judged(&mut self, mut asked: Vec<Offset>, verdicts: Vec<(Offset, Verdict)>) {
        self.judging -= 1;
        // Nearly always there is one for each, in order.
        if asked.iter().eq(verdicts.iter().map(|(offset, _)| offset)) {
            asked.clear();
        } else {
            let judged: HashSet<Offset> = verdicts.iter().map(|(offset, _)| *offset).collect();
            asked.retain(|offset| !judged.contains(offset));
        }
        self.inbox.extend(verdicts.into_iter().map(|(offset, verdict)| Event::Judged { offset, verdict }));
        self.settle();
        if !asked.is_empty() {
            self.jobs.push(tokio::time::sleep(RETRY).map(|()| Done::JudgeAgain(asked)).boxed());
        }
    }

    fn on_rebound(&mut self, asked: Vec<Offset>, answers: Vec<(Offset, Rebound)>) {
        let mut answers: HashMap<Offset, Rebound> = answers.into_iter().collect();
        for offset in asked {
            let rebound = answers.remove(&offset).unwrap_or(Rebound::Stays(Duration::ZERO));
            self.feed(Event::Rebound { offset, rebound });
        }
    }

    fn on_read(&mut self, job: ReadJob, result: Result<Slice, StoreError>) {
        let slice = match result {
            Ok(slice) => slice,
            Err(error) => {
                tracing::error!(hook = self.options.name, "the journal cannot be read, trying again: {error}");
                return self.jobs.push(tokio::time::sleep(RETRY).map(move |()| Done::ReadAgain(job)).boxed());
            }
        };
        let next = match &self.source {
            Some(_) => slice.next.max(job.from),
            None if slice.entries.is_empty() => job.until.max(job.from),
            None => slice.next,
        };
        // A replay ends where it was told to, whatever the journal has grown by since.
        let end = self.options.replay.as_ref().map_or(Offset(u64::MAX), |replay| replay.until);
        let next = next.min(end);
        let replayed = self.options.replay.as_ref().map(|replay| replay.started);
        let mut events = Vec::with_capacity(slice.entries.len());
        for (offset, entry) in slice.entries.into_iter().take_while(|(offset, _)| *offset < end) {
            let appended = self.dispatch.created(&entry).unwrap_or_else(|| {
                tracing::error!(hook = self.options.name, %offset, "a journal entry is damaged: a dead letter keeps it");
                self.damaged.insert(offset);
                self.options.clock.now()
            });
            events.push((offset, replayed.unwrap_or(appended)));
            self.entries.entry(offset).or_insert(entry);
        }
        if events.is_empty() {
            // No event that is forgotten will have it stored.
            self.save_within(LAZY_TICK);
        }
        self.feed(Event::Read(Read { events, next }));
    }

    fn on_loaded(&mut self, job: LoadJob, result: Result<Vec<(Key, Bytes)>, StoreError>) {
        let found = match result {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(hook = self.options.name, "rows cannot be read, trying again: {error}");
                return self.jobs.push(tokio::time::sleep(RETRY).map(|()| Done::LoadAgain(job)).boxed());
            }
        };
        let mut rows = Vec::with_capacity(found.len());
        let mut next_due = None;
        for (at, (key, value)) in found.into_iter().enumerate() {
            let Some(key) = layout::parse_row_key(&key) else { continue };
            if key.due > job.until || at == job.limit {
                next_due = Some(key.due);
                break;
            }
            match self.take_row(&job.lane, key, &value) {
                Some(row) => rows.push(row),
                None => self.bury_row(&job.lane, key, value),
            }
        }
        self.feed(Event::Loaded { lane: job.lane, rows, next_due });
    }

    /// Brings the event of a row into memory; `None` when the row is damaged.
    fn take_row(&mut self, lane: &QueueName, key: RowKey, value: &Bytes) -> Option<LoadedRow> {
        let Row { attempt: Attempt { attempts, created }, overlay, entry } = layout::parse_row(value)?;
        // What makes no sense cannot be sent.
        self.dispatch.created(&entry)?;
        if !self.entries.contains_key(&key.offset) {
            self.dispatch.restore(lane, key.offset, entry.clone(), overlay);
            self.entries.insert(key.offset, entry);
        }
        Some(LoadedRow { key, attempts, created })
    }

    /// A damaged row leaves its lane, but what is left of it is kept.
    fn bury_row(&mut self, lane: &QueueName, key: RowKey, value: Bytes) {
        tracing::error!(hook = self.options.name, %lane, "a lane row is damaged: a dead letter keeps it");
        let reason = DeadReason::Damaged("the lane row makes no sense".to_owned());
        let letter = DeadLetter::new(Some(lane.clone()), 0, &reason, value);
        self.saver.dead_letter(self.options.clock.now(), key.offset, &letter);
        self.saver.row(&Write::DeleteRow { lane: lane.clone(), key }, &[], &[]);
        self.save_within(TICK);
    }
}
