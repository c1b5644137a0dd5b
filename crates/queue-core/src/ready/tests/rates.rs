//! How fast.

use super::*;

#[test]
fn a_message_rate_that_is_spent_for_a_moment_waits_in_place() {
    let rate = Some("2/s".parse().unwrap());
    let mut bench = Bench::single(PathLimits { max_message_rate: rate, connection_limit: 1, ..limits() });
    let session = bench.fill(0..4)[0];
    let mut actions = bench.connect(session);
    actions.extend(bench.finish(session, Fate::Keep));
    actions.extend(bench.finish(session, Fate::Keep));
    assert_eq!(handed(&actions).len(), 2, "a burst of two");
    assert_eq!(bench.queues.next_wake(), Some(bench.now + Duration::from_millis(500)));
    assert_eq!(bench.status().throttled.unwrap().reason, Reason::MessageRateThrottle);
    assert_eq!(handed(&bench.after(499)), []);
    assert_eq!(handed(&bench.after(1)), [(session, vec![2])]);
}

#[test]
fn the_message_rate_counts_items_and_does_not_tear_batches_below_their_minimum() {
    let rate = Some("10/s".parse().unwrap());
    let mut bench = Bench::new(
        PathLimits { max_message_rate: rate, connection_limit: 1, ..limits() },
        BatchPolicy::new(20, 4, secs(15)),
    );
    let session = bench.fill(0..18)[0];
    assert_eq!(handed(&bench.connect(session)), [(session, (0..10).collect())]);
    bench.finish(session, Fate::Keep);
    assert_eq!(handed(&bench.after(399)), []);
    assert_eq!(handed(&bench.after(1)), [(session, vec![10, 11, 12, 13])]);
}

#[test]
fn a_rate_that_is_spent_for_longer_than_the_idle_timeout_sends_items_back_each_to_its_time() {
    let rate = Some("1/m".parse().unwrap());
    let mut bench = Bench::single(PathLimits { max_message_rate: rate, connection_limit: 1, ..limits() });
    let session = bench.fill(0..4)[0];
    let actions = bench.connect(session);
    assert_eq!(handed(&actions), [(session, vec![0])]);
    let throttle = Reason::MessageRateThrottle;
    let expected = [(1, throttle, Some(secs(60))), (2, throttle, Some(secs(120))), (3, throttle, Some(secs(180)))];
    assert_eq!(returned(&actions), expected);
    assert!(!throttle.is_attempt());
}

#[test]
fn a_connection_rate_delays_further_sessions() {
    let rate = Some("1/s".parse().unwrap());
    let mut bench = Bench::single(PathLimits { max_connection_rate: rate, ..limits() });
    assert_eq!(bench.fill(0..10).len(), 1);
    assert_eq!(opened(&bench.after(999)), []);
    assert_eq!(opened(&bench.after(1)).len(), 1);
    assert_eq!(bench.status().throttled.unwrap().reason, Reason::ConnectionRateThrottle);
}

#[test]
fn a_connection_rate_that_is_spent_for_long_sends_items_back_only_where_no_session_lives() {
    let rate = Some("1/h".parse().unwrap());
    let mut bench = Bench::single(PathLimits { max_connection_rate: rate, ..limits() });
    let actions = bench.fill_raw(0..2);
    assert_eq!(returned(&actions), [], "the session that opens will take both");
    let session = opened(&actions)[0];
    bench.connect(session);
    let actions = bench.finish(session, Fate::Broken);
    assert_eq!(returned(&actions), [(1, Reason::ConnectionRateThrottle, Some(secs(3600)))]);
}

#[test]
fn an_unused_queue_stays_until_its_rates_are_rested() {
    let rate = Some("1/h".parse().unwrap());
    let mut bench = Bench::single(PathLimits { max_connection_rate: rate, ..limits() });
    let session = bench.fill(0..1)[0];
    bench.step(ReadyEvent::Closed { session });
    assert_eq!(bench.after(700_000), []);
    assert_eq!(bench.after(2_899_999), []);
    assert_eq!(bench.after(1), [ReadyAction::Forgotten { queue: bench.path.clone() }]);
}
