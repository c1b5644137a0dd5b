//! What the model knows: plain maps, filled from what was told and what was answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use waybill_queue_core::config::QueueConfig;
use waybill_queue_core::queues::{Arrival, SessionId};
use waybill_queue_core::ready::{BatchPolicy, PathLimits};
use waybill_types::{QueueName, ReadyQueueName, Schedule, ThrottleSpec, Timestamp};

/// A message that has not been removed.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) queue: usize,
    pub(crate) created: Timestamp,
    pub(crate) schedule: Option<Arc<Schedule>>,
    pub(crate) attempts: u16,
    /// The session that has it.
    pub(crate) with: Option<SessionId>,
    /// The ready queue it is in, and since when.
    pub(crate) ready: Option<(ReadyQueueName, Timestamp)>,
    /// Records that should be its last.
    pub(crate) finals: usize,
    /// It was last put into its scheduled queue to be due then, and must not be handed over before.
    pub(crate) due: Timestamp,
}

impl Item {
    pub(crate) fn expires(&self) -> Option<Timestamp> {
        self.schedule.as_ref().and_then(|schedule| schedule.expires())
    }

    /// When its schedule lets it be tried, if it is due then.
    pub(crate) fn allowed(&self, due: Timestamp) -> Timestamp {
        self.schedule.as_ref().map_or(due, |schedule| schedule.apply(due))
    }
}

/// What the spool holds of a message: as it was accepted, with what was saved since.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) queue: usize,
    pub(crate) created: Timestamp,
    pub(crate) schedule: Option<Arc<Schedule>>,
    /// Unset for one that was not saved yet, of a spool that says nothing about attempts.
    pub(crate) attempts: Option<u16>,
    pub(crate) due: Option<Timestamp>,
}

impl Row {
    /// As it is found there, of a message in this queue.
    pub(crate) fn enumerated(&self, item: u32, queue: QueueName) -> Arrival<u32> {
        let mut arrival = Arrival::enumerated(item, queue, self.created);
        (arrival.attempts, arrival.due, arrival.schedule) = (self.attempts, self.due, self.schedule.clone());
        arrival
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    Opening,
    Idle { since: Timestamp },
    Busy,
    Closing,
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) path: usize,
    /// The shared limits that it counts towards.
    pub(crate) leases: Vec<Arc<str>>,
    pub(crate) phase: Phase,
    pub(crate) served: usize,
}

/// A scheduled queue.
#[derive(Debug)]
pub(crate) struct Scheduled {
    pub(crate) name: QueueName,
    pub(crate) config: QueueConfig,
    /// In memory: it has its configuration.
    pub(crate) known: bool,
    pub(crate) ways: Vec<(usize, u32)>,
    /// Until when an operator's order holds.
    pub(crate) suspended: Option<Timestamp>,
    pub(crate) bounce: Option<Timestamp>,
    pub(crate) silent: bool,
}

/// A ready queue.
#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) name: ReadyQueueName,
    pub(crate) limits: PathLimits,
    pub(crate) batch: BatchPolicy,
    pub(crate) suspended: Option<Timestamp>,
    pub(crate) last_failure: Option<Timestamp>,
    /// Since when it has had these limits.
    pub(crate) since: Timestamp,
    /// How many messages and connections passed since then.
    pub(crate) passed: u64,
    pub(crate) opened: u64,
    /// For how many messages it was chosen since then.
    pub(crate) selected: u64,
    pub(crate) opened_at: Timestamp,
}

/// The limits and rates that paths share, each name with the same number for all of them.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) limits: BTreeMap<Arc<str>, u32>,
    pub(crate) rates: BTreeMap<Arc<str>, ThrottleSpec>,
    pub(crate) selections: BTreeMap<Arc<str>, ThrottleSpec>,
    /// How many passed since the start.
    pub(crate) passed: BTreeMap<Arc<str>, u64>,
    pub(crate) selected: BTreeMap<Arc<str>, u64>,
    pub(crate) since: Timestamp,
}

impl Named {
    /// So many pass under these names: never more than the rates allow.
    pub(crate) fn pass(&mut self, names: impl Iterator<Item = Arc<str>>, count: u64, now: Timestamp) {
        for name in names {
            let passed = self.passed.entry(name.clone()).or_default();
            *passed += count;
            assert!(fits(self.rates[&name], now.since(self.since), *passed), "messages of {name} too fast");
        }
    }

    /// A path with these names is chosen for a message.
    pub(crate) fn select(&mut self, names: impl Iterator<Item = Arc<str>>, now: Timestamp) {
        for name in names {
            let selected = self.selected.entry(name.clone()).or_default();
            *selected += 1;
            assert!(fits(self.selections[&name], now.since(self.since), *selected), "{name} chosen too often");
        }
    }
}

/// True while no more than the rate allows has passed: what was saved up before, and one each interval since.
fn fits(rate: ThrottleSpec, elapsed: Duration, passed: u64) -> bool {
    u128::from(passed) <= u128::from(rate.burst()) + elapsed.as_nanos() / rate.interval().as_nanos()
}

/// Everything.
#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) now: Timestamp,
    pub(crate) items: BTreeMap<u32, Item>,
    /// What the spool holds now, and what it held before the step that has just been taken.
    pub(crate) disk: BTreeMap<u32, Row>,
    pub(crate) disk_before: BTreeMap<u32, Row>,
    /// Messages that wait, or waited, for a due time that was to come: their queue and that time.
    pub(crate) waiting: BTreeMap<u32, (usize, Timestamp)>,
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    pub(crate) queues: Vec<Scheduled>,
    pub(crate) paths: Vec<Path>,
    pub(crate) named: Named,
    pub(crate) routes_asked: BTreeSet<usize>,
    pub(crate) asked: BTreeSet<u32>,
    /// Messages that the policy is shown on their way back: whether an attempt was made, and how long they wait.
    pub(crate) returning: BTreeMap<u32, (bool, Option<Duration>)>,
    /// Messages that are aside for an operator's change.
    pub(crate) taken: BTreeSet<u32>,
    /// The message that an operator gives back in this step.
    pub(crate) rebound: Option<u32>,
    pub(crate) wake: Option<Timestamp>,
    pub(crate) paused: bool,
    pub(crate) stopping: bool,
    pub(crate) stopped: bool,
    /// What the peer asked for in this step.
    pub(crate) retry_after: BTreeMap<u32, Duration>,
    /// How long the policy or the operator sends messages away in this step.
    pub(crate) longest_delay: Duration,
    /// Messages that the policy moves in this step.
    pub(crate) moving: BTreeMap<u32, usize>,
    /// Messages that sessions send on in this step.
    pub(crate) forwarding: BTreeMap<u32, usize>,
}

impl Reference {
    /// The process is gone, and with it what only memory held: everything about messages is in the spool.
    pub(crate) fn forget(&mut self) {
        let now = self.now;
        self.items.clear();
        self.waiting.clear();
        self.sessions.clear();
        self.routes_asked.clear();
        self.asked.clear();
        self.taken.clear();
        self.returning.clear();
        self.wake = None;
        (self.paused, self.stopping, self.stopped) = (false, false, false);
        for queue in &mut self.queues {
            (queue.known, queue.suspended, queue.bounce) = (false, None, None);
        }
        for path in &mut self.paths {
            (path.suspended, path.last_failure) = (None, None);
            (path.since, path.passed, path.opened, path.selected) = (now, 0, 0, 0);
        }
        self.named.passed.clear();
        self.named.selected.clear();
        self.named.since = now;
    }

    pub(crate) fn path(&self, name: &ReadyQueueName) -> usize {
        self.paths.iter().position(|path| path.name == *name).expect("a path of the model")
    }

    pub(crate) fn queue(&self, name: &QueueName) -> usize {
        self.queues.iter().position(|queue| queue.name == *name).expect("a queue of the model")
    }

    /// True while something may become ready or be handed over at all.
    pub(crate) fn moving_allowed(&self) -> bool {
        !self.paused && !self.stopping
    }

    pub(crate) fn bounces_silently(&self, queue: usize) -> bool {
        self.queues[queue].silent && self.bounces(queue)
    }

    pub(crate) fn path_suspended(&self, path: usize) -> bool {
        self.paths[path].suspended.is_some_and(|until| until > self.now)
    }

    pub(crate) fn count_sessions(&self, path: usize, wanted: impl Fn(Phase) -> bool) -> usize {
        self.sessions.values().filter(|session| session.path == path && wanted(session.phase)).count()
    }

    /// The messages of a ready queue, longest waiting first.
    pub(crate) fn ready_items(&self, path: usize) -> Vec<Timestamp> {
        let name = &self.paths[path].name;
        let mut since: Vec<Timestamp> = self
            .items
            .values()
            .filter_map(|item| item.ready.as_ref().filter(|(queue, _)| queue == name).map(|(_, since)| *since))
            .collect();
        since.sort_unstable();
        since
    }

    /// True while no more than a rate of the path allows has passed.
    pub(crate) fn keeps(&self, path: usize, rate: Option<ThrottleSpec>, passed: u64) -> bool {
        rate.is_none_or(|rate| fits(rate, self.now.since(self.paths[path].since), passed))
    }

    /// How many sessions, of whichever path, count towards a shared limit.
    pub(crate) fn leases(&self, name: &Arc<str>) -> usize {
        self.sessions.values().filter(|session| session.leases.contains(name)).count()
    }

    /// A path was chosen for a message.
    pub(crate) fn select(&mut self, path: usize) {
        let now = self.now;
        let limits = &self.paths[path].limits;
        let rate = limits.source_selection_rate;
        let names: Vec<_> = limits.additional_source_selection_rates.keys().cloned().collect();
        self.named.select(names.into_iter(), now);
        self.paths[path].selected += 1;
        assert!(self.keeps(path, rate, self.paths[path].selected), "a path was chosen too often");
    }

    pub(crate) fn suspended(&self, queue: usize) -> bool {
        self.queues[queue].suspended.is_some_and(|until| until > self.now)
    }

    pub(crate) fn bounces(&self, queue: usize) -> bool {
        self.queues[queue].bounce.is_some_and(|until| until > self.now)
    }

    /// How many batches are formed in a ready queue, counted one by one.
    pub(crate) fn formed(&self, path: usize) -> usize {
        let batch = &self.paths[path].batch;
        self.ready_items(path)
            .chunks(batch.batch_size())
            .filter(|chunk| chunk.len() >= batch.min_batch_size() || chunk[0] + batch.max_batch_latency() <= self.now)
            .count()
    }
}
