//! Rules about what a restarted daemon finds.

use super::{Fixture, append, body, commit, envelope, events, id, pairs, put, read_from, text, trim};
use crate::{Batch, Durability, Health, Key, Store, StreamId, Table};
use std::sync::Arc;
use waybill_types::Offset;

/// How the store before went away.
#[derive(Clone, Copy, Debug)]
enum End {
    Closed,
    Crashed,
}

const ENDS: [End; 2] = [End::Closed, End::Crashed];

async fn reopen(fixture: &dyn Fixture, store: Arc<dyn Store>, end: End) -> Arc<dyn Store> {
    drop(store);
    match end {
        End::Closed => fixture.close_and_reopen().await,
        End::Crashed => fixture.crash_and_reopen().await,
    }
}

pub(super) async fn all_survives_a_close(fixture: &dyn Fixture) {
    survives(fixture, End::Closed).await;
}

pub(super) async fn all_that_was_acknowledged_survives_a_crash(fixture: &dyn Fixture) {
    survives(fixture, End::Crashed).await;
}

async fn survives(fixture: &dyn Fixture, end: End) {
    let mut store = fixture.open().await;
    let mut expected = Vec::new();
    for number in 0..40 {
        let durability = if number % 4 == 0 { Durability::Synced } else { Durability::Written };
        let mut batch = Batch::new();
        put(&mut batch, id(number), &format!("envelope {number}"), Some(&format!("body {number}")));
        batch.append(StreamId::EVENTS, text(format!("event {number}")));
        batch.set(Table::State, Key::new().number(number), text(format!("value {number}")));
        let offset = commit(&*store, batch, durability).await.offsets[0];
        expected.push((offset, text(format!("event {number}"))));
        if number % 10 == 9 {
            store = reopen(fixture, store, end).await;
        }
    }
    assert_eq!(read_from(&*store, StreamId::EVENTS, Offset::ZERO, 9).await, expected, "after it was {end:?}");
    for number in 0..40 {
        assert_eq!(envelope(&*store, id(number)).await, Some(text(format!("envelope {number}"))));
        assert_eq!(body(&*store, id(number)).await, Some(text(format!("body {number}"))));
    }
    assert_eq!(pairs(&*store, Table::State).await.len(), 40);
    assert_eq!(store.health(), Health::Ok);
}

pub(super) async fn removals_survive_too(fixture: &dyn Fixture) {
    for end in ENDS {
        let store = fixture.open().await;
        let mut batch = Batch::new();
        put(&mut batch, id(1), "gone", Some("gone"));
        put(&mut batch, id(2), "stays", Some("stays"));
        batch.set(Table::Rows, Key::new().text("gone"), text("gone"));
        batch.set(Table::Rows, Key::new().text("stays"), text("stays"));
        commit(&*store, batch, Durability::Written).await;
        let mut batch = Batch::new();
        batch.remove(id(1));
        batch.unset(Table::Rows, Key::new().text("gone"));
        commit(&*store, batch, Durability::Written).await;

        let store = reopen(fixture, store, end).await;
        assert_eq!((envelope(&*store, id(1)).await, body(&*store, id(1)).await), (None, None), "{end:?}");
        assert_eq!(body(&*store, id(2)).await, Some(text("stays")));
        assert_eq!(pairs(&*store, Table::Rows).await, [(Key::new().text("stays"), text("stays"))]);
    }
}

pub(super) async fn no_offset_is_used_twice(fixture: &dyn Fixture) {
    let mut store = fixture.open().await;
    let mut last = [None; 2];
    for round in 0..8 {
        for (stream, last) in [StreamId::EVENTS, StreamId(77)].into_iter().zip(&mut last) {
            for _ in 0..3 {
                let offset = append(&*store, stream, &format!("round {round}")).await;
                assert!(*last < Some(offset), "round {round}: {offset} was given after {last:?}");
                *last = Some(offset);
            }
            if round % 2 == 1 {
                // Nothing is left that an offset could be derived from.
                trim(&*store, stream, last.map_or(Offset::ZERO, Offset::next)).await;
            }
        }
        let end = if round % 4 < 2 { End::Crashed } else { End::Closed };
        store = reopen(fixture, store, end).await;
    }
}

pub(super) async fn what_is_visible_is_the_same_after_a_restart(fixture: &dyn Fixture) {
    for end in ENDS {
        let store = fixture.open().await;
        append(&*store, StreamId::EVENTS, "a").await;
        let last = append(&*store, StreamId::EVENTS, "b").await;
        let store = reopen(fixture, store, end).await;
        assert_eq!(events(&*store, StreamId::EVENTS).await, ["a", "b"], "{end:?}");
        assert_eq!(*store.visible(StreamId::EVENTS).borrow(), last.next(), "{end:?}");

        // A consumer that has read all must not be told that there is more.
        trim(&*store, StreamId::EVENTS, last.next()).await;
        let store = reopen(fixture, store, end).await;
        assert!(*store.visible(StreamId::EVENTS).borrow() <= last.next(), "{end:?}");
        let offset = append(&*store, StreamId::EVENTS, "c").await;
        assert_eq!(*store.visible(StreamId::EVENTS).borrow(), offset.next(), "{end:?}");
    }
}
