//! What goes in and comes out of [`super::ReadyQueues`].

use super::{BatchPolicy, SourceTrouble};
use crate::config::{EgressPathConfig, SourceSuspension, defaults};
use crate::reason::Reason;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use waybill_types::{QueueName, ReadyQueueName, ThrottleSpec, Timestamp};

/// One connection, from the wish to open it to the report that it is closed. Never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionId(pub(crate) u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A ready queue in memory. Valid while the queue holds the item it was given for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ReadyId(pub(crate) u32);

/// What of a path's configuration a ready queue goes by.
#[derive(Clone, PartialEq, Debug)]
pub struct PathLimits {
    /// How many connections at a time.
    pub connection_limit: u32,
    /// Further limits of connections, which count together with all other queues that name them.
    pub additional_connection_limits: BTreeMap<Arc<str>, u32>,
    /// One session for each batch at once instead of the usual curve.
    pub aggressive_connection_opening: bool,
    /// How many items may wait.
    pub max_ready: usize,
    /// After how many items a session is closed and replaced.
    pub max_deliveries_per_connection: usize,
    /// How long a session without work stays open; also the longest wait for a rate that is spent in place.
    pub idle_timeout: Duration,
    /// How fast items may leave.
    pub max_message_rate: Option<ThrottleSpec>,
    /// Further rates, which count together with all other queues that name them.
    pub additional_message_rate_throttles: BTreeMap<Arc<str>, ThrottleSpec>,
    /// How fast this queue may be chosen for items, before they are in it.
    pub source_selection_rate: Option<ThrottleSpec>,
    /// Further such rates, which count together with all other queues that name them.
    pub additional_source_selection_rates: BTreeMap<Arc<str>, ThrottleSpec>,
    /// How fast connections may be opened.
    pub max_connection_rate: Option<ThrottleSpec>,
    /// More failures in a row than this send everything back.
    pub consecutive_connection_failures: u32,
    /// How long the queue stays in memory without items, reservations and sessions.
    pub reap_after: Duration,
}

/// What it takes of a queue's rates to be chosen for one item.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Selected {
    /// `source_selection_rate`.
    pub own: Option<ThrottleSpec>,
    /// `additional_source_selection_rates`.
    pub named: BTreeMap<Arc<str>, ThrottleSpec>,
}

impl Default for PathLimits {
    fn default() -> Self {
        PathLimits {
            connection_limit: defaults::CONNECTION_LIMIT,
            additional_connection_limits: BTreeMap::new(),
            aggressive_connection_opening: false,
            max_ready: defaults::MAX_READY,
            max_deliveries_per_connection: defaults::MAX_DELIVERIES_PER_CONNECTION,
            idle_timeout: defaults::IDLE_TIMEOUT,
            max_message_rate: None,
            additional_message_rate_throttles: BTreeMap::new(),
            source_selection_rate: None,
            additional_source_selection_rates: BTreeMap::new(),
            max_connection_rate: None,
            consecutive_connection_failures: defaults::CONSECUTIVE_CONNECTION_FAILURES,
            reap_after: defaults::READY_REAP_INTERVAL,
        }
    }
}

impl From<&EgressPathConfig> for PathLimits {
    fn from(config: &EgressPathConfig) -> Self {
        let limits = config.additional_connection_limits.iter();
        PathLimits {
            connection_limit: config.connection_limit.limit,
            additional_connection_limits: limits.map(|(name, spec)| (name.as_str().into(), spec.limit)).collect(),
            aggressive_connection_opening: config.aggressive_connection_opening,
            max_ready: config.max_ready,
            max_deliveries_per_connection: config.max_deliveries_per_connection,
            idle_timeout: config.idle_timeout,
            max_message_rate: config.max_message_rate,
            additional_message_rate_throttles: named(&config.additional_message_rate_throttles),
            source_selection_rate: config.source_selection_rate,
            additional_source_selection_rates: named(&config.additional_source_selection_rates),
            max_connection_rate: config.max_connection_rate,
            consecutive_connection_failures: config.consecutive_connection_failures_before_delay,
            reap_after: defaults::READY_REAP_INTERVAL,
        }
    }
}

fn named(rates: &BTreeMap<String, ThrottleSpec>) -> BTreeMap<Arc<str>, ThrottleSpec> {
    rates.iter().map(|(name, spec)| (name.as_str().into(), *spec)).collect()
}

/// What becomes of a session after a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It can take the next batch.
    Keep,
    /// It should say goodbye: the peer sent 421, or the script asked for it.
    Close,
    /// It cannot be used any more.
    Broken,
}

/// An operator's order about a queue: that nothing leaves it, or that everything in it bounces.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    /// What the records say.
    pub reason: Arc<str>,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
}

impl Order {
    /// True while it holds.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

/// Why there is no reservation.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoRoom {
    /// The queue was never configured, or was reaped: configure it.
    #[error("there is no such ready queue")]
    Unknown,
    /// `max_ready` items wait or have a reservation.
    #[error("the ready queue is full")]
    Full,
    /// An operator suspended it.
    #[error("the ready queue is suspended: {}", .0.reason)]
    Suspended(Order),
    /// Its source is left alone for a while.
    #[error("the source of the ready queue is suspended: {}", .0.reason)]
    SourceSuspended(Order),
    /// It is being given up, or everything stops.
    #[error("the ready queue is stopping")]
    Stopping,
}

/// A rate that keeps a ready queue waiting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Throttled {
    /// `MessageRateThrottle` or `ConnectionRateThrottle`.
    pub reason: Reason,
    /// The name of the shared rate; unset where it is the queue's own.
    pub name: Option<Arc<str>>,
    /// When the next may pass.
    pub until: Timestamp,
}

/// What a ready queue is told.
#[derive(Clone, PartialEq, Debug)]
pub enum ReadyEvent {
    /// The queue exists from now on, or has other limits.
    Configure {
        /// Which.
        queue: ReadyQueueName,
        /// Its limits.
        limits: Box<PathLimits>,
        /// How batches form.
        batch: BatchPolicy,
    },
    /// Items were redeemed since the last step: form batches from them.
    Redeemed,
    /// A session is connected and can take a batch.
    SessionReady {
        /// Which.
        session: SessionId,
    },
    /// A session could not connect. It is gone.
    SessionFailed {
        /// Which.
        session: SessionId,
    },
    /// A session could not connect, and waits for a batch to fail with that: the one in front, unless others work.
    SessionRefused {
        /// Which.
        session: SessionId,
    },
    /// A session has done with its batch; the driver knows the outcomes and owns the items again.
    Finished {
        /// Which.
        session: SessionId,
        /// What becomes of it.
        fate: Fate,
    },
    /// A session is gone: it was told to close, or it was lost with its batch.
    Closed {
        /// Which.
        session: SessionId,
    },
    /// Time has passed.
    Tick,
    /// An operator suspends the queue; everything in it goes back.
    Suspend {
        /// Which.
        queue: ReadyQueueName,
        /// Why and how long.
        order: Order,
    },
    /// The suspension ends.
    Resume {
        /// Which.
        queue: ReadyQueueName,
    },
    /// A connection of a source could not begin. Where the rule says so, all queues of the source are left alone for a while;
    /// everything in them goes back.
    SourceTroubled {
        /// Which source.
        source: Arc<str>,
        /// What is wrong.
        trouble: SourceTrouble,
        /// When it is left alone.
        rule: SourceSuspension,
        /// The reason that is shown.
        why: Arc<str>,
    },
    /// Nothing is handed out and no session is opened until [`ReadyEvent::Unpause`]: the store is not well.
    Pause,
    /// The store is well again.
    Unpause,
    /// No new sessions and batches; those in flight finish.
    Stopping,
    /// The queue is given up: what waits goes back, sessions close, then it is gone.
    Forget {
        /// Which.
        queue: ReadyQueueName,
    },
}

/// What a ready queue wants done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReadyAction<K> {
    /// Open a session.
    Open {
        /// For this queue.
        queue: ReadyQueueName,
        /// Known by this id from now on.
        session: SessionId,
        /// One of the scheduled queues that it will serve: constructors and connection logs want a name.
        representative: QueueName,
    },
    /// Give a batch to a session.
    Hand {
        /// A session that is ready and has no batch.
        session: SessionId,
        /// Its queue.
        queue: ReadyQueueName,
        /// Oldest first.
        items: Vec<K>,
    },
    /// Close a session that has no batch.
    Close {
        /// Which.
        session: SessionId,
    },
    /// An item leaves the ready queue without having been handed to a session.
    Return {
        /// Which.
        item: K,
        /// Where it came from.
        from: QueueName,
        /// Why. [`Reason::is_attempt`] says whether an attempt was made for it.
        reason: Reason,
        /// How long it should wait; unset leaves that to the scheduled side.
        delay: Option<Duration>,
    },
    /// The queue is gone from memory.
    Forgotten {
        /// Which.
        queue: ReadyQueueName,
    },
    /// Send a `Tick` at this time; replaces any earlier wish.
    WakeAt(Timestamp),
    /// After `Stopping`: the last session is gone.
    Stopped,
}

/// How a ready queue is doing, for metrics and the admin API.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadyStatus {
    /// Items that wait.
    pub ready: usize,
    /// Reservations that are neither redeemed nor given back.
    pub reserved: usize,
    /// Items that sessions hold.
    pub in_flight: usize,
    /// Sessions that connect.
    pub opening: usize,
    /// Sessions without a batch.
    pub idle: usize,
    /// Sessions with a batch.
    pub busy: usize,
    /// Sessions that were told to close.
    pub closing: usize,
    /// Connection failures since the last success.
    pub failures: u32,
    /// How often there was no place for an item, since it is in memory.
    pub full: u64,
    /// The operator's order, or that its source is left alone, if either is so.
    pub suspended: Option<Order>,
    /// The rate that it waits for, if it does.
    pub throttled: Option<Throttled>,
    /// True when more sessions would be opened but for `connection_limit` or a shared limit.
    pub connection_limited: bool,
    /// The shared limit that it waits for, if it does.
    pub limited_by: Option<Arc<str>>,
    /// Since when that is so.
    pub limited_since: Option<Timestamp>,
    /// Since when a rate keeps it waiting.
    pub throttled_since: Option<Timestamp>,
}
