//! What consuming a log costs in this process: all that is between RocksDB and whoever reads, and no HTTP.
//! Run: `cargo bench -p waybill --bench logs`; TMPDIR chooses the disk.
//!
//! Prints messages of 128 bytes a second; put the machine's and the disk's name beside every number that you quote.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use axum::http::request::Parts as Head;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;
use tower::ServiceExt;
use waybill_log_record::Capture;
use waybill_runtime::{StopSource, Supervisor, SystemClock};
use waybill_spool_rocksdb::{Options, RocksStore};
use waybill_streams::{Courier, Denied, Endpoint, Gate, Late, Parts, Streams, Unsent, Want, router};
use waybill_streams_core::{Error, Limits, Reach};
use waybill_webhook_core::{SignConfig, Target};

const MESSAGES: u64 = 1_000_000;
const VALUE: usize = 128;

/// Everybody may do everything.
struct Open;

impl Gate for Open {
    fn check(&self, _: &Head, _: &Want<'_>) -> Result<Reach, Denied> {
        Ok(Reach::All)
    }
}

/// There is nobody to send to.
struct Nobody;

impl Courier for Nobody {
    fn check(&self, _: &Target) -> Result<(), String> {
        Err("nothing is sent here".to_owned())
    }

    fn endpoint(&self, target: Target, _: SignConfig, _: usize) -> Result<Arc<dyn Endpoint>, String> {
        self.check(&target).and(Err("nothing is sent here".to_owned()))
    }
}

/// The id of a new log.
async fn log(router: Router) -> String {
    let request = Request::post("/logs").header("content-type", "application/json").body(Body::from("{}"));
    let answer = router.oneshot(request.expect("a request")).await.expect("an answer");
    let body = to_bytes(answer.into_body(), 1 << 20).await.expect("a body");
    let log: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    log["log_id"].as_str().expect("an id").to_owned()
}

/// All messages of a log from this one on; gives how many there were.
async fn read(streams: &Streams, log: &str, from: u64, until: u64, len: u64) -> Result<u64, Error> {
    let (mut at, mut seen) = (from, 0);
    while at < until {
        let query = [("offset".to_owned(), at.to_string()), ("len".to_owned(), len.min(until - at).to_string())];
        let found = streams.consume_bytes(log, &query).await?;
        assert!(found.messages.iter().all(|(_, message)| message.value.as_ref().is_some_and(|v| v.len() == VALUE)));
        seen += found.messages.len() as u64;
        at = found.next;
    }
    Ok(seen)
}

async fn run() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Arc::new(RocksStore::open(Options::new(dir.path().join("spool"))).await.expect("a store"));
    let (stop, listens) = StopSource::new();
    let tasks = Supervisor::current();
    let parts = Parts {
        store: store.clone(),
        clock: Arc::new(SystemClock),
        supervisor: tasks.clone(),
        stop: listens,
        limits: Limits::default(),
        courier: Arc::new(Nobody),
        capture: Arc::new(Capture::nothing()),
        keys: None,
        lost_keys: Vec::new(),
        news: None,
        events_wanted: Arc::new(AtomicBool::new(false)),
    };
    let streams = Streams::open(parts).await.expect("an empty store");
    let late = Late::default();
    late.set(streams.clone());
    let log = log(router(late, Arc::new(Open))).await;
    let value = Bytes::from(vec![b'x'; VALUE]);
    for _ in 0..MESSAGES / 1_000 {
        let messages = vec![Unsent { value: Some(value.clone()), ..Unsent::default() }; 1_000];
        streams.publish_bytes(&log, messages).await.expect("published");
    }
    for (readers, len) in [(1, 100), (1, 1_000), (2, 1_000)] {
        let (begin, reading, seen) = (Instant::now(), Supervisor::current(), Arc::new(AtomicU64::new(0)));
        let share = MESSAGES / readers;
        for reader in 0..readers {
            let (streams, log, seen) = (streams.clone(), log.clone(), seen.clone());
            reading.spawn("a reader", async move {
                let read = read(&streams, &log, reader * share, (reader + 1) * share, len).await.expect("read");
                seen.fetch_add(read, Ordering::Relaxed);
            });
        }
        reading.join().await;
        assert_eq!(seen.load(Ordering::Relaxed), MESSAGES);
        let rate = MESSAGES as f64 / begin.elapsed().as_secs_f64();
        println!("consumed in process, {readers} at once, {len} at a time {rate:>12.0} msg/s");
    }
    stop.request();
    tasks.join().await;
    store.close().await.expect("closed");
}

fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(run());
}
