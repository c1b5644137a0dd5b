//! A log beside a naive one, under the same orders; cut at every write.

mod crash;
mod model;
mod once;
mod rules;

use super::{Ground, Memory, UserLog};
use bytes::Bytes;
use model::Model;
use std::sync::Arc;
use waybill_runtime::{ManualClock, Supervisor};
use waybill_spool::Store;
use waybill_streams_core::{Cleanup, Id, Kind, Limits, Log, LogCreate, Message, Reach, body};
use waybill_types::Timestamp;

/// The time at which tests begin, in microseconds.
const NOW: i64 = 1_000_000_000_000_000;

/// A minute, and three publishes.
const MEMORY: Memory = Memory { seconds: 60, most: 3 };

fn described(compacting: bool) -> Log {
    let create: LogCreate = body(format!(r#"{{"compacting":{compacting}}}"#).as_bytes()).unwrap();
    create.log(Id::mint(Kind::Log, 1_700_000_000, [1; 16]), &Reach::All, &Limits::default()).unwrap()
}

async fn open(store: Arc<dyn Store>, compacting: bool) -> UserLog {
    open_at(store, compacting, ManualClock::at(Timestamp::from_nanos(NOW * 1000))).await
}

async fn open_at(store: Arc<dyn Store>, compacting: bool, clock: ManualClock) -> UserLog {
    let clock = Arc::new(clock);
    let ground = Ground { store, clock, supervisor: Supervisor::current(), memory: MEMORY };
    UserLog::open(ground, 3, described(compacting)).await.unwrap()
}

fn message(seconds_ago: i64, key: Option<&str>, value: Option<&str>) -> Message {
    let bytes = |text: Option<&str>| text.map(|text| Bytes::copy_from_slice(text.as_bytes()));
    Message { time: NOW - seconds_ago * 1_000_000, key: bytes(key), value: bytes(value), hops: 0 }
}

/// All that can be read.
async fn everything(log: &UserLog) -> Vec<(u64, Message)> {
    let mut all = Vec::new();
    let mut from = 0;
    loop {
        let found = log.read(from, 7, 1 << 20).await.unwrap();
        if found.messages.is_empty() {
            return all;
        }
        from = found.next;
        all.extend(found.messages);
    }
}

/// Compares everything that can be asked for.
async fn compare(log: &UserLog, model: &Model, place: &str) {
    assert_eq!(everything(log).await, model.messages(), "{place}: the messages");
    assert_eq!(log.stats(), model.stats(), "{place}: the stats");
    assert_eq!(*log.end().borrow(), model.next, "{place}: the end");
    assert_eq!(log.last().await.unwrap(), model.messages().pop(), "{place}: the last");
    for from in 0..=model.next {
        let first = model.messages().into_iter().find(|(offset, _)| *offset >= from);
        assert_eq!(log.first_from(from).await.unwrap(), first, "{place}: the first from {from}");
    }
    if log.log().compacting {
        for key in ["a", "b", "c", ""] {
            let found = log.by_key(&Bytes::from(key)).await.unwrap();
            assert_eq!(found, model.by_key(key), "{place}: the newest with key {key:?}");
        }
    }
}

const NOTHING: Cleanup =
    Cleanup { trim_seconds: 0, trim_size: 0, trim_count: 0, compact_seconds: 0, expire_seconds: 0 };
