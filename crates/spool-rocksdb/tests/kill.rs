//! `kill -9` at random moments: what was acknowledged is there, whole, and no offset is used twice.
//!
//! The test binary starts itself as the victim, which commits in a loop and prints a line for each acknowledgement.

use bytes::Bytes;
use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use waybill_spool::{Batch, Durability, Key, Op, Part, ReadLimit, Store, StreamId, Table};
use waybill_spool_rocksdb::{Options, RocksStore, Room};
use waybill_types::{MessageId, Offset};

const SPOOL: &str = "WAYBILL_TEST_KILL_SPOOL";
const ROUND: &str = "WAYBILL_TEST_KILL_ROUND";
const ROUNDS: u32 = 8;
const WRITERS: u32 = 6;

async fn open(path: &Path) -> Arc<RocksStore> {
    let mut options = Options::new(path);
    (options.room, options.data_room) = (Room::NONE, Room::NONE);
    Arc::new(RocksStore::open(options).await.unwrap())
}

/// What one commit is about: the same in its message, its event and its row.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
struct Work {
    round: u32,
    writer: u32,
    number: u32,
}

impl Work {
    fn text(self) -> String {
        format!("{}/{}/{}", self.round, self.writer, self.number)
    }

    fn parse(text: &str) -> Option<Work> {
        let mut parts = text.split('/').map(str::parse);
        let mut part = || parts.next()?.ok();
        Some(Work { round: part()?, writer: part()?, number: part()? })
    }

    fn id(self) -> MessageId {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&self.round.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.writer.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.number.to_be_bytes());
        MessageId::from_bytes(bytes)
    }

    fn row(self) -> Key {
        Key::new().text(&self.text())
    }

    /// Some small, some that go to blob files.
    fn body(self) -> Bytes {
        let size = if self.number.is_multiple_of(20) { 70_000 } else { 500 };
        self.text().into_bytes().into_iter().cycle().take(size).collect()
    }

    fn batch(self) -> Batch {
        let mut batch = Batch::new();
        batch.push(Op::Put { id: self.id(), envelope: self.text().into(), data: Some(self.body()) });
        batch.append(StreamId::EVENTS, self.text().into());
        batch.set(Table::Rows, self.row(), self.text());
        batch
    }
}

/// The victim. As a test of its own it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn victim() {
    let (Ok(spool), Ok(round)) = (std::env::var(SPOOL), std::env::var(ROUND)) else { return };
    let round = round.parse().unwrap();
    let store = open(Path::new(&spool)).await;
    let writers = (0..WRITERS).map(|writer| {
        let store = store.clone();
        async move {
            for number in 0.. {
                let work = Work { round, writer, number };
                let durability = if number % 3 == 0 { Durability::Synced } else { Durability::Written };
                let Ok(committed) = store.commit(work.batch(), durability).await else { return };
                // In one write, so that a line is there as a whole or not at all.
                let line = format!("ack {} {}\n", work.text(), committed.offsets[0]);
                if std::io::stdout().lock().write_all(line.as_bytes()).is_err() {
                    return;
                }
            }
        }
    });
    futures::future::join_all(writers).await;
}

/// Lets a victim work until it has acknowledged so much, and kills it; gives all that it acknowledged.
fn kill_after(acknowledgements: u64, spool: &Path, round: u32) -> Vec<(Work, Offset)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--nocapture", "--test-threads", "1"])
        .env(SPOOL, spool)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let mut acknowledged = Vec::new();
    // Up to the end: what was printed before it died counts.
    for line in output.lines() {
        let line = line.unwrap();
        // The test harness has begun a line of its own.
        let Some((_, line)) = line.split_once("ack ") else { continue };
        let (work, offset) = line.split_once(' ').unwrap();
        acknowledged.push((Work::parse(work).unwrap(), Offset(offset.parse().unwrap())));
        if acknowledged.len() as u64 == acknowledgements {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    acknowledged
}

#[tokio::test]
async fn all_that_was_acknowledged_survives_kill_9_and_no_offset_is_used_twice() {
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("spool");
    let mut acknowledged: BTreeMap<Offset, Work> = BTreeMap::new();
    let mut highest = None;
    for round in 0..ROUNDS {
        let after = 1 + RandomState::new().hash_one(round) % 700;
        let news = kill_after(after, &spool, round);
        assert!(news.len() as u64 >= after, "round {round}: the victim ended after {} of {after}", news.len());
        for (work, offset) in news {
            assert!(highest < Some(offset), "round {round}: {offset} had been given before");
            assert_eq!(acknowledged.insert(offset, work), None, "round {round}: {offset} was given twice");
        }

        let store = open(&spool).await;
        assert!(!store.was_clean());
        highest = check(&store, &acknowledged, &format!("round {round}, killed after {after}")).await;
        if round % 3 == 2 {
            store.close().await.unwrap();
        } else {
            store.abandon().await;
        }
    }
}

/// Checks that what was acknowledged is there and nothing is there in part; gives the highest offset.
async fn check(store: &RocksStore, acknowledged: &BTreeMap<Offset, Work>, place: &str) -> Option<Offset> {
    let limit = ReadLimit { entries: usize::MAX, bytes: usize::MAX };
    let slice = store.read(StreamId::EVENTS, Offset::ZERO, limit).await.unwrap();
    assert_eq!(*store.visible(StreamId::EVENTS).borrow(), slice.next, "{place}");
    let mut events = BTreeMap::new();
    for (offset, entry) in &slice.entries {
        events.insert(*offset, Work::parse(std::str::from_utf8(entry).unwrap()).unwrap());
    }
    for (offset, work) in acknowledged {
        assert_eq!(events.get(offset), Some(work), "{place}: the event at {offset}");
    }
    let works: HashSet<Work> = events.values().copied().collect();
    assert_eq!(works.len(), events.len(), "{place}: an event is there twice");

    // All or nothing: every event has its message and its row, and there are no others.
    let messages = store.scan(None, usize::MAX).await.unwrap();
    let rows = store.range(Table::Rows, Key::new(), Key::new().end(), usize::MAX).await.unwrap();
    assert_eq!((messages.len(), rows.len()), (events.len(), events.len()), "{place}");
    for message in messages {
        let work = Work::parse(std::str::from_utf8(&message.envelope).unwrap()).unwrap();
        assert!(works.contains(&work) && work.id() == message.id, "{place}: {work:?}");
        assert!(store.load(work.id(), Part::Data).await.unwrap() == Some(work.body()), "{place}: {work:?}");
    }
    slice.entries.last().map(|(offset, _)| *offset)
}
