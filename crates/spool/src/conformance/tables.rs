//! Rules about tables.

use super::{Fixture, between, commit, pairs, set, text};
use crate::{Batch, Durability, Key, Table};
use bytes::Bytes;
use parking_lot::Mutex;
use std::ops::ControlFlow;
use std::sync::Arc;

pub(super) async fn a_range_is_half_open_and_ordered(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    for number in [5, 1, 300, 2, 70_000, 4] {
        set(&*store, Table::Rows, row(number), &number.to_string()).await;
    }
    set(&*store, Table::Rows, Key::new().text("other").number(3), "other").await;
    let all: Vec<(Key, Bytes)> = [1, 2, 4, 5, 300, 70_000].map(|number| (row(number), text(number.to_string()))).into();
    let lane = Key::new().text("lane");
    assert_eq!(between(&*store, Table::Rows, lane.clone(), lane.end(), 100).await, all);
    assert_eq!(between(&*store, Table::Rows, row(2), row(300), 100).await, all[1..4]);
    assert_eq!(between(&*store, Table::Rows, row(2).after(), row(300).after(), 100).await, all[2..5]);
    assert_eq!(between(&*store, Table::Rows, row(3), row(4), 100).await, []);
}

pub(super) async fn a_range_ends_at_its_limit(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut batch = Batch::new();
    for number in 0..10 {
        batch.set(Table::Dead, row(number), text("dead"));
    }
    commit(&*store, batch, Durability::Written).await;
    for (limit, expected) in [(0, 0), (1, 1), (9, 9), (10, 10), (11, 10), (usize::MAX, 10)] {
        assert_eq!(between(&*store, Table::Dead, row(0), row(100), limit).await.len(), expected);
    }
    // A reader goes on behind the last key that it got.
    let mut from = row(0);
    let mut found = Vec::new();
    while let Some((key, _)) = between(&*store, Table::Dead, from, row(100), 1).await.pop() {
        from = key.after();
        found.push(key);
    }
    assert_eq!(found, (0..10).map(row).collect::<Vec<_>>());
}

pub(super) async fn a_walk_shows_what_a_range_finds_until_it_is_broken_off(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut batch = Batch::new();
    for number in 0..200 {
        batch.set(Table::Logs, row(number), text(number.to_string()));
    }
    commit(&*store, batch, Durability::Written).await;
    for (from, until, most) in
        [(0, 200, 200), (0, 200, 1), (0, 200, 64), (3, 130, 500), (7, 7, 9), (8, 7, 9), (199, 500, 5)]
    {
        let shown = Arc::new(Mutex::new(Vec::new()));
        let seen = shown.clone();
        let see = move |key: &[u8], value: &[u8]| {
            let mut seen = seen.lock();
            seen.push((Key::from_bytes(key), Bytes::copy_from_slice(value)));
            if seen.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let walked = store.walk(Table::Logs, row(from), row(until), Box::new(see)).await;
        walked.unwrap_or_else(|error| panic!("failed to walk: {error}"));
        // It is dropped by now: nobody else holds what it has seen.
        let shown = Arc::into_inner(shown).map(Mutex::into_inner);
        assert_eq!(shown, Some(between(&*store, Table::Logs, row(from), row(until), most).await));
    }
}

pub(super) async fn an_empty_or_inverted_range_finds_nothing(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    set(&*store, Table::State, row(1), "one").await;
    for (from, until) in [(row(1), row(1)), (row(2), row(1)), (row(1).after(), row(9)), (Key::new(), Key::new())] {
        assert_eq!(between(&*store, Table::State, from, until, 10).await, []);
    }
}

pub(super) async fn the_last_value_set_counts_and_unset_removes(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    for value in ["first", "", "third"] {
        set(&*store, Table::State, row(1), value).await;
        assert_eq!(pairs(&*store, Table::State).await, [(row(1), text(value))]);
    }
    // The second time there is nothing to remove, which is no error.
    for _ in 0..2 {
        let mut batch = Batch::new();
        batch.unset(Table::State, row(1));
        commit(&*store, batch, Durability::Synced).await;
        assert_eq!(pairs(&*store, Table::State).await, []);
    }
}

pub(super) async fn tables_do_not_mix(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    for table in Table::ALL {
        set(&*store, table, row(1), &format!("{table:?}")).await;
    }
    let mut batch = Batch::new();
    batch.unset(Table::Rows, row(1));
    commit(&*store, batch, Durability::Synced).await;
    assert_eq!(pairs(&*store, Table::State).await, [(row(1), text("State"))]);
    assert_eq!(pairs(&*store, Table::Rows).await, []);
    assert_eq!(pairs(&*store, Table::Dead).await, [(row(1), text("Dead"))]);
    assert_eq!(pairs(&*store, Table::Logs).await, [(row(1), text("Logs"))]);
}

pub(super) async fn keys_may_be_any_text_or_bytes(fixture: &dyn Fixture) {
    let mut store = fixture.open().await;
    let mut keys: Vec<Key> = ["", "a", "ab", "queue:größe@例え.jp", "Ω", "✉✉", "\u{10ffff}", "with space\nand line"]
        .iter()
        .map(|text| Key::new().text(text).number(u64::MAX))
        .collect();
    keys.extend(
        [vec![0], vec![0, 0], vec![0xff], vec![0xff, 0xff, 0xff], (0..=u8::MAX).collect()].map(Key::from_bytes),
    );
    for (number, key) in keys.iter().enumerate() {
        set(&*store, Table::State, key.clone(), &number.to_string()).await;
    }
    let mut expected: Vec<(Key, Bytes)> =
        keys.iter().enumerate().map(|(number, key)| (key.clone(), text(number.to_string()))).collect();
    expected.sort();
    for _ in 0..2 {
        assert_eq!(pairs(&*store, Table::State).await, expected);
        for (key, value) in &expected {
            let found = between(&*store, Table::State, key.clone(), key.after(), 10).await;
            assert_eq!(found, [(key.clone(), value.clone())]);
        }
        drop(store);
        store = fixture.close_and_reopen().await;
    }
}

fn row(number: u64) -> Key {
    Key::new().text("lane").number(number)
}
