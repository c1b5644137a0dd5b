//! Small writes by whoever wants them, where nobody else writes: two threads need not be woken for one row.

use crate::columns::Change;
use crate::engine::AtOnce;
use crate::progress::Answers;
use crate::queue::Queue;
use crate::shared::Shared;
use crate::stats::add;
use waybill_spool::{Batch, Op};

/// What is larger is not written here: to copy it into the log takes its time.
const SMALL: usize = 16 * 1024;

/// The right to write, until it is dropped.
struct Turn<'a>(&'a Queue);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.end_turn();
    }
}

impl Shared {
    /// Writes a batch in this thread. `false`: it is not written, and has to go the usual way.
    pub(crate) fn write_here(&self, batch: &Batch) -> bool {
        if batch.weight() > SMALL {
            return false;
        }
        let Some(changes) = batch.ops().iter().map(change).collect::<Option<Vec<_>>>() else { return false };
        if !self.queue.try_turn() {
            return false;
        }
        let _turn = Turn(&self.queue);
        self.progress.begin_write();
        match self.engine.write_at_once(&changes) {
            AtOnce::Written => {
                add(&self.counters.groups, 1);
                add(&self.counters.commits, 1);
                add(&self.counters.bytes, changes.iter().map(Change::len).sum());
                self.progress.end_write(Some(Answers::new()));
                true
            }
            AtOnce::NotNow => {
                self.progress.end_write(None);
                false
            }
            // The usual way finds out why, and what to do.
            AtOnce::Failed => {
                self.progress.fail_write();
                false
            }
        }
    }
}

/// A change of a table; nothing else can be made without knowing the streams.
fn change(op: &Op) -> Option<Change> {
    match op {
        Op::Set { table, key, value } => Some(Change::put((*table).into(), key.as_bytes(), value.clone())),
        Op::Unset { table, key } => Some(Change::delete((*table).into(), key.as_bytes())),
        Op::Put { .. } | Op::Body { .. } | Op::Remove { .. } | Op::Append { .. } | Op::Trim { .. } => None,
    }
}
