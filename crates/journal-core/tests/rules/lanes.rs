//! The rules of lanes, one by one.

use crate::support::{Bench, MINUTE, now, offers, transient, writes};
use waybill_journal_core::{Action, DeadReason, Event, FAILING_AFTER, Outcome, Write};
use waybill_types::{Offset, QueueName};

#[test]
fn a_delivered_event_moves_the_cursor_and_leaves_nothing() {
    let mut bench = Bench::new();
    assert_eq!(offers(&bench.append(0, &["a", "a"], 10)), [0, 1]);
    bench.finish(now(), 1, Outcome::Delivered);
    assert_eq!(bench.consumer.cursor(), Offset(0));
    bench.finish(now(), 0, Outcome::Delivered);
    assert_eq!(bench.consumer.cursor(), Offset(2));
    assert_eq!(writes(&bench.actions), Vec::<&Write>::new());
}

#[test]
fn a_transient_failure_becomes_a_row_due_after_the_retry_interval_and_the_cursor_passes() {
    let mut bench = Bench::new();
    bench.append(0, &["a"], 10);
    let actions = bench.finish(now(), 0, transient());
    let [Write::PutRow { key, attempt, replaces: None, .. }] = writes(&actions)[..] else { panic!("{actions:?}") };
    assert_eq!((key.due, key.offset, attempt.attempts), (now() + MINUTE, Offset(0), 1));
    assert_eq!(bench.consumer.cursor(), Offset(1));
    assert!(actions.contains(&Action::WakeAt(now() + MINUTE)), "{actions:?}");
}

#[test]
fn retry_after_is_the_least_wait() {
    let mut bench = Bench::new();
    bench.append(0, &["a"], 10);
    let outcome = Outcome::Transient { retry_after: Some(5 * MINUTE), unit: 0.5 };
    let actions = bench.finish(now(), 0, outcome);
    let [Write::PutRow { key, .. }] = writes(&actions)[..] else { panic!("{actions:?}") };
    assert_eq!(key.due, now() + 5 * MINUTE);
}

#[test]
fn an_event_that_would_be_too_old_becomes_a_dead_letter() {
    let mut bench = Bench::new();
    bench.append(0, &["a"], 10);
    let actions = bench.finish(now() + 9 * MINUTE + MINUTE / 2, 0, transient());
    let [Write::Dead { reason: DeadReason::Expired(text), .. }] = writes(&actions)[..] else { panic!("{actions:?}") };
    assert!(text.contains("exceeds max_age=10m"), "{text}");
}

#[test]
fn a_permanent_failure_becomes_a_dead_letter() {
    let mut bench = Bench::new();
    bench.append(0, &["a"], 10);
    let actions = bench.finish(now(), 0, Outcome::Permanent("404 Not Found".into()));
    assert!(matches!(writes(&actions)[..], [Write::Dead { offset: Offset(0), .. }]), "{actions:?}");
    assert_eq!(bench.consumer.cursor(), Offset(1));
}

#[test]
fn a_failing_lane_sends_one_probe_at_a_time_and_flows_again_after_a_success() {
    let mut bench = Bench::new();
    let lanes = vec!["a"; 300];
    let offered = offers(&bench.append(0, &lanes, 1000)).len() as u64;
    for n in 0..u64::from(FAILING_AFTER) {
        let actions = bench.finish(now(), n, transient());
        let recalled = actions.contains(&Action::Recall { lane: QueueName::new("a") });
        assert_eq!(recalled, n + 1 == u64::from(FAILING_AFTER), "recalled after {n}");
    }
    for n in u64::from(FAILING_AFTER)..offered {
        assert_eq!(offers(&bench.tell(now(), Event::Returned { offset: Offset(n), delay: None })), [0u64; 0]);
    }
    assert_eq!(offers(&bench.tell(now() + MINUTE / 2, Event::Tick)), [0u64; 0]);
    assert_eq!(offers(&bench.tell(now() + MINUTE, Event::Tick)), [3]);
    assert_eq!(offers(&bench.tell(now() + 2 * MINUTE, Event::Tick)), [0u64; 0]);
    let actions = bench.finish(now() + 2 * MINUTE, 3, Outcome::Delivered);
    assert!(offers(&actions).len() > 4, "{actions:?}");
}

#[test]
fn a_consumer_with_one_lane_stops_reading_instead_of_writing_rows() {
    let mut bench = Bench::new();
    let actions = bench.append(0, &["a"; 8], 8);
    assert_eq!(writes(&actions), Vec::<&Write>::new());
    let actions = bench.tell(now(), Event::Visible(Offset(100)));
    assert!(!actions.iter().any(|action| matches!(action, Action::Read { .. })), "{actions:?}");
    let actions = bench.finish(now(), 0, Outcome::Delivered);
    assert!(actions.contains(&Action::Read { from: Offset(8), limit: 1 }), "{actions:?}");
}

/// I6: a stuck lane never delays another lane.
#[test]
fn a_lane_that_hangs_parks_on_disk_and_the_other_lane_flows() {
    let mut bench = Bench::new();
    // Nobody ever finishes an event of "dead"; "alive" finishes at once.
    for round in 0..200u64 {
        let lanes = if round % 2 == 0 { ["dead"; 8] } else { ["alive"; 8] };
        let actions = bench.append(round * 8, &lanes, 32);
        if round % 2 == 1 {
            assert_eq!(offers(&actions).len(), 8, "round {round}");
            for n in 0..8 {
                bench.finish(now(), round * 8 + n, Outcome::Delivered);
            }
        }
        bench.consumer.checkpoint();
        bench.tell(now(), Event::Saved);
    }
    let status = bench.consumer.status(now());
    assert!(status.in_memory <= 64, "{status:?}");
    assert!(status.rows >= 700, "{status:?}");
    assert!(status.cursor >= Offset(1500 - 1024), "the cursor is held up: {status:?}");
}

/// I6 from the first event on: nobody knows of the other lane yet.
#[test]
fn a_first_lane_that_hangs_does_not_hide_the_others() {
    let mut bench = Bench::new();
    bench.append(0, &["dead"; 8], 8);
    let actions = bench.tell(now(), Event::Visible(Offset(20)));
    assert!(actions.contains(&Action::Scout { from: Offset(8), limit: 512 }), "{actions:?}");
    let same = vec![QueueName::new("dead")];
    let actions = bench.tell(now(), Event::Scouted { lanes: same, next: Offset(20) });
    assert!(!actions.iter().any(|action| matches!(action, Action::Read { .. } | Action::Scout { .. })), "{actions:?}");
    let actions = bench.tell(now(), Event::Visible(Offset(21)));
    assert!(actions.contains(&Action::Scout { from: Offset(20), limit: 512 }), "each event once: {actions:?}");
    let lanes = vec![QueueName::new("dead"), QueueName::new("alive")];
    let actions = bench.tell(now(), Event::Scouted { lanes, next: Offset(21) });
    assert!(actions.contains(&Action::Read { from: Offset(8), limit: 512 }), "{actions:?}");
    let mut lanes = vec!["dead"; 12];
    lanes.push("alive");
    assert_eq!(offers(&bench.append(8, &lanes, 8)), [20], "only the living one is offered, the others are parked");
    assert_eq!(bench.consumer.status(now()).rows, 12);
}
