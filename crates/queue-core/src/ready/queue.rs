use super::rates::Booked;
use super::reservation::Reserved;
use super::sessions::Sessions;
use super::{BatchPolicy, NoRoom, Order, PathLimits, ReadyAction, ReadyId, SessionId, Throttled};
use crate::due::DueKey;
use crate::reason::Reason;
use crate::shared::{Lease, Membership, SharedRate, Waiting as InLine};
use crate::throttle::Gcra;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use waybill_types::{QueueName, ReadyQueueName, Timestamp};

#[derive(Debug)]
pub(super) struct Waiting<K> {
    pub(super) item: K,
    pub(super) from: QueueName,
    pub(super) since: Timestamp,
}

/// What holds for all queues.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Mode {
    pub(super) paused: bool,
    pub(super) stopping: bool,
}

/// One ready queue: what waits, who carries it, and what limits both.
#[derive(Debug)]
pub(super) struct ReadyQueue<K> {
    pub(super) name: ReadyQueueName,
    pub(super) id: ReadyId,
    /// Where limits are that other queues count towards as well.
    pub(super) shared: Arc<Membership>,
    /// The shared limits that each session counts towards.
    pub(super) leases: BTreeMap<SessionId, Vec<Lease>>,
    /// Connections under shared limits that were handed to this queue and have no session yet.
    pub(super) handed: Vec<Lease>,
    /// The shared limit in whose line it stands.
    pub(super) in_line: Option<InLine>,
    /// What it has booked of shared rates.
    pub(super) booked: Option<Booked>,
    /// How fast it is chosen for items.
    pub(super) selection: SharedRate,
    pub(super) reserved: Reserved,
    pub(super) sessions: Sessions<(K, QueueName)>,
    /// When this queue wants to be looked at again.
    pub(super) timer: Option<DueKey>,
    pub(super) leaving: bool,
    pub(super) limits: PathLimits,
    pub(super) batch: BatchPolicy,
    pub(super) waiting: VecDeque<Waiting<K>>,
    /// Items that were taken out while they waited; one pass removes them all.
    pub(super) withdrawn: BTreeSet<K>,
    pub(super) message_rate: Gcra,
    pub(super) connection_rate: Gcra,
    pub(super) throttled: Option<Throttled>,
    pub(super) throttled_since: Option<Timestamp>,
    pub(super) limited_since: Option<Timestamp>,
    pub(super) failures: u32,
    /// How often there was no place for an item.
    pub(super) full: u64,
    pub(super) open_after: Timestamp,
    /// When it last opened a session.
    pub(super) opened_at: Timestamp,
    pub(super) suspended: Option<Order>,
    /// Its source is left alone.
    pub(super) source_suspended: Option<Order>,
    /// Since when there is nothing in it.
    pub(super) quiet_since: Timestamp,
}

/// Items in and out. What they are waiting for is in `serve`, when and whether in `look`.
impl<K: Copy + Ord> ReadyQueue<K> {
    pub(super) fn new(
        name: ReadyQueueName,
        limits: PathLimits,
        batch: BatchPolicy,
        shared: Arc<Membership>,
        now: Timestamp,
    ) -> Self {
        ReadyQueue {
            name,
            // Until it has its place.
            id: ReadyId(u32::MAX),
            shared,
            leases: BTreeMap::new(),
            handed: Vec::new(),
            in_line: None,
            booked: None,
            selection: SharedRate::default(),
            reserved: Reserved::default(),
            sessions: Sessions::default(),
            timer: None,
            leaving: false,
            limits,
            batch,
            waiting: VecDeque::new(),
            withdrawn: BTreeSet::new(),
            message_rate: Gcra::new(),
            connection_rate: Gcra::new(),
            throttled: None,
            throttled_since: None,
            limited_since: None,
            failures: 0,
            full: 0,
            open_after: now,
            opened_at: Timestamp::EPOCH,
            suspended: None,
            source_suspended: None,
            quiet_since: now,
        }
    }

    /// Takes other limits. Items that have no place any more and sessions that have served enough go.
    pub(super) fn configure(&mut self, limits: PathLimits, batch: BatchPolicy, out: &mut Vec<ReadyAction<K>>) {
        for (item, from) in self.update_capacity(limits.max_ready) {
            let reason = Reason::MaxReadyWasReducedByConfigUpdate;
            out.push(ReadyAction::Return { item, from, reason, delay: None });
        }
        for session in self.sessions.worn(limits.max_deliveries_per_connection) {
            self.close(session, out);
        }
        self.limits = limits;
        self.batch = batch;
        self.leaving = false;
    }

    pub(super) fn ready(&self) -> usize {
        self.waiting.len().saturating_sub(self.withdrawn.len())
    }

    pub(super) fn room(&self, now: Timestamp) -> Result<(), NoRoom> {
        if self.leaving {
            return Err(NoRoom::Stopping);
        }
        if let Some(suspension) = &self.suspended
            && suspension.holds(now)
        {
            return Err(NoRoom::Suspended(suspension.clone()));
        }
        if let Some(order) = self.source_suspended.as_ref().filter(|order| order.holds(now)) {
            return Err(NoRoom::SourceSuspended(order.clone()));
        }
        if self.ready() + self.reserved.count() >= self.limits.max_ready { Err(NoRoom::Full) } else { Ok(()) }
    }

    pub(super) fn push(&mut self, item: K, from: QueueName, since: Timestamp) {
        // Taken out and back again: the old place must not take the new one with it.
        if self.withdrawn.contains(&item) {
            self.drop_withdrawn();
        }
        self.waiting.push_back(Waiting { item, from, since });
    }

    pub(super) fn withdraw(&mut self, item: K) {
        self.withdrawn.insert(item);
    }

    /// Takes out what waits and came from `from`, in order.
    pub(super) fn take_back(&mut self, from: &QueueName) -> Vec<K> {
        self.drop_withdrawn();
        let (back, stays) = std::mem::take(&mut self.waiting).into_iter().partition(|waiting| waiting.from == *from);
        self.waiting = stays;
        let back: VecDeque<Waiting<K>> = back;
        back.into_iter().map(|waiting| waiting.item).collect()
    }

    /// Makes the queue smaller or larger. The youngest items that have no place any more come back.
    #[must_use]
    pub(super) fn update_capacity(&mut self, max_ready: usize) -> Vec<(K, QueueName)> {
        self.drop_withdrawn();
        self.limits.max_ready = max_ready;
        let excess = (self.waiting.len() + self.reserved.count()).saturating_sub(max_ready);
        let keep = self.waiting.len().saturating_sub(excess);
        self.waiting.split_off(keep).into_iter().map(|waiting| (waiting.item, waiting.from)).collect()
    }

    pub(super) fn suspend(&mut self, suspension: Option<Order>) {
        self.suspended = suspension;
    }

    pub(super) fn send_back(
        &mut self,
        count: usize,
        reason: Reason,
        out: &mut Vec<ReadyAction<K>>,
        delay: impl Fn(usize) -> Option<Duration>,
    ) {
        for (place, Waiting { item, from, .. }) in self.waiting.drain(..count).enumerate() {
            out.push(ReadyAction::Return { item, from, reason, delay: delay(place) });
        }
    }

    pub(super) fn drop_withdrawn(&mut self) {
        if !self.withdrawn.is_empty() {
            self.waiting.retain(|waiting| !self.withdrawn.contains(&waiting.item));
            self.withdrawn.clear();
        }
    }
}
