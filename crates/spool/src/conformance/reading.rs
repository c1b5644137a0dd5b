//! Rules about reading streams, fetching single events and trimming.

use super::{Fixture, append, read_from, text, trim};
use crate::{ReadLimit, Slice, Store, StreamId};
use bytes::Bytes;
use waybill_types::Offset;

const STREAM: StreamId = StreamId::EVENTS;

pub(super) async fn reading_goes_on_where_it_ended(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let written = fill(&*store, 23).await;
    for page in [1, 5, 22, 23, 24] {
        assert_eq!(read_from(&*store, STREAM, Offset::ZERO, page).await, written, "in pages of {page}");
    }
    for (index, (offset, _)) in written.iter().enumerate() {
        assert_eq!(read_from(&*store, STREAM, *offset, 100).await, written[index..]);
    }
}

pub(super) async fn a_read_ends_at_its_limits(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut written = Vec::new();
    for _ in 0..10 {
        written.push((append(&*store, STREAM, "0123456789").await, text("0123456789")));
    }
    let first = written[0].0;
    for (entries, bytes, expected) in
        [(3, 1000, 3), (100, 30, 3), (100, 39, 3), (100, 40, 4), (4, 20, 2), (100, 1000, 10), (0, 1000, 0)]
    {
        let slice = read(&*store, first, entries, bytes).await;
        assert_eq!(slice.entries, written[..expected], "with at most {entries} entries and {bytes} bytes");
        let next = slice.entries.last().map_or(first, |(offset, _)| offset.next());
        assert_eq!(slice.next, next);
    }
    let behind = written[9].0.next();
    assert_eq!(read(&*store, behind, 10, 1000).await, Slice { entries: Vec::new(), next: behind });
}

pub(super) async fn one_entry_always_fits(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let big = "x".repeat(100_000);
    let offset = append(&*store, STREAM, &big).await;
    append(&*store, STREAM, "small").await;
    for bytes in [0, 1, 99_999] {
        let slice = read(&*store, Offset::ZERO, 10, bytes).await;
        assert_eq!(slice.entries.len(), 1, "with at most {bytes} bytes");
        assert_eq!(slice.next, offset.next());
    }
    assert_eq!(read(&*store, offset.next(), 10, 0).await.entries.len(), 1);
}

pub(super) async fn fetch_answers_in_the_order_of_the_question(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let written = fill(&*store, 5).await;
    append(&*store, StreamId::SIGNALS, "another stream").await;
    let unused = Offset(written[4].0.0 + 1_000_000_000);
    let (a, b, c) = (written[3].clone(), written[0].clone(), written[4].clone());
    let asked = vec![a.0, unused, b.0, a.0, Offset(u64::MAX), c.0];
    let expected = [Some(a.1.clone()), None, Some(b.1), Some(a.1), None, Some(c.1)];
    assert_eq!(fetch(&*store, asked).await, expected);
    assert_eq!(fetch(&*store, Vec::new()).await, []);
}

pub(super) async fn trimming_keeps_all_from_its_offset_on(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let written = fill(&*store, 10).await;
    let other = append(&*store, StreamId::SIGNALS, "another stream").await;
    // The third goes back below the second and must not undo or break anything.
    for (cut, kept_from) in [(3, 3), (7, 7), (5, 7)] {
        trim(&*store, STREAM, written[cut].0).await;
        for start in [Offset::ZERO, written[0].0, written[kept_from].0] {
            let found = read_from(&*store, STREAM, start, 4).await;
            // What was trimmed may be readable for a while, but only as it was.
            assert!(found.len() >= 10 - kept_from && written.ends_with(&found), "{found:?} from {start}");
        }
        let kept = &written[kept_from..];
        let offsets = written.iter().map(|(offset, _)| *offset).collect();
        let fetched = fetch(&*store, offsets).await;
        assert!(fetched[kept_from..].iter().flatten().eq(kept.iter().map(|(_, entry)| entry)));
    }
    let found = read_from(&*store, StreamId::SIGNALS, Offset::ZERO, 10).await;
    assert_eq!(found, [(other, text("another stream"))]);
}

pub(super) async fn trimming_beyond_the_end_hides_nothing_that_comes_later(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let written = fill(&*store, 3).await;
    trim(&*store, STREAM, written[2].0.next()).await;
    trim(&*store, STREAM, Offset(u64::MAX)).await;
    let offset = append(&*store, STREAM, "later").await;
    assert!(offset > written[2].0, "an offset was used again after trimming");
    assert_eq!(read_from(&*store, STREAM, offset, 10).await, [(offset, text("later"))]);
    assert_eq!(fetch(&*store, vec![offset]).await, [Some(text("later"))]);
}

async fn fill(store: &dyn Store, count: usize) -> Vec<(Offset, Bytes)> {
    let mut written = Vec::new();
    for number in 0..count {
        let entry = format!("event {number}");
        written.push((append(store, STREAM, &entry).await, text(entry)));
    }
    written
}

async fn read(store: &dyn Store, from: Offset, entries: usize, bytes: usize) -> Slice {
    let slice = store.read(STREAM, from, ReadLimit { entries, bytes }).await;
    slice.unwrap_or_else(|error| panic!("failed to read: {error}"))
}

async fn fetch(store: &dyn Store, offsets: Vec<Offset>) -> Vec<Option<Bytes>> {
    store.fetch(STREAM, offsets).await.unwrap_or_else(|error| panic!("failed to fetch: {error}"))
}
