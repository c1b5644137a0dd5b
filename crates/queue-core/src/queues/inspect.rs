//! Looking without touching: for the admin API, metrics and tests.

use super::items::{Place, Slot};
use super::scheduled::RouteState;
use super::step::Queues;
use super::{Order, Route, State};
use crate::config::QueueConfig;
use crate::ready::ReadyStatus;
use crate::reason::Reasons;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use waybill_types::{QueueName, ReadyQueueName, Timestamp};

/// How a scheduled queue is doing.
#[derive(Clone, PartialEq, Debug)]
pub struct QueueStatus {
    /// Messages that are neither ready nor in flight.
    pub scheduled: usize,
    /// Messages in ready queues.
    pub ready: usize,
    /// Messages with sessions.
    pub in_flight: usize,
    /// Its configuration.
    pub config: Arc<QueueConfig>,
    /// The way out, if it is known.
    pub route: Option<Arc<Route>>,
    /// The operator's order, if there is one.
    pub suspended: Option<Order>,
    /// Until when `max_message_rate` lets nothing pass.
    pub throttled_until: Option<Timestamp>,
    /// When a message last came, left or changed its state.
    pub last_changed: Timestamp,
}

/// What is known of one message.
#[derive(Clone, PartialEq, Debug)]
pub struct Details {
    /// Its scheduled queue.
    pub queue: QueueName,
    /// When it was made.
    pub created: Timestamp,
    /// From when its own schedule forbids further attempts.
    pub expires: Option<Timestamp>,
    /// How often it was tried.
    pub attempts: u16,
    /// Why it was put into its scheduled queue last.
    pub reasons: Reasons,
    /// Where it is.
    pub state: State,
}

impl<K: Copy + Eq + Hash + Ord + Debug> Queues<K> {
    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.items.len() == 0
    }

    /// How many sessions there are, those that connect or close included.
    pub fn sessions(&self) -> usize {
        self.ready.sessions()
    }

    /// Where a message is; `None` when it is not here (any more).
    pub fn state(&self, item: &K) -> Option<State> {
        self.state_at(self.items.slot(item)?)
    }

    /// What is known of a message.
    pub fn details(&self, item: &K) -> Option<Details> {
        let slot = self.items.slot(item)?;
        let entry = self.items.get(slot)?;
        Some(Details {
            queue: self.queue(entry.queue)?.name.clone(),
            created: entry.created,
            expires: entry.expires(),
            attempts: entry.attempts,
            reasons: entry.reasons,
            state: self.state_at(slot)?,
        })
    }

    /// How a scheduled queue is doing.
    pub fn status(&self, queue: &QueueName, now: Timestamp) -> Option<QueueStatus> {
        let queue = self.queue(*self.by_name.get(queue)?)?;
        Some(QueueStatus {
            scheduled: queue.members.len - queue.ready - queue.in_flight,
            ready: queue.ready,
            in_flight: queue.in_flight,
            config: Arc::clone(&queue.config),
            route: match &queue.route {
                RouteState::Known(route) => Some(Arc::clone(route)),
                _ => None,
            },
            suspended: queue.suspension(now).cloned(),
            throttled_until: queue.blocked_until.filter(|until| *until > now),
            last_changed: queue.last_changed,
        })
    }

    /// The scheduled queues in memory, in no order.
    pub fn names(&self) -> impl Iterator<Item = &QueueName> {
        self.by_name.keys()
    }

    /// The messages of a scheduled queue, whatever their state, in the order in which they came.
    pub fn members(&self, queue: &QueueName) -> impl Iterator<Item = K> {
        let members = self.by_name.get(queue).and_then(|id| self.queue(*id)).map(|queue| queue.members);
        self.items.members(members.unwrap_or_default()).map(|(_, entry)| entry.item)
    }

    /// How a ready queue is doing.
    pub fn ready_status(&self, queue: &ReadyQueueName, now: Timestamp) -> Option<ReadyStatus> {
        self.ready.status(queue, now)
    }

    /// The ready queues in memory, in no order.
    pub fn ready_names(&self) -> impl Iterator<Item = &ReadyQueueName> {
        self.ready.names()
    }

    fn state_at(&self, slot: Slot) -> Option<State> {
        let entry = self.items.get(slot)?;
        let reasons = entry.reasons;
        Some(match entry.place {
            Place::Scheduled(key) => State::Scheduled { due: key.due(), reasons },
            Place::Held { due, .. } | Place::Asked { due } | Place::Taken { due } | Place::Returning { since: due } => {
                State::Scheduled { due, reasons }
            }
            Place::Ready(queue) => State::Ready { queue: self.ready.name(queue)?.clone() },
            Place::InFlight(session) => State::InFlight { session },
        })
    }
}
