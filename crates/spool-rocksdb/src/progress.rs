use crate::queue::Ticket;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use waybill_spool::{Committed, StoreError};

/// What nobody waits for is synced after this long: so much acknowledged [`waybill_spool::Durability::Written`] work a
/// loss of power can take.
const DIRTY_FOR: Duration = Duration::from_secs(1);

/// How far groups are written and synced, between the thread that writes and the one that syncs.
#[derive(Default)]
pub(crate) struct Progress {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Groups are numbered from 1; this one was written last.
    written: u64,
    /// All up to this one are on the disk.
    synced: u64,
    dirty_since: Option<Instant>,
    /// A write is under way.
    writing: bool,
    /// Somebody waits for its end.
    awaited: bool,
    /// The last write failed, and the database has not recovered yet.
    failing: bool,
    /// Nothing more will be written.
    stopping: bool,
    /// A sync failed: no later one proves anything.
    dead: bool,
    /// Who waits for the sync of a group, oldest first.
    waiters: VecDeque<(u64, Answers)>,
}

/// Commits of a group that are answered when it is on the disk.
pub(crate) type Answers = Vec<(Ticket, Committed)>;

impl Progress {
    /// The number of the next group.
    pub(crate) fn next_group(&self) -> u64 {
        self.state.lock().written + 1
    }

    pub(crate) fn written(&self) -> u64 {
        self.state.lock().written
    }

    pub(crate) fn synced(&self) -> u64 {
        self.state.lock().synced
    }

    /// A write begins. From here to its end a failed sync may be due to it.
    pub(crate) fn begin_write(&self) {
        self.state.lock().writing = true;
    }

    /// The write is done; `Some` where it made a group, with the answers that wait for its sync.
    pub(crate) fn end_write(&self, group: Option<Answers>) {
        let mut state = self.state.lock();
        state.writing = false;
        // Whoever syncs is asleep until then, or has to be told: not of each row that is to be synced within a second.
        let is_news = group.as_ref().is_none_or(|answers| !answers.is_empty())
            || state.dirty_since.is_none()
            || state.failing
            || state.awaited;
        if let Some(answers) = group {
            state.failing = false;
            state.written += 1;
            if !answers.is_empty() {
                let group = state.written;
                state.waiters.push_back((group, answers));
            }
            state.dirty_since.get_or_insert_with(Instant::now);
        }
        drop(state);
        if is_news {
            self.changed.notify_all();
        }
    }

    /// The write failed: nothing can be synced until the database has recovered.
    pub(crate) fn fail_write(&self) {
        let mut state = self.state.lock();
        state.writing = false;
        state.failing = true;
        drop(state);
        self.changed.notify_all();
    }

    pub(crate) fn recovered(&self) {
        self.state.lock().failing = false;
        self.changed.notify_all();
    }

    /// Nothing more will be written: what is there is synced, then [`Progress::next_sync`] ends.
    pub(crate) fn stop(&self) {
        self.state.lock().stopping = true;
        self.changed.notify_all();
    }

    /// Nothing is synced any more.
    pub(crate) fn die(&self) {
        self.state.lock().dead = true;
        self.changed.notify_all();
    }

    /// Waits until a sync is due; gives the last group that it will cover. `None` when there will be no more.
    pub(crate) fn next_sync(&self) -> Option<u64> {
        let mut state = self.state.lock();
        loop {
            if state.dead {
                return None;
            }
            if state.failing {
                if state.stopping {
                    return None;
                }
                self.changed.wait(&mut state);
                continue;
            }
            if !state.waiters.is_empty() {
                break;
            }
            match state.dirty_since.map(|since| since + DIRTY_FOR) {
                None if state.stopping => return None,
                None => self.changed.wait(&mut state),
                Some(due) if state.stopping || due <= Instant::now() => break,
                Some(due) => {
                    self.changed.wait_until(&mut state, due);
                }
            }
        }
        state.dirty_since = None;
        Some(state.written)
    }

    /// All groups up to this one are on the disk; gives who waited for that.
    pub(crate) fn complete(&self, group: u64) -> Answers {
        let mut state = self.state.lock();
        state.synced = group;
        let done = state.waiters.partition_point(|(waits_for, _)| *waits_for <= group);
        state.waiters.drain(..done).flat_map(|(_, answers)| answers).collect()
    }

    /// After a failed sync: whether a failed write explains it. RocksDB syncs nothing of a log that it could not write
    /// to; then the sync is due again when the database has recovered.
    pub(crate) fn is_explained_by_a_failed_write(&self) -> bool {
        let mut state = self.state.lock();
        state.awaited = true;
        self.changed.wait_while(&mut state, |state| state.writing);
        state.awaited = false;
        if state.failing {
            state.dirty_since.get_or_insert_with(Instant::now);
        }
        state.failing
    }

    /// Tells all who wait that nobody knows.
    pub(crate) fn give_up(&self) {
        let waiters = std::mem::take(&mut self.state.lock().waiters);
        for (ticket, _) in waiters.into_iter().flat_map(|(_, answers)| answers) {
            ticket.answer(Err(StoreError::Closed));
        }
    }
}
