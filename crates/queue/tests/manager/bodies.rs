//! Bodies leave memory and come back.

use crate::admin::{admin, request};
use crate::support::{Builder, Peer, TestSink, log_message, secs, transient, within};
use bytes::Bytes;
use serde_json::json;
use std::sync::atomic::Ordering;
use waybill_log_record::RecordType;
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

#[tokio::test]
async fn the_last_record_of_a_message_that_waits_on_disk_comes_with_its_body_where_it_is_shown() {
    let config = json!({"retry_interval": "5s", "max_age": "8s"});
    let bench = Builder::new()
        .queue_config(config)
        .peer(Peer::new().answering(|_, _| transient("later")))
        .sink(TestSink::new().looking_at_messages())
        .start();
    // What is not even tried is not loaded.
    let order = json!({"reason": "hold it", "domain": "expires.example", "duration": "1h"});
    admin(&bench).await.suspend(request(order)).await;
    let bounced = bench.take("u@bounced.example").await;
    let expires = bench.take("u@expires.example").await;
    for message in [&bounced, &expires] {
        bench.sink.of(message.id(), "TransientFailure").await;
        assert_eq!(message.data(), None);
    }
    admin(&bench).await.bounce(request(json!({"reason": "purge", "domain": "bounced.example"}))).await;
    bench.sink.of(bounced.id(), "AdminBounce").await;
    bench.clock.advance(secs(5));
    bench.sink.of(expires.id(), "Expiration").await;
    for (message, kind) in [(bounced, RecordType::AdminBounce), (expires, RecordType::Expiration)] {
        let body = bench.sink.body(message.id(), kind);
        assert!(body.is_some_and(|body| body.ends_with(b"body\r\n")), "{kind}");
        assert_eq!(bench.spooled(message.id()).await, None);
    }
}

#[tokio::test]
async fn more_than_memory_holds_is_bounced_in_parts_and_everything_is_shown_its_body() {
    const MAILS: usize = 6;
    let (sink, gate) = TestSink::new().looking_at_messages().gated(RecordType::AdminBounce);
    let bench = Builder::new()
        .queue_config(json!({"retry_interval": "1h"}))
        .peer(Peer::new().answering(|_, _| transient("later")))
        .sink(sink)
        .start();
    let mut mails = Vec::new();
    for _ in 0..MAILS {
        let mail = bench.mail("u@bounced.example");
        mail.set_data(Bytes::from(vec![b'x'; 16 << 20]));
        bench.accept(&mail).await.unwrap();
        bench.sink.of(mail.id(), "TransientFailure").await;
        mails.push(mail.id());
    }
    let admin = admin(&bench).await;
    admin.bounce(request(json!({"reason": "purge", "domain": "bounced.example"}))).await;
    // While nobody takes the first, the last are in the spool still.
    let spooled = within(async {
        loop {
            let mut spooled = 0;
            for id in &mails {
                spooled += usize::from(bench.spooled(*id).await.is_some());
            }
            if spooled < MAILS {
                break spooled;
            }
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(spooled.await, MAILS - 4, "64 MiB are held");
    gate.add_permits(MAILS);
    bench.sink.count("AdminBounce", MAILS).await;
    for id in mails {
        assert_eq!(bench.sink.body(id, RecordType::AdminBounce).map(|body| body.len()), Some(16 << 20));
        assert_eq!(bench.spooled(id).await, None);
    }
}
