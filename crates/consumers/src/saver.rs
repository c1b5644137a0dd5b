use crate::layout::{self, DeadLetter, Saved};
use bytes::Bytes;
use waybill_journal_core::{Checkpoint, Write};
use waybill_spool::{Batch, Table};
use waybill_types::{Offset, Timestamp};

/// Collects what must survive, and makes one batch of it with the checkpoint.
#[derive(Debug)]
pub(crate) struct Saver {
    name: String,
    pending: Batch,
    dead: u64,
    last: Option<Bytes>,
}

impl Saver {
    pub(crate) fn new(name: &str, dead: u64) -> Self {
        Saver { name: name.to_owned(), pending: Batch::new(), dead, last: None }
    }

    pub(crate) fn dead(&self) -> u64 {
        self.dead
    }

    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    pub(crate) fn put_row(&mut self, write: &Write, overlay: &[u8], entry: &[u8]) {
        match write {
            Write::PutRow { lane, key, attempts, replaces } => {
                if let Some(old) = replaces {
                    self.pending.unset(Table::Rows, layout::row_key(&self.name, lane, *old));
                }
                let key = layout::row_key(&self.name, lane, *key);
                self.pending.set(Table::Rows, key, layout::row_value(*attempts, overlay, entry));
            }
            Write::DeleteRow { lane, key } => {
                self.pending.unset(Table::Rows, layout::row_key(&self.name, lane, *key));
            }
            Write::Dead { .. } => {}
        }
    }

    pub(crate) fn dead_letter(&mut self, at: Timestamp, offset: Offset, letter: &DeadLetter) {
        self.dead += 1;
        self.pending.set(Table::Dead, layout::dead_key(&self.name, at, offset), letter.encode());
    }

    /// Everything collected, and the checkpoint; `None` when nothing has changed since the last one.
    pub(crate) fn take(&mut self, checkpoint: Checkpoint) -> Option<Batch> {
        let state = Saved::new(checkpoint, self.dead).encode();
        if self.pending.is_empty() && self.last.as_ref() == Some(&state) {
            return None;
        }
        let mut batch = std::mem::take(&mut self.pending);
        batch.set(Table::State, layout::consumer_key(&self.name), state.clone());
        self.last = Some(state);
        Some(batch)
    }
}
