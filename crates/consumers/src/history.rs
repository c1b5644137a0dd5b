//! Places in a stream that people name by time or by count.

use bytes::Bytes;
use std::collections::VecDeque;
use waybill_spool::{ReadLimit, Store, StoreError, StreamId};
use waybill_types::{Offset, Timestamp};

/// Events that are read at a time.
const PAGE: ReadLimit = ReadLimit { entries: 1024, bytes: 1 << 20 };
const ONE: ReadLimit = ReadLimit { entries: 1, bytes: 1 };

/// The place of the first event that was appended at `time` or later. Events are in the order of their commits, which
/// is that of their times but for what was on its way together.
///
/// # Errors
/// When the store cannot be read.
pub async fn since(
    store: &dyn Store,
    stream: StreamId,
    time: Timestamp,
    created: impl Fn(&Bytes) -> Option<Timestamp>,
) -> Result<Offset, StoreError> {
    let (mut low, mut high) = (Offset::ZERO, *store.visible(stream).borrow());
    while low < high {
        let middle = Offset(low.0 + (high.0 - low.0) / 2);
        let found = store.read(stream, middle, ONE).await?;
        match found.entries.first() {
            Some((offset, entry)) if *offset < high && created(entry).is_some_and(|created| created < time) => {
                low = offset.next();
            }
            _ => high = middle,
        }
    }
    Ok(low)
}

/// The place of the event that has `count` wanted ones from it to the end, itself included, or of the first wanted one
/// where there are fewer.
///
/// # Errors
/// When the store cannot be read.
pub async fn last(
    store: &dyn Store,
    stream: StreamId,
    count: usize,
    wanted: impl Fn(&Bytes) -> bool,
) -> Result<Offset, StoreError> {
    let tail = *store.visible(stream).borrow();
    if count == 0 {
        return Ok(tail);
    }
    let mut back = count as u64;
    loop {
        // Twice as far back each time: a stream can be read in one direction only.
        back = back.saturating_mul(2);
        let from = Offset(tail.0.saturating_sub(back));
        let mut seen: VecDeque<Offset> = VecDeque::new();
        let mut at = from;
        while at < tail {
            let slice = store.read(stream, at, PAGE).await?;
            if slice.entries.is_empty() {
                break;
            }
            at = slice.next;
            for (offset, entry) in slice.entries {
                if offset < tail && wanted(&entry) {
                    seen.push_back(offset);
                    if seen.len() > count {
                        seen.pop_front();
                    }
                }
            }
        }
        if seen.len() >= count || from == Offset::ZERO {
            return Ok(seen.front().copied().unwrap_or(tail));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_spool::{Batch, MemoryStore};

    /// An event a second: its number.
    fn stream(events: u64) -> MemoryStore {
        let store = MemoryStore::new();
        for second in 0..events {
            let mut batch = Batch::new();
            batch.append(StreamId::EVENTS, second.to_string().into());
            store.apply(batch);
        }
        store
    }

    fn second(entry: &Bytes) -> i64 {
        std::str::from_utf8(entry).unwrap().parse().unwrap()
    }

    #[tokio::test]
    async fn a_time_leads_to_the_first_event_at_it_or_behind() {
        let store = stream(1000);
        for (time, place) in [(-5, 0), (0, 0), (1, 1), (500, 500), (999, 999), (1000, 1000), (5000, 1000)] {
            let time = Timestamp::from_secs(time);
            let found = since(&store, StreamId::EVENTS, time, |entry| Some(Timestamp::from_secs(second(entry)))).await;
            assert_eq!(found.unwrap(), Offset(place));
        }
        assert_eq!(since(&stream(0), StreamId::EVENTS, Timestamp::EPOCH, |_| None).await.unwrap(), Offset(0));
    }

    #[tokio::test]
    async fn the_last_events_of_a_kind_are_found_however_far_apart_they_are() {
        let store = stream(5000);
        let find = async |count, every: i64| {
            last(&store, StreamId::EVENTS, count, |entry| second(entry) % every == 0).await.unwrap()
        };
        assert_eq!(find(1, 1).await, Offset(4999));
        assert_eq!(find(3, 1000).await, Offset(2000));
        assert_eq!(find(2000, 1).await, Offset(3000));
        assert_eq!(find(50, 1000).await, Offset(0), "all that there are");
        assert_eq!(find(0, 1).await, Offset(5000));
    }
}
