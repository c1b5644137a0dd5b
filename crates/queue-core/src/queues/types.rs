//! What goes in and comes out of [`super::Queues`].

use super::{Fate, Order, Route, SessionId};
use crate::config::{QueueConfig, SourceSuspension};
use crate::ready::SourceTrouble;
use crate::reason::{Reason, Reasons};
use std::sync::Arc;
use std::time::Duration;
use waybill_types::{QueueName, ReadyQueueName, Response, Schedule, Timestamp};

/// A message that comes in.
#[derive(Clone, PartialEq, Debug)]
pub struct Arrival<K> {
    /// Its key.
    pub item: K,
    /// Its scheduled queue.
    pub queue: QueueName,
    /// When it was made; its age counts from here.
    pub created: Timestamp,
    /// When it is to be tried; unset is now.
    pub due: Option<Timestamp>,
    /// How often it was tried; unset infers that, and the due time, from its age.
    pub attempts: Option<u16>,
    /// When attempts are allowed; unset is always, for as long as the queue's `max_age` says.
    pub schedule: Option<Arc<Schedule>>,
    /// `Received`, `Enumerated` (found in the spool at the start), `AdminRebind`.
    pub reason: Reason,
}

impl<K> Arrival<K> {
    /// A message that was accepted just now.
    pub fn received(item: K, queue: QueueName, now: Timestamp) -> Self {
        let reason = Reason::Received;
        Arrival { item, queue, created: now, due: None, attempts: Some(0), schedule: None, reason }
    }

    /// A message that was found in the spool, whose schedule was not.
    pub fn enumerated(item: K, queue: QueueName, created: Timestamp) -> Self {
        let reason = Reason::Enumerated;
        Arrival { item, queue, created, due: None, attempts: None, schedule: None, reason }
    }
}

/// Why a queue has no route.
#[derive(Clone, PartialEq, Debug)]
pub struct Unroutable {
    /// What the records say. A permanent one (500 to 599) bounces the messages that wait.
    pub response: Response,
    /// What the policy's `requeue_message` sees.
    pub reason: Reason,
}

/// What a session says about one message of its batch.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// It is somebody else's now.
    Delivered,
    /// Later: `attempts` grows and the schedule applies, but not before what the peer asked for.
    Transient {
        /// The peer's wish.
        retry_after: Option<Duration>,
    },
    /// Never.
    Permanent,
    /// Nothing was tried for it: it goes back as it was.
    Requeue {
        /// Why.
        reason: Reason,
        /// How long it waits; unset is a random time below a minute.
        delay: Option<Duration>,
    },
    /// It is ready for the queue in which its way begins: there it is as new, and due at once.
    Forwarded {
        /// Where.
        to: QueueName,
    },
    /// Later and elsewhere: the policy gave it another queue. `attempts` grows and it is due at once.
    Moved {
        /// Where.
        to: QueueName,
    },
}

/// What the policy says of a message that goes back.
#[derive(Clone, PartialEq, Debug)]
pub enum Verdict {
    /// It goes back as it would.
    Stands,
    /// There is no other try: it bounces.
    Refused(Response),
    /// It goes to another queue: `attempts` grows and it is due at once.
    Moved {
        /// Which.
        to: QueueName,
    },
}

/// What the queues are told.
#[derive(Clone, PartialEq, Debug)]
pub enum Event<K> {
    /// A message comes in. One that is already here stays as it is.
    Arrived(Arrival<K>),
    /// Time has passed.
    Tick,
    /// A queue's configuration, at first and whenever it changes. Another pool or protocol asks for a new route.
    ConfigChanged {
        /// Which.
        queue: QueueName,
        /// What `get_queue_config` says.
        config: Arc<QueueConfig>,
    },
    /// A queue's route, asked for or refreshed.
    RouteResolved {
        /// Which.
        queue: QueueName,
        /// Where its messages may go, or why nowhere.
        route: Result<Arc<Route>, Unroutable>,
    },
    /// The policy's `throttle_insert_ready_queue` has seen a message.
    Answered {
        /// Which.
        item: K,
        /// How long it has to wait; unset lets it pass.
        delay: Option<Duration>,
    },
    /// The policy's `requeue_message` has seen a message that goes back.
    ReturnAnswered {
        /// Which.
        item: K,
        /// What it says.
        verdict: Verdict,
    },
    /// A session is connected.
    SessionReady {
        /// Which.
        session: SessionId,
    },
    /// A session could not connect and is gone.
    SessionFailed {
        /// Which.
        session: SessionId,
        /// What the records say.
        response: Response,
    },
    /// A session could not connect, and waits for a batch to fail with that.
    SessionRefused {
        /// Which.
        session: SessionId,
        /// What the records say of messages that are not in that batch, and go back because it was one too many.
        response: Response,
    },
    /// A session has done with its batch.
    Finished {
        /// Which.
        session: SessionId,
        /// One for each message; a message without one goes back as it was (`PeerClosedConnection`).
        outcomes: Vec<(K, Outcome)>,
        /// What becomes of the session.
        fate: Fate,
    },
    /// A session is gone: it was told to close, or it was lost with its batch (`DispatcherDrop`).
    Closed {
        /// Which.
        session: SessionId,
    },
    /// An operator suspends a scheduled queue: what becomes due fails for now.
    Suspended {
        /// Which.
        queue: QueueName,
        /// Why and how long.
        order: Order,
    },
    /// That ends.
    Resumed {
        /// Which.
        queue: QueueName,
    },
    /// An operator suspends a ready queue: its messages take other ways, or fail for now.
    ReadySuspended {
        /// Which.
        queue: ReadyQueueName,
        /// Why and how long.
        order: Order,
    },
    /// A connection of a source could not begin. Where the rule says so, the source is left alone for a while: its messages
    /// take other ways, or wait.
    SourceTroubled {
        /// Which.
        source: Arc<str>,
        /// What is wrong.
        trouble: SourceTrouble,
        /// When it is left alone.
        rule: SourceSuspension,
        /// The reason that is shown.
        why: Arc<str>,
    },
    /// That ends.
    ReadyResumed {
        /// Which.
        queue: ReadyQueueName,
    },
    /// An operator bounces a queue: all messages that are not in flight now, then those that come (back) to it.
    Bounced {
        /// Which.
        queue: QueueName,
        /// Why and how long.
        order: Order,
        /// True leaves no records.
        silent: bool,
    },
    /// That ends for messages still to come.
    BounceEnded {
        /// Which.
        queue: QueueName,
    },
    /// A message that is not in flight goes to another queue (or the same, to be tried now). Attempts stay.
    Moved {
        /// Which.
        item: K,
        /// Where.
        to: QueueName,
        /// When it is to be tried; unset is now.
        due: Option<Timestamp>,
        /// Why.
        reason: Reason,
    },
    /// Takes the first messages of a queue aside, for an operator's change: at most `limit`, and never more than a
    /// thousand. Those in flight and those already aside are passed over. All that were looked at go to the end of the
    /// queue, so that the next `Take` begins behind them; answered by [`Action::Taken`].
    Take {
        /// Which.
        queue: QueueName,
        /// How many are looked at.
        limit: usize,
    },
    /// A message that was taken aside comes back. Attempts stay. One that is not aside (any more) stays as it is.
    Rebound {
        /// Which.
        item: K,
        /// Where: the same queue, or another one, where it is due at once.
        to: QueueName,
        /// What its record says when it came to another queue; unset leaves no record.
        note: Option<Arc<str>>,
        /// Due at once in its old queue too; else it waits a random time below a minute there.
        flush: bool,
    },
    /// A scheduled message is to be tried at another time: its own schedule says so, or a script did.
    Rescheduled {
        /// Which.
        item: K,
        /// When.
        due: Timestamp,
    },
    /// A message has another schedule, or none any more. It counts from the next due time on.
    ScheduleChanged {
        /// Which.
        item: K,
        /// When attempts are allowed; unset is always.
        schedule: Option<Arc<Schedule>>,
    },
    /// A message that is not in flight has left by another door: it is forgotten without a record.
    Dropped {
        /// Which.
        item: K,
    },
    /// Nothing becomes ready or is handed out until `Unpaused`: the store is not well.
    Paused,
    /// The store is well again.
    Unpaused,
    /// No new sessions, batches or promotions; what is in flight finishes.
    Stopping,
}

/// What a record is to be written about.
#[derive(Clone, PartialEq, Debug)]
pub enum Logged {
    /// Delivered; the session has the response.
    Delivery,
    /// Tried and failed for now.
    TransientFailure {
        /// What happened, where no session said it.
        response: Option<Arc<Response>>,
    },
    /// Failed for good.
    Bounce {
        /// What happened, where no session said it.
        response: Option<Arc<Response>>,
    },
    /// Too old for another attempt.
    Expiration {
        /// Which attempt would have come too late.
        response: Response,
    },
    /// Bounced by an operator.
    AdminBounce {
        /// With the operator's reason.
        response: Response,
        /// The operator wants no record; it is counted only.
        silent: bool,
    },
    /// Sent on to another queue; the session has the response. The queue of the action is the new one.
    Forwarded,
    /// Moved by an operator. The queue of the action is the new one.
    AdminRebind {
        /// From where to where, with the operator's reason.
        response: Response,
    },
    /// Waits without having been tried.
    Delayed {
        /// Why.
        reasons: Reasons,
        /// Until when.
        due: Timestamp,
        /// Both in words.
        response: Response,
    },
}

impl Logged {
    /// True for the last record of a message.
    pub fn is_final(&self) -> bool {
        !matches!(
            self,
            Logged::TransientFailure { .. } | Logged::Delayed { .. } | Logged::AdminRebind { .. } | Logged::Forwarded
        )
    }
}

/// What the queues want done.
#[derive(Clone, PartialEq, Debug)]
pub enum Action<K> {
    /// Find out where a queue's messages go; answer with [`Event::RouteResolved`].
    ResolveRoute {
        /// Which.
        queue: QueueName,
    },
    /// Ask the policy's `throttle_insert_ready_queue` about a message; answer with [`Event::Answered`].
    AskBeforeReady {
        /// Which.
        item: K,
        /// Its queue.
        queue: QueueName,
    },
    /// Show a message that goes back to the policy's `requeue_message`; answer with [`Event::ReturnAnswered`].
    AskBeforeReturn {
        /// Which.
        item: K,
        /// Its queue.
        queue: QueueName,
        /// Why it goes back.
        reasons: Reasons,
        /// An attempt was made for it, so that `attempts` grows and the schedule applies.
        attempt: bool,
        /// What the records say, where it is known.
        response: Option<Arc<Response>>,
        /// How long it waits at least; unset leaves that to the schedule, or is a random time below a minute.
        delay: Option<Duration>,
    },
    /// Send a `Tick` at this time; replaces any earlier wish.
    WakeAt(Timestamp),
    /// Open a session; answer with `SessionReady`, `SessionRefused`, `SessionFailed` or `Closed`.
    Open {
        /// For this ready queue.
        queue: ReadyQueueName,
        /// Known by this id from now on.
        session: SessionId,
        /// One of the scheduled queues that it will serve.
        representative: QueueName,
    },
    /// Give a batch to a session; answer with `Finished`, or `Closed` when the session was lost.
    Hand {
        /// Which.
        session: SessionId,
        /// Its queue.
        queue: ReadyQueueName,
        /// Oldest first.
        items: Vec<K>,
    },
    /// Close a session that has no batch; answer with `Closed`.
    Close {
        /// Which.
        session: SessionId,
    },
    /// Write a record.
    Log {
        /// About this message.
        item: K,
        /// Its scheduled queue.
        queue: QueueName,
        /// How often it had been tried before what the record is about.
        attempts: u16,
        /// What happened.
        what: Logged,
    },
    /// Remember a message's new schedule.
    Save {
        /// Which.
        item: K,
        /// How often it has been tried.
        attempts: u16,
        /// When it is to be tried again.
        due: Timestamp,
    },
    /// A message has left for good.
    Remove {
        /// Which.
        item: K,
    },
    /// These messages are aside after [`Event::Take`]: answer for each with [`Event::Rebound`].
    Taken {
        /// Their queue.
        queue: QueueName,
        /// Oldest first; none when all are in flight, or the queue is gone.
        items: Vec<K>,
    },
    /// A scheduled queue is gone from memory.
    Forgotten {
        /// Which.
        queue: QueueName,
    },
    /// A ready queue is gone from memory.
    ReadyForgotten {
        /// Which.
        queue: ReadyQueueName,
    },
    /// After `Stopping`: the last session is gone.
    Stopped,
}

/// Where a message is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    /// In its scheduled queue.
    Scheduled {
        /// When it is to be tried. In the past where it waits for a route, a rate or the policy's word.
        due: Timestamp,
        /// Why it is here.
        reasons: Reasons,
    },
    /// In a ready queue.
    Ready {
        /// Which.
        queue: ReadyQueueName,
    },
    /// With a session.
    InFlight {
        /// Which.
        session: SessionId,
    },
}
