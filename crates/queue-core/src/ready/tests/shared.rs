//! Limits and rates with a name, which several queues count towards.

use super::*;
use crate::shared::SharedLimits;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use waybill_types::ThrottleSpec;

fn path(n: u32) -> ReadyQueueName {
    ReadyQueueName::new(format!("unspecified->{n}.example@test"))
}

fn named<T>(name: &str, value: T) -> std::collections::BTreeMap<Arc<str>, T> {
    [(Arc::from(name), value)].into()
}

/// One ready queue beside the bench's own, in the same driver.
fn also(bench: &mut Bench, n: u32, limits: &PathLimits) {
    let (queue, limits) = (path(n), limits.clone());
    bench.step(ReadyEvent::Configure { queue, limits: Box::new(limits), batch: BatchPolicy::single() });
}

fn put(bench: &mut Bench, n: u32, item: u32) -> Vec<ReadyAction<u32>> {
    let place = bench.queues.reserve(&path(n), bench.now).unwrap();
    bench.queues.redeem(place, item, QueueName::new("a.example"), bench.now);
    bench.step(ReadyEvent::Redeemed)
}

fn of_queues(limits: &PathLimits, count: u32) -> Bench {
    let mut bench = Bench::single(PathLimits::default());
    (0..count).for_each(|n| also(&mut bench, n, limits));
    bench
}

#[test]
fn a_connection_limit_with_a_name_counts_the_sessions_of_all_that_name_it() {
    let limits = PathLimits { additional_connection_limits: named("provider", 1), ..limits() };
    let mut bench = of_queues(&limits, 3);
    let session = opened(&put(&mut bench, 0, 1))[0];
    assert_eq!((opened(&put(&mut bench, 1, 2)), opened(&put(&mut bench, 2, 3))), (vec![], vec![]));
    let status = bench.queues.status(&path(1), bench.now).unwrap();
    assert!(status.connection_limited && status.limited_since == Some(bench.now));
    assert_eq!(status.limited_by.as_deref(), Some("provider"));
    bench.connect(session);
    bench.finish(session, Fate::Close);
    // Nothing wakes them but the connection that is free, and they have it in turn.
    let actions = bench.step(ReadyEvent::Closed { session });
    let [ReadyAction::Open { queue, session, .. }] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(*queue, path(1));
    let actions = bench.fail(*session);
    let next: Vec<_> = actions.iter().filter(|action| matches!(action, ReadyAction::Open { .. })).collect();
    assert!(matches!(next[..], [ReadyAction::Open { queue, .. }] if *queue == path(2)), "{actions:?}");
}

#[test]
fn a_queue_that_has_much_to_do_does_not_keep_a_shared_connection_from_the_others() {
    let limits =
        PathLimits { additional_connection_limits: named("provider", 1), max_deliveries_per_connection: 1, ..limits() };
    let mut bench = of_queues(&limits, 2);
    let mut session = opened(&put(&mut bench, 0, 0))[0];
    (1..3).for_each(|item| drop(put(&mut bench, 0, item)));
    put(&mut bench, 1, 10);
    let mut served = Vec::new();
    for _ in 0..4 {
        served.extend(handed(&bench.connect(session)).into_iter().flat_map(|(_, items)| items));
        bench.finish(session, Fate::Keep);
        match opened(&bench.step(ReadyEvent::Closed { session })).first() {
            Some(next) => session = *next,
            None => break,
        }
    }
    // It stood in line for a second session of its own already, and then it was the other one's turn.
    assert_eq!(served, [0, 1, 10, 2]);
}

#[test]
fn a_connection_that_another_driver_gives_back_nudges_the_one_that_waits() {
    let shared = SharedLimits::default();
    let nudges = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&nudges);
    let limits = PathLimits { additional_connection_limits: named("endpoint", 1), ..limits() };
    let mut mail = of_queues(&limits, 0);
    mail.queues = ReadyQueues::sharing(&shared, Arc::new(|| {}));
    let mut hook = of_queues(&limits, 0);
    hook.queues = ReadyQueues::sharing(
        &shared,
        Arc::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
        }),
    );
    also(&mut mail, 0, &limits);
    also(&mut hook, 1, &limits);
    let session = opened(&put(&mut mail, 0, 1))[0];
    assert_eq!(opened(&put(&mut hook, 1, 2)), []);
    assert_eq!(opened(&hook.after(60_000)), [], "time alone changes nothing");
    assert_eq!(nudges.load(Ordering::SeqCst), 0);
    mail.step(ReadyEvent::Closed { session });
    assert_eq!(nudges.load(Ordering::SeqCst), 1);
    assert_eq!(opened(&hook.step(ReadyEvent::Tick)).len(), 1);
    // The whole driver goes, with what it holds.
    drop(hook);
    assert_eq!(opened(&put(&mut mail, 0, 3)).len(), 1);
}

#[test]
fn what_is_needed_no_more_leaves_the_line() {
    let limits = PathLimits { additional_connection_limits: named("provider", 1), ..limits() };
    let mut bench = of_queues(&limits, 3);
    let session = opened(&put(&mut bench, 0, 1))[0];
    put(&mut bench, 1, 2);
    put(&mut bench, 2, 3);
    assert_eq!(bench.queues.take_back(&path(1), &QueueName::new("a.example")), [2]);
    let actions = bench.step(ReadyEvent::Closed { session });
    let queues: Vec<_> = actions
        .iter()
        .filter_map(|action| if let ReadyAction::Open { queue, .. } = action { Some(queue.clone()) } else { None })
        .collect();
    assert_eq!(queues, [path(2)]);
    assert!(bench.queues.status(&path(1), bench.now).unwrap().limited_by.is_none());
}

#[test]
fn a_rate_with_a_name_is_shared_in_turn_and_each_queue_wakes_once() {
    let rate: ThrottleSpec = "2/s".parse().unwrap();
    let limits = PathLimits { additional_message_rate_throttles: named("provider", rate), ..limits() };
    let mut bench = of_queues(&limits, 4);
    let mut left = Vec::new();
    for n in 0..4 {
        let session = opened(&put(&mut bench, n, n));
        if let Some(session) = session.first() {
            left.extend(handed(&bench.connect(*session)));
        }
    }
    assert_eq!(left.len(), 2, "a burst of two, whichever queue they are in");
    let throttled = bench.queues.status(&path(3), bench.now).unwrap().throttled.unwrap();
    assert_eq!((throttled.reason, throttled.name.as_deref()), (Reason::MessageRateThrottle, Some("provider")));
    assert_eq!(throttled.until, bench.now + Duration::from_millis(1000), "behind the one before it");
    let mut wakes = Vec::new();
    while let Some(at) = bench.queues.next_wake().filter(|at| *at <= bench.now + secs(2)) {
        bench.now = at;
        let actions = bench.step(ReadyEvent::Tick);
        for session in opened(&actions) {
            assert_eq!(handed(&bench.connect(session)).len(), 1);
        }
        wakes.push(at);
    }
    assert_eq!(wakes.len(), 2, "{wakes:?}");
}

#[test]
fn a_turn_that_is_not_used_is_free_for_those_behind() {
    let rate: ThrottleSpec = "1/s".parse().unwrap();
    let limits = PathLimits { additional_message_rate_throttles: named("provider", rate), ..limits() };
    let mut bench = of_queues(&limits, 3);
    let session = opened(&put(&mut bench, 0, 0))[0];
    bench.connect(session);
    put(&mut bench, 1, 1);
    assert_eq!(bench.queues.take_back(&path(1), &QueueName::new("a.example")), [1]);
    bench.step(ReadyEvent::Tick);
    put(&mut bench, 2, 2);
    let until = bench.queues.status(&path(2), bench.now).unwrap().throttled.unwrap().until;
    assert_eq!(until, bench.now + secs(1));
}

#[test]
fn a_shared_rate_that_is_spent_for_longer_than_the_idle_timeout_sends_items_back() {
    let rate: ThrottleSpec = "1/m".parse().unwrap();
    let limits = PathLimits { additional_message_rate_throttles: named("provider", rate), ..limits() };
    let mut bench = of_queues(&limits, 2);
    let session = opened(&put(&mut bench, 0, 0))[0];
    bench.connect(session);
    assert_eq!(returned(&put(&mut bench, 1, 1)), [(1, Reason::MessageRateThrottle, Some(secs(60)))]);
    // And nothing was booked for it.
    assert_eq!(returned(&put(&mut bench, 1, 2)), [(2, Reason::MessageRateThrottle, Some(secs(60)))]);
}
