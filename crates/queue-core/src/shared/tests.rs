use super::*;
use crate::ready::ReadyId;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use waybill_types::{ThrottleSpec, Timestamp};

fn name() -> Arc<str> {
    "provider".into()
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_nanos(1_700_000_000_000_000_000 + millis * 1_000_000)
}

#[test]
fn a_connection_that_is_given_back_goes_to_the_first_in_line_and_to_no_newcomer() {
    let shared = SharedLimits::default();
    let member = shared.join(None);
    let (mut first, mut second, mut late) = (None, None, None);
    let lease = member.take_or_wait(&name(), 1, ReadyId(0), &mut first).unwrap();
    assert!(member.take_or_wait(&name(), 1, ReadyId(1), &mut first).is_none());
    assert!(member.take_or_wait(&name(), 1, ReadyId(2), &mut second).is_none());
    assert!(member.take_or_wait(&name(), 1, ReadyId(1), &mut first).is_none(), "it keeps its place");
    drop(lease);
    assert!(member.take_or_wait(&name(), 1, ReadyId(3), &mut late).is_none());
    let called = member.called();
    assert_eq!(called.iter().map(|(queue, _)| *queue).collect::<Vec<_>>(), [ReadyId(1)]);
    drop(called);
    assert_eq!(member.called()[0].0, ReadyId(2), "what is not used goes on");
}

#[test]
fn the_driver_of_another_queue_is_nudged_and_one_that_ends_gives_everything_back() {
    let shared = SharedLimits::default();
    let nudged = Arc::new(AtomicUsize::new(0));
    let count = nudged.clone();
    let (here, there) = (
        shared.join(None),
        shared.join(Some(Arc::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
        }))),
    );
    let third = shared.join(None);
    let (mut none, mut waits, mut behind) = (None, None, None);
    let lease = here.take_or_wait(&name(), 1, ReadyId(0), &mut none).unwrap();
    assert!(there.take_or_wait(&name(), 1, ReadyId(0), &mut waits).is_none());
    assert!(third.take_or_wait(&name(), 1, ReadyId(5), &mut behind).is_none());
    drop(lease);
    assert_eq!(nudged.load(Ordering::SeqCst), 1);
    // It was called, and goes without having looked.
    drop(there);
    assert_eq!(third.called()[0].0, ReadyId(5));
}

#[test]
fn who_leaves_the_line_is_not_called() {
    let shared = SharedLimits::default();
    let member = shared.join(None);
    let (mut none, mut waits) = (None, None);
    let lease = member.take_or_wait(&name(), 1, ReadyId(0), &mut none).unwrap();
    assert!(member.take_or_wait(&name(), 1, ReadyId(1), &mut waits).is_none());
    drop(waits);
    drop(lease);
    assert!(member.called().is_empty());
    assert!(shared.table().give_back(&name()).is_none(), "and nothing of it is left");
}

#[test]
fn each_path_goes_by_its_own_number() {
    let shared = SharedLimits::default();
    let member = shared.join(None);
    let (mut none, mut small, mut large) = (None, None, None);
    let mut leases: Vec<Lease> =
        (0..3).map(|_| member.take_or_wait(&name(), 3, ReadyId(0), &mut none).unwrap()).collect();
    assert!(member.take_or_wait(&name(), 1, ReadyId(1), &mut small).is_none());
    assert!(member.take_or_wait(&name(), 3, ReadyId(2), &mut large).is_none());
    leases.pop();
    let called = member.called();
    assert_eq!(called[0].0, ReadyId(2), "two are too many for the other one still");
}

#[test]
fn who_has_to_wait_for_a_rate_books_its_turn() {
    let (mut rate, spec): (_, ThrottleSpec) = (SharedRate::default(), "2/s".parse().unwrap());
    let mut turns = Vec::new();
    for _ in 0..5 {
        turns.push(rate.turn(at(0), &spec, 1));
        rate.book(at(0), &spec, 1);
    }
    assert_eq!(turns, [at(0), at(0), at(500), at(1000), at(1500)]);
    rate.give_back(at(0), &spec, 1);
    assert_eq!(rate.turn(at(0), &spec, 1), at(1500));
    assert_eq!(rate.available(at(1000), &spec), 0);
    assert_eq!(rate.available(at(60_000), &spec), 2);
}

#[test]
fn a_clock_that_was_set_back_or_a_faster_rate_does_not_silence_it() {
    let (mut rate, hourly): (_, ThrottleSpec) = (SharedRate::default(), "1/h".parse().unwrap());
    rate.book(at(7_200_000), &hourly, 1);
    assert_eq!(rate.turn(at(0), &hourly, 1), at(3_600_000));
    let faster: ThrottleSpec = "10/s".parse().unwrap();
    assert_eq!(rate.turn(at(0), &faster, 1), at(100));
}

#[test]
fn rates_that_are_rested_are_forgotten_when_there_are_many() {
    let shared = SharedLimits::default();
    let member = shared.join(None);
    let spec: ThrottleSpec = "1/s".parse().unwrap();
    for n in 0..1000u32 {
        let now = at(0) + Duration::from_secs(u64::from(n) * 2);
        member.book(Kind::Messages, &format!("tenant-{n}").into(), now, &spec, 1);
    }
    assert!(shared.table().rates() <= 256);
}
