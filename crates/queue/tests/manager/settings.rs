//! Settings are asked for again, and what worked goes on working.

use crate::support::{BEGIN, Bench, Builder, Peer, answer, broken, secs, text_of, transient, until};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use waybill_policy::{PolicyError, Returned};

/// Counts calls about the queue of the test, and answers them in turn; the last answer stays.
fn in_turn(
    calls: &Arc<AtomicUsize>,
    answers: Vec<fn() -> Result<Returned, PolicyError>>,
) -> impl Fn(Vec<waybill_policy::Value>) -> Result<Returned, PolicyError> + Send + Sync + use<> {
    let calls = calls.clone();
    move |args| {
        if text_of(&args[0]) != "example.com" {
            return answer(json!({}));
        }
        let call = calls.fetch_add(1, Ordering::SeqCst);
        answers[call.min(answers.len() - 1)]()
    }
}

fn retry(interval: &str) -> Value {
    json!({"retry_interval": interval})
}

async fn due_after_a_failure(bench: &Bench) -> u64 {
    let message = bench.take("rcpt@example.com").await;
    bench.sink.of(message.id(), "TransientFailure").await;
    let due = bench.spooled(message.id()).await.unwrap().due.unwrap();
    due.since(bench.now()).as_secs()
}

fn failing() -> Peer {
    Peer::new().answering(|message, _| match message.recipients()[0].user() {
        "rcpt" => transient("later"),
        _ => crate::support::delivered(),
    })
}

#[tokio::test(start_paused = true)]
async fn settings_are_asked_for_once_and_again_when_they_are_stale() {
    let calls = Arc::default();
    let answers: Vec<fn() -> _> = vec![|| answer(retry("5s")), || answer(retry("7s"))];
    let bench = Builder::new().on("get_queue_config", in_turn(&calls, answers)).peer(failing()).start();
    assert_eq!(due_after_a_failure(&bench).await, 5);
    assert_eq!(due_after_a_failure(&bench).await, 5);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    bench.clock.advance(secs(60));
    until(|| calls.load(Ordering::SeqCst) == 2).await;
    bench.settle().await;
    assert_eq!(due_after_a_failure(&bench).await, 7);
}

#[tokio::test(start_paused = true)]
async fn policy_that_fails_later_leaves_the_old_settings() {
    let calls = Arc::default();
    let answers: Vec<fn() -> _> = vec![|| answer(retry("5s")), broken];
    let bench = Builder::new().on("get_queue_config", in_turn(&calls, answers)).peer(failing()).start();
    assert_eq!(due_after_a_failure(&bench).await, 5);
    bench.clock.advance(secs(60));
    until(|| calls.load(Ordering::SeqCst) == 2).await;
    bench.settle().await;
    assert_eq!(due_after_a_failure(&bench).await, 5);
    // Neither forgotten nor asked for with every message.
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    bench.clock.advance(secs(60));
    until(|| calls.load(Ordering::SeqCst) == 3).await;
}

#[tokio::test(start_paused = true)]
async fn a_path_that_cannot_be_found_later_leaves_the_old_route() {
    let calls = Arc::default();
    let answers: Vec<fn() -> _> = vec![|| answer(json!({})), broken];
    let bench = Builder::new().queue_config(retry("5s")).on("get_egress_path_config", in_turn(&calls, answers)).start();
    bench.sink.of(bench.take("rcpt@example.com").await.id(), "Delivery").await;
    bench.clock.advance(secs(60));
    until(|| calls.load(Ordering::SeqCst) == 2).await;
    bench.settle().await;
    let message = bench.take("rcpt@example.com").await;
    bench.sink.of(message.id(), "Delivery").await;
    assert_eq!(bench.sink.kinds(message.id()), ["Reception", "Delivery"]);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_begins_with_a_failed_commit_has_its_settings_all_the_same() {
    let store = crate::support::GateStore::new();
    let bench = Builder::new().store(store.clone()).queue_config(retry("5s")).peer(failing()).start();
    let lost = bench.mail("rcpt@example.com");
    let intake = bench.manager.intake();
    store.close_gate();
    let mut accepting = intake.accept(vec![bench.incoming(&lost)], waybill_spool::Durability::Synced);
    assert!(futures::poll!(&mut accepting).is_pending());
    store.waiting(1).await;
    store.fail(true);
    store.open_gate();
    assert!(accepting.await.is_err());
    store.fail(false);
    assert_eq!(due_after_a_failure(&bench).await, 5);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_was_forgotten_is_asked_for_again() {
    let calls = Arc::default();
    let answers: Vec<fn() -> _> = vec![|| answer(retry("5s")), || answer(retry("7s"))];
    let bench = Builder::new().on("get_queue_config", in_turn(&calls, answers)).start();
    bench.sink.of(bench.take("rcpt@example.com").await.id(), "Delivery").await;
    let forgotten = || !bench.manager.stats().queues().scheduled.keys().any(|queue| queue.as_str() == "example.com");
    // Empty for ten minutes, with its ready queue and session.
    for _ in 0..3 {
        bench.clock.advance(secs(601));
        bench.settle().await;
    }
    until(forgotten).await;
    let before = calls.load(Ordering::SeqCst);
    bench.sink.of(bench.take("rcpt@example.com").await.id(), "Delivery").await;
    assert_eq!(calls.load(Ordering::SeqCst), before + 1);
    assert!(bench.now() > BEGIN);
}

#[tokio::test(start_paused = true)]
async fn the_gauges_follow_the_queues() {
    let (peer, gate) = Peer::new().held();
    let bench = Builder::new().peer(peer).path_config(json!({"connection_limit": 1})).start();
    for _ in 0..3 {
        bench.take("rcpt@example.com").await;
    }
    let later = bench.mail("rcpt@example.com");
    later.set_due(Some(BEGIN + secs(30)));
    bench.accept(&later).await.unwrap();
    let gauges = || {
        let queues = bench.manager.stats().queues();
        let ready = queues.ready.values().map(|counts| (counts.ready, counts.sessions));
        (queues.scheduled.values().copied().collect::<Vec<_>>(), ready.collect::<Vec<_>>())
    };
    until(|| gauges() == (vec![1], vec![(2, 1)])).await;
    assert_eq!(bench.manager.stats().messages.load(Ordering::Relaxed), 4);
    gate.add_permits(3);
    until(|| gauges() == (vec![1], vec![(0, 1)])).await;
}
