//! What an operator finds in the database, whatever happened to the daemon meanwhile.

use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use waybill_accounting::{Accountant, LONGEST_HOLD};
use waybill_log_record::{Entry, LogRecord, RecordType};
use waybill_runtime::{Clock, ManualClock, StopSource, Supervisor};
use waybill_spool::{Batch, MemoryStore, Store, StreamId};
use waybill_types::{IdMint, Offset, Response, Timestamp};

struct World {
    folder: tempfile::TempDir,
    store: MemoryStore,
    clock: ManualClock,
}

impl World {
    fn new() -> Self {
        let clock = ManualClock::at(Timestamp::parse_rfc3339("2026-11-15T12:00:00Z").unwrap());
        World { folder: tempfile::tempdir().unwrap(), store: MemoryStore::new(), clock }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("accounting.db")
    }

    fn append(&self, kind: RecordType, recipients: usize) {
        let mut record = LogRecord::new(kind, self.clock.now(), Response::plain(250, ""), "node");
        record.recipients = vec!["a@x.example".to_owned(); recipients];
        let entry = Entry::encode(&record, IdMint::random().entry(self.clock.now()));
        let mut batch = Batch::new();
        batch.append(StreamId::EVENTS, entry.bytes().clone());
        self.store.apply(batch);
    }

    async fn open(&self) -> Arc<Accountant> {
        let store: Arc<dyn Store> = Arc::new(self.store.clone());
        Arc::new(Accountant::open(self.path(), store, Arc::new(self.clock.clone())).await.unwrap())
    }
}

/// Received and delivered, over all months.
fn sums(path: &Path) -> (i64, i64) {
    let query = "SELECT coalesce(sum(received), 0), coalesce(sum(delivered), 0) FROM accounting";
    Connection::open(path).unwrap().query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

#[tokio::test]
async fn what_waits_is_counted_when_the_daemon_stops() {
    let world = World::new();
    world.append(RecordType::Reception, 9);
    let accountant = world.open().await;
    world.append(RecordType::Reception, 2);
    world.append(RecordType::Bounce, 1);
    world.append(RecordType::Delivery, 1);
    let (source, stop) = StopSource::new();
    source.request();
    accountant.run(stop).await;
    assert_eq!(sums(&world.path()), (2, 1), "what was before the first start is not counted");
}

#[tokio::test]
async fn a_crash_neither_loses_a_count_nor_counts_twice() {
    let world = World::new();
    let mut total = 0;
    for round in 1..20 {
        let accountant = world.open().await;
        world.append(RecordType::Reception, round);
        total += i64::try_from(round).unwrap();
        if round % 3 != 0 {
            accountant.step().await.unwrap();
        }
        // Gone without a word; this comes while nobody counts.
        drop(accountant);
        world.append(RecordType::Reception, 1);
        total += 1;
    }
    world.open().await.step().await.unwrap();
    assert_eq!(sums(&world.path()), (total, 0));
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_passed_over() {
    let world = World::new();
    let accountant = world.open().await;
    let mut batch = Batch::new();
    batch.append(StreamId::EVENTS, vec![255; 7].into());
    world.store.apply(batch);
    world.append(RecordType::Delivery, 1);
    accountant.step().await.unwrap();
    assert_eq!(sums(&world.path()), (0, 1));
    assert_eq!(accountant.settled(), Some(Offset(2)));
}

#[tokio::test(start_paused = true)]
async fn while_the_database_takes_nothing_the_journal_is_kept_for_a_week_and_counted_afterwards() {
    let world = World::new();
    let accountant = world.open().await;
    let other = Connection::open(world.path()).unwrap();
    other.execute_batch("ALTER TABLE accounting RENAME TO away").unwrap();
    world.append(RecordType::Reception, 3);
    let (source, stop) = StopSource::new();
    let running = accountant.clone();
    let tasks = Supervisor::current();
    tasks.spawn("accounting", async move { running.run(stop).await });
    let day = Duration::from_secs(86_400);
    let mut days = 0;
    while accountant.settled().is_some() {
        assert_eq!(accountant.settled(), Some(Offset(0)));
        world.clock.advance(day);
        days += 1;
        assert!(days < 1000, "given up in the end: a full disk would stop the mail");
        // Paused time: it passes once everybody waits.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(day * days > LONGEST_HOLD);
    other.execute_batch("ALTER TABLE away RENAME TO accounting").unwrap();
    source.request();
    tasks.join().await;
    assert_eq!(sums(&world.path()), (3, 0));
    assert_eq!(accountant.settled(), Some(Offset(1)));
}
