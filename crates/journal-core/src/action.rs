use crate::order::{Bounced, Parcel};
use std::time::Duration;
use waybill_queue_core::retry::{Jitter, RetryPolicy};
use waybill_types::{Offset, QueueName, ThrottleSpec, Timestamp};

/// The place of a lane row: rows of a lane are ordered by when they are due.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RowKey {
    /// When to try (again).
    pub due: Timestamp,
    /// Which event.
    pub offset: Offset,
}

/// What decides about the events of a lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LaneConfig {
    /// When to retry, and for how long.
    pub retry: RetryPolicy,
    /// The most events of the lane in memory (`max_ready`).
    pub capacity: usize,
    /// How fast events of the lane may be offered (`max_message_rate` of its queue).
    pub rate: Option<ThrottleSpec>,
}

impl LaneConfig {
    /// The settings of a lane whose own nobody knows yet: those that a queue has by default, room for 1024 events, and
    /// no age at which an event would be given up.
    pub const UNKNOWN: LaneConfig = LaneConfig {
        retry: RetryPolicy {
            retry_interval: Duration::from_secs(20 * 60),
            max_retry_interval: None,
            max_age: Duration::MAX,
            jitter: Jitter::WholeSeconds,
        },
        capacity: 1024,
        rate: None,
    };
}

/// Why an event ended as a dead letter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DeadReason {
    /// The endpoint refused it for good; the text is its response.
    Permanent(String),
    /// It grew too old.
    Expired(String),
    /// `should_enqueue_log_record` raised an error.
    HandlerFailed(String),
    /// A handler wanted it but nobody gave it a queue.
    NoQueue,
    /// An operator bounced it.
    Bounced(Bounced),
    /// Its bytes make no sense.
    Damaged(String),
}

/// What the driver is to do.
#[derive(Clone, PartialEq, Debug)]
pub enum Action {
    /// Read the journal; answered by [`crate::Event::Read`]. One at a time.
    Read {
        /// From this offset.
        from: Offset,
        /// At most so many events.
        limit: usize,
    },
    /// Ask the handlers, in this order; answered by [`crate::Event::Judged`] for each.
    Judge {
        /// Which events.
        offsets: Vec<Offset>,
    },
    /// Find out which lanes events belong to, without doing anything about them; answered by
    /// [`crate::Event::Scouted`]. One at a time.
    Scout {
        /// From this offset.
        from: Offset,
        /// At most so many events.
        limit: usize,
    },
    /// Change events as an operator ordered, and say where each belongs; answered by [`crate::Event::Rebound`] for each.
    /// What was changed comes with the row that follows.
    Rebind {
        /// What the order said.
        parcel: Parcel,
        /// Where they are.
        lane: QueueName,
        /// Which events, with the attempts made so far.
        events: Vec<(Offset, u16)>,
    },
    /// Hand the event to the ready queue of its lane; answered by [`crate::Event::Finished`] or
    /// [`crate::Event::Returned`].
    Offer {
        /// Which lane.
        lane: QueueName,
        /// Which event.
        offset: Offset,
        /// What is known of it so far.
        attempt: Attempt,
    },
    /// Take back what was offered and is not being tried; each answered by [`crate::Event::Returned`].
    Recall {
        /// Which lane.
        lane: QueueName,
    },
    /// Load rows of a lane that are due; answered by [`crate::Event::Loaded`]. One at a time for each lane. It must see
    /// every row written so far; whether it sees later ones does not matter.
    Load {
        /// Which lane.
        lane: QueueName,
        /// Only rows from this place on.
        from: RowKey,
        /// Only rows due by then.
        until: Timestamp,
        /// At most so many.
        limit: usize,
    },
    /// Keep this for the next batch.
    Write(Write),
    /// The event may be dropped from memory.
    Forget {
        /// Which event.
        offset: Offset,
    },
    /// Commit what is waiting to be written now rather than at the next tick, once all actions of this step are done: a
    /// checkpoint goes with every write of the steps before it, wherever in a step they stand.
    Save,
    /// Send [`crate::Event::Tick`] at this time; a newer one replaces it.
    WakeAt(Timestamp),
}

/// What goes with an offer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// Attempts before this one.
    pub attempts: u16,
    /// Since when its age counts: when the event was appended, or when a replay or an operator brought it back.
    pub created: Timestamp,
}

/// What must be stored, all of it in one batch with the checkpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Write {
    /// A row, with the event's overlay and a copy of the event; the one it replaces is removed.
    PutRow {
        /// Which lane.
        lane: QueueName,
        /// The new place.
        key: RowKey,
        /// Attempts so far, and since when its age counts.
        attempt: Attempt,
        /// The old place.
        replaces: Option<RowKey>,
    },
    /// The row is done.
    DeleteRow {
        /// Which lane.
        lane: QueueName,
        /// Its place.
        key: RowKey,
    },
    /// A dead letter, with a copy of the event.
    Dead {
        /// Which event.
        offset: Offset,
        /// Its lane, if it had one.
        lane: Option<QueueName>,
        /// Attempts made.
        attempts: u16,
        /// Why.
        reason: DeadReason,
    },
}

/// What a restart begins with.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Checkpoint {
    /// Every event below is settled or has a row.
    pub cursor: Offset,
    /// Events at or above the cursor that are settled or have a row too.
    pub islands: Vec<Offset>,
    /// Whether handlers have chosen more than one lane.
    pub several: bool,
    /// Whether an operator paused it.
    pub paused: bool,
    /// Lanes that have rows, and how many.
    pub lanes: Vec<(QueueName, u64)>,
}
