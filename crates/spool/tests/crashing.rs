//! The store that dies on purpose: alive it keeps the contract, dead it says so, and what survives is what may.

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::sync::Arc;
use waybill_spool::conformance::{self, Fixture};
use waybill_spool::{
    Batch, Committed, Crash, CrashingStore, Durability, Health, Key, LastWrite, Loss, MemoryStore, Part, ReadLimit,
    Store, StoreError, StreamId, Table,
};
use waybill_types::{MessageId, Offset};

const NO_ID: MessageId = MessageId::from_bytes([0; 16]);

fn event(number: u64) -> Batch {
    let mut batch = Batch::new();
    batch.append(StreamId::EVENTS, Bytes::from(number.to_string()));
    batch.set(Table::State, Key::new().number(number), "there");
    batch
}

async fn events(store: &dyn Store) -> Vec<(u64, String)> {
    let limit = ReadLimit { entries: 100, bytes: 10_000 };
    let slice = store.read(StreamId::EVENTS, Offset::ZERO, limit).await.unwrap();
    slice.entries.iter().map(|(offset, entry)| (offset.0, String::from_utf8_lossy(entry).into_owned())).collect()
}

/// Six commits, every third one synced; gives what was acknowledged.
async fn run(store: &dyn Store) -> Vec<Committed> {
    let mut acknowledged = Vec::new();
    for number in 0..6 {
        let durability = if number % 3 == 2 { Durability::Synced } else { Durability::Written };
        match store.commit(event(number), durability).await {
            Ok(committed) => acknowledged.push(committed),
            Err(error) => assert!(matches!(error, StoreError::Closed)),
        }
    }
    acknowledged
}

#[tokio::test]
async fn the_survivor_of_a_killed_process_has_all_that_was_written() {
    for last in [LastWrite::Lost, LastWrite::Unacknowledged] {
        for at in 1..=6 {
            let store = CrashingStore::new(Crash { at, last, loss: Loss::Process });
            assert_eq!(run(&store).await.len(), at - 1);
            let written = if last == LastWrite::Lost { at - 1 } else { at };
            let found = events(&*store.survivor()).await;
            assert_eq!(found, (0..written as u64).map(|n| (n, n.to_string())).collect::<Vec<_>>());
        }
    }
}

#[tokio::test]
async fn a_loss_of_power_takes_what_was_not_synced_and_leaves_a_gap() {
    for (at, last, kept) in [
        (2, LastWrite::Unacknowledged, 0),
        (3, LastWrite::Lost, 0),
        (3, LastWrite::Unacknowledged, 3),
        (5, LastWrite::Unacknowledged, 3),
        (6, LastWrite::Lost, 3),
        (6, LastWrite::Unacknowledged, 6),
    ] {
        let store = CrashingStore::new(Crash { at, last, loss: Loss::Power });
        run(&store).await;
        let given = at as u64 - u64::from(last == LastWrite::Lost);

        let survivor = store.survivor();
        let mut expected: Vec<(u64, String)> = (0..kept).map(|n| (n, n.to_string())).collect();
        assert_eq!(events(&*survivor).await, expected, "at {at}, {last:?}");
        assert_eq!(*survivor.visible(StreamId::EVENTS).borrow(), Offset(kept));
        let state = survivor.range(Table::State, Key::new(), Key::new().end(), 100).await.unwrap();
        assert_eq!(state.len() as u64, kept);

        let visible = survivor.visible(StreamId::EVENTS);
        let committed = survivor.commit(event(9), Durability::Synced).await.unwrap();
        assert_eq!(committed.offsets, [Offset(given)], "no offset is used twice");
        assert_eq!(*visible.borrow(), Offset(given + 1));
        expected.push((given, "9".into()));
        assert_eq!(events(&*survivor).await, expected);
        let asked = (0..=given + 1).map(Offset).collect();
        let fetched = survivor.fetch(StreamId::EVENTS, asked).await.unwrap();
        let there: Vec<u64> = (0..).zip(fetched).filter_map(|(at, found)| found.map(|_| at)).collect();
        assert_eq!(there, expected.iter().map(|(offset, _)| *offset).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_dead_store_is_closed_to_every_call() {
    let store = CrashingStore::new(Crash { at: 2, last: LastWrite::Unacknowledged, loss: Loss::Process });
    assert_eq!((store.is_crashed(), store.health()), (false, Health::Ok));
    let (acknowledged, ()) = futures::join!(run(&store), store.crashed());
    assert_eq!((acknowledged.len(), store.commits(), store.is_crashed()), (1, 2, true));

    let limit = ReadLimit { entries: 1, bytes: 1 };
    assert!(matches!(store.load(NO_ID, Part::Data).await, Err(StoreError::Closed)));
    assert!(matches!(store.scan(None, 1).await, Err(StoreError::Closed)));
    assert!(matches!(store.read(StreamId::EVENTS, Offset::ZERO, limit).await, Err(StoreError::Closed)));
    assert!(matches!(store.fetch(StreamId::EVENTS, vec![]).await, Err(StoreError::Closed)));
    assert!(matches!(store.range(Table::State, Key::new(), Key::new().end(), 1).await, Err(StoreError::Closed)));
    assert!(matches!(store.health(), Health::Failing(_)));
}

#[tokio::test]
async fn a_survivor_can_be_sent_into_the_next_crash() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let first = CrashingStore::over(store, 3, LastWrite::Unacknowledged);
    run(&first).await;
    let second = CrashingStore::over(first.survivor(), 2, LastWrite::Lost);
    run(&second).await;
    let texts: Vec<String> = events(&*second.survivor()).await.into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["0", "1", "2", "0"]);
}

#[test]
fn a_run_can_be_cut_at_every_write_in_every_way() {
    let all: Vec<Crash> = Crash::everywhere(3).collect();
    assert_eq!(all.len(), 3 * 2 * 2);
    assert!(all.iter().all(|crash| (1..=3).contains(&crash.at)));
}

/// Never crashes but on demand; then the next one goes on with the survivor.
struct Crashing(Mutex<Arc<dyn Store>>, Loss);

impl Fixture for Crashing {
    fn open(&self) -> BoxFuture<'_, Arc<dyn Store>> {
        let store: Arc<dyn Store> = match self.1 {
            Loss::Process => Arc::new(CrashingStore::new(Crash::NEVER)),
            // Whoever has lost power once: with a gap, though an empty one.
            Loss::Power => CrashingStore::new(Crash { loss: Loss::Power, ..Crash::NEVER }).survivor(),
        };
        *self.0.lock() = store.clone();
        async move { store }.boxed()
    }

    fn close_and_reopen(&self) -> BoxFuture<'_, Arc<dyn Store>> {
        let store = self.0.lock().clone();
        async move { store }.boxed()
    }

    fn crash_and_reopen(&self) -> BoxFuture<'_, Arc<dyn Store>> {
        let mut store = self.0.lock();
        *store = CrashingStore::over(store.clone(), usize::MAX, LastWrite::Lost).survivor();
        let store = store.clone();
        async move { store }.boxed()
    }
}

#[tokio::test]
async fn a_store_that_has_not_crashed_yet_keeps_the_contract() {
    for loss in [Loss::Process, Loss::Power] {
        conformance::run(&Crashing(Mutex::new(Arc::new(MemoryStore::new())), loss)).await;
    }
}
