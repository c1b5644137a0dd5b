use crate::Criteria;
use serde_json::{Map, Value};
use std::sync::Arc;
use uuid::Uuid;
use waybill_types::{NodeUrl, QueueName, ReadyQueueName, Timestamp};

/// What an order is about, and what it demands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// Everything in these scheduled queues fails for good.
    Bounce {
        /// Which queues.
        criteria: Criteria,
        /// No records are to be written.
        silent: bool,
    },
    /// What becomes due in these scheduled queues fails for now.
    Suspend {
        /// Which queues.
        criteria: Criteria,
    },
    /// Nothing leaves by this ready queue.
    SuspendReady {
        /// Which queue, whether it exists already or not.
        queue: ReadyQueueName,
    },
}

/// An operator's order, in force until its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    /// By which it is listed and cancelled.
    pub id: Uuid,
    /// What it demands.
    pub target: Target,
    /// What the records say.
    pub reason: Arc<str>,
    /// When it ends by itself.
    pub until: Timestamp,
}

impl Order {
    /// Whether it is still in force.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until > now
    }

    /// Whether it demands that everything in this scheduled queue bounces; `Some(true)` without records.
    pub fn bounces(&self, queue: &QueueName) -> Option<bool> {
        match &self.target {
            Target::Bounce { criteria, silent } if criteria.fit(queue) => Some(*silent),
            _ => None,
        }
    }

    /// Whether it suspends this scheduled queue.
    pub fn suspends(&self, queue: &QueueName) -> bool {
        matches!(&self.target, Target::Suspend { criteria } if criteria.fit(queue))
    }

    /// Whether it suspends this ready queue.
    pub fn suspends_ready(&self, name: &ReadyQueueName) -> bool {
        matches!(&self.target, Target::SuspendReady { queue } if queue == name)
    }
}

/// Between the queues of mail and those of other nodes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Transfer {
    /// Into the queue of this node.
    To(NodeUrl),
    /// Out of the queue of a node, to where they were.
    Back,
}

/// An operator's change of where messages go. It is about the messages that are there now, not about those to come.
#[derive(Clone, PartialEq, Debug)]
pub struct Rebind {
    /// Messages of these scheduled queues.
    pub criteria: Criteria,
    /// What the records say.
    pub reason: Arc<str>,
    /// Texts that become meta of each message, or that the event gets.
    pub data: Map<String, Value>,
    /// The policy's `rebind_message` decides what to do with `data`.
    pub ask_policy: bool,
    /// No records are to be written.
    pub silent: bool,
    /// Messages are due at once, also where their queue stays the same.
    pub flush: bool,
    /// They go to another node, or come back from the queue of one; `data` is empty then.
    pub transfer: Option<Transfer>,
}
