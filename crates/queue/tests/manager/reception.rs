//! Responsibility moves to us.

use crate::support::{Builder, GateStore, NODE, Peer, TestSink, answer, broken, journal, log_message, secs, until};
use futures::poll;
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use waybill_log_record::{Entry, LogRecord, RecordType};
use waybill_spool::{Durability, IntakeError, IntakeState, Keep, Part, ReadLimit, Rejection, Store, StreamId};
use waybill_types::{Offset, Response, Timestamp};

#[tokio::test]
async fn a_message_is_not_taken_before_its_batch_is_committed() {
    let store = GateStore::new();
    let bench = Builder::new().store(store.clone()).start();
    let message = bench.mail("rcpt@example.com");
    let intake = bench.manager.intake();
    store.close_gate();
    let mut accepting = intake.accept(vec![bench.incoming(&message)], Durability::Synced);
    assert!(poll!(&mut accepting).is_pending());
    store.waiting(1).await;
    assert!(poll!(&mut accepting).is_pending());
    assert_eq!((bench.peer.ids(), bench.sink.all()), (vec![], vec![]));
    assert_eq!(store.durabilities(), [Durability::Synced], "as the listener asked");
    store.open_gate();
    accepting.await.unwrap();
    bench.sink.of(message.id(), "Delivery").await;
}

#[tokio::test]
async fn a_message_and_its_event_are_one_batch() {
    let store = GateStore::new();
    let bench = Builder::new().store(store.clone()).build();
    bench.manager.open();
    let message = bench.take("rcpt@example.com").await;
    assert_eq!(store.durabilities().len(), 1);
    assert!(bench.spooled(message.id()).await.is_some());
    assert_eq!(bench.journal().await.iter().map(|record| record.kind().to_owned()).collect::<Vec<_>>(), ["Reception"]);
}

#[tokio::test]
async fn what_a_message_tells_of_is_in_the_batch_that_it_came_with_even_when_it_is_not_kept() {
    for keep in [Keep::Stored, Keep::RecordsOnly] {
        let store = GateStore::new();
        let bench = Builder::new().store(store.clone()).build();
        bench.manager.open();
        let message = bench.mail("bounces@example.com");
        // What others claim about a time must not make old entries of new ones.
        let claimed = Timestamp::from_secs(1);
        let mut report = LogRecord::new(RecordType::OOB, claimed, Response::plain(550, "gone"), "nobody");
        report.sender = "bounces@example.com".into();
        report.recipients = vec!["gone@other.example".into()];
        let mut incoming = bench.incoming(&message);
        (incoming.reports, incoming.keep) = (vec![report], keep);
        bench.manager.intake().accept(vec![incoming], Durability::Synced).await.unwrap();

        assert_eq!(store.durabilities().len(), 1, "one batch");
        assert_eq!(bench.spooled(message.id()).await.is_some(), keep == Keep::Stored);
        let records = bench.journal().await;
        assert_eq!(records.iter().map(|record| record.kind()).collect::<Vec<_>>(), ["Reception", "OOB"]);
        let told = &records[1];
        assert_eq!((told.id(), told.text("queue")), (message.id().to_string().as_str(), "example.com"));
        assert_eq!((told.text("sender"), told.text("recipient")), ("bounces@example.com", "gone@other.example"));
        assert_eq!((told.text("event_time"), told.text("reception_protocol")), ("1970-01-01T00:00:01Z", "ESMTP"));
        assert_eq!((&told.0["size"], told.text("nodeid")), (&json!(0), NODE));
        let limit = ReadLimit { entries: usize::MAX, bytes: usize::MAX };
        let slice = store.memory.read(StreamId::EVENTS, Offset::ZERO, limit).await.unwrap();
        for (_, bytes) in slice.entries {
            let made = Entry::decode(bytes).unwrap().id().created();
            assert!(made.since(bench.now()) < Duration::from_secs(1) && made >= bench.now(), "{made}");
        }
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_does_not_leave_its_message_behind() {
    let store = GateStore::new();
    let bench = Builder::new().store(store.clone()).start();
    let message = bench.mail("rcpt@example.com");
    let intake = bench.manager.intake();
    store.close_gate();
    let mut accepting = intake.accept(vec![bench.incoming(&message)], Durability::Synced);
    assert!(poll!(&mut accepting).is_pending());
    store.waiting(1).await;
    drop(accepting);
    store.open_gate();
    bench.sink.of(message.id(), "Delivery").await;
}

#[tokio::test(start_paused = true)]
async fn after_a_failed_commit_nothing_is_taken_and_the_same_message_may_come_again() {
    let store = GateStore::new();
    let bench = Builder::new().store(store.clone()).build();
    bench.manager.open();
    let message = bench.mail("rcpt@example.com");
    let intake = bench.manager.intake();
    // The health is looked at before, so it fails in the middle.
    store.close_gate();
    let mut accepting = intake.accept(vec![bench.incoming(&message)], Durability::Synced);
    assert!(poll!(&mut accepting).is_pending());
    store.waiting(1).await;
    store.fail(true);
    store.open_gate();
    assert!(matches!(accepting.await, Err(IntakeError::Spool(_))));
    assert_eq!(store.memory.message_count(), 0);
    assert!(matches!(intake.state(), IntakeState::SpoolFailing(_)));
    assert!(matches!(bench.accept(&message).await, Err(IntakeError::Overloaded(_))));
    assert_eq!(bench.sink.all(), []);
    store.fail(false);
    bench.accept(&message).await.unwrap();
    let data = store.memory.load(message.id(), Part::Data).await.unwrap();
    assert_eq!(data, message.data(), "the body is as new as the first time");
}

#[tokio::test]
async fn a_queue_without_settings_refuses_the_whole_transaction() {
    let bench = Builder::new()
        .on("get_queue_config", |args| match crate::support::text_of(&args[0]).as_str() {
            "bad.example" => broken(),
            _ => answer(json!({})),
        })
        .start();
    let (good, bad) = (bench.mail("a@good.example"), bench.mail("b@bad.example"));
    let transaction = vec![bench.incoming(&good), bench.incoming(&bad)];
    let error = bench.manager.intake().accept(transaction, Durability::Synced).await.unwrap_err();
    assert!(matches!(&error, IntakeError::Queue { queue, .. } if queue.as_str() == "bad.example"), "{error}");
    assert_eq!(Response::from(&error).code, 421);
    assert_eq!(bench.spooled(good.id()).await, None);
    assert_eq!((bench.journal().await, bench.sink.all()), (vec![], vec![]));
    // The failure is not remembered against anybody.
    bench.accept(&good).await.unwrap();
    bench.sink.of(good.id(), "Delivery").await;
}

#[tokio::test]
async fn mail_for_the_queue_null_is_counted_and_logged_and_never_stored() {
    let bench = Builder::new().start();
    let message = bench.mail("rcpt@example.com");
    message.set_meta("queue", json!("null"));
    bench.accept(&message).await.unwrap();
    assert_eq!(bench.spooled(message.id()).await, None);
    assert_eq!(bench.sink.kinds(message.id()), ["Reception"]);
    assert_eq!(bench.journal().await.len(), 1);
    assert_eq!(bench.manager.stats().received.load(Ordering::Relaxed), 1);
    assert!(!bench.policy.calls().contains(&"get_queue_config".to_owned()));
}

#[tokio::test]
async fn of_what_goes_nowhere_http_tells_nothing() {
    let bench = Builder::new().start();
    let message = bench.mail("rcpt@example.com");
    message.set_meta("queue", json!("null"));
    message.set_meta("reception_protocol", json!("HTTP"));
    bench.accept(&message).await.unwrap();
    assert_eq!((bench.journal().await, bench.sink.all()), (vec![], vec![]));
}

#[tokio::test]
async fn nothing_is_taken_before_the_spool_is_open_nor_after_the_close() {
    let bench = Builder::new().build();
    bench.drive();
    let intake = bench.manager.intake();
    assert_eq!(intake.state(), IntakeState::WaitingForSpool);
    let early = bench.accept(&bench.mail("rcpt@example.com")).await;
    assert!(matches!(early, Err(IntakeError::Overloaded(why)) if &*why == "waiting for spool startup"));
    bench.manager.open();
    bench.take("rcpt@example.com").await;
    bench.manager.close();
    bench.manager.open();
    assert_eq!(intake.state(), IntakeState::ShuttingDown);
    assert!(matches!(bench.accept(&bench.mail("rcpt@example.com")).await, Err(IntakeError::ShuttingDown)));
}

#[tokio::test]
async fn a_message_with_a_due_time_waits_and_says_so() {
    let bench = Builder::new().start();
    let message = bench.mail("rcpt@example.com");
    message.set_due(Some(crate::support::BEGIN + secs(30)));
    bench.accept(&message).await.unwrap();
    let delayed = bench.sink.of(message.id(), "Delayed").await;
    assert_eq!(delayed.response(), "400 Context: ScheduledForLater. Next due in 30s at 2026-11-23T16:13:26Z");
    bench.settle().await;
    assert_eq!(bench.sink.kinds(message.id()), ["Reception", "Delayed"]);
    bench.clock.advance(secs(30));
    assert_eq!(bench.sink.of(message.id(), "Delivery").await.attempts(), 0);
}

#[tokio::test]
async fn an_injected_message_is_queued_once_without_a_reception_record() {
    let (peer, gate) = Peer::new().held();
    let bench = Builder::new().peer(peer).start();
    let message = bench.mail("rcpt@example.com");
    let injector = bench.manager.injector();
    injector.inject(message.clone()).await.unwrap();
    injector.inject(message.clone()).await.unwrap();
    gate.add_permits(10);
    bench.sink.of(message.id(), "Delivery").await;
    bench.settle().await;
    assert_eq!(bench.sink.kinds(message.id()), ["Delivery"]);
    assert_eq!(bench.peer.ids().iter().filter(|id| **id == message.id()).count(), 1);
}

#[tokio::test]
async fn an_injected_message_whose_queue_cannot_be_found_is_not_stored() {
    let bench = Builder::new().on("get_queue_config", |_| broken()).start();
    let injector = bench.manager.injector();
    let message = bench.mail("rcpt@example.com");
    assert!(matches!(injector.inject(message.clone()).await, Err(IntakeError::Queue { .. })));
    message.set_meta("tenant", json!(5));
    let error = injector.inject(message.clone()).await.unwrap_err().to_string();
    assert!(error.contains("expected 'tenant' to be a string value"), "{error}");
    assert_eq!(bench.spooled(message.id()).await, None);
}

#[tokio::test]
async fn what_becomes_of_a_log_message_is_a_record_and_no_event() {
    let bench = Builder::new().start();
    let message = log_message(&bench.mint, bench.now());
    bench.manager.injector().inject(message.clone()).await.unwrap();
    let record = bench.sink.of(message.id(), "Delivery").await;
    assert_eq!((record.text("reception_protocol"), record.text("queue")), ("LogRecord", "webhook.log_hook"));
    bench.settle().await;
    let id = message.id().to_string();
    assert!(bench.journal().await.iter().all(|event| event.id() != id));
}

#[tokio::test]
async fn without_a_consumer_nothing_is_appended() {
    let bench = Builder::new().sink(TestSink::new().without_journal()).start();
    let message = bench.take("rcpt@example.com").await;
    bench.sink.of(message.id(), "Delivery").await;
    assert_eq!(bench.journal().await, []);
}

fn rejection() -> Rejection {
    let response = Response::new(550, "5.7.1 relaying not permitted").to_command("RCPT TO:<a@b>");
    Rejection::new(LogRecord::new(RecordType::Rejection, crate::support::BEGIN, response, ""))
}

#[tokio::test]
async fn a_refusal_waits_for_no_disk_and_becomes_an_event_all_the_same() {
    let store = GateStore::new();
    let bench = Builder::new().store(store.clone()).start();
    store.close_gate();
    bench.manager.intake().rejected(rejection()).await;
    let record = bench.sink.all().remove(0);
    assert_eq!((record.kind(), record.text("nodeid")), ("Rejection", crate::support::NODE));
    store.waiting(1).await;
    assert_eq!(bench.journal().await, []);
    store.open_gate();
    bench.stop().await;
    assert_eq!(bench.journal().await, [record]);
}

#[tokio::test(start_paused = true)]
async fn refusals_are_shed_when_the_store_stands_still_for_long() {
    let store = GateStore::new();
    let bench = Builder::new().store(store.clone()).start();
    store.fail(true);
    let lost = || bench.manager.stats().rejections_lost.load(Ordering::Relaxed);
    let mut sent = 0;
    while lost() == 0 {
        bench.manager.intake().rejected(rejection()).await;
        sent += 1;
    }
    store.fail(false);
    bench.stop().await;
    assert_eq!(journal(&*bench.store).await.len(), sent - 1);
}

#[tokio::test]
async fn mail_is_taken_while_the_log_of_deliveries_stands_still() {
    let (sink, gate) = TestSink::new().gated(RecordType::Delivery);
    let bench = Builder::new().sink(sink).start();
    for _ in 0..10 {
        bench.take("rcpt@example.com").await;
    }
    // Outcomes are stored, whoever reads of them.
    bench.peer.answered(10).await;
    let all_gone = AtomicBool::new(false);
    until(|| {
        let stats = bench.manager.stats().queues();
        all_gone.store(stats.scheduled.values().all(|count| *count == 0), Ordering::Relaxed);
        all_gone.load(Ordering::Relaxed)
    })
    .await;
    gate.add_permits(10);
    bench.sink.count("Delivery", 10).await;
}
