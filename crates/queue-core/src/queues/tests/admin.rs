//! Operators' orders.

use super::*;
use crate::config::{SourceSuspension, SuspensionTrigger};
use crate::ready::SourceTrouble;

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

fn troubled(source: &str, rule: SourceSuspension) -> Event<u32> {
    Event::SourceTroubled { source: source.into(), trouble: SourceTrouble::Unplumbed, rule, why: "no address".into() }
}

#[test]
fn messages_of_a_source_in_trouble_take_another_way_without_an_attempt() {
    let mut bench = Bench::bare();
    let choice = |name: &str| Choice {
        ready_queue: ReadyQueueName::new(name),
        limits: PathLimits::default(),
        batch: BatchPolicy::single(),
    };
    let (one, two) = ("one->a.example@test", "two->a.example@test");
    let session = opened(&bench.arrive(1));
    assert_eq!(session, None);
    let route = Route::weighted([(choice(one), 1), (choice(two), 1)]).unwrap();
    let actions = bench.step(Event::RouteResolved { queue: queue(), route: Ok(Arc::new(route)) });
    let session = opened(&actions).unwrap();
    assert_eq!(bench.queues.state(&1), Some(State::Ready { queue: ReadyQueueName::new(one) }));
    let actions = bench.step(troubled("one", SourceSuspension::immediate(secs(60))));
    assert_eq!(logged(&actions), [""; 0]);
    assert_eq!(bench.queues.state(&1), Some(State::Ready { queue: ReadyQueueName::new(two) }));
    let shown = bench.queues.ready_status(&ReadyQueueName::new(one), bench.now).unwrap().suspended.unwrap();
    assert_eq!((&*shown.reason, shown.until), ("no address", Some(bench.now + secs(60))));
    let response = Response::new(400, "no address");
    let actions = bench.step(Event::SessionRefused { session, response });
    assert_eq!((logged(&actions), handed(&actions)), (vec![], vec![]), "it has nothing left to fail");
    for item in 2..6 {
        bench.arrive(item);
        assert_eq!(bench.queues.state(&item), Some(State::Ready { queue: ReadyQueueName::new(two) }));
    }
    bench.after(60);
    assert_eq!(bench.queues.ready_status(&ReadyQueueName::new(one), bench.now).unwrap().suspended, None);
    bench.arrive(6);
    assert_eq!(bench.queues.state(&6), Some(State::Ready { queue: ReadyQueueName::new(one) }));
}

#[test]
fn where_the_only_source_is_in_trouble_messages_wait_until_it_is_tried_again() {
    let mut bench = Bench::plain();
    bench.arrive(1);
    let actions = bench.step(troubled("unspecified", SourceSuspension::immediate(secs(90))));
    let until = bench.now + secs(90);
    let words = format!("Delayed 400 Context: SourceIsUnhealthyAndSuspended. Next due in 1m 30s at {until}");
    assert_eq!(logged(&actions), [format!("1 #0 {words}")]);
    assert_eq!(logged(&bench.arrive(2)), [format!("2 #0 {words}")]);
    bench.after(90);
    assert!(bench.is_ready(1) && bench.is_ready(2));
}

#[test]
fn a_source_that_is_below_its_threshold_goes_on() {
    let mut bench = Bench::plain();
    bench.arrive(1);
    let trigger = SuspensionTrigger::Threshold("2/m".parse().unwrap());
    let rule = SourceSuspension { trigger, duration: secs(90) };
    bench.step(troubled("unspecified", rule.clone()));
    assert!(bench.is_ready(1));
    bench.step(troubled("unspecified", rule));
    assert!(!bench.is_ready(1));
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

fn taken(actions: &[Action<u32>]) -> Vec<u32> {
    let take = |action: &Action<u32>| if let Action::Taken { items, .. } = action { items.clone() } else { Vec::new() };
    actions.iter().flat_map(take).collect()
}

fn saved(actions: &[Action<u32>]) -> Vec<(u32, u16, Timestamp)> {
    let save = |action: &Action<u32>| match action {
        Action::Save { item, attempts, due } => Some((*item, *attempts, *due)),
        _ => None,
    };
    actions.iter().filter_map(save).collect()
}

fn rebound(item: u32, to: &str) -> Event<u32> {
    Event::Rebound { item, to: QueueName::new(to), note: Some("move".into()), flush: false }
}

#[test]
fn what_was_ready_fails_with_the_rest_when_its_scheduled_queue_is_suspended() {
    let mut bench = Bench::narrow(json!({"retry_interval": "1m"}));
    let session = bench.deliver(1..4);
    let actions = bench.step(Event::Suspended { queue: queue(), order: bench.order() });
    assert_eq!(kinds(&actions), ["2 #0 TransientFailure", "3 #0 TransientFailure"]);
    assert_eq!(bench.queues.ready_status(&path(), bench.now).unwrap().ready, 0);
    assert_eq!(handed(&bench.finish(session, 1, Outcome::Delivered)), [0; 0]);
}

#[test]
fn messages_are_taken_aside_from_wherever_they_wait_and_nothing_else_gets_them() {
    let mut bench = Bench::narrow(json!({}));
    let session = bench.deliver(1..3);
    let arrival = Arrival { due: Some(bench.now + secs(5)), ..Arrival::received(3, queue(), bench.now) };
    bench.step(Event::Arrived(arrival));
    assert_eq!(taken(&bench.step(Event::Take { queue: queue(), limit: 1 })), [0; 0], "the first is in flight");
    assert_eq!(taken(&bench.step(Event::Take { queue: queue(), limit: 3 })), [2, 3]);
    assert_eq!(taken(&bench.step(Event::Take { queue: queue(), limit: 3 })), [0; 0], "they are aside already");
    assert_eq!(handed(&bench.finish(session, 1, Outcome::Delivered)), [0; 0]);
    assert_eq!(handed(&bench.after(10)), [0; 0]);
    assert_eq!(bench.queues.len(), 2);
    bench.step(rebound(2, QUEUE));
    bench.step(rebound(3, QUEUE));
    bench.after(60);
    assert!(bench.is_ready(2) && bench.is_ready(3));
}

#[test]
fn a_rebound_message_is_logged_saved_and_due_at_once_in_its_new_queue() {
    let mut bench = Bench::narrow(json!({}));
    let session = bench.deliver(1..2);
    bench.transient(session, 1);
    bench.step(Event::Take { queue: queue(), limit: 9 });
    let actions = bench.step(rebound(1, "b.example"));
    assert_eq!(logged(&actions), ["1 #1 AdminRebind 250 Rebound from a.example to b.example: move"]);
    assert_eq!(saved(&actions), [(1, 1, bench.now)], "attempts stay");
    assert_eq!(bench.queues.details(&1).unwrap().queue, QueueName::new("b.example"));
    assert!(actions.contains(&Action::ResolveRoute { queue: QueueName::new("b.example") }));
    assert_eq!(bench.step(rebound(1, QUEUE)), [], "it is not aside any more");
}

#[test]
fn in_its_old_queue_a_rebound_message_waits_below_a_minute_unless_flushed() {
    let mut bench = Bench::narrow(json!({}));
    for item in 1..3 {
        let arrival = Arrival { due: Some(bench.now + secs(500)), ..Arrival::received(item, queue(), bench.now) };
        bench.step(Event::Arrived(arrival));
    }
    bench.step(Event::Take { queue: queue(), limit: 9 });
    let actions = bench.step(rebound(1, QUEUE));
    assert!(kinds(&actions).iter().all(|kind| kind == "1 #0 Delayed"), "{actions:?}");
    assert!(saved(&actions)[0].2.since(bench.now) < secs(60));
    let flush = Event::Rebound { item: 2, to: queue(), note: Some("move".into()), flush: true };
    assert_eq!(saved(&bench.step(flush)), [(2, 0, bench.now)]);
    assert!(bench.is_ready(2));
}

#[test]
fn a_message_that_comes_to_a_bounced_queue_is_told_of_twice_and_gone() {
    let mut bench = Bench::narrow(json!({}));
    bench.arrive(1);
    bench.step(Event::Take { queue: queue(), limit: 9 });
    let to = QueueName::new("b.example");
    bench.step(Event::Bounced { queue: to, order: bench.order(), silent: false });
    let actions = bench.step(rebound(1, "b.example"));
    assert_eq!(kinds(&actions), ["1 #0 AdminRebind", "1 #0 AdminBounce"]);
    assert!(bench.queues.is_empty());
}

#[test]
fn a_bounce_reaches_what_is_aside() {
    let mut bench = Bench::narrow(json!({}));
    bench.arrive(1);
    bench.step(Event::Take { queue: queue(), limit: 9 });
    assert_eq!(removed(&bench.step(Event::Bounced { queue: queue(), order: bench.order(), silent: true })), [1]);
    assert_eq!(bench.step(rebound(1, "b.example")), []);
}

#[test]
fn no_more_than_a_thousand_are_taken_at_a_time() {
    let mut bench = Bench::narrow(json!({}));
    for item in 0..2500 {
        let arrival = Arrival { due: Some(bench.now + secs(5)), ..Arrival::received(item, queue(), bench.now) };
        bench.step(Event::Arrived(arrival));
    }
    let counts: Vec<usize> =
        (0..3).map(|_| taken(&bench.step(Event::Take { queue: queue(), limit: 9999 })).len()).collect();
    assert_eq!(counts, [1000, 1000, 500]);
}
