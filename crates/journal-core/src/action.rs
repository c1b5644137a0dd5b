use std::time::Duration;
use waybill_queue_core::retry::RetryPolicy;
use waybill_types::{Offset, QueueName, Timestamp};

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
}

/// A piece of the journal that was read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Read {
    /// Offset of each event and when it was appended.
    pub events: Vec<(Offset, Timestamp)>,
    /// Where to go on.
    pub next: Offset,
}

/// What the handlers said about an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nobody wants it.
    Skip,
    /// It belongs to this lane.
    Lane(QueueName, LaneConfig),
    /// It goes to the dead letters at once.
    Dead(DeadReason),
    /// It became a message in the spool: somebody else's business now.
    Materialised,
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
    Bounced(String),
}

/// What became of an attempt.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// The endpoint has it.
    Delivered,
    /// The endpoint will never take it.
    Permanent(String),
    /// Not now; no sooner than the given time. The number from 0 to 1 draws the jitter.
    Transient {
        /// The least wait the endpoint asked for.
        retry_after: Option<Duration>,
        /// A random number from 0 to 1.
        unit: f64,
    },
}

/// A row that was loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LoadedRow {
    /// Its place.
    pub key: RowKey,
    /// Attempts so far.
    pub attempts: u16,
    /// When the event was appended.
    pub created: Timestamp,
}

/// What the driver tells.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// The journal can be read up to here.
    Visible(Offset),
    /// Answers [`Action::Read`].
    Read(Read),
    /// Answers [`Action::Judge`], one event at a time, in any order.
    Judged {
        /// Which event.
        offset: Offset,
        /// What was said.
        verdict: Verdict,
    },
    /// Answers [`Action::Scout`].
    Scouted {
        /// Which lanes the events belong to.
        lanes: Vec<QueueName>,
        /// Where to go on.
        next: Offset,
    },
    /// Answers [`Action::Load`].
    Loaded {
        /// Which lane.
        lane: QueueName,
        /// Due rows in order.
        rows: Vec<LoadedRow>,
        /// When the first row that was not loaded is due; `None` when there is none.
        next_due: Option<Timestamp>,
    },
    /// Answers [`Action::Offer`]: these were tried, as one batch of one lane.
    Finished {
        /// What became of each.
        results: Vec<(Offset, Outcome)>,
    },
    /// Answers [`Action::Offer`]: it was not tried (recalled, throttled, the session was lost before its turn).
    Returned {
        /// Which event.
        offset: Offset,
        /// Not to be offered again before that.
        delay: Option<Duration>,
    },
    /// New settings of a lane.
    Configured {
        /// Which lane.
        lane: QueueName,
        /// Its settings.
        config: LaneConfig,
    },
    /// How many events the sessions of one lane can have in flight.
    Window(usize),
    /// A lane rests, or works again.
    Suspended {
        /// Which lane.
        lane: QueueName,
        /// Until when; `None` ends it.
        until: Option<Timestamp>,
    },
    /// What was written up to the last [`crate::Consumer::checkpoint`] is durable.
    Saved,
    /// The time that [`Action::WakeAt`] named has come.
    Tick,
    /// Nothing new is read or offered from here on.
    Stopping,
}

/// What the driver is to do.
#[derive(Clone, PartialEq, Debug)]
pub enum Action {
    /// Read the journal; answered by [`Event::Read`]. One at a time.
    Read {
        /// From this offset.
        from: Offset,
        /// At most so many events.
        limit: usize,
    },
    /// Ask the handlers, in this order; answered by [`Event::Judged`] for each.
    Judge {
        /// Which events.
        offsets: Vec<Offset>,
    },
    /// Find out which lanes events belong to, without doing anything about them; answered by [`Event::Scouted`]. One at
    /// a time.
    Scout {
        /// From this offset.
        from: Offset,
        /// At most so many events.
        limit: usize,
    },
    /// Hand the event to the ready queue of its lane; answered by [`Event::Finished`] or [`Event::Returned`].
    Offer {
        /// Which lane.
        lane: QueueName,
        /// Which event.
        offset: Offset,
        /// What is known of it so far.
        attempt: Attempt,
    },
    /// Take back what was offered and is not being tried; each answered by [`Event::Returned`].
    Recall {
        /// Which lane.
        lane: QueueName,
    },
    /// Load rows of a lane that are due; answered by [`Event::Loaded`]. One at a time for each lane.
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
    /// Commit what is waiting to be written, now rather than at the next tick.
    Save,
    /// Send [`Event::Tick`] at this time; a newer one replaces it.
    WakeAt(Timestamp),
}

/// What goes with an offer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// Attempts before this one.
    pub attempts: u16,
    /// When the event was appended: the age of the hook message counts from there.
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
        /// Attempts so far.
        attempts: u16,
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
    /// Lanes that have rows or have had events lately, and how many rows.
    pub lanes: Vec<(QueueName, u64)>,
}
