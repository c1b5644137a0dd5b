use super::once::{again, new, once, put};
use super::{NOTHING, everything, message, open};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::watch;
use waybill_spool::{
    Batch, Committed, Durability, Health, Key, MemoryStore, Part, ReadLimit, Slice, SpoolEntry, Store, StoreError,
    StreamId, Table, Written,
};
use waybill_streams_core::{Cleanup, Code, Message};
use waybill_types::{MessageId, Offset};

/// A store whose next commit fails, or waits, as a test wants; and whose disk does.
#[derive(Default)]
struct Moody {
    inner: MemoryStore,
    fail: Mutex<bool>,
    gate: Arc<tokio::sync::Mutex<()>>,
    commits: Mutex<Vec<Durability>>,
    disk: Arc<tokio::sync::Mutex<()>>,
    disk_fails: Arc<Mutex<bool>>,
}

impl Store for Moody {
    fn commit(&self, batch: Batch, durability: Durability) -> BoxFuture<'_, Result<Committed, StoreError>> {
        async move {
            drop(self.gate.lock().await);
            if std::mem::take(&mut *self.fail.lock()) {
                return Err(StoreError::Failed("no room".into()));
            }
            self.commits.lock().push(durability);
            self.inner.commit(batch, durability).await
        }
        .boxed()
    }
    fn commit_ahead(&self, batch: Batch) -> BoxFuture<'_, Result<Written, StoreError>> {
        async move {
            let committed = self.commit(batch, Durability::Synced).await?;
            let (disk, fails) = (self.disk.clone(), self.disk_fails.clone());
            let synced = async move {
                drop(disk.lock().await);
                if *fails.lock() { Err(StoreError::Closed) } else { Ok(()) }
            };
            Ok(Written { committed, synced: synced.boxed() })
        }
        .boxed()
    }
    fn load(&self, id: MessageId, part: Part) -> BoxFuture<'_, Result<Option<Bytes>, StoreError>> {
        self.inner.load(id, part)
    }
    fn scan(&self, after: Option<MessageId>, limit: usize) -> BoxFuture<'_, Result<Vec<SpoolEntry>, StoreError>> {
        self.inner.scan(after, limit)
    }
    fn read(&self, stream: StreamId, from: Offset, limit: ReadLimit) -> BoxFuture<'_, Result<Slice, StoreError>> {
        self.inner.read(stream, from, limit)
    }
    fn fetch(&self, stream: StreamId, offsets: Vec<Offset>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>, StoreError>> {
        self.inner.fetch(stream, offsets)
    }
    fn visible(&self, stream: StreamId) -> watch::Receiver<Offset> {
        self.inner.visible(stream)
    }
    fn range(
        &self,
        table: Table,
        from: Key,
        until: Key,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<(Key, Bytes)>, StoreError>> {
        self.inner.range(table, from, until, limit)
    }
    fn compact(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.compact()
    }
    fn health(&self) -> Health {
        self.inner.health()
    }
}

fn one(value: &str) -> Vec<Message> {
    vec![message(0, None, Some(value))]
}

#[tokio::test]
async fn a_publish_that_the_store_refuses_takes_no_offset() {
    let store = Arc::new(Moody::default());
    let log = open(store.clone(), false).await;
    assert_eq!(log.publish(one("a")).await, Ok(1));
    *store.fail.lock() = true;
    let error = log.publish(one("lost")).await.unwrap_err();
    assert!(error.code == Code::ServerError && error.message.contains("no room"), "{error}");
    assert_eq!(log.publish(one("b")).await, Ok(2));
    let values: Vec<_> = everything(&log).await.into_iter().map(|(offset, m)| (offset, m.value.unwrap())).collect();
    assert_eq!(values, [(0, Bytes::from("a")), (1, Bytes::from("b"))]);
}

#[tokio::test]
async fn publishes_that_come_while_one_is_stored_share_the_next_write() {
    let store = Arc::new(Moody::default());
    let log = open(store.clone(), false).await;
    let held = store.gate.clone().lock_owned().await;
    let publishes = join_all((0..100).map(|number| log.publish(one(&number.to_string()))));
    let mut publishes = Box::pin(publishes);
    assert!(futures::poll!(&mut publishes).is_pending());
    drop(held);
    let mut ends: Vec<u64> = publishes.await.into_iter().map(Result::unwrap).collect();
    ends.sort_unstable();
    assert_eq!(ends, (1..=100).collect::<Vec<_>>(), "each has its own offset");
    let commits = store.commits.lock().clone();
    assert!(commits.len() <= 2, "{} writes for 100 publishes", commits.len());
    assert!(commits.iter().all(|durability| *durability == Durability::Synced));
}

#[tokio::test]
async fn readers_see_nothing_that_is_not_stored_yet() {
    let store = Arc::new(Moody::default());
    let log = open(store.clone(), false).await;
    let held = store.gate.clone().lock_owned().await;
    let mut publish = Box::pin(log.publish(one("a")));
    assert!(futures::poll!(&mut publish).is_pending());
    assert_eq!((everything(&log).await.len(), *log.end().borrow()), (0, 0));
    drop(held);
    publish.await.unwrap();
    assert_eq!(everything(&log).await.len(), 1);
}

/// Lets everything run that can.
async fn all_else_has_run() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_comes_is_written_while_the_disk_is_waited_for_and_told_and_shown_when_it_has_it() {
    let store = Arc::new(Moody::default());
    let log = open(store.clone(), false).await;
    let held = store.disk.clone().lock_owned().await;
    let mut first = Box::pin(log.publish(one("a")));
    assert!(futures::poll!(&mut first).is_pending());
    all_else_has_run().await;
    let mut second = Box::pin(log.publish(one("b")));
    assert!(futures::poll!(&mut second).is_pending());
    all_else_has_run().await;
    assert_eq!(store.commits.lock().len(), 2, "both are written");
    assert!(futures::poll!(&mut first).is_pending() && futures::poll!(&mut second).is_pending());
    assert_eq!((everything(&log).await.len(), *log.end().borrow()), (0, 0));
    drop(held);
    assert_eq!((first.await, second.await), (Ok(1), Ok(2)));
    assert_eq!((everything(&log).await.len(), *log.end().borrow()), (2, 2));
}

#[tokio::test]
async fn a_publish_that_comes_again_waits_for_the_disk_as_the_first_does() {
    let store = Arc::new(Moody::default());
    let log = open(store.clone(), false).await;
    let held = store.disk.clone().lock_owned().await;
    let mut first = Box::pin(put(&log, once("a", "1")));
    assert!(futures::poll!(&mut first).is_pending());
    all_else_has_run().await;
    let mut repeated = Box::pin(put(&log, once("a", "1")));
    assert!(futures::poll!(&mut repeated).is_pending());
    all_else_has_run().await;
    assert!(futures::poll!(&mut repeated).is_pending(), "nobody is told what a loss of power could take back");
    drop(held);
    assert_eq!((first.await, repeated.await), (new(1), again(1)));
    assert_eq!(put(&log, once("a", "1")).await, again(1));
    assert_eq!(store.commits.lock().len(), 2, "what is on the disk is not waited for");
}

#[tokio::test]
async fn when_the_disk_fails_nobody_is_told_that_it_has_anything_and_nothing_more_is_taken() {
    let store = Arc::new(Moody::default());
    let log = open(store.clone(), false).await;
    *store.disk_fails.lock() = true;
    assert_eq!(log.publish(one("a")).await.unwrap_err().code, Code::ServerError);
    *store.disk_fails.lock() = false;
    assert_eq!(log.publish(one("b")).await.unwrap_err().code, Code::ServerError);
    assert_eq!((everything(&log).await.len(), store.commits.lock().len()), (0, 1));
}

#[tokio::test]
async fn a_client_that_hangs_up_does_not_tear_its_publish() {
    let store = Arc::new(Moody::default());
    let log = open(store.clone(), false).await;
    let held = store.gate.clone().lock_owned().await;
    let mut publish = Box::pin(log.publish(one("a")));
    assert!(futures::poll!(&mut publish).is_pending());
    drop(publish);
    drop(held);
    assert_eq!(log.publish(one("b")).await, Ok(2));
    assert_eq!(everything(&log).await.len(), 2);
}

#[tokio::test]
async fn a_full_disk_is_told_to_the_publisher_and_nothing_is_stored() {
    let store = MemoryStore::new();
    let log = open(Arc::new(store.clone()), false).await;
    store.set_health(Health::DiskFull("2 bytes are free".into()));
    let error = log.publish(one("a")).await.unwrap_err();
    assert!(error.code == Code::ServerError && error.message.contains("2 bytes are free"));
    store.set_health(Health::Ok);
    assert_eq!(log.publish(one("a")).await, Ok(1));
}

#[tokio::test]
async fn a_page_of_large_messages_ends_at_its_bytes_but_holds_one() {
    let log = open(Arc::new(MemoryStore::new()), false).await;
    let large = "x".repeat(1000);
    log.publish((0..50).map(|_| message(0, None, Some(&large))).collect()).await.unwrap();
    let lengths = async |most, bytes| {
        let found = log.read(0, most, bytes).await.unwrap();
        (found.messages.len(), found.next)
    };
    assert_eq!(lengths(50, 10_000).await, (10, 10));
    assert_eq!(lengths(50, 1).await, (1, 1));
    assert_eq!(lengths(50, 1 << 20).await, (50, 50));
    assert_eq!(lengths(33, 1 << 20).await, (33, 33));
}

#[tokio::test]
async fn messages_that_are_published_together_share_rows_and_are_read_and_trimmed_one_by_one() {
    let store = Arc::new(MemoryStore::new());
    let log = open(store.clone(), false).await;
    let text = "x".repeat(100);
    let published: Vec<Message> = (0..2_000).map(|n| message(0, None, Some(&format!("{n} {text}")))).collect();
    log.publish(published.clone()).await.unwrap();
    let all: Vec<(u64, Message)> = (0..).zip(published).collect();
    let below = crate::keys::messages(log.number());
    let rows = async || store.range(Table::Logs, below.clone(), below.end(), usize::MAX).await.unwrap().len();
    let mut before = rows().await;
    assert!((2..20).contains(&before), "{before} rows");
    for left in [2_000, 1_999, 1_500, 1_499, 700, 3, 1] {
        log.clean_up(Cleanup { trim_count: left as u64, ..NOTHING }).await.unwrap();
        let now = rows().await;
        assert!(now <= before && now > 0, "{now} rows of {before}, {left} messages left");
        before = now;
        let kept = &all[all.len() - left..];
        for log in [&log, &open(store.clone(), false).await] {
            assert_eq!(log.stats().count, left as u64);
            assert_eq!(everything(log).await, kept, "{left} left");
            assert_eq!(log.last().await.unwrap().as_ref(), kept.last());
            for (offset, message) in kept.iter().step_by(97) {
                let found = log.read(*offset, 5, 1 << 20).await.unwrap().messages;
                let from = usize::try_from(*offset).unwrap();
                assert_eq!(found, all[from..all.len().min(from + 5)], "from {offset}");
                assert_eq!(log.at(*offset).await.unwrap().as_ref(), Some(message));
            }
            let trimmed = all.len() - left;
            assert_eq!(log.first_from(0).await.unwrap().as_ref(), all.get(trimmed));
            if let Some(gone) = trimmed.checked_sub(1) {
                assert_eq!(log.at(gone as u64).await.unwrap(), None);
            }
        }
    }
    assert_eq!(before, 1);
    log.clean_up(Cleanup { trim_size: 1, ..NOTHING }).await.unwrap();
    assert_eq!((rows().await, log.stats().count), (0, 0));
}

#[tokio::test]
async fn a_row_that_holds_no_messages_is_told_and_not_passed_over() {
    let store = MemoryStore::new();
    let log = open(Arc::new(store.clone()), false).await;
    log.publish(one("a")).await.unwrap();
    let mut batch = Batch::new();
    batch.set(Table::Logs, crate::keys::message(log.number(), 0), Bytes::from_static(b"\x09nonsense"));
    store.apply(batch);
    assert!(matches!(log.read(0, 5, 1000).await, Err(StoreError::Damaged(_))));
}

#[tokio::test]
async fn a_consumer_of_what_is_gone_goes_on_at_what_exists_and_at_the_end() {
    let log = open(Arc::new(MemoryStore::new()), true).await;
    log.publish((0..10).map(|_| message(50, Some("a"), Some("v"))).collect()).await.unwrap();
    log.clean_up(Cleanup { compact_seconds: 10, ..NOTHING }).await.unwrap();
    let found = log.read(2, 5, 1000).await.unwrap();
    assert_eq!((found.messages.len(), found.messages[0].0, found.next), (1, 9, 10));
    log.clean_up(Cleanup { trim_seconds: 10, ..NOTHING }).await.unwrap();
    let found = log.read(2, 5, 1000).await.unwrap();
    assert_eq!((found.messages.len(), found.next), (0, 10), "next_offset moves though everything is gone");
    assert_eq!(log.publish(one("next")).await, Ok(11), "no offset is given twice");
}

#[tokio::test]
async fn a_closed_log_takes_nothing_and_says_so() {
    let log = open(Arc::new(MemoryStore::new()), false).await;
    log.publish(one("a")).await.unwrap();
    log.close().await;
    assert_eq!(log.publish(one("b")).await.unwrap_err().code, Code::LogNotFound);
    assert_eq!(log.clean_up(NOTHING).await.unwrap_err().code, Code::LogNotFound);
    let plain = open(Arc::new(MemoryStore::new()), false).await;
    let refused = plain.clean_up(Cleanup { compact_seconds: 1, ..NOTHING }).await.unwrap_err();
    assert_eq!(refused.code, Code::LogCompactNotAllowed);
}
