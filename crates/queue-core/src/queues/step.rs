use super::items::{Items, Place, QueueId, Slot};
use super::returns::Return;
use super::scheduled::Scheduled;
use super::{Action, Event, Fate, Outcome, SessionId};
use crate::config::QueueConfig;
use crate::due::DueIndex;
use crate::ready::{ReadyAction, ReadyEvent, ReadyQueues};
use crate::reason::Reason;
use crate::shared::{Nudge, SharedLimits};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::collections::{HashMap, VecDeque};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use waybill_types::{QueueName, Response, Timestamp};

/// The most messages that one step touches of a larger number: the rest comes with the next `Tick`, so that no step
/// keeps its caller waiting.
pub(super) const SWEEP: usize = 1000;

/// All scheduled queues and the ready queues behind them. See the module's documentation for the protocol.
#[derive(Debug)]
pub struct Queues<K> {
    pub(super) items: Items<K>,
    /// A queue keeps its place while it lives, so that an id is an index.
    pub(super) queues: Vec<Option<Scheduled>>,
    pub(super) free: Vec<QueueId>,
    pub(super) by_name: HashMap<QueueName, QueueId>,
    pub(super) defaults: Arc<QueueConfig>,
    pub(super) ready: ReadyQueues<Slot>,
    /// Messages by the time at which they are due.
    pub(super) due: DueIndex<Slot>,
    /// Queues by the time at which they want to be looked at.
    pub(super) timers: DueIndex<QueueId>,
    /// Queues whose messages in line may have somewhere to go.
    pub(super) called: VecDeque<QueueId>,
    /// Queues that are being swept, with the number of messages still to be looked at.
    pub(super) sweeps: VecDeque<(QueueId, usize)>,
    pub(super) random: StdRng,
    pub(super) ask_before_ready: bool,
    pub(super) ask_before_return: bool,
    /// What becomes of messages that the policy is shown on their way back, once it has answered.
    pub(super) returning: HashMap<Slot, Return>,
    pub(super) paused: bool,
    pub(super) stopping: bool,
    announced: Option<Timestamp>,
    /// The time of this step.
    pub(super) now: Timestamp,
}

impl<K: Copy + Eq + Hash + Ord + Debug> Queues<K> {
    /// No messages, and limits that nobody shares. The seed decides all that is random here: jitter, and delays below a
    /// minute.
    pub fn new(seed: u64) -> Self {
        Self::over(ReadyQueues::new(), seed)
    }

    /// No messages. Limits with a name count together with those of all who were given `limits`; after `nudge` a `Tick`
    /// is wanted.
    pub fn sharing(limits: &SharedLimits, nudge: Nudge, seed: u64) -> Self {
        Self::over(ReadyQueues::sharing(limits, nudge), seed)
    }

    fn over(ready: ReadyQueues<Slot>, seed: u64) -> Self {
        Queues {
            items: Items::default(),
            queues: Vec::new(),
            free: Vec::new(),
            by_name: HashMap::new(),
            defaults: Arc::new(QueueConfig::default()),
            ready,
            due: DueIndex::new(),
            timers: DueIndex::new(),
            called: VecDeque::new(),
            sweeps: VecDeque::new(),
            random: StdRng::seed_from_u64(seed),
            ask_before_ready: false,
            ask_before_return: false,
            returning: HashMap::new(),
            paused: false,
            stopping: false,
            announced: None,
            now: Timestamp::EPOCH,
        }
    }

    /// From now on each message that is due is shown to the policy before it becomes ready
    /// ([`Action::AskBeforeReady`]): for policies that have a handler for that.
    pub fn ask_before_ready(&mut self, ask: bool) {
        self.ask_before_ready = ask;
    }

    /// From now on each message that goes back to its scheduled queue is shown to the policy before
    /// ([`Action::AskBeforeReturn`]), but for those that a session failed, whose driver asks itself, and those that only
    /// found no room: for policies that have a handler for that.
    pub fn ask_before_return(&mut self, ask: bool) {
        self.ask_before_return = ask;
    }

    /// Takes one event and says what is to be done.
    pub fn step(&mut self, now: Timestamp, event: Event<K>, actions: &mut Vec<Action<K>>) {
        self.now = now;
        // Of many messages a sweep takes a part with each Tick: a caller that brings hundreds of events at once must not
        // get a thousand removals with each of them.
        let sweeps = matches!(event, Event::Tick | Event::Bounced { .. });
        match event {
            Event::Tick => {}
            Event::Arrived(arrival) => self.arrived(now, arrival, actions),
            Event::ConfigChanged { queue, config } => self.config_changed(now, queue, config),
            Event::RouteResolved { queue, route } => self.route_resolved(now, &queue, route, actions),
            Event::Answered { item, delay } => self.answered(now, item, delay, actions),
            Event::ReturnAnswered { item, verdict } => self.return_answered(now, item, verdict, actions),
            Event::SessionReady { session } => {
                self.ready_step(now, ReadyEvent::SessionReady { session }, None, actions);
            }
            Event::SessionFailed { session, response } => {
                let response = Some(Arc::new(response));
                self.ready_step(now, ReadyEvent::SessionFailed { session }, response.as_ref(), actions);
            }
            Event::SessionRefused { session, response } => {
                let response = Some(Arc::new(response));
                self.ready_step(now, ReadyEvent::SessionRefused { session }, response.as_ref(), actions);
            }
            Event::Finished { session, outcomes, fate } => self.finished(now, session, outcomes, fate, actions),
            Event::Closed { session } => self.ready_step(now, ReadyEvent::Closed { session }, None, actions),
            Event::Suspended { queue, order } => self.suspended(now, &queue, order),
            Event::Resumed { queue } => {
                if let Some(id) = self.by_name.get(&queue).copied() {
                    self.with_queue(id, |queue| queue.suspended = None);
                    self.look_again_if_empty(now, id);
                }
            }
            Event::ReadySuspended { queue, order } => {
                self.ready_step(now, ReadyEvent::Suspend { queue, order }, None, actions);
            }
            Event::SourceTroubled { source, trouble, rule, why } => {
                self.ready_step(now, ReadyEvent::SourceTroubled { source, trouble, rule, why }, None, actions);
            }
            Event::ReadyResumed { queue } => self.ready_step(now, ReadyEvent::Resume { queue }, None, actions),
            Event::Bounced { queue, order, silent } => self.bounced(now, &queue, order, silent),
            Event::BounceEnded { queue } => {
                if let Some(id) = self.by_name.get(&queue).copied() {
                    self.with_queue(id, |queue| queue.bounce = None);
                    self.look_again_if_empty(now, id);
                }
            }
            Event::Moved { item, to, due, reason } => self.moved(now, item, &to, due, reason, actions),
            Event::Take { queue, limit } => self.take_aside(now, queue, limit, actions),
            Event::Rebound { item, to, note, flush } => {
                self.rebound(now, item, &to, note.as_deref(), flush, actions);
            }
            Event::Rescheduled { item, due } => self.rescheduled(now, item, due, actions),
            Event::ScheduleChanged { item, schedule } => self.schedule_changed(&item, schedule),
            Event::Dropped { item } => self.dropped(now, item),
            Event::Paused => {
                self.paused = true;
                self.ready_step(now, ReadyEvent::Pause, None, actions);
            }
            Event::Unpaused => {
                self.paused = false;
                self.ready_step(now, ReadyEvent::Unpause, None, actions);
            }
            Event::Stopping => {
                self.stopping = true;
                self.go_back_unanswered(now, actions);
                self.ready_step(now, ReadyEvent::Stopping, None, actions);
            }
        }
        self.proceed(now, sweeps, actions);
    }

    /// Whatever the event was: what is due moves on, within bounds.
    fn proceed(&mut self, now: Timestamp, sweeps: bool, actions: &mut Vec<Action<K>>) {
        while let Some((_, id)) = self.timers.pop_due(now) {
            self.with_queue(id, |queue| queue.timer = None);
            self.look_at(now, id, actions);
        }
        if sweeps {
            self.sweep(now, actions);
        }
        if !self.paused && !self.stopping {
            self.line_up_due(now);
            self.promote(now, actions);
        }
        self.ready_step(now, ReadyEvent::Redeemed, None, actions);
        self.announce(now, actions);
    }

    fn announce(&mut self, now: Timestamp, actions: &mut Vec<Action<K>>) {
        let moving = !self.paused && !self.stopping;
        let rest = !self.sweeps.is_empty() || (moving && !self.called.is_empty());
        let due = self.due.next_due().filter(|_| moving);
        let next = [due, self.timers.next_due(), self.ready.next_wake(), rest.then_some(now)];
        let wake = next.into_iter().flatten().min().map(|at| at.max(now));
        if let Some(at) = wake
            && (self.announced != wake || at == now)
        {
            actions.push(Action::WakeAt(at));
        }
        self.announced = wake;
    }

    fn finished(
        &mut self,
        now: Timestamp,
        session: SessionId,
        outcomes: Vec<(K, Outcome)>,
        fate: Fate,
        actions: &mut Vec<Action<K>>,
    ) {
        let batch: Vec<Slot> = self.ready.in_flight(session).collect();
        for (item, outcome) in outcomes {
            let Some(slot) = self.items.slot(&item) else { continue };
            if self.items.get(slot).is_some_and(|entry| entry.place == Place::InFlight(session)) {
                self.settle(now, slot, outcome, actions);
            }
        }
        for slot in batch {
            if self.items.get(slot).is_some_and(|entry| entry.place == Place::InFlight(session)) {
                self.go_back(now, slot, Return::untried(Reason::PeerClosedConnection.into(), None), actions);
            }
        }
        self.ready_step(now, ReadyEvent::Finished { session, fate }, None, actions);
    }

    /// Lets the ready queues take a step, and turns what they want into what we want.
    pub(super) fn ready_step(
        &mut self,
        now: Timestamp,
        event: ReadyEvent,
        response: Option<&Arc<Response>>,
        actions: &mut Vec<Action<K>>,
    ) {
        let mut wanted = Vec::new();
        self.ready.step(now, event, &mut wanted);
        for action in wanted {
            match action {
                ReadyAction::Open { queue, session, representative } => {
                    actions.push(Action::Open { queue, session, representative });
                }
                // Ready => InFlight. The session owns the messages now; only `Finished` or `Closed` gives them back.
                ReadyAction::Hand { session, queue, items } => {
                    let items = items.into_iter().filter_map(|slot| self.in_flight(slot, session)).collect();
                    actions.push(Action::Hand { session, queue, items });
                }
                ReadyAction::Close { session } => actions.push(Action::Close { session }),
                ReadyAction::Return { item, reason, delay, .. } => {
                    self.returned(now, item, reason, delay, response, actions);
                }
                ReadyAction::Forgotten { queue } => actions.push(Action::ReadyForgotten { queue }),
                // Ours covers theirs.
                ReadyAction::WakeAt(_) => {}
                ReadyAction::Stopped => actions.push(Action::Stopped),
            }
        }
    }

    fn in_flight(&mut self, slot: Slot, session: SessionId) -> Option<K> {
        self.put(slot, Place::InFlight(session));
        self.items.get(slot).map(|entry| entry.item)
    }
}
