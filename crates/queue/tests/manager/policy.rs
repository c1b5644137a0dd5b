//! `throttle_insert_ready_queue`, and what policy and protocols are missing.

use crate::support::{Builder, answer, broken, message_of, nothing, secs, text_of};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use waybill_queue::Delays;
use waybill_types::QueueName;

#[tokio::test]
async fn a_due_time_set_before_the_ready_queue_delays_the_message() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let bench = Builder::new()
        .on("throttle_insert_ready_queue", move |args| {
            let message = message_of(&args);
            if message.recipients()[0].user() == "rcpt" && count.fetch_add(1, Ordering::SeqCst) == 0 {
                message.set_due(Some(crate::support::BEGIN + secs(30)));
            }
            nothing()
        })
        .start();
    let message = bench.take("rcpt@example.com").await;
    let delayed = bench.sink.of(message.id(), "Delayed").await;
    let context = "400 Context: ThrottledByThrottleInsertReadyQueue. Next due in 30s at ";
    assert!(delayed.response().starts_with(context), "{delayed:?}");
    let waited = Delays { throttle_insert: 1, ..Delays::default() };
    assert_eq!(bench.manager.stats().delayed(), [(QueueName::new("example.com"), waited)].into());
    bench.settle().await;
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    bench.clock.advance(secs(30));
    assert_eq!(bench.sink.of(message.id(), "Delivery").await.attempts(), 0);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_message_that_the_throttle_fails_for_goes_on() {
    for failure in [broken as fn() -> _, || panic!("on purpose")] {
        let bench = Builder::new().on("throttle_insert_ready_queue", move |_| failure()).start();
        let message = bench.take("rcpt@example.com").await;
        bench.sink.of(message.id(), "Delivery").await;
    }
}

#[tokio::test]
async fn a_missing_protocol_keeps_messages_queued() {
    let bench = Builder::new().without_smtp().queue_config(json!({"retry_interval": "5s"})).start();
    let message = bench.take("rcpt@example.com").await;
    let failure = bench.sink.of(message.id(), "TransientFailure").await;
    let expected = "451 KumoMTA internal: failed to resolve queue example.com: this daemon cannot deliver by smtp yet; \
                    give queue example.com another protocol in get_queue_config";
    assert_eq!(failure.response(), expected);
    assert_eq!(failure.0["response"]["enhanced_code"], json!({"class": 4, "subject": 4, "detail": 4}));
    assert_eq!(bench.spooled(message.id()).await.unwrap().attempts, 1);
    bench.clock.advance(secs(5));
    assert_eq!(bench.sink.nth(message.id(), "TransientFailure", 2).await.attempts(), 1);
    assert_eq!(bench.journal().await, bench.sink.all());
}

#[tokio::test]
async fn a_path_that_cannot_be_found_fails_for_now_and_is_looked_for_again() {
    let asked = AtomicUsize::new(0);
    let bench = Builder::new()
        .queue_config(json!({"retry_interval": "5s"}))
        .on("get_egress_path_config", move |args| {
            assert_eq!([&args[0], &args[1], &args[2]].map(text_of), ["example.com", "unspecified", "example.com"]);
            match asked.fetch_add(1, Ordering::SeqCst) {
                0 => broken(),
                1 => panic!("on purpose"),
                _ => answer(json!({})),
            }
        })
        .start();
    let message = bench.take("rcpt@example.com").await;
    assert!(bench.sink.of(message.id(), "TransientFailure").await.response().contains("boom"));
    bench.clock.advance(secs(5));
    assert!(
        bench
            .sink
            .nth(message.id(), "TransientFailure", 2)
            .await
            .response()
            .ends_with("the search for a route panicked")
    );
    bench.clock.advance(secs(10));
    assert_eq!(bench.sink.of(message.id(), "Delivery").await.attempts(), 2);
}

#[tokio::test]
async fn a_pool_without_a_source_fails_for_now() {
    let bench = Builder::new()
        .queue_config(json!({"egress_pool": "empty"}))
        .on("get_egress_pool", |_| answer(json!({"name": "empty", "entries": []})))
        .start();
    let message = bench.take("rcpt@example.com").await;
    let failure = bench.sink.of(message.id(), "TransientFailure").await;
    assert!(failure.response().ends_with("egress pool empty has no source with a weight"), "{failure:?}");
}
