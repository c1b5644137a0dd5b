//! From arrival to the session, and the routes between.

use super::*;

#[test]
fn a_message_asks_for_its_route_once_and_waits_for_it() {
    let mut bench = Bench::bare();
    let ask = Action::ResolveRoute { queue: queue() };
    assert_eq!(bench.arrive(1), [ask]);
    assert_eq!(bench.arrive(2), [], "it is being asked for");
    assert_eq!(bench.due(1), Duration::ZERO);
    let actions = bench.route(PathLimits::default(), BatchPolicy::single());
    assert!(opened(&actions).is_some());
    assert!(bench.is_ready(1) && bench.is_ready(2));
}

#[test]
fn messages_that_arrive_while_the_route_is_unknown_share_their_batches() {
    let mut bench = Bench::bare();
    for item in 0..150 {
        bench.arrive(item);
    }
    let session = opened(&bench.route(PathLimits::default(), BatchPolicy::new(100, 1, secs(0)))).unwrap();
    assert_eq!(handed(&bench.step(Event::SessionReady { session })).len(), 100);
}

#[test]
fn a_delivered_message_is_logged_then_removed() {
    let mut bench = Bench::plain();
    let session = bench.deliver(1..2);
    assert_eq!(bench.queues.state(&1), Some(State::InFlight { session }));
    let actions = bench.finish(session, 1, Outcome::Delivered);
    let log = Action::Log { item: 1, queue: queue(), attempts: 0, what: Logged::Delivery };
    assert_eq!(actions, [log, Action::Remove { item: 1 }]);
    assert_eq!((bench.queues.state(&1), bench.queues.len()), (None, 0));
}

#[test]
fn a_message_for_later_is_logged_as_delayed_and_not_handed_over_before() {
    let mut bench = Bench::plain();
    let mut arrival = Arrival::received(1, queue(), bench.now);
    arrival.due = Some(bench.now + secs(31));
    let actions = bench.step(Event::Arrived(arrival));
    let at = bench.now + secs(31);
    assert_eq!(logged(&actions), [format!("1 #0 Delayed 400 Context: ScheduledForLater. Next due in 31s at {at}")]);
    assert_eq!(bench.after(30), []);
    assert!(opened(&bench.after(1)).is_some());
}

#[test]
fn a_message_from_the_spool_gets_attempts_and_due_time_from_its_age() {
    let mut bench = Bench::narrow(json!({"retry_interval": "1m", "max_retry_interval": "20m"}));
    let fresh = Arrival::enumerated(1, queue(), bench.now - secs(30));
    assert!(opened(&bench.step(Event::Arrived(fresh))).is_some(), "it may never have been tried");
    let older = Arrival::enumerated(2, queue(), bench.now - secs(200));
    assert_eq!(bench.step(Event::Arrived(older)), [], "no record after a restart");
    assert_eq!(bench.queues.details(&2).unwrap().attempts, 2);
    assert_eq!(bench.due(2), secs(160));
    let saved =
        Arrival { attempts: Some(9), due: Some(bench.now + secs(5)), ..Arrival::enumerated(3, queue(), bench.now) };
    bench.step(Event::Arrived(saved));
    assert_eq!((bench.queues.details(&3).unwrap().attempts, bench.due(3)), (9, secs(5)));
}

#[test]
fn a_message_that_grew_too_old_while_the_daemon_was_down_expires() {
    let mut bench = Bench::narrow(json!({"max_age": "1h"}));
    let actions = bench.step(Event::Arrived(Arrival::enumerated(1, queue(), bench.now - secs(7200))));
    assert_eq!((kinds(&actions), removed(&actions)), (vec!["1 #2 Expiration".to_owned()], vec![1]));
}

#[test]
fn a_message_that_is_here_already_stays_as_it_is() {
    let mut bench = Bench::plain();
    let session = bench.deliver(1..2);
    assert_eq!(bench.arrive(1), []);
    assert_eq!(bench.queues.state(&1), Some(State::InFlight { session }));
}

#[test]
fn without_a_route_messages_fail_for_now_and_the_next_one_asks_again() {
    let mut bench = Bench::bare();
    bench.arrive(1);
    bench.arrive(2);
    let actions = bench.unroutable(451);
    let text = "TransientFailure 451 KumoMTA internal: failed to resolve queue";
    assert_eq!(logged(&actions), [format!("1 #0 {text}"), format!("2 #0 {text}")]);
    assert!(bench.due(1) > secs(1000));
    assert_eq!(bench.queues.details(&1).unwrap().attempts, 1);
    assert_eq!(bench.arrive(3), [Action::ResolveRoute { queue: queue() }]);
}

#[test]
fn a_permanent_answer_instead_of_a_route_bounces_what_waits() {
    let mut bench = Bench::bare();
    bench.arrive(1);
    let actions = bench.unroutable(556);
    assert_eq!((kinds(&actions), removed(&actions)), (vec!["1 #0 Bounce".to_owned()], vec![1]));
}

#[test]
fn an_old_answer_that_nobody_waited_for_meets_no_later_message() {
    let mut bench = Bench::bare();
    bench.arrive(1);
    bench.step(Event::Dropped { item: 1 });
    bench.unroutable(556);
    bench.unroutable(556);
    assert_eq!(bench.arrive(2), [Action::ResolveRoute { queue: queue() }]);
}

#[test]
fn another_protocol_or_pool_asks_for_a_new_route() {
    let mut bench = Bench::plain();
    bench.configure(json!({"retry_interval": "5m"}));
    assert!(bench.arrive(1).iter().all(|action| !matches!(action, Action::ResolveRoute { .. })));
    bench.configure(json!({"egress_pool": "other"}));
    assert_eq!(bench.arrive(2), [Action::ResolveRoute { queue: queue() }]);
}

#[test]
fn several_ways_are_taken_in_turn_and_a_full_one_is_passed_over() {
    let mut bench = Bench::bare();
    let choice = |name: &str, max_ready| Choice {
        ready_queue: ReadyQueueName::new(name),
        limits: PathLimits { max_ready, ..PathLimits::default() },
        batch: BatchPolicy::single(),
    };
    for item in 0..4 {
        bench.arrive(item);
    }
    let route = Route::weighted([(choice("a", 1), 1), (choice("b", 9), 1)]).unwrap();
    bench.step(Event::RouteResolved { queue: queue(), route: Ok(Arc::new(route)) });
    let ready = |name| bench.queues.ready_status(&ReadyQueueName::new(name), bench.now).unwrap().ready;
    assert_eq!((ready("a"), ready("b")), (1, 3));
}

#[test]
fn a_policy_that_wants_to_see_messages_first_is_asked_and_obeyed() {
    let mut bench = Bench::plain();
    bench.queues.ask_before_ready(true);
    assert_eq!(bench.arrive(1), [Action::AskBeforeReady { item: 1, queue: queue() }]);
    bench.arrive(2);
    let actions = bench.step(Event::Answered { item: 1, delay: Some(secs(7)) });
    let at = bench.now + secs(7);
    let context = "Context: ThrottledByThrottleInsertReadyQueue";
    assert_eq!(logged(&actions), [format!("1 #0 Delayed 400 {context}. Next due in 7s at {at}")]);
    let actions = bench.step(Event::Answered { item: 2, delay: None });
    assert!(opened(&actions).is_some() && bench.is_ready(2));
    assert_eq!(bench.after(7), [Action::AskBeforeReady { item: 1, queue: queue() }], "it is asked each time");
}

#[test]
fn an_empty_queue_leaves_memory_and_a_suspended_one_does_not() {
    let mut bench = Bench::plain();
    let session = bench.deliver(1..2);
    bench.finish(session, 1, Outcome::Delivered);
    bench.arrive_in(2, "held.example");
    bench.step(Event::Dropped { item: 2 });
    bench.step(Event::Suspended { queue: QueueName::new("held.example"), order: bench.order() });
    bench.after(5);
    bench.step(Event::Closed { session });
    let forgotten = bench.after(605);
    assert!(forgotten.contains(&Action::Forgotten { queue: queue() }), "{forgotten:?}");
    assert!(forgotten.contains(&Action::ReadyForgotten { queue: path() }), "{forgotten:?}");
    assert_eq!(bench.queues.names().map(QueueName::as_str).collect::<Vec<_>>(), ["held.example"]);
    let actions = bench.step(Event::Resumed { queue: QueueName::new("held.example") });
    assert_eq!(actions, [Action::Forgotten { queue: QueueName::new("held.example") }]);
}

#[test]
fn a_ready_queue_that_was_reaped_comes_back_with_its_limits() {
    let mut bench = Bench::narrow(json!({"reap_interval": "1d"}));
    assert!(bench.after(700).contains(&Action::ReadyForgotten { queue: path() }));
    bench.arrive(1);
    bench.arrive(2);
    let status = bench.queues.ready_status(&path(), bench.now).unwrap();
    assert_eq!((status.ready, status.opening), (2, 1));
}
