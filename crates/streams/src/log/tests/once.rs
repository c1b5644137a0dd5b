use super::{MEMORY, NOW, everything, message, open, open_at};
use crate::keys::digest;
use crate::log::{Once, Publish, Stored, UserLog};
use futures::future::join_all;
use std::sync::Arc;
use waybill_runtime::ManualClock;
use waybill_spool::{Crash, CrashingStore, LastWrite, Loss, MemoryStore, Store, Table};
use waybill_streams_core::Code;
use waybill_types::Timestamp;

pub(super) fn once(key: &str, value: &str) -> Publish {
    let once = Once { names: vec![digest(&[key.as_bytes()])], content: digest(&[value.as_bytes()]) };
    Publish { messages: vec![message(0, None, Some(value))], beside: None, once: Some(once) }
}

pub(super) fn new(next: u64) -> Result<Stored, Code> {
    Ok(Stored { next, again: false })
}

pub(super) fn again(next: u64) -> Result<Stored, Code> {
    Ok(Stored { next, again: true })
}

pub(super) async fn put(log: &UserLog, publish: Publish) -> Result<Stored, Code> {
    log.put(publish).await.map_err(|error| error.code)
}

#[tokio::test]
async fn the_same_key_with_the_same_body_gives_the_same_answer_and_with_another_is_refused() {
    let store = Arc::new(MemoryStore::new());
    let log = open(store.clone(), false).await;
    assert_eq!(put(&log, once("a", "1")).await, new(1));
    log.publish(vec![message(0, None, None)]).await.unwrap();
    assert_eq!(put(&log, once("a", "1")).await, again(1), "the answer that it was given");
    assert_eq!(put(&log, once("a", "2")).await, Err(Code::MessageIdempotencyKeyReused));
    assert_eq!(put(&log, once("b", "1")).await, new(3));
    // A restart forgets nothing.
    let log = open(store, false).await;
    assert_eq!(put(&log, once("a", "1")).await, again(1));
    assert_eq!(everything(&log).await.len(), 3);
}

#[tokio::test]
async fn of_many_that_come_at_once_with_one_key_one_is_stored() {
    let log = open(Arc::new(MemoryStore::new()), false).await;
    let results = join_all((0..50).map(|_| put(&log, once("a", "1")))).await;
    assert_eq!(results.iter().filter(|result| **result == new(1)).count(), 1);
    assert_eq!(results.iter().filter(|result| **result == again(1)).count(), 49);
    assert_eq!(everything(&log).await.len(), 1);
}

#[tokio::test]
async fn a_key_is_remembered_for_a_time_and_then_free() {
    let clock = ManualClock::at(Timestamp::from_nanos(NOW * 1000));
    let log = open_at(Arc::new(MemoryStore::new()), false, clock.clone()).await;
    let at =
        |seconds: i64| clock.set(Timestamp::from_nanos(NOW * 1000) + std::time::Duration::from_secs(seconds as u64));
    assert_eq!(put(&log, once("a", "1")).await, new(1));
    at(MEMORY.seconds - 1);
    assert_eq!(put(&log, once("a", "1")).await, again(1));
    at(MEMORY.seconds);
    assert_eq!(put(&log, once("a", "2")).await, new(2));
    at(2 * MEMORY.seconds - 1);
    assert_eq!(put(&log, once("a", "2")).await, again(2), "counted from when it came anew");
}

#[tokio::test]
async fn so_many_keys_are_remembered_and_the_store_does_not_grow() {
    let store = Arc::new(MemoryStore::new());
    let log = open(store.clone(), false).await;
    let mut rows = Vec::new();
    for number in 0..40 {
        put(&log, once(&number.to_string(), "x")).await.unwrap();
        let all = crate::keys::log(log.number());
        let found = store.range(Table::Logs, all.clone(), all.end(), usize::MAX).await.unwrap();
        // Without the messages.
        rows.push(found.len() - number - 1);
    }
    assert_eq!(rows[10], rows[39], "{rows:?}");
    assert_eq!(put(&log, once("39", "x")).await, again(40));
    assert_eq!(put(&log, once("37", "x")).await, again(38));
    assert_eq!(put(&log, once("30", "y")).await, new(41), "the oldest are forgotten");
}

#[tokio::test]
async fn a_crash_at_any_write_stores_a_message_with_its_key_or_neither() {
    for at in 1..5 {
        for last in [LastWrite::Lost, LastWrite::Unacknowledged] {
            let store = Arc::new(CrashingStore::new(Crash { at, last, loss: Loss::Power }));
            let log = open(store.clone(), false).await;
            let mut done = Vec::new();
            for number in 0..3 {
                done.push(put(&log, once(&number.to_string(), &number.to_string())).await.is_ok());
            }
            let log = open(store.survivor(), false).await;
            for (number, done) in done.iter().enumerate() {
                let result = put(&log, once(&number.to_string(), &number.to_string())).await.unwrap();
                assert!(result.again || !done, "at {at}, {last:?}: {number} was acknowledged");
            }
            let values: Vec<_> =
                everything(&log).await.into_iter().map(|(_, message)| message.value.unwrap()).collect();
            assert_eq!(values, ["0", "1", "2"], "at {at}, {last:?}: each is there once");
        }
    }
}
