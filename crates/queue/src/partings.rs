//! The last records of messages whose bodies are on disk: where a sink shows the message, its body is read before it goes.

use crate::driver::Driver;
use crate::records::kind_of;
use std::collections::{HashSet, VecDeque};
use waybill_queue_core::queues::{Action, Logged};
use waybill_spool::{Message, Origin};
use waybill_types::MessageId;

/// While so many bytes of bodies are in memory for their last records alone, others that were bounced or are too old wait
/// for theirs in the spool: an operator may bounce a queue that is larger than memory.
const HELD: u64 = 64 << 20;

/// Messages that the core has done with, and that leave once there is room for their bodies. Until then they are in the
/// spool as if nothing had happened, and after a stop they are there again.
#[derive(Default)]
pub(crate) struct Partings {
    actions: VecDeque<Action<MessageId>>,
    items: HashSet<MessageId>,
}

impl Partings {
    /// Whether there are any.
    pub(crate) fn wait(&self) -> bool {
        !self.actions.is_empty()
    }

    /// Puts off what is to be done about a message.
    pub(crate) fn put_off(&mut self, action: Action<MessageId>) {
        if let Action::Log { item, .. } = &action {
            self.items.insert(*item);
        }
        self.actions.push_back(action);
    }
}

impl Driver {
    /// The first of what was put off, once it may be done. There may be a million behind it: nobody looks at them.
    pub(crate) fn next_parting(&mut self) -> Option<Action<MessageId>> {
        if let Action::Log { item, .. } = self.partings.actions.front()? {
            if self.is_full_of_bodies() {
                return None;
            }
            // Its removal is next, in the same batch.
            self.partings.items.remove(item);
        }
        self.partings.actions.pop_front()
    }

    /// Whether no more bodies may come into memory. What is closed reads none.
    fn is_full_of_bodies(&self) -> bool {
        !self.closed && self.writer.held() >= HELD
    }

    /// Whether this is about a message that leaves, and whose body cannot be read yet.
    pub(crate) fn must_wait(&self, action: &Action<MessageId>) -> bool {
        match action {
            // What a session said about it is known in this turn only, and there are not more of those than of sessions.
            Action::Log { item, what, .. } if !self.attempts.contains_key(item) => {
                self.is_full_of_bodies() && self.parts_from(*item, what).is_some()
            }
            Action::Remove { item } => self.partings.items.contains(item),
            _ => false,
        }
    }

    /// Reads the body of a message that leaves with this record, where somebody is shown it. Says how many bytes that are.
    pub(crate) async fn body_for_parting(&mut self, item: MessageId, what: &Logged) -> u64 {
        if self.closed {
            return 0;
        }
        let Some(message) = self.parts_from(item, what) else { return 0 };
        if let Err(error) = self.shared.messages.load_body(&message).await {
            tracing::error!(message = %item, "its last record is shown without its body: {error}");
        }
        let bytes = message.in_memory();
        self.writer.hold(bytes);
        bytes
    }

    /// The message, if this is its last record, somebody is shown it with that, and its body is on disk.
    fn parts_from(&self, item: MessageId, what: &Logged) -> Option<Message> {
        let is_seen = what.is_final() && !matches!(what, Logged::AdminBounce { silent: true, .. });
        if !is_seen || !self.shared.options.sink.shows_message(kind_of(what).0) {
            return None;
        }
        let message = self.shared.messages.get(item)?;
        (message.origin() != Origin::LogRecord && !message.has_data()).then_some(message)
    }
}
