use super::items::{Members, Slot};
use super::route::Turns;
use super::{Order, Route, Unroutable};
use crate::config::QueueConfig;
use crate::due::DueKey;
use crate::ready::Selected;
use crate::throttle::Gcra;
use std::collections::VecDeque;
use std::sync::Arc;
use waybill_types::{QueueName, ReadyQueueName, Timestamp};

/// One scheduled queue: what its messages have in common.
#[derive(Debug)]
pub(super) struct Scheduled {
    pub(super) name: QueueName,
    pub(super) config: Arc<QueueConfig>,
    pub(super) route: RouteState,
    pub(super) turns: Turns,
    pub(super) rate: Gcra,
    /// Until then the rate, its own or that of its sources, lets nothing pass.
    pub(super) blocked_until: Option<Timestamp>,
    /// The turn that it has booked at a way out.
    pub(super) turn: Option<Turn>,
    pub(super) suspended: Option<Order>,
    pub(super) bounce: Option<Bounce>,
    /// All messages of the queue, wherever they are.
    pub(super) members: Members,
    /// How many of them are in ready queues.
    pub(super) ready: usize,
    /// How many of them are with sessions.
    pub(super) in_flight: usize,
    pub(super) line: Line,
    /// When this queue wants to be looked at again.
    pub(super) timer: Option<DueKey>,
    pub(super) empty_since: Timestamp,
    /// When a message last came, left or changed its state.
    pub(super) last_changed: Timestamp,
}

/// When a way out will be chosen for the next message.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) ready_queue: ReadyQueueName,
    pub(super) at: Timestamp,
    /// What that took of rates, which may change meanwhile.
    pub(super) taken: Selected,
}

/// What is known of the way out.
#[derive(Debug)]
pub(super) enum RouteState {
    /// Nothing: the next message that is due asks.
    Unknown,
    /// It has been asked for.
    Asked,
    /// The way.
    Known(Arc<Route>),
    /// There is none: those in line fail, then the next one asks again.
    Failed(Arc<Unroutable>),
}

/// An operator's bounce of a queue.
#[derive(Debug)]
pub(super) struct Bounce {
    pub(super) order: Order,
    pub(super) silent: bool,
}

/// Messages that are due and cannot become ready yet, oldest first.
///
/// A message that leaves from the middle is not searched for: its slot is passed over when it is its turn. Whoever comes
/// back meanwhile, or got the same slot, has another place, further behind.
#[derive(Debug, Default)]
pub(super) struct Line {
    slots: VecDeque<Slot>,
    /// How many have stood before the first.
    passed: u64,
    /// How many in front have had their Delayed record.
    explained: usize,
    /// True while the queue is in the list of those to be looked at.
    pub(super) called: bool,
}

/// A place in a line: no line gives one twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Standing(u64);

impl Standing {
    /// In no line.
    pub(super) const NOWHERE: Standing = Standing(u64::MAX);
}

impl Line {
    pub(super) fn push(&mut self, slot: Slot) -> Standing {
        self.slots.push_back(slot);
        self.standing(self.slots.len() - 1)
    }

    fn standing(&self, place: usize) -> Standing {
        Standing(self.passed + place as u64)
    }

    pub(super) fn front(&self) -> Option<(Standing, Slot)> {
        Some((self.standing(0), *self.slots.front()?))
    }

    pub(super) fn pop(&mut self) {
        self.passed += u64::from(self.slots.pop_front().is_some());
        self.explained = self.explained.saturating_sub(1);
    }

    /// The first that has had no Delayed record, and how many stand before it.
    pub(super) fn unexplained(&mut self) -> Option<(usize, Standing, Slot)> {
        let place = self.explained;
        let slot = *self.slots.get(place)?;
        self.explained += 1;
        Some((place, self.standing(place), slot))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

impl Scheduled {
    pub(super) fn new(name: QueueName, config: Arc<QueueConfig>, now: Timestamp) -> Self {
        Scheduled {
            name,
            config,
            route: RouteState::Unknown,
            turns: Turns::default(),
            rate: Gcra::new(),
            blocked_until: None,
            turn: None,
            suspended: None,
            bounce: None,
            members: Members::default(),
            ready: 0,
            in_flight: 0,
            line: Line::default(),
            timer: None,
            empty_since: now,
            last_changed: now,
        }
    }

    /// Takes a new configuration. Where its messages leave by another way now, the old one is forgotten.
    pub(super) fn configure(&mut self, config: Arc<QueueConfig>) {
        if config.protocol != self.config.protocol || config.egress_pool != self.config.egress_pool {
            self.route = RouteState::Unknown;
        }
        if config.max_message_rate != self.config.max_message_rate {
            self.blocked_until = None;
        }
        self.config = config;
    }

    pub(super) fn suspension(&self, now: Timestamp) -> Option<&Order> {
        self.suspended.as_ref().filter(|order| order.holds(now))
    }

    pub(super) fn bounce(&self, now: Timestamp) -> Option<&Bounce> {
        self.bounce.as_ref().filter(|bounce| bounce.order.holds(now))
    }

    /// True when nothing is in it and nobody has said anything about it that must be remembered.
    pub(super) fn is_spent(&self, now: Timestamp) -> bool {
        self.members.len == 0 && self.suspension(now).is_none() && self.bounce(now).is_none() && now >= self.reap_at()
    }

    /// When it may leave memory, if nothing comes. Not before its rate is rested: it would begin afresh.
    pub(super) fn reap_at(&self) -> Timestamp {
        (self.empty_since + self.config.reap_interval).max(self.rate.rested_at())
    }
}
