use crate::action::{DeadReason, LaneConfig, RowKey};
use crate::order::LaneOrder;
use std::time::Duration;
use waybill_types::{Offset, QueueName, Timestamp};

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
    /// It belongs to this lane, and is not to be tried before that time.
    Later(QueueName, LaneConfig, Timestamp),
    /// It goes to the dead letters at once.
    Dead(DeadReason),
    /// It became a message in the spool: somebody else's business now.
    Materialised,
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
    /// It was broken off, and nobody knows how far it came: again after this, and the attempt does not count.
    Aborted(Duration),
    /// Not now, and policy chose another lane for the next attempt, which is due at once.
    Moved(QueueName, LaneConfig),
    /// It cannot be tried at all, which says nothing about the endpoint.
    Dead(DeadReason),
    /// It became a message in the spool, which says nothing about the endpoint.
    Materialised,
}

/// Where an event belongs that an operator ordered to be rebound.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rebound {
    /// Where it is. It is due after this at the latest.
    Stays(Duration),
    /// In this lane, due at once.
    Moves(QueueName, LaneConfig),
    /// It became a message in the spool.
    Materialised,
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
    /// Answers [`crate::Action::Read`].
    Read(Read),
    /// Answers [`crate::Action::Judge`], one event at a time, in any order.
    Judged {
        /// Which event.
        offset: Offset,
        /// What was said.
        verdict: Verdict,
    },
    /// Answers [`crate::Action::Rebind`], one event at a time, in any order.
    Rebound {
        /// Which event.
        offset: Offset,
        /// Where it belongs.
        rebound: Rebound,
    },
    /// Answers [`crate::Action::Scout`].
    Scouted {
        /// Which lanes the events belong to.
        lanes: Vec<QueueName>,
        /// Where to go on.
        next: Offset,
    },
    /// Answers [`crate::Action::Load`].
    Loaded {
        /// Which lane.
        lane: QueueName,
        /// Due rows in order.
        rows: Vec<LoadedRow>,
        /// When the first row that was not loaded is due; `None` when there is none.
        next_due: Option<Timestamp>,
    },
    /// Answers [`crate::Action::Offer`]: these were tried, as one batch. Lanes that share their sessions may share a
    /// batch too; each is judged by its own events in it.
    Finished {
        /// What became of each.
        results: Vec<(Offset, Outcome)>,
    },
    /// Answers [`crate::Action::Offer`]: it was not tried (recalled, throttled, the session was lost before its turn).
    Returned {
        /// Which event.
        offset: Offset,
        /// Nothing of its lane is to be offered before that. Of several such waits the shortest counts: it is the one
        /// after which something may pass again.
        delay: Option<Duration>,
    },
    /// New settings of a lane. They end a wait that [`Event::Returned`] named.
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
    /// An operator orders something about lanes.
    Ordered(LaneOrder),
    /// An order ends before its time.
    OrderEnded(u128),
    /// The consumer rests, or works again: nothing is read or offered, whatever its lanes want.
    Paused(bool),
    /// A dead letter is to be tried again as if it had just been read: the handlers are asked, and its age counts from
    /// now. One whose event is in memory already is left alone.
    Redrive {
        /// Which event.
        offset: Offset,
    },
    /// What was written up to the last [`crate::Consumer::checkpoint`] is durable.
    Saved,
    /// The time that [`crate::Action::WakeAt`] named has come.
    Tick,
    /// Nothing new is read or offered from here on.
    Stopping,
}
