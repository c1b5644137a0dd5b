//! Room, operators, stops, and the end of a queue.

use super::*;

#[test]
fn waiting_items_and_reservations_count_towards_max_ready_and_items_in_flight_do_not() {
    let mut bench = Bench::single(PathLimits { max_ready: 2, ..limits() });
    let session = bench.fill(0..1)[0];
    let place = bench.reserve().unwrap();
    assert_eq!(bench.reserve().unwrap_err(), NoRoom::Full);
    bench.connect(session);
    let second = bench.reserve().unwrap();
    assert_eq!(bench.reserve().unwrap_err(), NoRoom::Full);
    assert_eq!((bench.status().reserved, bench.status().in_flight), (2, 1));
    drop(place);
    second.release();
    assert_eq!((bench.status().reserved, bench.status().ready), (0, 0));
}

#[test]
fn a_queue_that_nobody_configured_is_unknown() {
    let mut bench = Bench::single(limits());
    let other = ReadyQueueName::new("x");
    assert_eq!(bench.queues.reserve(&other, bench.now).unwrap_err(), NoRoom::Unknown);
}

#[test]
fn a_suspension_sends_everything_back_and_lets_nothing_in_until_it_ends() {
    let mut bench = Bench::single(PathLimits { connection_limit: 1, ..limits() });
    let session = bench.fill(0..2)[0];
    bench.connect(session);
    let until = bench.now + secs(300);
    let actions = bench.suspend(Some(until));
    assert_eq!(returned(&actions), [(1, Reason::ReadyQueueWasSuspended, None)]);
    let NoRoom::Suspended(order) = bench.reserve().unwrap_err() else { panic!() };
    assert_eq!(&*order.reason, "maintenance");
    assert_eq!(closed(&bench.finish(session, Fate::Keep)), [session], "what is in flight finishes");
    bench.step(ReadyEvent::Closed { session });
    bench.after(300_000);
    assert!(bench.reserve().is_ok());

    bench.suspend(None);
    assert!(bench.reserve().is_err());
    bench.step(ReadyEvent::Resume { queue: bench.path.clone() });
    assert!(bench.reserve().is_ok());
}

#[test]
fn a_suspension_may_come_before_its_queue() {
    let mut bench = Bench::single(limits());
    let (first, other) = (bench.path.clone(), ReadyQueueName::new("later"));
    bench.path = other;
    bench.suspend(None);
    bench.configure(limits(), BatchPolicy::single());
    assert!(matches!(bench.reserve(), Err(NoRoom::Suspended(_))));
    bench.path = first;
    assert!(bench.reserve().is_ok());
}

#[test]
fn an_item_redeemed_into_a_queue_that_was_suspended_meanwhile_comes_back() {
    let mut bench = Bench::single(limits());
    let place = bench.reserve().unwrap();
    bench.suspend(None);
    bench.queues.redeem(place, 9, QueueName::new("a.example"), bench.now);
    assert_eq!(returned(&bench.step(ReadyEvent::Redeemed)), [(9, Reason::ReadyQueueWasSuspended, None)]);
}

#[test]
fn a_smaller_queue_gives_back_the_youngest_items() {
    let mut bench = Bench::single(limits());
    bench.fill(0..3);
    let place = bench.reserve().unwrap();
    let from = QueueName::new("a.example");
    assert_eq!(bench.queues.update_capacity(&bench.path, 3), [(2, from)]);
    drop(place);
    let actions = bench.configure(PathLimits { max_ready: 1, ..limits() }, BatchPolicy::single());
    assert_eq!(returned(&actions), [(1, Reason::MaxReadyWasReducedByConfigUpdate, None)]);
    assert_eq!(bench.status().ready, 1);
}

#[test]
fn a_stop_finishes_what_is_in_flight_and_opens_nothing() {
    let mut bench = Bench::single(PathLimits { aggressive_connection_opening: true, ..limits() });
    let sessions = bench.fill(0..3);
    bench.connect(sessions[0]);
    bench.connect(sessions[1]);
    bench.finish(sessions[1], Fate::Keep);
    bench.finish(sessions[1], Fate::Keep);
    assert_eq!(closed(&bench.step(ReadyEvent::Stopping)), [sessions[1]]);
    assert_eq!(bench.reserve().unwrap_err(), NoRoom::Stopping);
    // One connects only now, one is lost while it connects, one finishes its batch.
    assert_eq!(closed(&bench.connect(sessions[2])), [sessions[2]]);
    assert_eq!(closed(&bench.finish(sessions[0], Fate::Keep)), [sessions[0]]);
    bench.step(ReadyEvent::Closed { session: sessions[0] });
    bench.step(ReadyEvent::Closed { session: sessions[1] });
    assert_eq!(bench.step(ReadyEvent::Closed { session: sessions[2] }), [ReadyAction::Stopped]);
    assert_eq!(bench.queues.sessions(), 0);
}

#[test]
fn a_pause_hands_out_nothing_and_keeps_everything() {
    let mut bench = Bench::single(limits());
    let session = bench.fill(0..1)[0];
    bench.step(ReadyEvent::Pause);
    assert_eq!(bench.connect(session), []);
    assert_eq!(bench.fill(1..4), []);
    let actions = bench.step(ReadyEvent::Unpause);
    assert_eq!(handed(&actions), [(session, vec![0])]);
    assert_eq!(opened(&actions).len(), 2, "four batches want three sessions");
}

#[test]
fn a_withdrawn_item_leaves_without_a_trace() {
    let mut bench = Bench::single(PathLimits { max_ready: 2, ..limits() });
    let place = bench.reserve().unwrap();
    let id = place.queue();
    bench.queues.redeem(place, 0, QueueName::new("a.example"), bench.now);
    let session = bench.fill(1..2)[0];
    assert_eq!(bench.queues.name(id), Some(&bench.path));
    bench.queues.withdraw(id, 0);
    assert_eq!(bench.status().ready, 1);
    assert!(bench.reserve().is_ok());
    assert_eq!(handed(&bench.connect(session)), [(session, vec![1])]);
}

#[test]
fn an_item_that_is_withdrawn_and_comes_back_at_once_stays() {
    let mut bench = Bench::single(limits());
    let place = bench.reserve().unwrap();
    let id = place.queue();
    bench.queues.redeem(place, 0, QueueName::new("a.example"), bench.now);
    bench.queues.withdraw(id, 0);
    assert_eq!(bench.fill(0..1).len(), 1);
    assert_eq!(bench.status().ready, 1);
}

#[test]
fn an_unused_queue_leaves_memory_but_not_while_someone_is_on_the_way_to_it() {
    let mut bench = Bench::single(limits());
    let place = bench.reserve().unwrap();
    assert_eq!(bench.after(600_000), []);
    drop(place);
    assert_eq!(bench.after(599_999), []);
    assert_eq!(bench.after(1), [ReadyAction::Forgotten { queue: bench.path.clone() }]);
    assert_eq!(bench.reserve().unwrap_err(), NoRoom::Unknown);
    assert_eq!((bench.queues.next_wake(), bench.queues.names().count()), (None, 0));
}

#[test]
fn a_queue_that_is_given_up_sends_everything_back_and_goes() {
    let mut bench = Bench::single(PathLimits { connection_limit: 1, ..limits() });
    let session = bench.fill(0..2)[0];
    bench.connect(session);
    let actions = bench.step(ReadyEvent::Forget { queue: bench.path.clone() });
    assert_eq!(returned(&actions), [(1, Reason::ReadyQueueWasReaped, None)]);
    assert_eq!(bench.reserve().unwrap_err(), NoRoom::Stopping);
    assert_eq!(closed(&bench.finish(session, Fate::Keep)), [session]);
    let actions = bench.step(ReadyEvent::Closed { session });
    assert_eq!(actions, [ReadyAction::Forgotten { queue: bench.path.clone() }]);
}

#[test]
fn one_wish_for_a_wake_up_is_enough() {
    let mut bench = Bench::new(limits(), BatchPolicy::new(10, 10, secs(15)));
    let mut actions = Vec::new();
    for item in 0..3 {
        let place = bench.reserve().unwrap();
        bench.queues.redeem(place, item, QueueName::new("a.example"), bench.now);
        bench.queues.step(bench.now, ReadyEvent::Redeemed, &mut actions);
    }
    assert_eq!(actions, [ReadyAction::WakeAt(bench.now + secs(15))]);
}

#[test]
fn what_waits_for_one_scheduled_queue_can_be_taken_back_in_order() {
    let mut bench = Bench::single(PathLimits { connection_limit: 1, ..limits() });
    for (item, from) in [(0, "a"), (1, "b"), (2, "a"), (3, "b")] {
        let place = bench.reserve().unwrap();
        bench.queues.redeem(place, item, QueueName::new(from), bench.now);
    }
    let session = opened(&bench.step(ReadyEvent::Redeemed))[0];
    assert_eq!(bench.queues.take_back(&bench.path, &QueueName::new("a")), [0, 2]);
    assert_eq!(bench.status().ready, 2);
    assert_eq!(handed(&bench.connect(session)), [(session, vec![1])]);
    assert_eq!(bench.queues.take_back(&ReadyQueueName::new("x"), &QueueName::new("a")), [0; 0]);
}
