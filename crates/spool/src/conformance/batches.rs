//! Rules about batches as a whole.

use super::{Fixture, append, body, commit, envelope, events, id, pairs, put, read_from, text};
use crate::{Batch, Durability, Health, Key, Op, StreamId, Table};
use futures::FutureExt;
use waybill_types::Offset;

pub(super) async fn an_empty_batch_commits(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    for durability in [Durability::Written, Durability::Synced] {
        assert!(commit(&*store, Batch::new(), durability).await.offsets.is_empty());
    }
}

pub(super) async fn the_changes_of_a_batch_happen_in_their_order(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let key = Key::new().text("k");
    let mut batch = Batch::new();
    batch.set(Table::State, key.clone(), text("1"));
    batch.unset(Table::State, key.clone());
    batch.set(Table::State, key.clone(), text("2"));
    put(&mut batch, id(1), "gone", Some("gone"));
    batch.remove(id(1));
    batch.remove(id(2));
    put(&mut batch, id(2), "stays", Some("stays"));
    batch.append(StreamId::EVENTS, text("a"));
    batch.append(StreamId::EVENTS, text("b"));
    commit(&*store, batch, Durability::Synced).await;

    assert_eq!(pairs(&*store, Table::State).await, [(key, text("2"))]);
    assert_eq!((envelope(&*store, id(1)).await, body(&*store, id(1)).await), (None, None));
    assert_eq!(body(&*store, id(2)).await, Some(text("stays")));
    assert_eq!(events(&*store, StreamId::EVENTS).await, ["a", "b"]);
}

pub(super) async fn one_batch_changes_messages_streams_and_tables(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut batch = Batch::new();
    put(&mut batch, id(1), "envelope", Some("body"));
    batch.append(StreamId::EVENTS, text("received"));
    for (table, value) in [(Table::State, "state"), (Table::Rows, "row"), (Table::Dead, "dead")] {
        batch.set(table, Key::new().text("key"), text(value));
    }
    commit(&*store, batch, Durability::Synced).await;
    assert_eq!(envelope(&*store, id(1)).await, Some(text("envelope")));
    assert_eq!(events(&*store, StreamId::EVENTS).await, ["received"]);
    assert_eq!(pairs(&*store, Table::Dead).await, [(Key::new().text("key"), text("dead"))]);

    let mut batch = Batch::new();
    batch.remove(id(1));
    batch.append(StreamId::EVENTS, text("delivered"));
    for table in Table::ALL {
        batch.unset(table, Key::new().text("key"));
    }
    commit(&*store, batch, Durability::Written).await;
    assert_eq!((envelope(&*store, id(1)).await, body(&*store, id(1)).await), (None, None));
    assert_eq!(events(&*store, StreamId::EVENTS).await, ["received", "delivered"]);
    for table in Table::ALL {
        assert_eq!(pairs(&*store, table).await, []);
    }
}

pub(super) async fn a_batch_of_thousands_of_changes_commits(fixture: &dyn Fixture) {
    const MANY: u64 = 3_000;
    let store = fixture.open().await;
    let mut batch = Batch::new();
    for number in 0..MANY {
        put(&mut batch, id(number), "envelope", Some("body"));
        batch.append(StreamId::EVENTS, text(number.to_string()));
        batch.set(Table::Rows, Key::new().number(number), text("row"));
    }
    let committed = commit(&*store, batch, Durability::Synced).await;
    let read = read_from(&*store, StreamId::EVENTS, Offset::ZERO, 700).await;
    assert_eq!(read.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), committed.offsets);
    assert!(read.iter().zip(0..MANY).all(|((_, entry), number)| *entry == text(number.to_string())));
    assert_eq!(pairs(&*store, Table::Rows).await.len(), read.len());
}

/// A consumer that is told of an event finds the message that came with it.
pub(super) async fn what_a_visible_event_tells_of_has_happened(fixture: &dyn Fixture) {
    const MANY: u64 = 200;
    let store = fixture.open().await;
    let write = async {
        for number in 0..MANY {
            let mut batch = Batch::new();
            batch.append(StreamId::EVENTS, text(number.to_string()));
            put(&mut batch, id(number), &number.to_string(), None);
            let durability = if number % 3 == 0 { Durability::Synced } else { Durability::Written };
            commit(&*store, batch, durability).await;
        }
    };
    let watch = async {
        let mut visible = store.visible(StreamId::EVENTS);
        let mut from = Offset::ZERO;
        let mut seen = 0;
        while seen < MANY {
            let until = *visible.wait_for(|visible| *visible > from).await.unwrap_or_else(|_| panic!("store is gone"));
            for (offset, entry) in read_from(&*store, StreamId::EVENTS, from, 10).await {
                assert_eq!(envelope(&*store, id(seen)).await.as_ref(), Some(&entry), "the message of event {offset}");
                (seen, from) = (seen + 1, offset.next());
            }
            assert!(from >= until, "events up to {until} are visible, but reading ended at {from}");
        }
    };
    futures::join!(write, watch);
}

pub(super) async fn a_row_that_is_committed_here_is_there_in_its_order_and_after_a_crash(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let row = |value: &'static str| {
        let mut batch = Batch::new();
        batch.set(Table::State, Key::new().text("k"), text(value));
        batch
    };
    for (before, after) in [("1", "2"), ("3", "4"), ("5", "6")] {
        commit(&*store, row(before), Durability::Written).await;
        store.commit_here(row(after)).await.unwrap();
        assert_eq!(pairs(&*store, Table::State).await, [(Key::new().text("k"), text(after))]);
    }
    let store = fixture.crash_and_reopen().await;
    assert_eq!(pairs(&*store, Table::State).await, [(Key::new().text("k"), text("6"))]);
    let mut batch = Batch::new();
    batch.unset(Table::State, Key::new().text("k"));
    store.commit_here(batch).await.unwrap();
    assert_eq!(pairs(&*store, Table::State).await, []);
}

pub(super) async fn what_is_committed_ahead_is_there_before_the_disk_has_it_and_after_a_crash(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut syncs = Vec::new();
    for number in 1..=3 {
        let mut batch = Batch::new();
        batch.set(Table::State, Key::new().number(number), text("row"));
        batch.append(StreamId::EVENTS, text("event"));
        let written = store.commit_ahead(batch).await.unwrap();
        assert_eq!(written.committed.offsets.len(), 1);
        assert_eq!(pairs(&*store, Table::State).await.len() as u64, number);
        syncs.push(written.synced);
    }
    // In any order: the last has the others with it.
    for synced in syncs.into_iter().rev() {
        synced.await.unwrap();
    }
    assert_eq!(events(&*store, StreamId::EVENTS).await.len(), 3);
    let store = fixture.crash_and_reopen().await;
    assert_eq!((pairs(&*store, Table::State).await.len(), events(&*store, StreamId::EVENTS).await.len()), (3, 3));
}

pub(super) async fn a_dropped_commit_leaves_the_store_in_order(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let batch = |number: u64| {
        let mut batch = Batch::new();
        put(&mut batch, id(number), "envelope", Some("body"));
        batch.append(StreamId::EVENTS, text(number.to_string()));
        batch
    };
    for number in 0..20 {
        // Polled once, so that it may have begun.
        let _ = store.commit(batch(number), Durability::Synced).now_or_never();
    }
    append(&*store, StreamId::EVENTS, "last").await;
    let events = events(&*store, StreamId::EVENTS).await;
    assert_eq!(events.last().map(String::as_str), Some("last"));
    for number in 0..20 {
        let event = events.contains(&number.to_string());
        assert_eq!(envelope(&*store, id(number)).await.is_some(), event, "half of batch {number}");
    }
    let mut batch = Batch::new();
    batch.push(Op::Remove { id: id(1) });
    commit(&*store, batch, Durability::Synced).await;
}

pub(super) async fn a_new_store_is_well(fixture: &dyn Fixture) {
    assert_eq!(fixture.open().await.health(), Health::Ok);
}
