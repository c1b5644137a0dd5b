//! What every [`Store`] must do, as tests that an implementation runs over itself.
//!
//! A store gives a [`Fixture`] and calls [`run`]; each rule of the contract is a function whose name says it. The rules
//! want nothing but the contract: offsets may have gaps, trimmed events may stay readable for a while.
//!
//! ```
//! use futures::future::BoxFuture;
//! use futures::FutureExt;
//! use std::sync::Arc;
//! use waybill_spool::conformance::{self, Fixture};
//! use waybill_spool::{MemoryStore, Store};
//!
//! /// Memory does not outlive anything: its reopened store is the same one.
//! #[derive(Default)]
//! struct Memory(parking_lot::Mutex<MemoryStore>);
//!
//! impl Fixture for Memory {
//!     fn open(&self) -> BoxFuture<'_, Arc<dyn Store>> {
//!         *self.0.lock() = MemoryStore::new();
//!         self.crash_and_reopen()
//!     }
//!     fn close_and_reopen(&self) -> BoxFuture<'_, Arc<dyn Store>> {
//!         self.crash_and_reopen()
//!     }
//!     fn crash_and_reopen(&self) -> BoxFuture<'_, Arc<dyn Store>> {
//!         let store: Arc<dyn Store> = Arc::new(self.0.lock().clone());
//!         async move { store }.boxed()
//!     }
//! }
//!
//! # futures::executor::block_on(async {
//! conformance::run(&Memory::default()).await;
//! # });
//! ```

mod batches;
mod messages;
mod random;
mod reading;
mod reopening;
mod streams;
mod tables;

pub use random::matches_the_memory_store;

use crate::{Batch, Committed, Durability, Key, Part, ReadLimit, Store, StreamId, Table};
use bytes::Bytes;
use futures::future::BoxFuture;
use std::sync::Arc;
use waybill_types::{MessageId, Offset};

/// Where the suite gets its stores from. It holds one store at a time.
///
/// # Contract
/// - The store that was given before may still be alive when the next is asked for, but nobody uses it any more.
/// - A fixture may panic where it cannot open: that is a failed test.
pub trait Fixture: Send + Sync {
    /// A new store with nothing in it; the one before is given up.
    fn open(&self) -> BoxFuture<'_, Arc<dyn Store>>;

    /// Closes the store in good order and opens it again.
    fn close_and_reopen(&self) -> BoxFuture<'_, Arc<dyn Store>>;

    /// What a daemon finds that was started after the one before was killed: nothing was closed.
    fn crash_and_reopen(&self) -> BoxFuture<'_, Arc<dyn Store>>;
}

/// Checks all rules, one after the other, and compares with [`crate::MemoryStore`] under a few seeds.
pub async fn run(fixture: &dyn Fixture) {
    batches::an_empty_batch_commits(fixture).await;
    batches::the_changes_of_a_batch_happen_in_their_order(fixture).await;
    batches::one_batch_changes_messages_streams_and_tables(fixture).await;
    batches::a_batch_of_thousands_of_changes_commits(fixture).await;
    batches::what_a_visible_event_tells_of_has_happened(fixture).await;
    batches::a_row_that_is_committed_here_is_there_in_its_order_and_after_a_crash(fixture).await;
    batches::what_is_committed_ahead_is_there_before_the_disk_has_it_and_after_a_crash(fixture).await;
    batches::a_dropped_commit_leaves_the_store_in_order(fixture).await;
    batches::a_new_store_is_well(fixture).await;

    messages::a_message_that_was_never_stored_is_not_there(fixture).await;
    messages::envelope_and_body_come_back_as_they_were_put(fixture).await;
    messages::an_envelope_alone_keeps_the_body_that_is_stored(fixture).await;
    messages::a_removed_message_is_gone_with_its_body(fixture).await;
    messages::a_body_that_came_ahead_is_shown_once_its_envelope_follows(fixture).await;
    messages::bodies_around_and_far_above_64_kib_come_back_whole(fixture).await;
    messages::a_scan_gives_every_message_once_in_order_of_id(fixture).await;

    streams::a_commit_tells_the_offset_of_each_append(fixture).await;
    streams::offsets_increase_in_commit_order(fixture).await;
    streams::concurrent_commits_get_offsets_of_their_own(fixture).await;
    streams::streams_do_not_mix(fixture).await;
    streams::an_acknowledged_event_is_visible(fixture).await;
    streams::a_waiting_reader_is_told_of_an_event(fixture).await;
    streams::an_unused_stream_is_empty(fixture).await;

    reading::reading_goes_on_where_it_ended(fixture).await;
    reading::a_read_ends_at_its_limits(fixture).await;
    reading::one_entry_always_fits(fixture).await;
    reading::fetch_answers_in_the_order_of_the_question(fixture).await;
    reading::trimming_keeps_all_from_its_offset_on(fixture).await;
    reading::trimming_beyond_the_end_hides_nothing_that_comes_later(fixture).await;

    tables::a_range_is_half_open_and_ordered(fixture).await;
    tables::a_range_ends_at_its_limit(fixture).await;
    tables::a_walk_shows_what_a_range_finds_until_it_is_broken_off(fixture).await;
    tables::an_empty_or_inverted_range_finds_nothing(fixture).await;
    tables::the_last_value_set_counts_and_unset_removes(fixture).await;
    tables::tables_do_not_mix(fixture).await;
    tables::keys_may_be_any_text_or_bytes(fixture).await;

    reopening::all_survives_a_close(fixture).await;
    reopening::all_that_was_acknowledged_survives_a_crash(fixture).await;
    reopening::removals_survive_too(fixture).await;
    reopening::no_offset_is_used_twice(fixture).await;
    reopening::what_is_visible_is_the_same_after_a_restart(fixture).await;

    for seed in [1, 20_261_123, 0xdead_beef] {
        random::matches_the_memory_store(fixture, seed, 120).await;
    }
}

/// The numbered id.
fn id(number: u64) -> MessageId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    MessageId::from_bytes(bytes)
}

fn text(text: impl Into<String>) -> Bytes {
    Bytes::from(text.into())
}

/// Bytes that no compressor makes smaller, the same for the same seed.
fn noise(seed: u64, len: usize) -> Bytes {
    let mut dice = random::Dice::new(seed);
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        out.extend_from_slice(&dice.next().to_le_bytes());
    }
    out.truncate(len);
    out.into()
}

fn put(batch: &mut Batch, id: MessageId, envelope: &str, data: Option<&str>) {
    let (envelope, data) = (text(envelope), data.map(text));
    batch.push(crate::Op::Put { id, envelope, data });
}

async fn commit(store: &dyn Store, batch: Batch, durability: Durability) -> Committed {
    store.commit(batch, durability).await.unwrap_or_else(|error| panic!("failed to commit: {error}"))
}

async fn append(store: &dyn Store, stream: StreamId, entry: &str) -> Offset {
    let mut batch = Batch::new();
    batch.append(stream, text(entry));
    match commit(store, batch, Durability::Synced).await.offsets[..] {
        [offset] => offset,
        ref offsets => panic!("one append, but the offsets {offsets:?}"),
    }
}

async fn trim(store: &dyn Store, stream: StreamId, below: Offset) {
    let mut batch = Batch::new();
    batch.push(crate::Op::Trim { stream, below });
    commit(store, batch, Durability::Synced).await;
}

async fn set(store: &dyn Store, table: Table, key: Key, value: &str) {
    let mut batch = Batch::new();
    batch.set(table, key, text(value));
    commit(store, batch, Durability::Synced).await;
}

async fn envelope(store: &dyn Store, id: MessageId) -> Option<Bytes> {
    store.load(id, Part::Envelope).await.unwrap_or_else(|error| panic!("failed to load: {error}"))
}

async fn body(store: &dyn Store, id: MessageId) -> Option<Bytes> {
    store.load(id, Part::Data).await.unwrap_or_else(|error| panic!("failed to load: {error}"))
}

/// All events from `from` on, read in pages of `page`.
async fn read_from(store: &dyn Store, stream: StreamId, from: Offset, page: usize) -> Vec<(Offset, Bytes)> {
    let mut all = Vec::new();
    let mut at = from;
    loop {
        let limit = ReadLimit { entries: page, bytes: usize::MAX };
        let slice = store.read(stream, at, limit).await.unwrap_or_else(|error| panic!("failed to read: {error}"));
        let Some((last, _)) = slice.entries.last() else {
            assert_eq!(slice.next, at, "an empty read stays where it began");
            return all;
        };
        assert_eq!(slice.next, last.next(), "a read goes on behind its last entry");
        at = slice.next;
        all.extend(slice.entries);
    }
}

/// The texts of all events of a stream.
async fn events(store: &dyn Store, stream: StreamId) -> Vec<String> {
    let all = read_from(store, stream, Offset::ZERO, 100).await;
    all.iter().map(|(_, entry)| String::from_utf8_lossy(entry).into_owned()).collect()
}

/// All pairs of a table.
async fn pairs(store: &dyn Store, table: Table) -> Vec<(Key, Bytes)> {
    between(store, table, Key::new(), Key::new().end(), usize::MAX).await
}

async fn between(store: &dyn Store, table: Table, from: Key, until: Key, limit: usize) -> Vec<(Key, Bytes)> {
    store.range(table, from, until, limit).await.unwrap_or_else(|error| panic!("failed to read a range: {error}"))
}
