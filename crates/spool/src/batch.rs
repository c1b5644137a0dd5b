use crate::{Key, Message, StreamId, Table};
use bytes::Bytes;
use waybill_types::{MessageId, Offset};

/// One change. See [`Batch`] for how to make them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// Stores a message: the envelope always, the body unless it is stored already.
    Put {
        /// Which message.
        id: MessageId,
        /// Its envelope bytes.
        envelope: Bytes,
        /// Its body, where it is new or changed.
        data: Option<Bytes>,
    },
    /// Stores a body ahead of its envelope: until that is put, no scan shows the message.
    Body {
        /// Which message.
        id: MessageId,
        /// The body.
        data: Bytes,
    },
    /// Removes a message with all its parts.
    Remove {
        /// Which message.
        id: MessageId,
    },
    /// Appends an event to a stream.
    Append {
        /// Which stream.
        stream: StreamId,
        /// The encoded event.
        entry: Bytes,
    },
    /// Sets a key of a table.
    Set {
        /// Which table.
        table: Table,
        /// Which key.
        key: Key,
        /// Its value.
        value: Bytes,
    },
    /// Removes a key of a table.
    Unset {
        /// Which table.
        table: Table,
        /// Which key.
        key: Key,
    },
    /// Removes the events of a stream below an offset. They may be readable for a while yet.
    Trim {
        /// Which stream.
        stream: StreamId,
        /// The first offset to keep.
        below: Offset,
    },
}

/// Changes that are stored together or not at all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Batch {
    ops: Vec<Op>,
}

impl Batch {
    /// No change yet.
    pub const fn new() -> Self {
        Batch { ops: Vec::new() }
    }

    /// The changes in order.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// The changes in order.
    pub fn into_ops(self) -> Vec<Op> {
        self.ops
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Adds a change.
    pub fn push(&mut self, op: Op) {
        self.ops.push(op);
    }

    /// Stores what has changed of a message: the body only when it was never stored or was replaced.
    pub fn save(&mut self, message: &Message) {
        let (envelope, data) = message.to_store();
        self.push(Op::Put { id: message.id(), envelope, data });
    }

    /// Stores the body of a message where it is new or changed; [`Batch::save`] is to follow, in this batch or another.
    pub fn save_body(&mut self, message: &Message) {
        if let Some(data) = message.body_to_store() {
            self.push(Op::Body { id: message.id(), data });
        }
    }

    /// Removes a message.
    pub fn remove(&mut self, id: MessageId) {
        self.push(Op::Remove { id });
    }

    /// Appends an event.
    pub fn append(&mut self, stream: StreamId, entry: Bytes) {
        self.push(Op::Append { stream, entry });
    }

    /// Sets a key.
    pub fn set(&mut self, table: Table, key: Key, value: impl Into<Bytes>) {
        self.push(Op::Set { table, key, value: value.into() });
    }

    /// Removes a key.
    pub fn unset(&mut self, table: Table, key: Key) {
        self.push(Op::Unset { table, key });
    }

    /// About how many bytes it writes, for grouping.
    pub fn weight(&self) -> usize {
        let weigh = |op: &Op| match op {
            Op::Put { envelope, data, .. } => envelope.len() + data.as_ref().map_or(0, Bytes::len),
            Op::Body { data, .. } => data.len(),
            Op::Append { entry, .. } => entry.len(),
            Op::Set { key, value, .. } => key.as_bytes().len() + value.len(),
            Op::Remove { .. } | Op::Unset { .. } | Op::Trim { .. } => 0,
        };
        self.ops.iter().map(|op| 32 + weigh(op)).sum()
    }
}

/// What a commit gave.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Committed {
    /// The offset of each [`Op::Append`], in order.
    pub offsets: Vec<Offset>,
}
