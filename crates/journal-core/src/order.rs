use std::fmt;
use std::sync::Arc;
use waybill_types::{Offset, QueueName, Timestamp};

/// Says which lanes an order is about, those that are not there yet included.
#[derive(Clone)]
pub struct LaneMatch(Arc<dyn Fn(&QueueName) -> bool + Send + Sync>);

impl LaneMatch {
    /// Lanes for which this is true.
    pub fn new(fits: impl Fn(&QueueName) -> bool + Send + Sync + 'static) -> Self {
        LaneMatch(Arc::new(fits))
    }

    pub(crate) fn fits(&self, lane: &QueueName) -> bool {
        (self.0)(lane)
    }
}

impl fmt::Debug for LaneMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LaneMatch")
    }
}

impl PartialEq for LaneMatch {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// What an order demands of its lanes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Demand {
    /// They rest.
    Suspend,
    /// Their events end as dead letters: those in memory, in rows and unread at the time of the order, and those that
    /// come while it is in force. What a session has follows when it comes back.
    Bounce {
        /// What the dead letters say.
        reason: Arc<str>,
        /// No records are to be written.
        silent: bool,
    },
}

/// An operator's order about lanes. It does not survive a restart.
#[derive(Clone, PartialEq, Debug)]
pub struct LaneOrder {
    /// By which it is ended.
    pub id: u128,
    /// Which lanes.
    pub lanes: LaneMatch,
    /// What is demanded of them.
    pub demand: Demand,
    /// When it ends by itself.
    pub until: Timestamp,
}

/// Why and by which order an event was bounced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bounced {
    /// The order.
    pub order: u128,
    /// What it said.
    pub reason: Arc<str>,
    /// No records are to be written.
    pub silent: bool,
}

/// An order that was given, and how far the journal had been read and could be read then.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) order: LaneOrder,
    read: Offset,
    tail: Offset,
}

impl Given {
    pub(crate) fn new(order: LaneOrder, read: Offset, tail: Offset) -> Self {
        Given { order, read, tail }
    }

    /// Whether it still has a meaning for events to come.
    pub(crate) fn matters(&self, now: Timestamp, read: Offset) -> bool {
        self.order.until > now || (self.is_bounce() && read < self.tail)
    }

    pub(crate) fn is_bounce(&self) -> bool {
        matches!(self.order.demand, Demand::Bounce { .. })
    }

    /// Until when it suspends.
    pub(crate) fn suspends(&self) -> Option<Timestamp> {
        matches!(self.order.demand, Demand::Suspend).then_some(self.order.until)
    }

    /// Whether an event bounces that comes to a lane now: also one that was unread when the order was given.
    fn reaches(&self, now: Timestamp, offset: Offset) -> bool {
        self.order.until > now || (self.read..self.tail).contains(&offset)
    }

    /// Whether a row bounces that is found on the disk while the order's rows are looked for.
    fn reaches_row(&self, now: Timestamp, offset: Offset) -> bool {
        self.order.until > now || offset < self.tail
    }

    fn bounced(&self) -> Option<Bounced> {
        let Demand::Bounce { reason, silent } = &self.order.demand else { return None };
        Some(Bounced { order: self.order.id, reason: reason.clone(), silent: *silent })
    }
}

/// The bounces that fit a lane.
#[derive(Debug, Default)]
pub(crate) struct Bounces(pub(crate) Vec<Arc<Given>>);

impl Bounces {
    /// What becomes of an event that comes to the lane now. Of several orders the one that ends last counts.
    pub(crate) fn of(&self, now: Timestamp, offset: Offset) -> Option<Bounced> {
        self.last(|given| given.reaches(now, offset))
    }

    /// What becomes of an event that an operator brought back: orders that are over mean nothing to it.
    pub(crate) fn in_force(&self, now: Timestamp) -> Option<Bounced> {
        self.last(|given| given.order.until > now)
    }

    /// What becomes of a row that was found.
    pub(crate) fn of_row(&self, now: Timestamp, offset: Offset) -> Option<Bounced> {
        self.last(|given| given.reaches_row(now, offset))
    }

    fn last(&self, reaches: impl Fn(&Given) -> bool) -> Option<Bounced> {
        self.0.iter().filter(|given| reaches(given)).max_by_key(|given| given.order.until)?.bounced()
    }
}
