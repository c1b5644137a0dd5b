use crate::action::{LaneConfig, RowKey};
use std::collections::{HashSet, VecDeque};
use waybill_queue_core::due::DueKey;
use waybill_types::{Offset, Timestamp};

/// So many attempts in a row that failed for now make a lane *failing*: it then tries one event at a time.
pub const FAILING_AFTER: u32 = 3;

/// One (consumer, scheduled queue).
#[derive(Debug)]
pub struct Lane {
    pub(crate) config: LaneConfig,
    /// In memory, not offered, in order of arrival.
    pub(crate) waiting: VecDeque<Offset>,
    /// Offered: in the ready queue or being tried.
    pub(crate) offered: usize,
    /// Rows on disk, those in memory included.
    pub(crate) rows: u64,
    /// Of those: loaded, so not to be loaded again.
    pub(crate) loaded: u64,
    /// Rows before this place are in memory.
    pub(crate) load_from: RowKey,
    /// When the first row that is not in memory is due.
    pub(crate) next_due: Option<Timestamp>,
    /// A load is under way.
    pub(crate) loading: Option<Loading>,
    /// Transient failures in a row.
    pub(crate) streak: u32,
    pub(crate) suspended_until: Option<Timestamp>,
    /// Nothing is offered before that (the ready side said so).
    pub(crate) hold_until: Option<Timestamp>,
    /// A failing lane tries nothing before that: the due time of what failed last.
    pub(crate) probe_at: Option<Timestamp>,
    /// Its place among the timers.
    pub(crate) timer: Option<DueKey>,
}

/// What happened to a lane's rows since a load was asked for: the load may have seen them before or after.
#[derive(Debug, Default)]
pub(crate) struct Loading {
    /// Events whose row was removed or replaced.
    pub(crate) gone: HashSet<Offset>,
    /// The earliest row that was put on disk only.
    pub(crate) put: Option<RowKey>,
}

/// A lane, to be looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaneStatus {
    /// In memory, waiting.
    pub waiting: usize,
    /// In the ready queue or being tried.
    pub offered: usize,
    /// Rows on disk.
    pub rows: u64,
    /// Whether it tries one event at a time.
    pub failing: bool,
    /// Whether it rests.
    pub suspended: bool,
}

pub(crate) const FIRST_ROW: RowKey = RowKey { due: Timestamp::from_nanos(i64::MIN), offset: Offset::ZERO };

impl Lane {
    pub(crate) fn new(config: LaneConfig) -> Self {
        Lane {
            config,
            waiting: VecDeque::new(),
            offered: 0,
            rows: 0,
            loaded: 0,
            load_from: FIRST_ROW,
            next_due: None,
            loading: None,
            streak: 0,
            suspended_until: None,
            hold_until: None,
            probe_at: None,
            timer: None,
        }
    }

    /// A row that is not in memory was put on disk.
    pub(crate) fn put_on_disk(&mut self, key: RowKey) {
        self.load_from = self.load_from.min(key);
        self.next_due = Some(self.next_due.map_or(key.due, |due| due.min(key.due)));
        if let Some(loading) = &mut self.loading {
            loading.put = Some(loading.put.map_or(key, |put| put.min(key)));
        }
    }

    /// The row of an event that was in memory is gone or gets another place.
    pub(crate) fn row_gone(&mut self, offset: Offset) {
        self.loaded = self.loaded.saturating_sub(1);
        if let Some(loading) = &mut self.loading {
            loading.gone.insert(offset);
        }
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.streak >= FAILING_AFTER
    }

    pub(crate) fn in_memory(&self) -> usize {
        self.waiting.len() + self.offered
    }

    /// Rows that only the disk has.
    pub(crate) fn parked(&self) -> u64 {
        self.rows.saturating_sub(self.loaded)
    }

    pub(crate) fn rests(&self, now: Timestamp) -> bool {
        self.suspended_until.is_some_and(|until| until > now) || self.hold_until.is_some_and(|until| until > now)
    }

    /// Whether a new event may stay in memory. Parked events go first, so that order is kept as far as retries allow.
    pub(crate) fn takes_in_memory(&self, now: Timestamp) -> bool {
        let behind = self.next_due.is_some_and(|due| due <= now);
        !self.is_failing() && !self.rests(now) && !behind && self.in_memory() < self.config.capacity
    }

    /// Notes that an event failed for now and is due again at `due`.
    pub(crate) fn hold_probe(&mut self, due: Timestamp) {
        self.probe_at = Some(due);
    }

    /// A failing lane with nothing left to probe is given another chance when its time has come.
    pub(crate) fn calm_down(&mut self, now: Timestamp) {
        let nothing_left = self.in_memory() == 0 && self.rows == 0 && self.loading.is_none();
        if self.is_failing() && nothing_left && self.probe_at.is_none_or(|at| at <= now) {
            self.streak = 0;
        }
    }

    /// When something may have become possible, if nothing happens before.
    pub(crate) fn wake(&self, now: Timestamp) -> Option<Timestamp> {
        let rest = [self.suspended_until, self.hold_until].into_iter().flatten().max().filter(|at| *at > now);
        let next = if self.is_failing() {
            // One thing at a time: the probe that is out will tell.
            let row = self.next_due.filter(|_| self.waiting.is_empty() && self.parked() > 0);
            self.probe_at.max(row).filter(|_| self.offered == 0)
        } else {
            self.next_due.filter(|_| self.parked() > 0)
        };
        match (rest, next) {
            (Some(rest), Some(next)) => Some(rest.max(next)),
            (Some(rest), None) => Some(rest),
            (None, next) => next.filter(|at| *at > now),
        }
    }

    pub(crate) fn status(&self, now: Timestamp) -> LaneStatus {
        LaneStatus {
            waiting: self.waiting.len(),
            offered: self.offered,
            rows: self.rows,
            failing: self.is_failing(),
            suspended: self.suspended_until.is_some_and(|until| until > now),
        }
    }
}
