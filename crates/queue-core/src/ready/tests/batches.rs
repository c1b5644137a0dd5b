//! Which items travel together, and when.

use super::*;

#[test]
fn twenty_items_of_a_minimum_of_ten_arrive_in_at_most_two_batches() {
    for step in [20, 1] {
        let mut bench = Bench::new(limits(), BatchPolicy::new(100, 10, secs(15)));
        let mut batches = Vec::new();
        let mut sessions = Vec::new();
        for first in (0..20).step_by(step) {
            let mut actions = bench.fill_raw(first..first + u32::try_from(step).unwrap());
            for session in opened(&actions) {
                sessions.push(session);
                actions.extend(bench.connect(session));
            }
            batches.extend(handed(&actions));
        }
        batches.extend(handed(&bench.after(15_000)));
        assert!(batches.len() <= 2, "{batches:?}");
        assert_eq!(batches.iter().map(|(_, items)| items.len()).sum::<usize>(), 20);
        if step == 20 {
            assert_eq!(sessions.len(), 1, "one batch is no reason for two sessions");
        }
    }
}

#[test]
fn three_items_arrive_as_one_batch_once_the_latency_has_passed_whatever_the_idle_timeout() {
    let mut bench = Bench::new(limits(), BatchPolicy::new(100, 10, secs(15)));
    assert_eq!(bench.fill(0..1), []);
    bench.after(4000);
    bench.fill(1..3);
    assert_eq!(opened(&bench.after(10_999)), []);
    let session = opened(&bench.after(1))[0];
    assert_eq!(handed(&bench.connect(session)), [(session, vec![0, 1, 2])]);
}

#[test]
fn the_latency_counts_from_the_first_of_those_that_are_left() {
    let mut bench = Bench::new(limits(), BatchPolicy::new(10, 10, secs(15)));
    let session = bench.fill(0..12)[0];
    assert_eq!(handed(&bench.connect(session)).len(), 1);
    bench.after(10_000);
    bench.finish(session, Fate::Keep);
    assert_eq!(bench.status().ready, 2);
    assert_eq!(handed(&bench.after(4_999)), []);
    let actions = bench.after(1);
    assert_eq!(opened(&actions).len() + handed(&actions).len(), 1, "{actions:?}");
}

#[test]
fn items_that_arrive_while_a_session_connects_join_its_batch() {
    let mut bench = Bench::new(limits(), BatchPolicy::new(100, 10, secs(15)));
    let session = bench.fill(0..10)[0];
    assert_eq!(bench.fill(10..25), []);
    assert_eq!(handed(&bench.connect(session)), [(session, (0..25).collect())]);
}
