//! What becomes of a message after an attempt.

use super::*;

#[test]
fn a_transient_failure_is_logged_counted_saved_and_retried_by_the_schedule() {
    let mut bench = Bench::narrow(json!({"retry_interval": "1m"}));
    let session = bench.deliver(1..2);
    let actions = bench.transient(session, 1);
    assert_eq!(kinds(&actions), ["1 #0 TransientFailure"]);
    let due = bench.now + bench.due(1);
    assert_eq!(actions[1], Action::Save { item: 1, attempts: 1, due });
    assert!((59..=61).contains(&bench.due(1).as_secs()), "{:?}", bench.due(1));
    assert_eq!(bench.due(1).subsec_nanos(), 0, "jitter is whole seconds");
    let reasons = bench.queues.details(&1).unwrap().reasons;
    assert_eq!(reasons.to_string(), "LoggedTransientFailure");
    // The second wait is twice as long.
    bench.step(Event::Closed { session });
    let session = opened(&bench.after(61)).unwrap();
    bench.step(Event::SessionReady { session });
    assert_eq!(kinds(&bench.transient(session, 1)), ["1 #1 TransientFailure"]);
    assert!((119..=121).contains(&bench.due(1).as_secs()));
}

#[test]
fn each_message_has_jitter_of_its_own() {
    let mut bench =
        Bench::new(json!({"retry_interval": "20m"}), PathLimits::default(), BatchPolicy::new(50, 1, secs(0)));
    let mut arrivals: Vec<_> = (0..50).map(|item| (item, Outcome::Transient { retry_after: None })).collect();
    for (item, _) in &arrivals {
        let arrival = Arrival { due: Some(bench.now + secs(1)), ..Arrival::received(*item, queue(), bench.now) };
        bench.step(Event::Arrived(arrival));
    }
    let session = opened(&bench.after(1)).unwrap();
    assert_eq!(handed(&bench.step(Event::SessionReady { session })).len(), 50);
    bench.step(Event::Finished { session, outcomes: std::mem::take(&mut arrivals), fate: Fate::Keep });
    let waits: std::collections::BTreeSet<u64> = (0..50).map(|item| bench.due(item).as_secs()).collect();
    assert!(waits.len() > 10 && waits.iter().all(|wait| (1170..=1230).contains(wait)), "{waits:?}");
}

#[test]
fn the_same_seed_gives_the_same_waits() {
    let wait = |seed| {
        let mut bench = Bench::plain();
        bench.queues = Queues::new(seed);
        bench.arrive(1);
        bench.unroutable(451);
        bench.due(1)
    };
    assert_eq!(wait(7), wait(7));
    assert!((0..20).map(wait).collect::<std::collections::BTreeSet<_>>().len() > 5);
}

#[test]
fn a_retry_after_of_the_peer_is_a_least_wait() {
    let mut bench = Bench::narrow(json!({"retry_interval": "1m"}));
    let session = bench.deliver(1..3);
    bench.finish(session, 1, Outcome::Transient { retry_after: Some(secs(3600)) });
    assert_eq!(bench.due(1), secs(3600));
    bench.finish(session, 2, Outcome::Transient { retry_after: Some(secs(5)) });
    assert!(bench.due(2) >= secs(59));
}

#[test]
fn a_message_whose_next_attempt_would_be_too_late_expires_after_its_failure_was_logged() {
    let mut bench = Bench::narrow(json!({"retry_interval": "1m", "max_age": "30s"}));
    let session = bench.deliver(1..2);
    let actions = bench.transient(session, 1);
    assert_eq!(kinds(&actions), ["1 #0 TransientFailure", "1 #0 Expiration"]);
    let text = &logged(&actions)[1];
    assert!(text.contains("551 5.4.7 Next delivery time would be "), "{text}");
    assert!(text.ends_with(" after creation, which exceeds max_age=30s"), "{text}");
    assert_eq!(removed(&actions), [1]);
}

#[test]
fn a_schedule_that_ends_replaces_max_age() {
    let mut bench = Bench::narrow(json!({"retry_interval": "1m", "max_age": "10s"}));
    let arrival = Arrival {
        schedule: Some(Schedule::until(bench.now + secs(300)).into()),
        ..Arrival::received(1, queue(), bench.now)
    };
    let session = opened(&bench.step(Event::Arrived(arrival))).unwrap();
    bench.step(Event::SessionReady { session });
    assert_eq!(kinds(&bench.transient(session, 1)), ["1 #0 TransientFailure"]);
    bench.after(5);
    bench.step(Event::Closed { session });
    let session = opened(&bench.after(60)).unwrap();
    bench.step(Event::SessionReady { session });
    bench.transient(session, 1);
    assert!(bench.due(1) > secs(100));
    bench.after(5);
    bench.step(Event::Closed { session });
    let session = opened(&bench.after(120)).unwrap();
    bench.step(Event::SessionReady { session });
    let actions = bench.transient(session, 1);
    assert_eq!(kinds(&actions), ["1 #2 TransientFailure", "1 #2 Expiration"]);
}

#[test]
fn a_permanent_failure_is_logged_and_removed() {
    let mut bench = Bench::plain();
    let session = bench.deliver(1..2);
    let actions = bench.finish(session, 1, Outcome::Permanent);
    assert_eq!((kinds(&actions), removed(&actions)), (vec!["1 #0 Bounce".to_owned()], vec![1]));
}

#[test]
fn a_message_that_was_not_tried_goes_back_as_it_was() {
    let mut bench = Bench::plain();
    let session = bench.deliver(1..2);
    let outcome = Outcome::Requeue { reason: Reason::TooManyRecipients, delay: None };
    let actions = bench.finish(session, 1, outcome);
    assert_eq!(kinds(&actions), ["1 #0 Delayed"]);
    assert_eq!(actions.len(), 1, "attempts are unchanged: nothing to save");
    assert!(bench.due(1) < secs(60));
    assert_eq!(bench.queues.details(&1).unwrap().attempts, 0);
}

#[test]
fn a_batch_that_breaks_in_the_middle_costs_the_rest_no_attempt() {
    let mut bench = Bench::new(json!({}), PathLimits::default(), BatchPolicy::new(3, 3, secs(15)));
    let mut session = None;
    for item in 1..4 {
        let actions = bench.arrive(item);
        session = session.or_else(|| opened(&actions));
    }
    let session = session.unwrap();
    assert_eq!(handed(&bench.step(Event::SessionReady { session })), [1, 2, 3]);
    let outcomes = vec![(1, Outcome::Delivered), (2, Outcome::Transient { retry_after: None })];
    let actions = bench.step(Event::Finished { session, outcomes, fate: Fate::Broken });
    assert_eq!(kinds(&actions), ["1 #0 Delivery", "2 #0 TransientFailure", "3 #0 Delayed"]);
    assert!(logged(&actions)[2].contains("Context: PeerClosedConnection. Next due in"));
    assert!(actions.contains(&Action::Close { session }));
}

#[test]
fn an_outcome_for_a_message_of_another_session_is_ignored() {
    let mut bench = Bench::plain();
    let session = bench.deliver(1..2);
    assert_eq!(bench.finish(SessionId(99), 1, Outcome::Delivered), []);
    assert_eq!(removed(&bench.finish(session, 1, Outcome::Delivered)), [1]);
    assert_eq!(bench.finish(session, 1, Outcome::Delivered), []);
}

#[test]
fn a_message_that_the_policy_moves_is_tried_at_once_in_its_new_queue() {
    let mut bench = Bench::plain();
    let session = bench.deliver(1..2);
    let to = QueueName::new("b.example");
    let actions = bench.finish(session, 1, Outcome::Moved { to: to.clone() });
    assert_eq!(kinds(&actions), ["1 #0 TransientFailure"]);
    assert!(actions.contains(&Action::Save { item: 1, attempts: 1, due: bench.now }));
    assert!(actions.contains(&Action::ResolveRoute { queue: to.clone() }));
    assert_eq!(bench.queues.details(&1).unwrap().queue, to);
}

#[test]
fn a_message_that_is_sent_on_is_as_new_in_its_new_queue() {
    let mut bench = Bench::plain();
    let session = bench.deliver(1..2);
    let to = QueueName::new("b.example");
    let actions = bench.finish(session, 1, Outcome::Forwarded { to: to.clone() });
    assert_eq!(kinds(&actions), ["1 #0 Forwarded"]);
    assert!(actions.contains(&Action::Save { item: 1, attempts: 0, due: bench.now }));
    assert!(actions.contains(&Action::ResolveRoute { queue: to.clone() }));
    assert_eq!(bench.queues.details(&1).unwrap().queue, to);
    assert_eq!(removed(&actions), [0; 0]);
}

#[test]
fn a_connection_failure_is_an_attempt_with_the_words_of_the_failure() {
    let mut bench = Bench::narrow(json!({}));
    let session = opened(&bench.arrive(1)).unwrap();
    let response = Response::new(400, "KumoMTA internal: failed to connect to any candidate hosts: refused");
    let actions = bench.step(Event::SessionFailed { session, response });
    let words = "400 KumoMTA internal: failed to connect to any candidate hosts: refused";
    assert_eq!(logged(&actions), [format!("1 #0 TransientFailure {words}")]);
    assert!(matches!(actions[1], Action::Save { item: 1, attempts: 1, .. }));
}

#[test]
fn too_many_connection_failures_fail_the_whole_ready_queue() {
    let limits = PathLimits { consecutive_connection_failures: 0, ..PathLimits::default() };
    let mut bench = Bench::new(json!({}), limits, BatchPolicy::single());
    let session = opened(&bench.arrive(1)).unwrap();
    bench.arrive(2);
    let response = Response::new(400, "refused");
    let actions = bench.step(Event::SessionFailed { session, response });
    assert_eq!(logged(&actions), ["1 #0 TransientFailure 400 refused", "2 #0 TransientFailure 400 refused"]);
    assert_eq!(bench.queues.details(&2).unwrap().reasons.to_string(), "TooManyConnectionFailures");
}

#[test]
fn a_lost_session_gives_its_messages_back_untouched() {
    let mut bench = Bench::plain();
    let session = bench.deliver(1..2);
    let actions = bench.step(Event::Closed { session });
    assert!(logged(&actions)[0].starts_with("1 #0 Delayed 400 Context: DispatcherDrop. Next due in "));
    assert_eq!(bench.queues.details(&1).unwrap().attempts, 0);
}
