//! What the store costs. Run: `cargo bench -p waybill-spool-rocksdb`; TMPDIR chooses the disk.
//!
//! Prints the mean time of each step; put the machine's and the disk's name beside every number that you quote.

use std::hint::black_box;
use std::time::{Duration, Instant};

use futures::future::join_all;
use waybill_spool::{Batch, Durability, Op, ReadLimit, Store, StreamId};
use waybill_spool_rocksdb::{Options, RocksStore};
use waybill_types::{IdMint, Offset, Timestamp};

const EVENT: usize = 900;
const BODY: usize = 2048;

fn report(what: &str, times: usize, elapsed: Duration) {
    println!("{what:<58} {:>10.2} µs", elapsed.as_secs_f64() * 1e6 / times as f64);
}

/// A mail with its Reception.
fn mail(mint: &IdMint, now: Timestamp) -> Batch {
    let mut batch = Batch::new();
    let (envelope, body) = (vec![b'e'; 200].into(), vec![b'b'; BODY].into());
    batch.push(Op::Put { id: mint.message(now), envelope, data: Some(body) });
    batch.append(StreamId::EVENTS, vec![b'r'; EVENT].into());
    batch
}

/// So many who commit one mail after the other: all that wait share one sync.
async fn group_commit(store: &RocksStore, durability: Durability, sessions: usize, each: usize) {
    let (mint, now) = (IdMint::random(), Timestamp::from_secs(1_700_000_000));
    let before = store.stats();
    let begin = Instant::now();
    join_all((0..sessions).map(|_| async {
        for _ in 0..each {
            store.commit(mail(&mint, now), durability).await.expect("stored");
        }
    }))
    .await;
    let elapsed = begin.elapsed();
    report(&format!("commit a mail, {durability:?}, {sessions} at a time"), sessions * each, elapsed);
    let syncs = store.stats().syncs - before.syncs;
    if syncs > 0 {
        println!("{:<58} {:>10.1}", "  mails for each sync", (sessions * each) as f64 / syncs as f64);
    }
}

/// The journal from its beginning, in reads of so many.
async fn journal(store: &RocksStore, entries: usize) {
    let limit = ReadLimit { entries, bytes: 1 << 20 };
    let (mut from, mut seen, mut reads) = (Offset::ZERO, 0, 0);
    let begin = Instant::now();
    loop {
        let slice = store.read(StreamId::EVENTS, from, limit).await.expect("read");
        if slice.entries.is_empty() {
            break;
        }
        (from, seen, reads) = (slice.next, seen + slice.entries.len(), reads + 1);
        black_box(slice);
    }
    report(&format!("an event of the journal, read by {entries}"), seen, begin.elapsed());
    report("  a read", reads, begin.elapsed());
}

async fn run() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = RocksStore::open(Options::new(dir.path().join("spool"))).await.expect("a store");
    for sessions in [1, 20, 200] {
        group_commit(&store, Durability::Synced, sessions, 4000 / sessions).await;
    }
    group_commit(&store, Durability::Written, 20, 2000).await;
    for entries in [1, 64, 1024] {
        journal(&store, entries).await;
    }
    store.close().await.expect("closed");
}

fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(run());
}
