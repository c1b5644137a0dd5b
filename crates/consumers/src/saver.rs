use crate::dispatch::Dispatch;
use crate::layout::{self, DeadLetter, Letters, Replay, Saved};
use crate::status::LeftLetters;
use bytes::Bytes;
use std::sync::Arc;
use waybill_journal_core::{Checkpoint, Write};
use waybill_spool::{Batch, Key, Store, StoreError, StreamId, Table};
use waybill_types::{Offset, Timestamp};

/// Letters that replays of this one's name left with their hook.
#[derive(Debug, Default)]
struct Left {
    count: u64,
    /// As of the batch that was given to the store last, and as of what was told.
    flying: u64,
    told: u64,
    tells: LeftLetters,
}

/// Collects what must survive, and makes one batch of it with the checkpoint.
#[derive(Debug)]
pub(crate) struct Saver {
    name: String,
    stream: StreamId,
    pending: Batch,
    /// Given to the store, not known to be stored.
    flying: Option<Arc<Batch>>,
    /// How many batches were given to the store, and how many are stored.
    taken: u64,
    stored: u64,
    letters: Letters,
    /// As of the batch that was given to the store last, and as of what is stored.
    flying_letters: Letters,
    stored_letters: Letters,
    replay: Option<Replay>,
    left: Left,
    /// The last checkpoint that was given to the store.
    state: Option<Bytes>,
    /// The number of what the dispatcher remembered when it was asked last.
    memory: u64,
}

impl Saver {
    /// A replay leaves its dead letters with the hook that it is of.
    pub(crate) fn new(name: &str, stream: StreamId, letters: Letters, replay: Option<Replay>) -> Self {
        let name = name.to_owned();
        Saver {
            name,
            stream,
            pending: Batch::new(),
            flying: None,
            taken: 0,
            stored: 0,
            letters,
            flying_letters: letters,
            stored_letters: letters,
            replay,
            left: Left::default(),
            state: None,
            memory: 0,
        }
    }

    /// Counts on where replays of this name before it ended, and tells of what it adds.
    pub(crate) async fn leaving(mut self, store: &dyn Store, tells: LeftLetters) -> Result<Saver, StoreError> {
        if let Some(key) = self.left_key() {
            let found = store.range(Table::State, key.clone(), key.after(), 1).await?;
            let count = found.first().map_or(0, |(_, value)| layout::number(value));
            self.left = Left { count, flying: count, told: count, tells };
        }
        Ok(self)
    }

    fn left_key(&self) -> Option<Key> {
        self.replay.as_ref().map(|replay| layout::left_key(&replay.of, &self.name))
    }

    /// Dead letters that are stored: whoever sees their number can read them.
    pub(crate) fn readable_letters(&self) -> Letters {
        self.stored_letters
    }

    /// Whether letters were tried again, and it is not stored yet that they are gone.
    pub(crate) fn has_redriven_unstored(&self) -> bool {
        self.letters.redriven != self.stored_letters.redriven
    }

    /// Whether a batch is on its way.
    pub(crate) fn is_saving(&self) -> bool {
        self.flying.is_some()
    }

    /// How many batches were given to the store.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// How many of them are stored.
    pub(crate) fn stored(&self) -> u64 {
        self.stored
    }

    /// The number of the batch after which everything collected so far is stored.
    pub(crate) fn next_or_last(&self) -> u64 {
        self.taken + u64::from(!self.pending.is_empty())
    }

    /// A row is put or removed.
    pub(crate) fn row(&mut self, write: &Write, overlay: &[u8], entry: &[u8]) {
        match write {
            Write::PutRow { lane, key, attempt, replaces } => {
                if let Some(old) = replaces {
                    self.pending.unset(Table::Rows, layout::row_key(&self.name, lane, *old));
                }
                let key = layout::row_key(&self.name, lane, *key);
                self.pending.set(Table::Rows, key, layout::row_value(*attempt, overlay, entry));
            }
            Write::DeleteRow { lane, key } => {
                self.pending.unset(Table::Rows, layout::row_key(&self.name, lane, *key));
            }
            Write::Dead { .. } => {}
        }
    }

    pub(crate) fn dead_letter(&mut self, at: Timestamp, offset: Offset, letter: &DeadLetter) {
        self.letters.written += 1;
        let name = self.replay.as_ref().map_or(&self.name, |replay| &replay.of);
        self.pending.set(Table::Dead, layout::dead_key(name, at, offset), letter.encode());
        if let Some(key) = self.left_key() {
            self.left.count += 1;
            self.pending.set(Table::State, key, layout::number_value(self.left.count));
        }
    }

    /// What came of trying a letter again is in this batch: the letter goes.
    pub(crate) fn redriven(&mut self, letter: Key) {
        self.letters.redriven += 1;
        self.pending.unset(Table::Dead, letter);
    }

    /// Everything that is left of a replay that is done goes with the last batch.
    pub(crate) fn leave(&mut self) -> Batch {
        let mut batch = self.flying.take().map(|batch| (*batch).clone()).unwrap_or_default();
        for op in std::mem::take(&mut self.pending).into_ops() {
            batch.push(op);
        }
        batch.unset(Table::State, layout::consumer_key(&self.name));
        batch.unset(Table::State, layout::memory_key(&self.name));
        batch
    }

    /// What the dispatcher remembers goes with the checkpoint that is taken next, of this same moment.
    pub(crate) fn memory(&mut self, dispatch: &dyn Dispatch) {
        if let Some((number, memory)) = dispatch.memory(self.memory) {
            self.memory = number;
            self.pending.set(Table::State, layout::memory_key(&self.name), memory);
        }
    }

    fn encoded(&self, checkpoint: Checkpoint) -> Bytes {
        Saved::new(self.stream, checkpoint, self.letters, self.replay.clone()).encode()
    }

    /// Everything collected, with the checkpoint; `None` when nothing has changed since the last one. One at a time:
    /// [`Saver::saved`] ends it.
    pub(crate) fn take(&mut self, checkpoint: Checkpoint) -> Option<Arc<Batch>> {
        let state = self.encoded(checkpoint);
        if self.pending.is_empty() && self.state.as_ref() == Some(&state) {
            return None;
        }
        let mut batch = std::mem::take(&mut self.pending);
        batch.set(Table::State, layout::consumer_key(&self.name), state.clone());
        let batch = Arc::new(batch);
        self.state = Some(state);
        self.flying = Some(batch.clone());
        self.flying_letters = self.letters;
        self.left.flying = self.left.count;
        self.taken += 1;
        Some(batch)
    }

    /// The batch that was taken is stored.
    pub(crate) fn saved(&mut self) {
        self.flying = None;
        self.stored = self.taken;
        self.stored_letters = self.flying_letters;
        self.tell_left(self.left.flying);
    }

    /// The last batch is stored.
    pub(crate) fn ended(&mut self) {
        self.stored_letters = self.letters;
        self.tell_left(self.left.count);
    }

    /// So many can be read now.
    fn tell_left(&mut self, readable: u64) {
        self.left.tells.add(readable.saturating_sub(self.left.told));
        self.left.told = readable;
    }

    /// Everything that is not known to be stored, that of a batch on its way included: nobody can tell whether it came
    /// through, and storing it again changes nothing.
    pub(crate) fn last(&mut self, checkpoint: Checkpoint) -> Option<Batch> {
        let flying = self.flying.take().map(|batch| (*batch).clone());
        let state = self.encoded(checkpoint);
        if flying.is_none() && self.pending.is_empty() && self.state.as_ref() == Some(&state) {
            return None;
        }
        let mut batch = flying.unwrap_or_default();
        for op in std::mem::take(&mut self.pending).into_ops() {
            batch.push(op);
        }
        batch.set(Table::State, layout::consumer_key(&self.name), state);
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_journal_core::{Attempt, RowKey};
    use waybill_types::QueueName;

    #[test]
    fn letters_count_once_they_can_be_read() {
        let mut saver = Saver::new("hook", StreamId::EVENTS, Letters::default(), None);
        let letter = DeadLetter::new(None, 0, &waybill_journal_core::DeadReason::NoQueue, Bytes::new());
        saver.dead_letter(Timestamp::EPOCH, Offset(1), &letter);
        assert_eq!(saver.readable_letters().written, 0);
        saver.take(Checkpoint::default()).unwrap();
        saver.dead_letter(Timestamp::EPOCH, Offset(2), &letter);
        assert_eq!(saver.readable_letters().written, 0);
        saver.saved();
        assert_eq!(saver.readable_letters().written, 1);
    }

    fn put(offset: u64) -> Write {
        let key = RowKey { due: Timestamp::EPOCH, offset: Offset(offset) };
        let attempt = Attempt { attempts: 0, created: Timestamp::EPOCH };
        Write::PutRow { lane: QueueName::new("lane"), key, attempt, replaces: None }
    }

    #[test]
    fn nothing_new_makes_no_batch() {
        let mut saver = Saver::new("hook", StreamId::EVENTS, Letters::default(), None);
        assert!(saver.take(Checkpoint::default()).is_some(), "the store does not know it yet");
        saver.saved();
        assert!(saver.take(Checkpoint::default()).is_none());
        saver.row(&put(1), b"", b"entry");
        assert_eq!(saver.next_or_last(), 2);
        assert!(saver.take(Checkpoint::default()).is_some());
        assert_eq!((saver.next_or_last(), saver.taken(), saver.stored()), (2, 2, 1));
    }

    #[test]
    fn the_last_batch_holds_what_a_batch_on_its_way_may_have_lost() {
        let mut saver = Saver::new("hook", StreamId::EVENTS, Letters::default(), None);
        saver.row(&put(1), b"", b"entry");
        let flying = saver.take(Checkpoint::default()).unwrap();
        saver.row(&put(2), b"", b"entry");
        let last = saver.last(Checkpoint::default()).unwrap();
        assert_eq!(last.ops()[..2], *flying.ops());
        assert_eq!(last.ops().len(), 4);
        assert!(saver.last(Checkpoint { cursor: Offset(1), ..Checkpoint::default() }).is_some());
    }
}
