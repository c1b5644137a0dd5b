//! A disk that really refuses to write: the kernel does it, by the limit on the size of files.
//!
//! The test binary starts itself as a process for which `SIGXFSZ` is ignored, so that the limit is an error like that of
//! a full disk.

use bytes::Bytes;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::path::Path;
use std::process::Command;
use waybill_spool::{Batch, Durability, Health, Key, Op, Part, ReadLimit, Store, StoreError, StreamId, Table};
use waybill_spool_rocksdb::{Options, RocksStore, Room};
use waybill_types::{MessageId, Offset};

const SPOOL: &str = "WAYBILL_TEST_FAILING_SPOOL";

fn id(number: u8) -> MessageId {
    MessageId::from_bytes([number; 16])
}

fn batch(number: u8) -> Batch {
    let mut batch = Batch::new();
    let body = Bytes::from(vec![number; 200_000]);
    batch.push(Op::Put { id: id(number), envelope: Bytes::from("envelope"), data: Some(body) });
    batch.append(StreamId::EVENTS, Bytes::from(number.to_string()));
    batch.set(Table::State, Key::new().number(number.into()), "set");
    batch
}

fn limit_file_size(bytes: Option<u64>) {
    let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, bytes.unwrap_or(hard), hard).unwrap();
}

async fn is_there(store: &RocksStore, number: u8) -> bool {
    let body = store.load(id(number), Part::Data).await.unwrap();
    assert!(body.as_ref().is_none_or(|body| *body == vec![number; 200_000]));
    body.is_some()
}

/// As a test of its own it does nothing.
#[tokio::test]
async fn with_a_disk_that_refuses() {
    let Ok(spool) = std::env::var(SPOOL) else { return };
    let mut options = Options::new(Path::new(&spool));
    (options.room, options.data_room) = (Room::NONE, Room::NONE);
    let store = RocksStore::open(options).await.unwrap();
    for number in 0..3 {
        store.commit(batch(number), Durability::Written).await.unwrap();
    }
    store.commit(batch(3), Durability::Synced).await.unwrap();

    for round in 0..3 {
        limit_file_size(Some(4096));
        for number in 10..13 {
            let failed = store.commit(batch(number), Durability::Synced).await;
            assert!(matches!(failed, Err(StoreError::Failed(_))), "{failed:?}");
        }
        assert!(matches!(store.health(), Health::Failing(_)));
        assert!(is_there(&store, 0).await, "what is there can be read while nothing can be written");

        limit_file_size(None);
        // While it fails each commit is answered by the next attempt to write.
        let mut attempts = 0;
        while let Err(error) = store.commit(batch(20 + round), Durability::Synced).await {
            attempts += 1;
            assert!(attempts < 20, "it does not recover: {error}");
        }
        assert_eq!(store.health(), Health::Ok);
    }

    for number in 0..30 {
        let expected = number < 4 || (20..23).contains(&number);
        assert_eq!(is_there(&store, number).await, expected, "message {number}");
    }
    let limit = ReadLimit { entries: 100, bytes: 10_000 };
    let slice = store.read(StreamId::EVENTS, Offset::ZERO, limit).await.unwrap();
    let events: Vec<_> = slice.entries.iter().map(|(_, entry)| entry.clone()).collect();
    assert_eq!(events, ["0", "1", "2", "3", "20", "21", "22"]);
    assert_eq!(store.range(Table::State, Key::new(), Key::new().end(), 100).await.unwrap().len(), 7);
    store.close().await.unwrap();
}

#[test]
fn a_disk_that_refuses_for_a_while_costs_nothing_but_time() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "with_a_disk_that_refuses", "--nocapture"])
        .env(SPOOL, dir.path().join("spool"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stdout));
}
