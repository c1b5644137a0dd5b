//! Bodies leave memory and come back.

use crate::support::{Builder, Peer, log_message, secs, transient};
use bytes::Bytes;
use serde_json::json;
use std::sync::atomic::Ordering;
use waybill_types::Response;

#[tokio::test]
async fn a_message_that_waits_for_its_retry_has_no_body_in_memory() {
    let bench = Builder::new()
        .queue_config(json!({"retry_interval": "5s"}))
        .peer(Peer::new().at_first(transient("later")))
        .start();
    let message = bench.take("rcpt@example.com").await;
    bench.sink.of(message.id(), "TransientFailure").await;
    assert_eq!(message.data(), None);
    bench.clock.advance(secs(5));
    bench.sink.of(message.id(), "Delivery").await;
    let seen = bench.peer.seen();
    assert_eq!(seen[0].body, seen[1].body);
}

#[tokio::test]
async fn what_an_attempt_changed_is_there_in_the_next_one() {
    let change = |message: &waybill_spool::Message, before: usize| {
        if before > 0 {
            return waybill_delivery::Outcome::Delivered(Response::plain(200, "ok"));
        }
        message.set_data(Bytes::from_static(b"Subject: Changed\r\n\r\nother\r\n"));
        message.set_meta("x_seen", json!(true));
        transient("later")
    };
    let bench =
        Builder::new().queue_config(json!({"retry_interval": "5s"})).peer(Peer::new().answering(change)).start();
    let message = bench.take("rcpt@example.com").await;
    bench.sink.of(message.id(), "TransientFailure").await;
    bench.clock.advance(secs(5));
    let record = bench.sink.of(message.id(), "Delivery").await;
    assert!(bench.peer.seen()[1].body.starts_with(b"Subject: Changed"));
    assert_eq!((&record.0["headers"]["Subject"], &record.0["meta"]["x_seen"]), (&json!("Changed"), &json!(true)));
}

#[tokio::test]
async fn a_log_message_keeps_the_body_that_a_script_gave_it() {
    let bench = Builder::new()
        .queue_config(json!({"retry_interval": "5s"}))
        .peer(Peer::new().at_first(transient("later")))
        .start();
    let message = log_message(&bench.mint, bench.now());
    message.set_data(Bytes::from_static(b"my own words"));
    bench.manager.injector().inject(message.clone()).await.unwrap();
    bench.sink.of(message.id(), "TransientFailure").await;
    bench.clock.advance(secs(5));
    bench.sink.of(message.id(), "Delivery").await;
    let bodies: Vec<_> = bench.peer.seen().into_iter().map(|seen| seen.body).collect();
    assert_eq!(bodies, [b"my own words", b"my own words"]);
}

#[tokio::test]
async fn policy_gets_a_body_that_is_on_disk() {
    let bench = Builder::new().peer(Peer::new().at_first(transient("later"))).start();
    let message = bench.take("rcpt@example.com").await;
    bench.sink.of(message.id(), "TransientFailure").await;
    bench.manager.load_body(&message).await.unwrap();
    assert!(message.data().is_some());
    let unknown = bench.mail("rcpt@example.com");
    let gone = waybill_spool::Message::from_spool(
        unknown.id(),
        waybill_spool::Spooled::decode(&unknown.to_store().0).unwrap(),
    );
    assert!(bench.manager.load_body(&gone).await.unwrap_err().contains("has no body in the spool"));
}

#[tokio::test(start_paused = true)]
async fn of_many_large_messages_only_some_stay_in_memory() {
    const MEBIBYTE: usize = 1 << 20;
    let bench = Builder::new().build();
    bench.manager.open();
    let body = Bytes::from(vec![b'x'; MEBIBYTE]);
    let mut messages = Vec::new();
    for _ in 0..100 {
        let message = bench.mail("rcpt@example.com");
        message.set_data(body.clone());
        bench.accept(&message).await.unwrap();
        messages.push(message);
    }
    assert_eq!(messages.iter().filter(|message| message.data().is_some()).count(), 64);
    bench.drive();
    bench.sink.count("Delivery", 100).await;
    bench.stop().await;
    assert_eq!(bench.manager.stats().resident.load(Ordering::Relaxed), 0);
    assert!(bench.peer.seen().iter().all(|seen| seen.body.len() == MEBIBYTE));
}
