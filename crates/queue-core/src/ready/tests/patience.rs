//! One more session for what has waited too long.

use super::*;
use crate::ready::serve::PATIENCE;

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap()
}

/// A session that has its first item and does not come back.
fn hanging(limits: PathLimits) -> (Bench, SessionId) {
    let mut bench = Bench::single(limits);
    let session = bench.fill(0..1)[0];
    assert_eq!(handed(&bench.connect(session)).len(), 1);
    (bench, session)
}

#[test]
fn a_request_that_hangs_holds_the_next_item_back_for_a_moment_only() {
    let (mut bench, _) = hanging(PathLimits { connection_limit: 10, ..limits() });
    assert_eq!(bench.fill(1..2), []);
    assert_eq!(bench.queues.next_wake(), Some(bench.now + PATIENCE));
    assert_eq!(opened(&bench.after(millis(PATIENCE) - 1)), []);
    let second = opened(&bench.after(1));
    assert_eq!(second.len(), 1);
    assert_eq!(handed(&bench.connect(second[0])), [(second[0], vec![1])]);
}

#[test]
fn sessions_that_hang_are_joined_by_one_more_at_a_time_and_never_beyond_the_limit() {
    let (mut bench, _) = hanging(PathLimits { connection_limit: 3, ..limits() });
    assert_eq!(bench.fill(1..5), []);
    for expected in [1, 1, 0, 0] {
        bench.now = bench.now + PATIENCE;
        let opened = opened(&bench.step(ReadyEvent::Tick));
        assert_eq!(opened.len(), expected);
        opened.iter().for_each(|session| drop(bench.connect(*session)));
        assert_eq!(bench.fill(0..0), []);
    }
    assert_eq!(bench.status().busy, 3);
}

#[test]
fn while_a_session_connects_no_other_one_is_opened_for_impatience() {
    let mut bench = Bench::single(PathLimits { connection_limit: 10, ..limits() });
    assert_eq!(bench.fill(0..2).len(), 1);
    assert_eq!(opened(&bench.after(60_000)), [], "a destination that does not answer is not stormed");
}

#[test]
fn at_a_working_endpoint_everything_goes_in_order_over_one_session() {
    let (mut bench, session) = hanging(PathLimits { connection_limit: 10, ..limits() });
    let mut order = Vec::new();
    for item in 1..4u32 {
        // Reception, then Delivery of the same mail while the first one is on its way, and an answer in 900 ms.
        assert_eq!(bench.fill(item..item + 1), []);
        bench.after(900);
        let actions = bench.finish(session, Fate::Keep);
        assert_eq!(opened(&actions), []);
        order.extend(handed(&actions).into_iter().flat_map(|(_, items)| items));
    }
    assert_eq!(order, [1, 2, 3]);
    assert_eq!(bench.queues.sessions(), 1);
}

#[test]
fn the_time_in_which_a_batch_forms_is_no_time_of_waiting() {
    let limits = PathLimits { connection_limit: 10, ..limits() };
    let mut bench = Bench::new(limits, BatchPolicy::new(10, 5, secs(30)));
    let session = bench.fill(0..5)[0];
    bench.connect(session);
    assert_eq!(bench.fill(5..6), []);
    assert_eq!(opened(&bench.after(30_000)), [], "it is a batch only now");
    assert_eq!(opened(&bench.after(millis(PATIENCE))).len(), 1);
}
