//! The thread that writes: it alone changes the database, in groups.

use crate::columns::{Change, Column, internal, message_key};
use crate::engine::{Recovery, SyncError};
use crate::progress::Answers;
use crate::queue::{End, Next, Ticket, Waiting};
use crate::shared::Shared;
use crate::stats::add;
use crate::streams::{Draft, Drafted, Streams, Touched};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use waybill_spool::{Committed, Durability, Op, StoreError, StreamId};
use waybill_types::Offset;

/// Batches are written together up to about so many bytes; a larger one goes alone.
const GROUP_BYTES: usize = 1024 * 1024;

/// How long the first and the later pauses are between attempts to write again. What is committed meanwhile waits for
/// the next attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(2);

pub(crate) struct Committer {
    shared: Arc<Shared>,
    streams: Streams,
    /// The last write failed.
    failing: bool,
}

/// Batches that are written together, in the words of the database.
struct Group {
    changes: Vec<Change>,
    tickets: Vec<(Ticket, Durability, Committed)>,
    drafted: Drafted,
    touched: Vec<Touched>,
}

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>, streams: Streams) -> Self {
        Committer { shared, streams, failing: false }
    }

    /// Writes until the store ends; true when all was written that the next start needs to go on exactly here.
    pub(crate) fn run(mut self) -> bool {
        // Also after a panic nobody must wait for an answer that will not come.
        let _guard = EndGuard(self.shared.clone());
        loop {
            match self.shared.queue.next(GROUP_BYTES) {
                Next::Group(waiting) => {
                    self.commit(waiting);
                    self.shared.queue.end_turn();
                }
                Next::End(End::Closed) => return self.write_closed(),
                Next::End(End::Dropped) => return false,
            }
        }
    }

    fn commit(&mut self, waiting: Vec<Waiting>) {
        self.streams.synced(self.shared.progress.synced());
        let reserved = self.reserve(&waiting);
        if let Err(why) = reserved {
            self.begin_failing(&why);
            fail(&self.shared, waiting.into_iter().map(|waiting| waiting.ticket), &why);
            return self.recover();
        }
        let group = self.group(waiting);
        self.shared.progress.begin_write();
        match self.shared.engine.write(&group.changes) {
            Ok(()) => self.written(group),
            Err(why) => {
                self.shared.progress.fail_write();
                self.streams.failed(group.drafted);
                self.begin_failing(&why);
                fail(&self.shared, group.tickets.into_iter().map(|(ticket, ..)| ticket), &why);
                self.recover();
            }
        }
    }

    /// Reserves offsets where too few are left. Rarely needed: a group brings the reservation for later ones along.
    fn reserve(&mut self, waiting: &[Waiting]) -> Result<(), String> {
        let mut appends: HashMap<StreamId, u64> = HashMap::new();
        for op in waiting.iter().flat_map(|waiting| waiting.batch.ops()) {
            if let Op::Append { stream, .. } = op {
                *appends.entry(*stream).or_default() += 1;
            }
        }
        let shortage = self.streams.shortage(&appends);
        if shortage.is_empty() {
            return Ok(());
        }
        let changes: Vec<Change> =
            shortage.iter().map(|(stream, end)| internal::put_reservation(*stream, *end)).collect();
        self.write_and_sync(&changes)?;
        for (stream, end) in shortage {
            self.streams.reserved(stream, end);
        }
        Ok(())
    }

    /// Writes our own bookkeeping and waits until it is on the disk.
    fn write_and_sync(&self, changes: &[Change]) -> Result<(), String> {
        let progress = &self.shared.progress;
        progress.begin_write();
        if let Err(why) = self.shared.engine.write(changes) {
            progress.fail_write();
            return Err(why);
        }
        progress.end_write(None);
        add(&self.shared.counters.syncs, 1);
        // No write is under way, so nothing else explains a failure.
        self.shared.engine.sync().map_err(SyncError::why).inspect_err(|why| self.shared.disk_is_lying(why))
    }

    fn group(&self, waiting: Vec<Waiting>) -> Group {
        // Some are two changes, and bookkeeping comes along.
        let ops: usize = waiting.iter().map(|waiting| waiting.batch.ops().len()).sum();
        let mut changes = Vec::with_capacity(ops * 2);
        let mut tickets = Vec::with_capacity(waiting.len());
        let mut draft = self.streams.draft();
        for Waiting { batch, durability, ticket, .. } in waiting {
            let mut committed = Committed::default();
            for op in batch.into_ops() {
                translate(op, durability, &mut draft, &mut changes, &mut committed);
            }
            tickets.push((ticket, durability, committed));
        }
        let (drafted, touched) = draft.finish(self.shared.progress.next_group(), &mut changes);
        Group { changes, tickets, drafted, touched }
    }

    fn written(&mut self, group: Group) {
        let shared = &self.shared;
        self.streams.written(group.drafted);
        add(&shared.counters.groups, 1);
        add(&shared.counters.commits, group.tickets.len());
        add(&shared.counters.bytes, group.changes.iter().map(Change::len).sum());
        // Before the group is handed on: its sync, when it comes, must find what it releases.
        shared.visibility.lock().written(shared.progress.next_group(), &group.touched);

        let mut synced = Answers::new();
        let mut answered = Vec::new();
        for (mut ticket, durability, committed) in group.tickets {
            ticket.written(&committed);
            match durability {
                Durability::Synced => synced.push((ticket, committed)),
                Durability::Written => answered.push((ticket, committed)),
            }
        }
        shared.progress.end_write(Some(synced));
        // After it: whoever sees a low mark may ask how far it is synced.
        let trimmed = group.touched.iter().filter(|touched| touched.low > Offset::ZERO);
        shared.lows.write().extend(trimmed.map(|touched| (touched.stream, touched.low)));
        if self.failing {
            self.failing = false;
            shared.health.set_failing(None);
        }
        for (ticket, committed) in answered {
            ticket.answer(Ok(committed));
        }
    }

    /// Before anybody hears of a failure: who does may ask how the store is.
    fn begin_failing(&mut self, why: &str) {
        tracing::error!("failed to write to the spool: {why}");
        self.failing = true;
        self.shared.health.set_failing(Some(why));
    }

    /// After a failed write: tries until writing works again. What is committed meanwhile fails with each attempt.
    fn recover(&mut self) {
        let mut pause = FIRST_PAUSE;
        while !self.shared.queue.ends_within(pause) {
            match self.shared.engine.recover() {
                Ok(()) => {
                    tracing::info!("the spool can be written to again");
                    self.failing = false;
                    self.shared.progress.recovered();
                    return self.shared.health.set_failing(None);
                }
                Err(Recovery::NotYet(why)) => {
                    self.shared.health.set_failing(Some(&why));
                    fail(&self.shared, self.shared.queue.take_all().into_iter().map(|waiting| waiting.ticket), &why);
                }
                Err(Recovery::Lost(why)) => return self.shared.disk_is_lying(&why),
            }
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// The last write of a store that is closed: the next one begins where this one ends.
    fn write_closed(self) -> bool {
        let mut changes: Vec<Change> = self.streams.exact().collect();
        changes.push(internal::put(&internal::state(), internal::CLOSED));
        // Where it fails the next start takes it for a crash, which costs some offsets and nothing else.
        let written = self.write_and_sync(&changes);
        written.inspect_err(|why| tracing::warn!("failed to mark the spool as closed: {why}")).is_ok()
    }
}

/// One operation in the words of the database.
fn translate(
    op: Op,
    durability: Durability,
    draft: &mut Draft<'_>,
    changes: &mut Vec<Change>,
    committed: &mut Committed,
) {
    match op {
        Op::Put { id, envelope, data } => {
            changes.push(Change::put(Column::Envelopes, message_key(id), envelope));
            changes.extend(data.map(|data| Change::put(Column::Bodies, message_key(id), data)));
        }
        Op::Body { id, data } => changes.push(Change::put(Column::Bodies, message_key(id), data)),
        Op::Remove { id } => {
            changes.push(Change::delete(Column::Envelopes, message_key(id)));
            changes.push(Change::delete(Column::Bodies, message_key(id)));
        }
        Op::Append { stream, entry } => {
            let offset = draft.append(stream, durability == Durability::Synced);
            changes.push(Change::put(Column::Events, crate::columns::event_key(stream, offset), entry));
            committed.offsets.push(offset);
        }
        Op::Set { table, key, value } => changes.push(Change::put(table.into(), key.into_bytes(), value)),
        Op::Unset { table, key } => changes.push(Change::delete(table.into(), key.into_bytes())),
        Op::Trim { stream, below } => {
            changes.extend(draft.trim(stream, below).map(|low| internal::put_low(stream, low)));
        }
    }
}

fn fail(shared: &Shared, tickets: impl Iterator<Item = Ticket>, why: &str) {
    let error = StoreError::Failed(why.into());
    for ticket in tickets {
        add(&shared.counters.failed, 1);
        ticket.answer(Err(error.clone()));
    }
}

/// Ends the store with the thread.
struct EndGuard(Arc<Shared>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.0.queue.end(End::Dropped);
        for waiting in self.0.queue.take_all() {
            waiting.ticket.answer(Err(StoreError::Closed));
        }
        self.0.progress.stop();
    }
}
