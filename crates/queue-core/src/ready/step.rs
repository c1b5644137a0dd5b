use super::queue::{Mode, ReadyQueue};
use super::sources::{Sources, is_of};
use super::{
    BatchPolicy, NoRoom, Order, PathLimits, ReadyAction, ReadyEvent, ReadyId, ReadyStatus, Reservation, Selected,
    SessionId,
};
use crate::due::DueIndex;
use crate::shared::{Membership, Nudge, SharedLimits};
use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;
use waybill_types::{NumberMap, QueueName, ReadyQueueName, Timestamp};

/// All ready queues of one driver. See the module's documentation for the protocol.
#[derive(Debug)]
pub struct ReadyQueues<K> {
    /// Where limits are that others count towards as well.
    shared: Arc<Membership>,
    /// A queue keeps its place while it lives, so that an id is an index.
    queues: Vec<Option<ReadyQueue<K>>>,
    free: Vec<ReadyId>,
    by_name: HashMap<ReadyQueueName, ReadyId>,
    /// The queue that was reserved in last: mostly the next item is for the same.
    last: ReadyId,
    by_session: NumberMap<SessionId, ReadyId>,
    next_session: u64,
    /// Orders for queues that do not exist yet.
    suspended_ahead: HashMap<ReadyQueueName, Order>,
    /// Sources that are left alone.
    sources: Sources,
    timers: DueIndex<ReadyId>,
    /// Queues that changed since the last step.
    touched: Vec<ReadyId>,
    mode: Mode,
    announced: Option<Timestamp>,
    stopped: bool,
}

impl<K> Default for ReadyQueues<K> {
    fn default() -> Self {
        Self::of(SharedLimits::default().join(None))
    }
}

impl<K> ReadyQueues<K> {
    fn of(shared: Membership) -> Self {
        ReadyQueues {
            shared: Arc::new(shared),
            queues: Vec::new(),
            free: Vec::new(),
            by_name: HashMap::new(),
            last: ReadyId(0),
            by_session: NumberMap::default(),
            next_session: 1,
            suspended_ahead: HashMap::new(),
            sources: Sources::default(),
            timers: DueIndex::new(),
            touched: Vec::new(),
            mode: Mode::default(),
            announced: None,
            stopped: false,
        }
    }
}

impl<K: Copy + Eq + Hash + Ord + Debug> ReadyQueues<K> {
    /// No queues yet, and limits that nobody shares.
    pub fn new() -> Self {
        Self::default()
    }

    /// No queues yet. Limits with a name count together with those of all who were given `limits`; after `nudge` a
    /// `Tick` is wanted.
    pub fn sharing(limits: &SharedLimits, nudge: Nudge) -> Self {
        Self::of(limits.join(Some(nudge)))
    }

    /// A place in the queue. Items that wait and reservations count, items in flight do not.
    ///
    /// # Errors
    /// Why there is none.
    pub fn reserve(&mut self, queue: &ReadyQueueName, now: Timestamp) -> Result<Reservation, NoRoom> {
        if self.mode.stopping {
            return Err(NoRoom::Stopping);
        }
        let id = match self.name(self.last) {
            Some(last) if last == queue => self.last,
            _ => *self.by_name.get(queue).ok_or(NoRoom::Unknown)?,
        };
        self.last = id;
        let ready = self.queue_mut(id).ok_or(NoRoom::Unknown)?;
        let room = ready.room(now);
        ready.full += u64::from(matches!(room, Err(NoRoom::Full)));
        room.map(|()| ready.reserved.reserve(id))
    }

    /// When the queue may be chosen for one more item (`source_selection_rate`), and how far apart such turns are.
    /// Takes nothing.
    pub fn selection_turn(&mut self, queue: &ReadyQueueName, now: Timestamp) -> (Timestamp, Duration) {
        let id = self.by_name.get(queue).copied();
        let queue = id.and_then(|id| self.queue_mut(id));
        queue.map_or((now, Duration::ZERO), |queue| queue.selection_turn(now))
    }

    /// The queue is chosen for an item: now, or for the turn that [`ReadyQueues::selection_turn`] said.
    pub fn select(&mut self, queue: &ReadyQueueName, now: Timestamp) {
        if let Some(queue) = self.by_name.get(queue).copied().and_then(|id| self.queue_mut(id)) {
            queue.select(now);
        }
    }

    /// What [`ReadyQueues::select`] takes of the queue's rates.
    pub fn selected(&self, queue: &ReadyQueueName) -> Selected {
        let queue = self.by_name.get(queue).and_then(|id| self.queue(*id));
        queue.map(ReadyQueue::selected).unwrap_or_default()
    }

    /// The queue was chosen, which took this, for an item that does not come.
    pub fn deselect(&mut self, queue: &ReadyQueueName, now: Timestamp, taken: &Selected) {
        if let Some(queue) = self.by_name.get(queue).copied().and_then(|id| self.queue_mut(id)) {
            queue.deselect(now, taken);
        }
    }

    /// Puts an item into the place. It joins a batch at the next step: [`ReadyEvent::Redeemed`] when all are in.
    pub fn redeem(&mut self, reservation: Reservation, item: K, from: QueueName, now: Timestamp) {
        let id = reservation.queue;
        drop(reservation);
        // A queue with a reservation is never removed, so it is there.
        if let Some(queue) = self.queue_mut(id) {
            queue.push(item, from, now);
            self.touch(id);
        }
    }

    /// Takes out an item that waits, without a trace.
    pub fn withdraw(&mut self, queue: ReadyId, item: K) {
        if let Some(ready) = self.queue_mut(queue) {
            ready.withdraw(item);
            self.touch(queue);
        }
    }

    /// Takes out all items that wait in a queue and came from the scheduled queue `from`, in order.
    #[must_use = "these items are in no ready queue any more"]
    pub fn take_back(&mut self, queue: &ReadyQueueName, from: &QueueName) -> Vec<K> {
        let Some(id) = self.by_name.get(queue).copied() else { return Vec::new() };
        self.touch(id);
        self.queue_mut(id).map(|queue| queue.take_back(from)).unwrap_or_default()
    }

    /// Makes a queue smaller or larger. The youngest items that have no place any more come back.
    #[must_use = "these items are in no ready queue any more"]
    pub fn update_capacity(&mut self, queue: &ReadyQueueName, max_ready: usize) -> Vec<(K, QueueName)> {
        let id = self.by_name.get(queue).copied();
        id.and_then(|id| self.queue_mut(id)).map(|queue| queue.update_capacity(max_ready)).unwrap_or_default()
    }

    /// When the next `Tick` is wanted.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.timers.next_due()
    }

    /// How many sessions there are, closing ones included.
    pub fn sessions(&self) -> usize {
        self.by_session.len()
    }

    /// How one queue is doing.
    pub fn status(&self, queue: &ReadyQueueName, now: Timestamp) -> Option<ReadyStatus> {
        let id = self.by_name.get(queue)?;
        Some(self.queue(*id)?.status(now))
    }

    /// The items that a session holds.
    pub fn in_flight(&self, session: SessionId) -> impl Iterator<Item = K> + '_ {
        let queue = self.by_session.get(&session).and_then(|id| self.queue(*id));
        queue.into_iter().flat_map(move |queue| queue.sessions.items(session)).map(|(item, _)| *item)
    }

    /// The queues in memory, in no order.
    pub fn names(&self) -> impl Iterator<Item = &ReadyQueueName> {
        self.by_name.keys()
    }

    /// The name of a queue that holds an item.
    pub fn name(&self, queue: ReadyId) -> Option<&ReadyQueueName> {
        self.queue(queue).map(|queue| &queue.name)
    }

    /// Takes one event and says what is to be done.
    pub fn step(&mut self, now: Timestamp, event: ReadyEvent, actions: &mut Vec<ReadyAction<K>>) {
        match event {
            ReadyEvent::Configure { queue, limits, batch } => self.configure(now, queue, *limits, batch, actions),
            ReadyEvent::Redeemed | ReadyEvent::Tick => {}
            ReadyEvent::SessionReady { session } => {
                self.with_session(session, |queue| queue.connected(session, now));
            }
            ReadyEvent::SessionFailed { session } => {
                let mode = self.mode;
                self.with_session(session, |queue| queue.failed(session, mode, now, actions));
                self.by_session.remove(&session);
            }
            ReadyEvent::SessionRefused { session } => {
                let mode = self.mode;
                self.with_session(session, |queue| queue.refused(session, mode, now, actions));
            }
            ReadyEvent::Finished { session, fate } => {
                self.with_session(session, |queue| queue.finished(session, fate, now, actions));
            }
            ReadyEvent::Closed { session } => {
                self.with_session(session, |queue| queue.closed(session, actions));
                self.by_session.remove(&session);
            }
            ReadyEvent::Suspend { queue, order } => {
                if self.by_name.contains_key(&queue) {
                    self.with_named(&queue, |queue| queue.suspend(Some(order)));
                } else {
                    self.suspended_ahead.insert(queue, order);
                }
            }
            ReadyEvent::Resume { queue } => {
                self.suspended_ahead.remove(&queue);
                self.with_named(&queue, |queue| queue.suspend(None));
            }
            ReadyEvent::SourceTroubled { source, trouble, rule, why } => {
                if let Some(order) = self.sources.troubled(now, &source, trouble, &rule, &why) {
                    self.leave_source_alone(&source, &order);
                }
            }
            ReadyEvent::Forget { queue } => self.with_named(&queue, |queue| queue.leaving = true),
            ReadyEvent::Pause => self.set_mode(Mode { paused: true, ..self.mode }),
            ReadyEvent::Unpause => self.set_mode(Mode { paused: false, ..self.mode }),
            ReadyEvent::Stopping => self.set_mode(Mode { stopping: true, ..self.mode }),
        }
        while let Some((_, id)) = self.timers.pop_due(now) {
            if let Some(queue) = self.queue_mut(id) {
                queue.timer = None;
            }
            self.touch(id);
        }
        self.settle_all(now, actions);
        self.announce(actions);
    }

    fn configure(
        &mut self,
        now: Timestamp,
        name: ReadyQueueName,
        limits: PathLimits,
        batch: BatchPolicy,
        actions: &mut Vec<ReadyAction<K>>,
    ) {
        if !self.by_name.contains_key(&name) {
            let shared = Arc::clone(&self.shared);
            let mut queue = ReadyQueue::new(name.clone(), limits.clone(), batch, shared, now);
            queue.suspend(self.suspended_ahead.remove(&name));
            queue.source_suspended = self.sources.order_of(&name, now).cloned();
            let id = self.place(queue);
            self.by_name.insert(name.clone(), id);
        }
        self.with_named(&name, |queue| queue.configure(limits, batch, actions));
    }

    fn leave_source_alone(&mut self, source: &str, order: &Order) {
        for queue in self.queues.iter_mut().flatten().filter(|queue| is_of(&queue.name, source)) {
            queue.source_suspended = Some(order.clone());
            self.touched.push(queue.id);
        }
    }

    fn place(&mut self, mut queue: ReadyQueue<K>) -> ReadyId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.queues.push(None);
            ReadyId(u32::try_from(self.queues.len() - 1).unwrap_or(u32::MAX))
        });
        queue.id = id;
        self.queues[id.0 as usize] = Some(queue);
        id
    }

    /// Settles what changed, until nothing does: what one queue gives back of a shared limit, another one takes.
    fn settle_all(&mut self, now: Timestamp, actions: &mut Vec<ReadyAction<K>>) {
        loop {
            for (id, lease) in self.shared.called() {
                // Of a queue that is gone, it goes to the next in line.
                if let Some(queue) = self.queue_mut(id) {
                    queue.in_line = None;
                    queue.handed.push(lease);
                    self.touch(id);
                }
            }
            if self.touched.is_empty() {
                return;
            }
            self.settle_touched(now, actions);
        }
    }

    fn settle_touched(&mut self, now: Timestamp, actions: &mut Vec<ReadyAction<K>>) {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        for id in touched {
            let Some(Some(queue)) = self.queues.get_mut(id.0 as usize) else { continue };
            let (next_session, by_session) = (&mut self.next_session, &mut self.by_session);
            let mut new_session = || {
                let session = SessionId(*next_session);
                *next_session += 1;
                by_session.insert(session, id);
                session
            };
            queue.settle(self.mode, now, &mut new_session, actions);
            let wake = queue.next_wake(self.mode, now);
            if queue.timer.map(|timer| timer.due()) != wake {
                if let Some(timer) = queue.timer.take() {
                    self.timers.remove(timer);
                }
                queue.timer = wake.map(|at| self.timers.insert(at, id));
            }
            if queue.is_spent(now) {
                self.remove(id, actions);
            }
        }
    }

    fn remove(&mut self, id: ReadyId, actions: &mut Vec<ReadyAction<K>>) {
        let Some(queue) = self.queues.get_mut(id.0 as usize).and_then(Option::take) else { return };
        if let Some(timer) = queue.timer {
            self.timers.remove(timer);
        }
        self.by_name.remove(&queue.name);
        self.free.push(id);
        actions.push(ReadyAction::Forgotten { queue: queue.name });
    }

    fn announce(&mut self, actions: &mut Vec<ReadyAction<K>>) {
        let wake = self.next_wake();
        if let Some(at) = wake
            && self.announced != wake
        {
            actions.push(ReadyAction::WakeAt(at));
        }
        self.announced = wake;
        if self.mode.stopping && !self.stopped && self.by_session.is_empty() {
            self.stopped = true;
            actions.push(ReadyAction::Stopped);
        }
    }

    fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
        self.touched = (0..self.queues.len()).filter_map(|i| u32::try_from(i).ok()).map(ReadyId).collect();
    }

    fn with_session(&mut self, session: SessionId, change: impl FnOnce(&mut ReadyQueue<K>)) {
        let Some(id) = self.by_session.get(&session).copied() else { return };
        if let Some(queue) = self.queue_mut(id) {
            change(queue);
            self.touch(id);
        }
    }

    fn with_named(&mut self, name: &ReadyQueueName, change: impl FnOnce(&mut ReadyQueue<K>)) {
        let Some(id) = self.by_name.get(name).copied() else { return };
        if let Some(queue) = self.queue_mut(id) {
            change(queue);
            self.touch(id);
        }
    }

    fn queue(&self, id: ReadyId) -> Option<&ReadyQueue<K>> {
        self.queues.get(id.0 as usize).and_then(Option::as_ref)
    }

    fn queue_mut(&mut self, id: ReadyId) -> Option<&mut ReadyQueue<K>> {
        self.queues.get_mut(id.0 as usize).and_then(Option::as_mut)
    }

    fn touch(&mut self, id: ReadyId) {
        if self.touched.last() != Some(&id) {
            self.touched.push(id);
        }
    }
}
