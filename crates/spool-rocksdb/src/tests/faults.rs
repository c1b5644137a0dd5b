//! What the store does when the disk is slow or fails.

use super::Disk;
use crate::store::RocksStore;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::join_all;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::TempDir;
use waybill_spool::{Batch, Durability, Health, Key, ReadLimit, Store, StoreError, StreamId, Table};
use waybill_types::Offset;

const EVERYTHING: ReadLimit = ReadLimit { entries: usize::MAX, bytes: usize::MAX };

fn event(text: impl Into<String>) -> Batch {
    let mut batch = Batch::new();
    batch.append(StreamId::EVENTS, Bytes::from(text.into()));
    batch
}

async fn events(store: &RocksStore) -> Vec<(u64, String)> {
    let slice = store.read(StreamId::EVENTS, Offset::ZERO, EVERYTHING).await.unwrap();
    slice.entries.iter().map(|(offset, entry)| (offset.0, String::from_utf8_lossy(entry).into_owned())).collect()
}

fn setup() -> (TempDir, Arc<Disk>, RocksStore) {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::<Disk>::default();
    let store = disk.store(dir.path());
    (dir, disk, store)
}

/// Waits until so many commits were written; the thread that writes tells nobody else.
async fn written(store: &RocksStore, commits: u64) {
    while store.stats().commits < commits {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn nobody_waits_behind_the_fsync_of_others() {
    let (_dir, disk, store) = setup();
    disk.order(|orders| orders.gate_closed = true);
    let mut first = store.commit(event("first"), Durability::Synced);
    assert!((&mut first).now_or_never().is_none());
    disk.wait_for_a_sync();

    // While its fsync is under way others write, and who does not want to be synced is done.
    assert!(store.commit(event("written"), Durability::Written).await.is_ok());
    let mut others: Vec<_> =
        (0..15).map(|number| store.commit(event(number.to_string()), Durability::Synced)).collect();
    for other in &mut others {
        assert!(other.now_or_never().is_none());
    }
    written(&store, 17).await;
    assert_eq!((store.stats().pending, store.stats().syncs), (16, 1));
    // Nothing that a loss of power could take back is shown, nor anything behind it.
    assert_eq!(*store.visible(StreamId::EVENTS).borrow(), Offset(0));
    assert_eq!(events(&store).await, []);
    let fetched = store.fetch(StreamId::EVENTS, vec![Offset(1)]).await.unwrap();
    assert_eq!(fetched, [Some(Bytes::from("written"))], "a single event can be had before");

    disk.order(|orders| orders.gate_closed = false);
    assert!(first.await.is_ok() && join_all(others).await.iter().all(Result::is_ok));
    assert_eq!(store.stats().syncs, 2, "one more fsync is enough for all that came during the first");
    assert_eq!(*store.visible(StreamId::EVENTS).borrow(), Offset(17));
    assert_eq!(events(&store).await.len(), 17);
}

#[tokio::test]
async fn with_flush_every_commit_waits_for_its_sync() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::<Disk>::default();
    let store = disk.store_with(dir.path(), true);
    disk.order(|orders| orders.gate_closed = true);
    let mut commit = store.commit(event("event"), Durability::Written);
    assert!((&mut commit).now_or_never().is_none());
    disk.wait_for_a_sync();
    assert!((&mut commit).now_or_never().is_none());
    disk.order(|orders| orders.gate_closed = false);
    assert!(commit.await.is_ok());
}

/// On a disk whose fsyncs take until all writers have something new, whatever the machine.
#[tokio::test]
async fn sixteen_writers_share_their_fsyncs() {
    const WRITERS: u64 = 16;
    const EACH: u64 = 50;
    let (_dir, disk, store) = setup();
    disk.order(|orders| orders.gate_closed = true);
    let (store, busy, begun) = (&store, &AtomicU64::new(WRITERS), &AtomicU64::new(0));
    let writers = join_all((0..WRITERS).map(|writer| async move {
        for number in 0..EACH {
            begun.fetch_add(1, Ordering::SeqCst);
            store.commit(event(format!("{writer}/{number}")), Durability::Synced).await.unwrap();
        }
        busy.fetch_sub(1, Ordering::SeqCst);
    }));
    let disk = async {
        while busy.load(Ordering::SeqCst) > 0 {
            // In this order: what is counted while it stands there stays so.
            if disk.is_at_gate() {
                let stats = store.stats();
                let (busy, begun) = (busy.load(Ordering::SeqCst), begun.load(Ordering::SeqCst));
                if stats.pending == busy && stats.commits == begun {
                    disk.order(|orders| orders.passes = 1);
                }
            }
            tokio::task::yield_now().await;
        }
        disk.order(|orders| orders.gate_closed = false);
    };
    futures::join!(writers, disk);
    let stats = store.stats();
    assert_eq!((stats.commits, stats.pending, stats.failed), (WRITERS * EACH, 0, 0));
    // Nobody waits for more than the fsync that is under way and the next one.
    assert!(stats.syncs <= 2 * EACH, "{stats:?}");
    assert!(stats.groups <= stats.commits && stats.bytes > 0, "{stats:?}");
}

fn row(value: impl Into<Bytes>) -> Batch {
    let mut batch = Batch::new();
    batch.set(Table::State, Key::new().text("row"), value);
    batch
}

async fn rows(store: &RocksStore) -> Vec<Bytes> {
    let found = store.range(Table::State, Key::new(), Key::new().end(), 10).await.unwrap();
    found.into_iter().map(|(_, value)| value).collect()
}

#[tokio::test]
async fn a_small_row_is_written_by_whoever_waits_while_nobody_writes() {
    let (_dir, disk, store) = setup();
    assert!(store.commit_here(row("here")).now_or_never().unwrap().is_ok());
    assert_eq!((rows(&store).await, store.stats().commits, disk.at_once()), (vec![Bytes::from("here")], 1, 1));
    // Where it would have to wait, or is not small, or a stream is in it, it goes the way of all others.
    let mut with_event = row("with an event");
    with_event.append(StreamId::EVENTS, Bytes::from("event"));
    for batch in [row(vec![b'x'; 1 << 20]), with_event] {
        assert!(store.commit_here(batch).await.is_ok());
    }
    disk.order(|orders| orders.is_busy = true);
    assert!(store.commit_here(row("there")).await.is_ok());
    assert_eq!((rows(&store).await, store.stats().commits, disk.at_once()), (vec![Bytes::from("there")], 4, 1));
    assert_eq!(events(&store).await.len(), 1);
}

#[tokio::test]
async fn two_never_write_at_once() {
    let (_dir, _disk, store) = setup();
    let (shared, _) = store.parts();
    assert!(shared.queue.try_turn());
    assert!(!shared.queue.try_turn());
    let mut commit = store.commit(row("a"), Durability::Written);
    assert!((&mut commit).now_or_never().is_none());
    let mut small = store.commit_here(row("b"));
    assert!((&mut small).now_or_never().is_none());
    assert_eq!(store.stats().commits, 0);
    shared.queue.end_turn();
    assert!(commit.await.is_ok() && small.await.is_ok());
    assert_eq!(rows(&store).await, ["b"], "in the order in which they came");
}

#[tokio::test]
async fn a_row_that_whoever_waits_cannot_write_fails_as_any_other_and_the_store_recovers() {
    let (_dir, disk, store) = setup();
    disk.order(|orders| (orders.writes_fail, orders.syncs_fail) = (true, true));
    let failed = store.commit_here(row("lost")).await;
    assert!(matches!(&failed, Err(StoreError::Failed(why)) if &**why == "the disk does not write"), "{failed:?}");
    disk.order(|orders| (orders.writes_fail, orders.syncs_fail) = (false, false));
    while let Err(error) = store.commit_here(row("after")).await {
        assert!(matches!(error, StoreError::Failed(_)));
    }
    assert!(store.commit(Batch::new(), Durability::Synced).await.is_ok());
    assert_eq!((rows(&store).await, store.health(), disk.reported()), (vec![Bytes::from("after")], Health::Ok, 0));
}

#[tokio::test]
async fn a_failed_write_leaves_nothing_behind_and_the_store_recovers() {
    let (_dir, disk, store) = setup();
    assert_eq!(store.commit(event("before"), Durability::Synced).await.unwrap().offsets, [Offset(0)]);
    disk.order(|orders| orders.writes_fail = true);
    let failed = store.commit(event("lost"), Durability::Written).await;
    assert!(matches!(&failed, Err(StoreError::Failed(why)) if &**why == "the disk does not write"), "{failed:?}");
    assert_eq!(store.health(), Health::Failing("the disk does not write".into()));
    // Answered by the next attempt, so that nobody waits for a disk that may never come back.
    let failed = store.commit(event("lost too"), Durability::Synced).await;
    assert!(matches!(&failed, Err(StoreError::Failed(why)) if &**why == "the disk still does not write"));
    assert!(matches!(store.health(), Health::Failing(_)));
    assert_eq!(events(&store).await, [(0, "before".to_owned())]);

    disk.order(|orders| orders.writes_fail = false);
    let committed = loop {
        match store.commit(event("after"), Durability::Synced).await {
            Ok(committed) => break committed,
            Err(error) => assert!(matches!(error, StoreError::Failed(_))),
        }
    };
    assert_eq!(store.health(), Health::Ok);
    assert!(committed.offsets > vec![Offset(0)]);
    assert_eq!(events(&store).await, [(0, "before".to_owned()), (committed.offsets[0].0, "after".to_owned())]);
    assert_eq!(disk.reported(), 0);
    assert!(store.stats().failed >= 2);
}

#[tokio::test]
async fn a_failed_sync_is_reported_and_nothing_is_acknowledged_after_it() {
    let (_dir, disk, store) = setup();
    store.commit(event("before"), Durability::Synced).await.unwrap();
    disk.order(|orders| orders.syncs_fail = true);
    let written = store.commit(event("written"), Durability::Written).await;
    assert!(written.is_ok());
    assert!(matches!(store.commit(event("synced"), Durability::Synced).await, Err(StoreError::Closed)));
    assert_eq!(disk.reported(), 1);
    disk.order(|orders| orders.syncs_fail = false);
    assert!(matches!(store.commit(event("later"), Durability::Written).await, Err(StoreError::Closed)));
    assert!(matches!(store.health(), Health::Failing(_)));
    assert!(store.close().await.is_err());
}

#[tokio::test]
async fn a_sync_that_fails_because_a_write_did_is_done_again() {
    let (_dir, disk, store) = setup();
    disk.order(|orders| orders.gate_closed = true);
    let mut waiting = store.commit(event("waiting"), Durability::Synced);
    assert!((&mut waiting).now_or_never().is_none());
    disk.wait_for_a_sync();
    disk.order(|orders| orders.writes_fail = true);
    assert!(store.commit(event("failed"), Durability::Written).await.is_err());
    // RocksDB does not sync a log that it could not write to.
    disk.order(|orders| (orders.syncs_fail, orders.gate_closed) = (true, false));
    assert!(store.commit(event("failed too"), Durability::Written).await.is_err());
    assert!((&mut waiting).now_or_never().is_none());
    disk.order(|orders| (orders.syncs_fail, orders.writes_fail) = (false, false));
    assert_eq!(waiting.await.unwrap().offsets, [Offset(0)]);
    assert_eq!(disk.reported(), 0);
}

#[tokio::test]
async fn a_sync_that_was_refused_is_reported_also_when_a_write_failed_behind_it() {
    let (_dir, disk, store) = setup();
    disk.order(|orders| orders.gate_closed = true);
    let mut waiting = store.commit(event("waiting"), Durability::Synced);
    assert!((&mut waiting).now_or_never().is_none());
    disk.wait_for_a_sync();
    // RocksDB does not write any more once a sync was refused, and the write may be heard of first.
    disk.order(|orders| orders.writes_fail = true);
    assert!(store.commit(event("failed"), Durability::Written).await.is_err());
    disk.order(|orders| (orders.refuses_syncs, orders.gate_closed) = (true, false));
    assert!(matches!(waiting.await, Err(StoreError::Closed)), "nobody is told that it is kept");
    assert_eq!(disk.reported(), 1);
}

#[tokio::test]
async fn a_disk_that_forgets_what_was_written_is_reported() {
    let (_dir, disk, store) = setup();
    disk.order(|orders| (orders.writes_fail, orders.forgets) = (true, true));
    assert!(store.commit(event("failed"), Durability::Written).await.is_err());
    assert!(matches!(store.commit(event("closed"), Durability::Written).await, Err(StoreError::Closed)));
    assert_eq!(disk.reported(), 1);
}

#[tokio::test]
async fn closing_writes_what_waits_and_fails_what_cannot_be_written() {
    let (dir, disk, store) = setup();
    let mut waiting: Vec<_> = (0..20).map(|n| store.commit(event(n.to_string()), Durability::Synced)).collect();
    for commit in &mut waiting {
        let _ = commit.now_or_never();
    }
    store.close().await.unwrap();
    // They may have been answered when they were polled first.
    assert_eq!((store.stats().commits, store.stats().pending), (20, 0));
    drop(waiting);
    assert!(matches!(store.commit(event("late"), Durability::Written).await, Err(StoreError::Closed)));
    assert!(matches!(store.scan(None, 1).await, Err(StoreError::Closed)));
    assert!(store.close().await.is_ok(), "closing again does nothing");

    let store = disk.store(dir.path());
    assert!(store.was_clean());
    assert_eq!(events(&store).await.len(), 20);
    // The offsets go on without a gap.
    assert_eq!(store.commit(event("next"), Durability::Written).await.unwrap().offsets, [Offset(20)]);
    disk.order(|orders| orders.writes_fail = true);
    assert!(store.commit(event("lost"), Durability::Written).await.is_err());
    assert!(store.close().await.is_err());

    disk.order(|orders| orders.writes_fail = false);
    let store = disk.store(dir.path());
    assert!(!store.was_clean());
    assert_eq!(events(&store).await.len(), 21);
}
