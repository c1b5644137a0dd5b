//! Messages with a schedule of their own.

use crate::support::{BEGIN, Builder, Peer, delivered, message_of, nothing, secs, transient};
use serde_json::json;
use std::sync::Arc;
use waybill_types::Schedule;

/// The tests begin at 16:12:56 UTC on a Monday: seven minutes and four seconds before this opens.
fn window() -> Option<Arc<Schedule>> {
    let json = json!({"dow": "Mon,Tue", "tz": "UTC", "start": "16:20", "end": "17:00"});
    Some(Arc::new(serde_json::from_value(json).unwrap()))
}

const UNTIL_OPEN: u64 = 424;

fn always_later() -> Peer {
    Peer::new().answering(|message, _| match message.recipients()[0].user() {
        "probe" => delivered(),
        _ => transient("later"),
    })
}

#[tokio::test]
async fn a_message_waits_for_its_window_also_across_a_restart() {
    let bench = Builder::new().start();
    let message = bench.mail("rcpt@example.com");
    message.set_schedule(window());
    bench.accept(&message).await.unwrap();
    let delayed = bench.sink.of(message.id(), "Delayed").await;
    assert!(delayed.response().contains("Next due in 7m 4s at 2026-11-23T16:20:00Z"), "{delayed:?}");
    bench.settle().await;
    bench.stop().await;

    let next = bench.restart().start();
    assert_eq!(next.spool_in().await, 1);
    next.clock.set(BEGIN + secs(UNTIL_OPEN - 1));
    next.settle().await;
    assert_eq!(next.sink.kinds(message.id()), Vec::<String>::new());
    next.clock.set(BEGIN + secs(UNTIL_OPEN));
    next.sink.of(message.id(), "Delivery").await;
}

#[tokio::test]
async fn a_message_whose_schedule_ends_expires_instead_of_at_max_age() {
    let config = json!({"retry_interval": "5s", "max_age": "1s"});
    let bench = Builder::new().queue_config(config).peer(always_later()).start();
    let message = bench.mail("rcpt@example.com");
    message.set_schedule(Some(Schedule::until(BEGIN + secs(12)).into()));
    bench.accept(&message).await.unwrap();
    bench.sink.of(message.id(), "TransientFailure").await;
    bench.clock.advance(secs(5));
    let expired = bench.sink.of(message.id(), "Expiration").await;
    assert_eq!(
        expired.response(),
        "551 Next delivery time would be 2026-11-23T16:13:11Z, which is not before the scheduled expiry 2026-11-23T16:13:08Z"
    );
    assert_eq!(bench.sink.kinds(message.id()), ["Reception", "TransientFailure", "TransientFailure", "Expiration"]);
    assert_eq!(bench.spooled(message.id()).await, None);
}

#[tokio::test]
async fn a_schedule_that_policy_sets_after_a_failure_holds_for_the_next_attempt() {
    let bench = Builder::new()
        .queue_config(json!({"retry_interval": "5s"}))
        .peer(always_later())
        .on("requeue_message", |args| {
            message_of(&args).set_schedule(window());
            nothing()
        })
        .start();
    let message = bench.take("rcpt@example.com").await;
    bench.sink.of(message.id(), "TransientFailure").await;
    let spooled = bench.spooled(message.id()).await.unwrap();
    assert_eq!((spooled.due, spooled.schedule), (Some(BEGIN + secs(UNTIL_OPEN)), window()));
}

#[tokio::test]
async fn a_schedule_that_the_throttle_event_sets_holds_at_once() {
    let bench = Builder::new()
        .on("throttle_insert_ready_queue", |args| {
            let message = message_of(&args);
            if message.recipients()[0].user() == "rcpt" && message.schedule().is_none() {
                message.set_schedule(window());
                message.set_due(Some(BEGIN + secs(1)));
            }
            nothing()
        })
        .start();
    let message = bench.take("rcpt@example.com").await;
    let delayed = bench.sink.of(message.id(), "Delayed").await;
    assert!(delayed.response().contains("Next due in 7m 4s at"), "{delayed:?}");
}
