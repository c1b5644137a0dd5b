use std::any::Any;
use std::collections::HashSet;
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

/// What a dispatcher gives with an order and gets back with every question about it.
#[derive(Clone)]
pub struct Parcel(Arc<dyn Any + Send + Sync>);

impl Parcel {
    /// With this in it.
    pub fn new<T: Send + Sync + 'static>(what: Arc<T>) -> Self {
        Parcel(what)
    }

    /// What is in it, when it is one of those.
    pub fn open<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.0.clone().downcast().ok()
    }
}

impl fmt::Debug for Parcel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parcel")
    }
}

impl PartialEq for Parcel {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Parcel {}

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
    /// Their events may be changed and go to other lanes, as [`crate::Action::Rebind`] is answered: each event that is in
    /// memory, in rows or unread at the time of the order, once, and none that comes later. What a session has follows
    /// when it comes back. `until` means nothing here.
    Rebind(Parcel),
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
    pub(crate) rebind: RebindFacts,
}

/// What there was when a rebind was ordered.
#[derive(Debug)]
pub(crate) struct RebindFacts {
    /// The time under which its rows are put, before that of every row it has to look at. The later the order, the
    /// earlier.
    pub(crate) mark: Timestamp,
    /// Events that the handlers had: they came to a lane after it.
    pub(crate) judging: HashSet<Offset>,
    /// Events that were behind us although the journal was not read that far (again) since the start.
    pub(crate) islands: HashSet<Offset>,
}

impl Default for RebindFacts {
    fn default() -> Self {
        RebindFacts { mark: Timestamp::EPOCH, judging: HashSet::new(), islands: HashSet::new() }
    }
}

impl Given {
    pub(crate) fn new(order: LaneOrder, read: Offset, tail: Offset) -> Self {
        Given { order, read, tail, rebind: RebindFacts::default() }
    }

    /// A rebind's.
    pub(crate) fn of_rebind(self, rebind: RebindFacts) -> Self {
        Given { rebind, ..self }
    }

    /// What a rebind demands of the dispatcher.
    pub(crate) fn parcel(&self) -> Option<&Parcel> {
        match &self.order.demand {
            Demand::Rebind(parcel) => Some(parcel),
            Demand::Suspend | Demand::Bounce { .. } => None,
        }
    }

    /// Whether a rebind finds the event in a lane.
    pub(crate) fn is_in_a_lane(&self, offset: Offset) -> bool {
        (offset < self.read || self.rebind.islands.contains(&offset)) && !self.rebind.judging.contains(&offset)
    }

    /// Whether the event comes to a lane after a rebind that is about it too.
    pub(crate) fn is_on_its_way(&self, offset: Offset) -> bool {
        let unread = (self.read..self.tail).contains(&offset) && !self.rebind.islands.contains(&offset);
        unread || self.rebind.judging.contains(&offset)
    }

    /// Whether it still has a meaning for events to come.
    pub(crate) fn matters(&self, now: Timestamp, read: Offset) -> bool {
        match self.order.demand {
            Demand::Suspend => self.order.until > now,
            Demand::Bounce { .. } => self.order.until > now || read < self.tail,
            Demand::Rebind(_) => read < self.tail,
        }
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
