//! What the spool holds is taken up.

use crate::support::{BEGIN, Builder, GateStore, answer, broken, log_message, message_of, nothing, secs};
use bytes::Bytes;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use waybill_spool::{Batch, MemoryStore, Op, Origin, StoreError};
use waybill_types::Timestamp;

const DAY: u64 = 86_400;

#[tokio::test]
async fn a_message_that_was_never_tried_is_tried_at_once() {
    let bench = Builder::new().build();
    bench.manager.open();
    let message = bench.take("rcpt@example.com").await;
    // However old it is: attempts are what is stored, not what its age might amount to.
    let next = bench.restart();
    next.clock.advance(secs(DAY));
    let next = next.start();
    assert_eq!(next.spool_in().await, 1);
    let record = next.sink.of(message.id(), "Delivery").await;
    assert_eq!((record.attempts(), record.text("reception_protocol")), (0, "ESMTP"));
    assert_eq!(record.0["headers"], json!({"Subject": "Hello", "X-Customer-ID": "7"}));
    assert_eq!(next.sink.kinds(message.id()), ["Delivery"], "it is not received again");
}

#[tokio::test]
async fn a_damaged_envelope_stays_where_it_is() {
    let store = MemoryStore::new();
    let bench = Builder::new().store(store.clone()).build();
    bench.manager.open();
    let damaged = bench.mint.message(BEGIN);
    let mut batch = Batch::new();
    batch.push(Op::Put { id: damaged, envelope: Bytes::from_static(b"\x01\xff\xff"), data: Some(Bytes::new()) });
    store.apply(batch);
    let message = bench.take("rcpt@example.com").await;
    let next = bench.restart().start();
    assert_eq!(next.spool_in().await, 1);
    next.sink.of(message.id(), "Delivery").await;
    next.stop().await;
    assert_eq!(store.message_count(), 1);
    assert!(next.store.load(damaged, waybill_spool::Part::Envelope).await.unwrap().is_some());
}

#[tokio::test]
async fn what_came_in_since_the_start_is_not_taken_up_twice() {
    let bench = Builder::new().start();
    let message = bench.mail("rcpt@example.com");
    message.set_due(Some(BEGIN + secs(30)));
    bench.accept(&message).await.unwrap();
    assert_eq!(bench.manager.spool_in(BEGIN, &bench.stop).await.unwrap(), 0, "by its age");
    assert_eq!(bench.spool_in().await, 0, "by its id");
}

#[tokio::test]
async fn policy_sees_each_message_and_may_change_it() {
    let bench = Builder::new().build();
    bench.manager.open();
    let (first, second) = (bench.take("a@example.com").await, bench.take("b@example.com").await);
    let next = bench
        .restart()
        .on("spool_message_enumerated", |args| {
            let message = message_of(&args);
            if message.recipients()[0].user() == "a" {
                return broken();
            }
            message.set_meta("queue", json!("other.example"));
            nothing()
        })
        .start();
    assert_eq!(next.spool_in().await, 2);
    assert_eq!(next.sink.of(first.id(), "Delivery").await.text("queue"), "example.com");
    assert_eq!(next.sink.of(second.id(), "Delivery").await.text("queue"), "other.example");
}

#[tokio::test(start_paused = true)]
async fn a_queue_without_settings_waits_for_them_and_nothing_expires_meanwhile() {
    let bench = Builder::new().build();
    bench.manager.open();
    let messages = [bench.take("a@example.com").await, bench.take("b@example.com").await];
    let (works, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (policy_works, policy_asked) = (works.clone(), asked.clone());
    let next = bench.restart().on("get_queue_config", move |_| {
        policy_asked.fetch_add(1, Ordering::SeqCst);
        match policy_works.load(Ordering::SeqCst) {
            true => answer(json!({"max_age": "30 days"})),
            false => broken(),
        }
    });
    // Too old for a queue without settings, whose max_age is seven days.
    next.clock.advance(secs(8 * DAY));
    let next = next.start();
    assert_eq!(next.spool_in().await, 2);
    assert_eq!(asked.load(Ordering::SeqCst), 1, "once for the queue, not once for each message");
    crate::support::until(|| asked.load(Ordering::SeqCst) > 2).await;
    assert_eq!(next.sink.all(), []);
    works.store(true, Ordering::SeqCst);
    for message in messages {
        next.sink.of(message.id(), "Delivery").await;
    }
}

#[tokio::test]
async fn what_became_too_old_meanwhile_expires() {
    let bench = Builder::new().build();
    bench.manager.open();
    let message = bench.take("rcpt@example.com").await;
    let next = bench.restart();
    next.clock.advance(secs(8 * DAY));
    let next = next.start();
    next.spool_in().await;
    let record = next.sink.of(message.id(), "Expiration").await;
    assert!(record.response().ends_with("which exceeds max_age=7days"), "{record:?}");
    assert_eq!(next.peer.ids(), []);
}

#[tokio::test]
async fn a_log_message_is_one_after_a_restart_as_well() {
    let bench = Builder::new().build();
    bench.manager.open();
    let message = log_message(&bench.mint, BEGIN);
    message.set_meta("reception_protocol", json!("ESMTP"));
    bench.manager.injector().inject(message.clone()).await.unwrap();
    let next = bench.restart().start();
    assert_eq!(next.spooled(message.id()).await.unwrap().origin, Origin::LogRecord);
    next.spool_in().await;
    next.sink.of(message.id(), "Delivery").await;
    assert_eq!(next.journal().await, [], "I3, whatever a script says of it");
}

#[tokio::test(start_paused = true)]
async fn a_spool_that_cannot_be_read_for_a_while_is_read_then() {
    let store = GateStore::new();
    let bench = Builder::new().store(store.clone()).build();
    bench.manager.open();
    let message = bench.take("rcpt@example.com").await;
    let next = bench.restart().start();
    store.fail_scans(true);
    let heal = async {
        store.failed(3).await;
        store.fail_scans(false);
    };
    let (count, ()) = futures::join!(next.spool_in(), heal);
    assert_eq!(count, 1);
    next.sink.of(message.id(), "Delivery").await;
}

#[tokio::test]
async fn a_closed_store_ends_the_enumeration() {
    let store = waybill_spool::CrashingStore::new(waybill_spool::Crash::NEVER);
    store.survivor();
    let bench = Builder::new().store(store).build();
    let error = bench.manager.spool_in(Timestamp::MAX, &bench.stop).await.unwrap_err();
    assert!(matches!(error, StoreError::Closed));
}

#[tokio::test]
async fn a_stop_ends_the_enumeration() {
    let bench = Builder::new().build();
    bench.manager.open();
    bench.take("rcpt@example.com").await;
    let next = bench.restart().build();
    next.stop_source.request();
    assert_eq!(next.spool_in().await, 0);
}
