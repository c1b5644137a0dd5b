//! Operators' orders.

use super::*;

#[test]
fn in_a_suspended_queue_what_becomes_due_fails_for_now_and_obeys_the_schedule() {
    let mut bench = Bench::narrow(json!({"retry_interval": "1m"}));
    bench.step(Event::Suspended { queue: queue(), order: bench.order() });
    let words = "451 4.4.4 KumoMTA internal: scheduled queue is suspended: maintenance";
    assert_eq!(logged(&bench.arrive(1)), [format!("1 #0 TransientFailure {words}")]);
    assert!((59..=61).contains(&bench.due(1).as_secs()));
    assert_eq!(bench.queues.status(&queue(), bench.now).unwrap().suspended, Some(bench.order()));
    bench.step(Event::Resumed { queue: queue() });
    bench.after(61);
    assert!(bench.is_ready(1));
}

#[test]
fn a_suspension_with_an_end_ends() {
    let mut bench = Bench::narrow(json!({}));
    let order = Order { until: Some(bench.now + secs(300)), ..bench.order() };
    bench.step(Event::Suspended { queue: queue(), order });
    bench.after(300);
    bench.arrive(1);
    assert!(bench.is_ready(1));
}

#[test]
fn messages_of_a_suspended_ready_queue_take_another_way() {
    let mut bench = Bench::bare();
    let choice = |name: &str| Choice {
        ready_queue: ReadyQueueName::new(name),
        limits: PathLimits::default(),
        batch: BatchPolicy::single(),
    };
    bench.arrive(1);
    let route = Route::weighted([(choice("a"), 1), (choice("b"), 1)]).unwrap();
    bench.step(Event::RouteResolved { queue: queue(), route: Ok(Arc::new(route)) });
    assert_eq!(bench.queues.state(&1), Some(State::Ready { queue: ReadyQueueName::new("a") }));
    let actions = bench.step(Event::ReadySuspended { queue: ReadyQueueName::new("a"), order: bench.order() });
    assert_eq!(logged(&actions), [""; 0]);
    assert_eq!(bench.queues.state(&1), Some(State::Ready { queue: ReadyQueueName::new("b") }));
}

#[test]
fn where_every_way_is_suspended_messages_fail_for_now() {
    let mut bench = Bench::narrow(json!({}));
    bench.arrive(1);
    let actions = bench.step(Event::ReadySuspended { queue: path(), order: bench.order() });
    let words = "451 4.4.4 KumoMTA internal: ready queue is suspended: maintenance";
    assert_eq!(logged(&actions), [format!("1 #0 TransientFailure {words}")]);
    bench.step(Event::ReadyResumed { queue: path() });
    bench.arrive(2);
    assert!(bench.is_ready(2));
}

#[test]
fn a_bounce_takes_what_is_scheduled_or_ready_and_what_comes_back() {
    let mut bench = Bench::narrow(json!({"retry_interval": "1m"}));
    let session = bench.deliver(1..3);
    let arrival = Arrival { due: Some(bench.now + secs(500)), ..Arrival::received(3, queue(), bench.now) };
    bench.step(Event::Arrived(arrival));
    bench.arrive_in(4, "b.example");
    let order = Order { until: Some(bench.now + secs(300)), ..bench.order() };
    let actions = bench.step(Event::Bounced { queue: queue(), order, silent: false });
    let words = "#0 AdminBounce 551 5.7.1 Administrator bounced with reason: maintenance";
    assert_eq!(logged(&actions), [format!("2 {words}"), format!("3 {words}")]);
    assert_eq!(removed(&actions), [2, 3]);
    assert_eq!(bench.queues.ready_status(&path(), bench.now).unwrap().ready, 0);
    assert_eq!(kinds(&bench.transient(session, 1)), ["1 #0 TransientFailure", "1 #0 AdminBounce"]);
    assert_eq!(kinds(&bench.arrive(5)), ["5 #0 AdminBounce"]);
    bench.step(Event::BounceEnded { queue: queue() });
    bench.arrive(6);
    assert!(bench.queues.state(&6).is_some() && bench.queues.state(&4).is_some());
}

#[test]
fn a_silent_bounce_leaves_no_record() {
    let mut bench = Bench::narrow(json!({}));
    bench.arrive(1);
    let actions = bench.step(Event::Bounced { queue: queue(), order: bench.order(), silent: true });
    assert_eq!((logged(&actions).len(), removed(&actions)), (0, vec![1]));
}

#[test]
fn a_bounce_of_many_messages_takes_several_steps_and_spares_those_in_flight() {
    let limits = PathLimits { max_ready: 500, connection_limit: 1, ..PathLimits::default() };
    let mut bench = Bench::new(json!({}), limits, BatchPolicy::new(300, 1, secs(0)));
    let session = bench.deliver(0..300);
    for item in 300..3000 {
        let arrival = Arrival { due: Some(bench.now + secs(5)), ..Arrival::received(item, queue(), bench.now) };
        bench.step(Event::Arrived(arrival));
    }
    let mut removals =
        vec![removed(&bench.step(Event::Bounced { queue: queue(), order: bench.order(), silent: false }))];
    removals.extend((0..3).map(|_| removed(&bench.step(Event::Tick))));
    let counts: Vec<usize> = removals.iter().map(Vec::len).collect();
    assert_eq!(counts, [700, 1000, 1000, 0]);
    assert_eq!((bench.queues.len(), bench.queues.members(&queue()).count()), (300, 300));
    let outcomes = (0..300).map(|item| (item, Outcome::Delivered)).collect();
    bench.step(Event::Finished { session, outcomes, fate: Fate::Keep });
    assert!(bench.queues.is_empty());
}

#[test]
fn a_message_can_be_moved_from_wherever_it_waits() {
    let mut bench = Bench::narrow(json!({}));
    let session = bench.deliver(1..3);
    let to = QueueName::new("b.example");
    let moved = |item, due| Event::Moved { item, to: to.clone(), due, reason: Reason::AdminRebind };
    assert_eq!(bench.step(moved(1, None)), [], "not from a session");
    assert_eq!(bench.step(moved(2, None)), [Action::ResolveRoute { queue: to.clone() }]);
    assert_eq!(bench.queues.ready_status(&path(), bench.now).unwrap().ready, 0);
    let due = bench.now + secs(9);
    let actions = bench.step(moved(2, Some(due)));
    assert_eq!(logged(&actions), [format!("2 #0 Delayed 400 Context: AdminRebind. Next due in 9s at {due}")]);
    assert_eq!(bench.queues.details(&2).unwrap().queue, to);
    // What is left takes its turn, and the line of the new queue has forgotten the message.
    assert_eq!(handed(&bench.finish(session, 1, Outcome::Delivered)), [0; 0]);
    assert_eq!(bench.due(2), secs(9));
}

#[test]
fn a_message_can_be_given_another_time() {
    let mut bench = Bench::narrow(json!({"max_age": "1h"}));
    let arrival = Arrival { due: Some(bench.now + secs(500)), ..Arrival::received(1, queue(), bench.now) };
    bench.step(Event::Arrived(arrival));
    bench.step(Event::Rescheduled { item: 1, due: bench.now + secs(100) });
    assert_eq!(bench.due(1), secs(100));
    bench.step(Event::Rescheduled { item: 1, due: bench.now });
    assert!(bench.is_ready(1));
    let actions = bench.step(Event::Rescheduled { item: 1, due: bench.now + secs(100) });
    assert_eq!(actions, [], "it is on its way");
}

#[test]
fn a_time_beyond_max_age_expires_the_message() {
    let mut bench = Bench::narrow(json!({"max_age": "1h"}));
    let arrival = Arrival { due: Some(bench.now + secs(500)), ..Arrival::received(1, queue(), bench.now) };
    bench.step(Event::Arrived(arrival));
    let actions = bench.step(Event::Rescheduled { item: 1, due: bench.now + secs(3600) });
    assert_eq!((kinds(&actions), removed(&actions)), (vec!["1 #0 Expiration".to_owned()], vec![1]));
}

#[test]
fn a_status_counts_messages_by_state() {
    let mut bench = Bench::narrow(json!({}));
    bench.deliver(1..3);
    let arrival = Arrival { due: Some(bench.now + secs(500)), ..Arrival::received(3, queue(), bench.now) };
    bench.step(Event::Arrived(arrival));
    let status = bench.queues.status(&queue(), bench.now).unwrap();
    assert_eq!((status.scheduled, status.ready, status.in_flight), (1, 1, 1));
    assert_eq!(bench.queues.members(&queue()).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(status.route.is_some());
}
