//! That trimming gives room back.

use super::Disk;
use crate::RocksStore;
use crate::care::Care;
use crate::space::SpaceGuard;
use bytes::Bytes;
use std::sync::Arc;
use waybill_spool::{Batch, Durability, Op, ReadLimit, Store, StreamId};
use waybill_types::Offset;

const EVENTS: u64 = 1300;
const EVERYTHING: ReadLimit = ReadLimit { entries: usize::MAX, bytes: usize::MAX };
/// A quiet stream, whose events share files with those of the busy one.
const QUIET: StreamId = StreamId(40);

/// 64 KiB that no compressor makes smaller.
fn noise(seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..8192).flat_map(|_| word()).collect()
}

async fn trim(store: &RocksStore, stream: StreamId, below: Offset) {
    let mut batch = Batch::new();
    batch.push(Op::Trim { stream, below });
    store.commit(batch, Durability::Synced).await.unwrap();
}

#[tokio::test]
async fn trimmed_events_give_their_room_back_and_the_others_stay() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::<Disk>::default().store(dir.path());
    for number in 0..EVENTS {
        let mut batch = Batch::new();
        batch.append(StreamId::EVENTS, noise(number));
        if number % 100 == 0 {
            batch.append(QUIET, Bytes::from(number.to_string()));
        }
        store.commit(batch, Durability::Written).await.unwrap();
    }
    store.compact().await.unwrap();
    let (shared, database) = store.parts();
    let files = database.event_files();
    assert!(files > 2, "{files} files");

    let low = Offset(EVENTS - 10);
    trim(&store, StreamId::EVENTS, low).await;
    trim(&store, QUIET, Offset(9)).await;
    let nowhere = SpaceGuard { places: Vec::new() };
    let mut care = Care::new(shared.clone(), database.clone(), nowhere);
    care.tick();
    care.tick();
    assert!(database.event_files() < files, "whole files are deleted at once");

    let kept = store.read(StreamId::EVENTS, Offset::ZERO, EVERYTHING).await.unwrap().entries;
    assert_eq!((kept[0].0, kept.len()), (low, 10));
    assert!(kept.iter().all(|(offset, entry)| *entry == noise(offset.0)));
    let fetched = store.fetch(QUIET, vec![Offset(8), Offset(9)]).await.unwrap();
    assert_eq!(fetched, [None, Some(Bytes::from("900"))]);

    // The rest goes when the files are rewritten. Asked past the low marks, the database has no more than it shows.
    store.compact().await.unwrap();
    let raw = database.read(StreamId::EVENTS, Offset::ZERO, Offset(u64::MAX), EVERYTHING).unwrap();
    assert_eq!(raw.entries, kept);
    let raw = database.read(QUIET, Offset::ZERO, Offset(u64::MAX), EVERYTHING).unwrap();
    assert_eq!(raw.entries.len(), 4);
}

#[tokio::test]
async fn what_was_trimmed_stays_trimmed_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::<Disk>::default();
    let store = disk.store(dir.path());
    let mut batch = Batch::new();
    for number in 0..10 {
        batch.append(QUIET, Bytes::from(number.to_string()));
    }
    store.commit(batch, Durability::Written).await.unwrap();
    trim(&store, QUIET, Offset(4)).await;
    store.abandon().await;

    let store = disk.store(dir.path());
    assert!(!store.was_clean());
    let slice = store.read(QUIET, Offset::ZERO, EVERYTHING).await.unwrap();
    assert_eq!(slice.entries.first().map(|(offset, _)| *offset), Some(Offset(4)));
    trim(&store, QUIET, Offset(u64::MAX)).await;
    store.close().await.unwrap();

    let store = disk.store(dir.path());
    assert_eq!(store.read(QUIET, Offset::ZERO, EVERYTHING).await.unwrap().entries, []);
    let mut batch = Batch::new();
    batch.append(QUIET, Bytes::from("new"));
    let offset = store.commit(batch, Durability::Written).await.unwrap().offsets[0];
    let slice = store.read(QUIET, Offset::ZERO, EVERYTHING).await.unwrap();
    assert_eq!(slice.entries, [(offset, Bytes::from("new"))]);
}

#[test]
fn a_second_compaction_is_refused_while_one_is_under_way() {
    let dir = tempfile::tempdir().unwrap();
    // One thread for what may wait, and it is busy: the first compaction cannot end before we say so.
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Arc::<Disk>::default().store(dir.path());
        let (release, released) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || released.recv().unwrap());
        let mut first = store.compact();
        assert!(futures::poll!(&mut first).is_pending());
        let refused = store.compact().await.unwrap_err().to_string();
        assert_eq!(refused, "store: it is being compacted already");
        // Given up by whoever waited, it is under way all the same.
        drop(first);
        assert!(store.compact().await.is_err());
        release.send(()).unwrap();
        busy.await.unwrap();
        while store.compact().await.is_err() {
            tokio::task::yield_now().await;
        }
        store.close().await.unwrap();
        assert_eq!(store.compact().await.unwrap_err().to_string(), "the store is closed");
    });
}
