//! Rules about offsets and about who sees an event when.

use super::{Fixture, append, commit, events, read_from, text};
use crate::{Batch, Durability, ReadLimit, StreamId};
use futures::future::join_all;
use waybill_types::Offset;

pub(super) async fn a_commit_tells_the_offset_of_each_append(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut batch = Batch::new();
    batch.append(StreamId::EVENTS, text("a"));
    batch.append(StreamId::SIGNALS, text("b"));
    batch.append(StreamId::EVENTS, text("c"));
    let offsets = commit(&*store, batch, Durability::Synced).await.offsets;
    let [a, b, c] = offsets[..] else { panic!("three appends, but the offsets {offsets:?}") };
    let read = read_from(&*store, StreamId::EVENTS, Offset::ZERO, 10).await;
    assert_eq!(read, [(a, text("a")), (c, text("c"))]);
    assert_eq!(read_from(&*store, StreamId::SIGNALS, Offset::ZERO, 10).await, [(b, text("b"))]);
}

pub(super) async fn offsets_increase_in_commit_order(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut last = None;
    for number in 0..30 {
        let offset = append(&*store, StreamId::EVENTS, &number.to_string()).await;
        assert!(last < Some(offset), "{offset} was given after {last:?}");
        last = Some(offset);
    }
    let expected: Vec<String> = (0..30).map(|number| number.to_string()).collect();
    assert_eq!(events(&*store, StreamId::EVENTS).await, expected);
}

pub(super) async fn concurrent_commits_get_offsets_of_their_own(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let commits = (0..64).map(|number| {
        let store = &store;
        async move {
            let durability = if number % 2 == 0 { Durability::Synced } else { Durability::Written };
            let mut batch = Batch::new();
            let mut entries = Vec::new();
            for part in 0..number % 4 {
                let entry = text(format!("{number}/{part}"));
                batch.append(StreamId::EVENTS, entry.clone());
                entries.push(entry);
            }
            let offsets = commit(&**store, batch, durability).await.offsets;
            assert!(offsets.is_sorted_by(|a, b| a < b), "within one batch: {offsets:?}");
            assert_eq!(offsets.len(), entries.len());
            offsets.into_iter().zip(entries).collect::<Vec<_>>()
        }
    });
    let mut expected = join_all(commits).await.concat();
    expected.sort();
    assert_eq!(read_from(&*store, StreamId::EVENTS, Offset::ZERO, 7).await, expected);
}

pub(super) async fn streams_do_not_mix(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let streams = [0, 1, 2, 255, 256, 65_536, u32::MAX].map(StreamId);
    for round in 0..5 {
        for stream in streams {
            append(&*store, stream, &format!("{}/{round}", stream.0)).await;
        }
    }
    for stream in streams {
        let expected: Vec<String> = (0..5).map(|round| format!("{}/{round}", stream.0)).collect();
        assert_eq!(events(&*store, stream).await, expected);
    }
    assert_eq!(events(&*store, StreamId(3)).await, [""; 0]);
}

pub(super) async fn an_acknowledged_event_is_visible(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    for (number, durability) in (0..).zip([Durability::Written, Durability::Synced, Durability::Written]) {
        let mut batch = Batch::new();
        batch.append(StreamId::EVENTS, text(number.to_string()));
        let offset = commit(&*store, batch, durability).await.offsets[0];
        assert_eq!(*store.visible(StreamId::EVENTS).borrow(), offset.next(), "after a commit {durability:?}");
        let read = read_from(&*store, StreamId::EVENTS, offset, 10).await;
        assert_eq!(read, [(offset, text(number.to_string()))]);
    }
}

pub(super) async fn a_waiting_reader_is_told_of_an_event(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut visible = store.visible(StreamId::SIGNALS);
    let before = *visible.borrow_and_update();
    let (changed, offset) = futures::join!(visible.changed(), append(&*store, StreamId::SIGNALS, "signal"));
    assert!(changed.is_ok(), "the store gave its reader up");
    assert_eq!(*visible.borrow(), offset.next());
    assert!(before <= offset);
}

pub(super) async fn an_unused_stream_is_empty(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    append(&*store, StreamId(8), "beside it").await;
    let from = *store.visible(StreamId(7)).borrow();
    for at in [Offset::ZERO, from, Offset(1_000_000)] {
        let slice = store.read(StreamId(7), at, ReadLimit { entries: 10, bytes: 1000 }).await;
        let slice = slice.unwrap_or_else(|error| panic!("failed to read: {error}"));
        assert_eq!((slice.entries, slice.next), (Vec::new(), at));
    }
}
