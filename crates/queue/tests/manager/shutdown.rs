//! The end, in order.

use crate::support::{Builder, GateStore, Peer, TestSink, log_message, secs, transient, until};
use serde_json::json;
use waybill_log_record::RecordType;
use waybill_spool::{IntakeError, IntakeState};

#[tokio::test]
async fn a_stop_finishes_what_is_in_flight_and_leaves_the_rest_on_disk() {
    let (peer, gate) = Peer::new().held();
    let store = GateStore::new();
    let bench =
        Builder::new().store(store.clone()).peer(peer).path_config(serde_json::json!({"connection_limit": 1})).start();
    let mut messages = Vec::new();
    for _ in 0..3 {
        messages.push(bench.take("rcpt@example.com").await);
    }
    let later = bench.mail("rcpt@example.com");
    later.set_due(Some(crate::support::BEGIN + secs(30)));
    bench.accept(&later).await.unwrap();
    bench.sink.of(later.id(), "Delayed").await;

    bench.stop_source.request();
    until(|| bench.manager.intake().state() == IntakeState::ShuttingDown).await;
    assert!(matches!(bench.accept(&bench.mail("rcpt@example.com")).await, Err(IntakeError::ShuttingDown)));
    // Whoever waits hears for whom.
    let running = bench.supervisor.running();
    assert!(running.contains(&"queue manager".to_owned()), "{running:?}");
    let slow = "session 1 unspecified->example.com@lua:make.test".to_owned();
    assert!(running.contains(&slow), "{running:?}");

    gate.add_permits(10);
    bench.stop().await;
    assert_eq!(bench.peer.ids(), [messages[0].id()], "no new batch after the stop");
    assert_eq!(bench.sink.kinds(messages[0].id()), ["Reception", "Delivery"]);
    assert_eq!(store.memory.message_count(), 3);
    assert_eq!(bench.journal().await, bench.sink.all());

    let next = bench.restart().start();
    assert_eq!(next.spool_in().await, 3);
    next.clock.advance(secs(30));
    next.sink.count("Delivery", 3).await;
    assert_eq!(store.memory.message_count(), 0);
}

#[tokio::test]
async fn what_the_daemon_injects_during_the_stop_waits_for_the_next_start() {
    let bench = Builder::new().start();
    bench.manager.close();
    let message = log_message(&bench.mint, bench.now());
    bench.manager.injector().inject(message.clone()).await.unwrap();
    bench.stop().await;
    bench.manager.injector().inject(bench.mail("rcpt@example.com")).await.unwrap();
    assert_eq!(bench.peer.ids(), []);
    let next = bench.restart().start();
    assert_eq!(next.spool_in().await, 2);
    next.sink.count("Delivery", 2).await;
}

#[tokio::test]
async fn a_failure_in_the_last_moment_is_kept() {
    let (peer, gate) = Peer::new().at_first(transient("later")).held();
    let bench = Builder::new().peer(peer).on("requeue_message", |_| crate::support::nothing()).start();
    let message = bench.take("rcpt@example.com").await;
    until(|| bench.manager.stats().queues().ready.values().any(|counts| (counts.ready, counts.sessions) == (0, 1)))
        .await;
    bench.stop_source.request();
    until(|| bench.manager.intake().state() == IntakeState::ShuttingDown).await;
    gate.add_permits(1);
    bench.stop().await;
    assert_eq!(bench.sink.kinds(message.id()), ["Reception", "TransientFailure"]);
    assert_eq!(bench.spooled(message.id()).await.unwrap().attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_cuts_off_what_takes_longer_than_its_path_gives_it() {
    let (peer, _gate) = Peer::new().held();
    let bench = Builder::new().peer(peer).path_config(json!({"system_shutdown_timeout": "3s"})).start();
    let message = bench.take("rcpt@example.com").await;
    until(|| bench.manager.stats().queues().ready.values().any(|counts| (counts.ready, counts.sessions) == (0, 1)))
        .await;
    let begin = tokio::time::Instant::now();
    bench.stop().await;
    assert_eq!(begin.elapsed().as_secs(), 3);
    let delayed = bench.sink.of(message.id(), "Delayed").await;
    let words = "451 session aborted: the daemon stops, and system_shutdown_timeout is over";
    assert_eq!((delayed.response(), delayed.attempts()), (words.to_owned(), 0));
    assert_eq!(bench.spooled(message.id()).await.map(|spooled| spooled.attempts), Some(0));
}

#[tokio::test]
async fn the_end_waits_until_every_record_is_written() {
    let (sink, gate) = TestSink::new().gated(RecordType::Delivery);
    let bench = Builder::new().sink(sink).start();
    for _ in 0..5 {
        bench.take("rcpt@example.com").await;
    }
    bench.peer.answered(5).await;
    bench.stop_source.request();
    until(|| bench.manager.intake().state() == IntakeState::ShuttingDown).await;
    until(|| !bench.supervisor.running().iter().any(|name| name.starts_with("session"))).await;
    assert!(bench.supervisor.running().contains(&"records".to_owned()));
    gate.add_permits(5);
    bench.stop().await;
    assert_eq!(bench.sink.all().iter().filter(|record| record.kind() == "Delivery").count(), 5);
}

#[tokio::test]
async fn an_idle_manager_stops_at_once() {
    let bench = Builder::new().start();
    bench.stop().await;
    assert_eq!(bench.supervisor.running(), Vec::<String>::new());
    assert_eq!(bench.manager.intake().state(), IntakeState::ShuttingDown, "without a driver no mail is taken");
}
