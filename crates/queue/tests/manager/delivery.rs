//! From the queue to the peer.

use crate::support::{BEGIN, Builder, Peer, TestSink, aborted, answer, permanent, secs, text_of, transient, until};
use serde_json::json;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use waybill_delivery::Outcome;
use waybill_queue::{Delays, QueueManager};
use waybill_types::{QueueName, ReadyQueueName, Response};

#[tokio::test]
async fn a_delivered_message_leaves_with_its_event() {
    let bench = Builder::new().start();
    let message = bench.take("rcpt@example.com").await;
    bench.sink.of(message.id(), "Delivery").await;
    assert_eq!(bench.sink.kinds(message.id()), ["Reception", "Delivery"]);
    assert_eq!(bench.spooled(message.id()).await, None);
    assert_eq!(bench.journal().await, bench.sink.all());
}

#[tokio::test]
async fn a_permanent_failure_bounces() {
    let bench = Builder::new().peer(Peer::new().answering(|_, _| permanent("5.1.1 no such user"))).start();
    let message = bench.take("rcpt@example.com").await;
    let bounce = bench.sink.of(message.id(), "Bounce").await;
    assert_eq!(bounce.response(), "550 5.1.1 no such user");
    assert_eq!(bench.spooled(message.id()).await, None);
    assert_eq!(bench.journal().await, bench.sink.all());
    let queue = ReadyQueueName::new("unspecified->example.com@lua:make.test");
    assert_eq!(bench.manager.stats().by_ready_queue()[&queue], [0, 0, 1]);
}

#[tokio::test]
async fn a_batch_has_one_outcome_for_each_message() {
    let (peer, gate) = Peer::new()
        .batches_of(10)
        .answering(|message, _| match message.recipients()[0].user() {
            "never" => permanent("no"),
            "later" => transient("later"),
            _ => Outcome::Delivered(Response::plain(200, "ok")),
        })
        .held();
    let bench = Builder::new().peer(peer).path_config(json!({"connection_limit": 1})).start();
    // The first keeps the only session busy while the others come together.
    let first = bench.take("first@example.com").await;
    let mut others = Vec::new();
    for user in ["ok", "later", "never"] {
        others.push(bench.take(&format!("{user}@example.com")).await.id());
    }
    gate.add_permits(2);
    bench.sink.of(first.id(), "Delivery").await;
    bench.sink.of(others[0], "Delivery").await;
    bench.sink.of(others[1], "TransientFailure").await;
    bench.sink.of(others[2], "Bounce").await;
    let sessions: std::collections::BTreeSet<_> = bench
        .sink
        .all()
        .iter()
        .filter(|record| record.kind() != "Reception")
        .map(|record| record.text("session_id").to_owned())
        .collect();
    assert_eq!(sessions.len(), 1);
    assert!(bench.spooled(others[1]).await.is_some() && bench.spooled(others[2]).await.is_none());
}

#[tokio::test]
async fn pool_source_provider_and_watchdog_come_from_policy() {
    let bench = Builder::new()
        .queue_config(json!({"egress_pool": "pool0"}))
        .path_config(json!({"provider_name": "example", "dispatcher_progress_watchdog_timeout": "90s"}))
        .on("get_egress_pool", |args| {
            assert_eq!(text_of(&args[0]), "pool0");
            answer(json!({"name": "pool0", "entries": [{"name": "src1", "weight": 1}, {"name": "off", "weight": 0}]}))
        })
        .on("get_egress_source", |args| answer(json!({"name": text_of(&args[0])})))
        .start();
    let message = bench.take("rcpt@example.com").await;
    let record = bench.sink.of(message.id(), "Delivery").await;
    assert_eq!((record.text("egress_pool"), record.text("egress_source")), ("pool0", "src1"));
    assert_eq!((record.text("provider_name"), record.text("site")), ("example", "src1->example.com@lua:make.test"));
    assert_eq!(bench.peer.watchdogs(), [secs(90)]);
}

#[tokio::test]
async fn the_routes_own_watchdog_counts_where_the_path_says_nothing() {
    let bench = Builder::new().start();
    let message = bench.take("rcpt@example.com").await;
    bench.sink.of(message.id(), "Delivery").await;
    assert_eq!(bench.peer.watchdogs(), [secs(600)]);
}

#[tokio::test]
async fn what_the_watchdog_stopped_goes_back_without_an_attempt() {
    let bench = Builder::new().peer(Peer::new().at_first(aborted()).breaking().silent()).start();
    let message = bench.take("rcpt@example.com").await;
    let delayed = bench.sink.of(message.id(), "Delayed").await;
    assert!(delayed.response().starts_with("451 dispatcher watchdog aborted task; "), "{delayed:?}");
    assert_eq!(delayed.0["response"]["enhanced_code"], json!({"class": 4, "subject": 4, "detail": 1}));
    assert_eq!((delayed.text("site"), delayed.attempts()), ("", 0));
    assert!(bench.spooled(message.id()).await.is_some());
    assert_eq!(bench.manager.stats().aborted.load(Ordering::Relaxed), 1);
    let stopped = bench.manager.stats().stopped_by_watchdog();
    assert_eq!(stopped, [(ReadyQueueName::new("unspecified->example.com@lua:make.test"), 1)].into());
    bench.clock.advance(secs(60));
    assert_eq!(bench.sink.of(message.id(), "Delivery").await.attempts(), 0);
    assert_eq!(bench.journal().await, bench.sink.all());
}

#[tokio::test]
async fn the_same_words_from_a_session_that_lives_are_an_attempt() {
    let bench = Builder::new().peer(Peer::new().at_first(aborted())).start();
    let message = bench.take("rcpt@example.com").await;
    bench.sink.of(message.id(), "TransientFailure").await;
}

#[tokio::test(start_paused = true)]
async fn a_ready_queue_that_has_left_memory_comes_back_with_its_route() {
    let config = json!({"retry_interval": "20m", "refresh_strategy": "Epoch"});
    let path = json!({"refresh_strategy": "Epoch"});
    let bench =
        Builder::new().queue_config(config).path_config(path).peer(Peer::new().at_first(transient("later"))).start();
    let message = bench.take("rcpt@example.com").await;
    bench.sink.of(message.id(), "TransientFailure").await;
    until(|| !bench.manager.stats().queues().ready.is_empty()).await;
    // The session closes after five seconds, the ready queue goes after ten minutes more.
    bench.clock.advance(secs(6));
    let supervisor = bench.supervisor.clone();
    until(|| !supervisor.running().iter().any(|name| name.starts_with("session"))).await;
    bench.clock.advance(secs(11 * 60));
    until(|| bench.manager.stats().queues().ready.is_empty()).await;
    bench.clock.advance(secs(10 * 60));
    bench.sink.of(message.id(), "Delivery").await;
    assert_eq!(bench.policy.calls().iter().filter(|call| *call == "get_queue_config").count(), 1);
}

#[tokio::test]
async fn a_full_ready_queue_sends_messages_back_with_a_reason() {
    let (peer, gate) = Peer::new().held();
    let bench = Builder::new().peer(peer).path_config(json!({"max_ready": 1, "connection_limit": 1})).start();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(bench.take("rcpt@example.com").await.id());
    }
    let delayed = bench.sink.of(ids[2], "Delayed").await;
    assert!(delayed.response().starts_with("400 Context: ReadyQueueWasFull. Next due in "), "{delayed:?}");
    let waited = Delays { ready_queue_full: 1, ..Delays::default() };
    assert_eq!(bench.manager.stats().delayed(), [(QueueName::new("example.com"), waited)].into());
    gate.add_permits(3);
    bench.sink.of(ids[1], "Delivery").await;
    bench.clock.set(BEGIN + secs(60));
    bench.sink.of(ids[2], "Delivery").await;
}

#[tokio::test]
async fn a_sink_that_injects_mail_does_not_stand_in_its_own_way() {
    const MAILS: usize = 6000;
    let manager: Arc<OnceLock<QueueManager>> = Arc::default();
    let (mint, injecting) = (Arc::new(waybill_types::IdMint::new([9; 8])), manager.clone());
    // As the script of a disposition hook does that sends a report of every delivery.
    let sink = TestSink::new().without_journal().injecting(move |record| {
        if record.kind() != "Delivery" || record.text("sender").is_empty() {
            return None;
        }
        let to = vec!["reports@reports.example".parse().unwrap()];
        let sender = waybill_types::EnvelopeAddress::null_sender();
        let report = waybill_spool::Message::new(mint.message(BEGIN), sender, to, bytes::Bytes::from_static(b"x"));
        Some((injecting.get().unwrap().injector(), report))
    });
    let path = json!({"max_ready": 20_000});
    let bench = Builder::new().sink(sink).path_config(path).start();
    assert!(manager.set(bench.manager.clone()).is_ok());
    for _ in 0..MAILS {
        bench.take("rcpt@example.com").await;
    }
    bench.sink.count("Delivery", 2 * MAILS).await;
}
