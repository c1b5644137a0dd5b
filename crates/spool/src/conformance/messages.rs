//! Rules about messages.

use super::{Fixture, body, commit, envelope, id, noise, put, text};
use crate::{Batch, Durability, Op, Store};
use bytes::Bytes;
use waybill_types::MessageId;

pub(super) async fn a_message_that_was_never_stored_is_not_there(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    assert_eq!((envelope(&*store, id(1)).await, body(&*store, id(1)).await), (None, None));
    assert_eq!(scan(&*store, None, 10).await, []);
    let mut batch = Batch::new();
    batch.remove(id(1));
    commit(&*store, batch, Durability::Synced).await;
}

pub(super) async fn envelope_and_body_come_back_as_they_were_put(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let bodies = ["", "body", "\0\r\n.\r\n", "größer ✉"];
    let mut batch = Batch::new();
    for (number, body) in (0..).zip(bodies) {
        put(&mut batch, id(number), &format!("envelope {body}"), Some(body));
    }
    put(&mut batch, id(9), "", None);
    commit(&*store, batch, Durability::Synced).await;
    for (number, expected) in (0..).zip(bodies) {
        assert_eq!(envelope(&*store, id(number)).await, Some(text(format!("envelope {expected}"))));
        assert_eq!(body(&*store, id(number)).await, Some(text(expected)));
    }
    assert_eq!(envelope(&*store, id(9)).await, Some(Bytes::new()));
    assert_eq!(body(&*store, id(9)).await, None, "no body was ever put");
}

pub(super) async fn an_envelope_alone_keeps_the_body_that_is_stored(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    for (envelope, data) in [("first", Some("old")), ("second", None), ("third", Some("new")), ("fourth", None)] {
        let mut batch = Batch::new();
        put(&mut batch, id(1), envelope, data);
        commit(&*store, batch, Durability::Written).await;
    }
    assert_eq!(envelope(&*store, id(1)).await, Some(text("fourth")));
    assert_eq!(body(&*store, id(1)).await, Some(text("new")));
}

pub(super) async fn a_removed_message_is_gone_with_its_body(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut batch = Batch::new();
    put(&mut batch, id(1), "one", Some("body"));
    put(&mut batch, id(2), "two", Some("body"));
    commit(&*store, batch, Durability::Synced).await;
    let mut batch = Batch::new();
    batch.remove(id(1));
    commit(&*store, batch, Durability::Synced).await;
    assert_eq!((envelope(&*store, id(1)).await, body(&*store, id(1)).await), (None, None));
    assert_eq!(body(&*store, id(2)).await, Some(text("body")));

    // A body must not come back with an envelope that is put later.
    let mut batch = Batch::new();
    put(&mut batch, id(1), "again", None);
    commit(&*store, batch, Durability::Synced).await;
    assert_eq!(envelope(&*store, id(1)).await, Some(text("again")));
    assert_eq!(body(&*store, id(1)).await, None);
}

pub(super) async fn a_body_that_came_ahead_is_shown_once_its_envelope_follows(fixture: &dyn Fixture) {
    let mut store = fixture.open().await;
    let mut batch = Batch::new();
    batch.push(Op::Body { id: id(1), data: text("ahead") });
    batch.push(Op::Body { id: id(2), data: text("never followed") });
    commit(&*store, batch, Durability::Synced).await;
    assert_eq!(scan(&*store, None, 10).await, []);
    assert_eq!(envelope(&*store, id(1)).await, None);
    drop(store);
    store = fixture.close_and_reopen().await;
    let mut batch = Batch::new();
    put(&mut batch, id(1), "follows", None);
    batch.remove(id(2));
    commit(&*store, batch, Durability::Synced).await;
    assert_eq!(
        (envelope(&*store, id(1)).await, body(&*store, id(1)).await),
        (Some(text("follows")), Some(text("ahead")))
    );
    assert_eq!(body(&*store, id(2)).await, None);
    assert_eq!(scan(&*store, None, 10).await.len(), 1);
}

pub(super) async fn bodies_around_and_far_above_64_kib_come_back_whole(fixture: &dyn Fixture) {
    const KIB: usize = 1024;
    let sizes = [64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 300 * KIB, 5 * KIB * KIB];
    let mut store = fixture.open().await;
    for (number, size) in (0..).zip(sizes) {
        let mut batch = Batch::new();
        batch.push(Op::Put { id: id(number), envelope: text("big"), data: Some(noise(number, size)) });
        commit(&*store, batch, Durability::Written).await;
    }
    for round in 0..2 {
        for (number, size) in (0..).zip(sizes) {
            let found = body(&*store, id(number)).await;
            assert!(found == Some(noise(number, size)), "a body of {size} bytes differs, round {round}");
        }
        drop(store);
        store = fixture.close_and_reopen().await;
    }
}

pub(super) async fn a_scan_gives_every_message_once_in_order_of_id(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut batch = Batch::new();
    for number in [7, 300, 2, 9, 256, 1_000_000, 4, u64::MAX] {
        put(&mut batch, id(number), &number.to_string(), Some("body"));
    }
    commit(&*store, batch, Durability::Synced).await;
    let expected = [2, 4, 7, 9, 256, 300, 1_000_000, u64::MAX];
    for page in [1, 3, 8, 100] {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let entries = scan(&*store, after, page).await;
            assert!(entries.len() <= page);
            let Some((last, _)) = entries.last() else { break };
            after = Some(*last);
            found.extend(entries);
        }
        assert_eq!(found, expected.map(|number| (id(number), text(number.to_string()))), "in pages of {page}");
    }
    // It begins behind an id that need not exist.
    assert_eq!(scan(&*store, Some(id(8)), 1).await, [(id(9), text("9"))]);
    assert_eq!(scan(&*store, Some(id(9)), 1).await, [(id(256), text("256"))]);
    assert_eq!(scan(&*store, None, 0).await, []);
}

async fn scan(store: &dyn Store, after: Option<MessageId>, limit: usize) -> Vec<(MessageId, Bytes)> {
    let entries = store.scan(after, limit).await.unwrap_or_else(|error| panic!("failed to scan: {error}"));
    entries.into_iter().map(|entry| (entry.id, entry.envelope)).collect()
}
