use crate::action::{LaneConfig, RowKey};
use crate::order::{Bounces, Given};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use waybill_queue_core::due::DueKey;
use waybill_queue_core::throttle::Gcra;
use waybill_types::{Offset, Timestamp};

/// So many batches in a row that failed for now make a lane *failing*: it then tries one event at a time.
pub const FAILING_AFTER: u32 = 3;
/// An only lane with room for so many events has the journal read for it.
const LEAST_READ: usize = 128;

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
    /// Of the others: passed over by a load, as their event was in memory for something else.
    pub(crate) passed: u64,
    /// Rows before this place are in memory, or were passed over.
    pub(crate) load_from: RowKey,
    /// When the first row that is not in memory is due.
    pub(crate) next_due: Option<Timestamp>,
    /// A load is under way.
    pub(crate) loading: Option<Loading>,
    /// Batches in a row that failed for now.
    pub(crate) streak: u32,
    pub(crate) suspended_until: Option<Timestamp>,
    /// Orders have it rest until then.
    pub(crate) ordered_until: Option<Timestamp>,
    /// Orders have its events bounce.
    pub(crate) bounces: Bounces,
    /// Rows from this place on are still to be looked at because a bounce was ordered.
    pub(crate) sweep: Option<RowKey>,
    /// Rows from this place on are still to be looked at because a rebind was ordered.
    pub(crate) rebinds: Option<RowKey>,
    /// In memory because of a rebind: the dispatcher is being asked.
    pub(crate) rebinding: usize,
    /// Nothing is offered before that (the ready side said so).
    pub(crate) hold_until: Option<Timestamp>,
    /// A failing lane tries nothing before that.
    pub(crate) probe_at: Option<Timestamp>,
    /// What has passed of `config.rate`.
    pub(crate) rate: Gcra,
    /// The rate lets nothing pass before that.
    pub(crate) throttled_until: Option<Timestamp>,
    /// Its place among the timers.
    pub(crate) timer: Option<DueKey>,
}

/// What happened to a lane's rows since a load was asked for: the load may have seen them before or after.
#[derive(Debug, Default)]
pub(crate) struct Loading {
    /// Rows that were removed or replaced.
    pub(crate) gone: HashSet<RowKey>,
    /// The earliest row that was put on disk only.
    pub(crate) put: Option<RowKey>,
    /// It is for rows that are to bounce, due or not.
    pub(crate) sweeps: bool,
    /// It is for rows that are to be rebound, due or not.
    pub(crate) rebinds: bool,
    /// A rebind was ordered meanwhile: what is loaded is its business.
    pub(crate) ordered: Option<Arc<Given>>,
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
    /// Of those: not in memory.
    pub parked: u64,
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
            passed: 0,
            load_from: FIRST_ROW,
            next_due: None,
            loading: None,
            streak: 0,
            suspended_until: None,
            ordered_until: None,
            bounces: Bounces::default(),
            sweep: None,
            rebinds: None,
            rebinding: 0,
            hold_until: None,
            probe_at: None,
            rate: Gcra::new(),
            throttled_until: None,
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
    pub(crate) fn row_gone(&mut self, key: RowKey) {
        self.loaded = self.loaded.saturating_sub(1);
        if let Some(loading) = &mut self.loading {
            loading.gone.insert(key);
        }
    }

    /// A load came to its end: there are no rows but those that are known.
    pub(crate) fn count_rows(&mut self) {
        self.rows = self.loaded + self.passed;
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.streak >= FAILING_AFTER
    }

    /// Nothing of it is in memory or on its way there.
    fn is_idle(&self) -> bool {
        self.in_memory() == 0 && self.loading.is_none()
    }

    pub(crate) fn in_memory(&self) -> usize {
        self.waiting.len() + self.offered + self.rebinding
    }

    /// Rows that only the disk has.
    pub(crate) fn parked(&self) -> u64 {
        self.rows.saturating_sub(self.loaded)
    }

    pub(crate) fn is_suspended(&self, now: Timestamp) -> bool {
        self.suspended_until.max(self.ordered_until).is_some_and(|until| until > now)
    }

    pub(crate) fn rests(&self, now: Timestamp) -> bool {
        self.is_suspended(now) || self.hold_until.is_some_and(|until| until > now)
    }

    /// Whether nothing is left of it.
    pub(crate) fn is_empty(&self) -> bool {
        self.is_idle() && self.rows + self.passed == 0 && self.sweep.is_none() && self.rebinds.is_none()
    }

    /// The ready side wants nothing for a while. Of several waits the shortest counts: a path with a rate sends back
    /// all that waited, each with a longer wait than the one before it.
    pub(crate) fn hold(&mut self, now: Timestamp, until: Timestamp) {
        self.hold_until = Some(self.hold_until.filter(|held| *held > now).map_or(until, |held| held.min(until)));
    }

    /// Puts an event back among those that wait, in order.
    pub(crate) fn put_back(&mut self, offset: Offset) {
        let at = self.waiting.iter().position(|waiting| *waiting > offset).unwrap_or(self.waiting.len());
        self.waiting.insert(at, offset);
    }

    /// Takes the next event to be offered, when the rate lets one pass.
    pub(crate) fn next_to_offer(&mut self, now: Timestamp) -> Option<Offset> {
        self.waiting.front()?;
        if let Some(spec) = &self.config.rate
            && let Err(wait) = self.rate.check(now, spec)
        {
            self.throttled_until = Some(now + wait);
            return None;
        }
        self.throttled_until = None;
        self.offered += 1;
        self.waiting.pop_front()
    }

    /// Whether a new event may stay in memory. Parked events go first, so that order is kept as far as retries allow.
    pub(crate) fn takes_in_memory(&self, now: Timestamp) -> bool {
        let behind = self.next_due.is_some_and(|due| due <= now);
        !self.is_failing() && !self.rests(now) && !behind && self.in_memory() < self.config.capacity
    }

    /// A failing lane with nothing left to probe is given another chance when its time has come.
    pub(crate) fn calm_down(&mut self, now: Timestamp) {
        if self.is_failing() && self.is_empty() && self.probe_at.is_none_or(|at| at <= now) {
            self.streak = 0;
        }
    }

    /// How many events may be read for it where it is the only lane; `None`: the cursor has to wait.
    pub(crate) fn room_to_read(&self, now: Timestamp) -> Option<usize> {
        if self.is_failing() {
            // Nothing of its own to probe with: a new event will do.
            let idle = self.is_idle() && !self.rests(now) && self.next_due.is_none_or(|due| due > now);
            return (idle && self.probe_at.is_none_or(|at| at <= now)).then_some(1);
        }
        // Not one by one: a read and a call of the handlers cost more than an event.
        let least = (self.config.capacity / 8).clamp(1, LEAST_READ);
        let room = self.config.capacity.saturating_sub(self.in_memory());
        (self.takes_in_memory(now) && room >= least).then_some(room)
    }

    /// When something may have become possible, if nothing happens before.
    pub(crate) fn wake(&self, now: Timestamp) -> Option<Timestamp> {
        let rest = self.suspended_until.max(self.ordered_until).max(self.hold_until);
        let probe = self.probe_at.filter(|_| self.is_failing());
        // A failing lane does one thing at a time: the probe that is out will tell.
        let busy = self.is_failing() && self.offered > 0;
        let offer = (!self.waiting.is_empty() && !busy).then(|| rest.max(probe).max(self.throttled_until)).flatten();
        let loads = self.parked() > 0 && !busy && (self.waiting.is_empty() || !self.is_failing());
        let load = self.next_due.filter(|_| loads).map(|due| rest.max(probe).map_or(due, |rest| rest.max(due)));
        let probe = probe.filter(|_| !busy);
        let rate = self.rate_rests_at().filter(|_| self.is_empty());
        [rest, offer, load, probe, rate].into_iter().flatten().filter(|at| *at > now).min()
    }

    /// When its rate is as if nothing had passed.
    pub(crate) fn rate_rests_at(&self) -> Option<Timestamp> {
        self.config.rate.map(|_| self.rate.rested_at())
    }

    pub(crate) fn status(&self, now: Timestamp) -> LaneStatus {
        LaneStatus {
            waiting: self.waiting.len(),
            offered: self.offered,
            rows: self.rows,
            parked: self.parked(),
            failing: self.is_failing(),
            suspended: self.is_suspended(now),
        }
    }
}
