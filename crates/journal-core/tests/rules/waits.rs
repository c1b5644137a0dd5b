//! What makes a lane wait, and what ends it.

use crate::support::{Bench, MINUTE, config, lane, now, offers, rows, transient, woken_at};
use std::time::Duration;
use waybill_journal_core::{Action, Checkpoint, Consumer, Event, LoadedRow, Outcome, Read, RowKey, Verdict};
use waybill_types::{Offset, Timestamp};

const SECOND: Duration = Duration::from_secs(1);

fn returned(offset: u64, delay: Option<Duration>) -> Event {
    Event::Returned { offset: Offset(offset), delay }
}

/// A lane whose only event failed three times in a row; its next attempt is minutes away.
fn failing() -> (Bench, Timestamp) {
    let mut bench = Bench::new();
    bench.append(0, &["a"], 100);
    let mut at = now();
    let mut failed = bench.finish(at, 0, transient());
    for _ in 0..2 {
        let (key, attempts) = rows(&failed)[0];
        at = key.due;
        bench.tell(at, Event::Tick);
        let row = LoadedRow { key, attempts, created: now() };
        let loaded = bench.tell(at, Event::Loaded { lane: lane("a"), rows: vec![row], next_due: None });
        assert_eq!(offers(&loaded), [0]);
        failed = bench.finish(at, 0, transient());
    }
    assert_eq!(rows(&failed)[0].0.due, at + 4 * MINUTE);
    (bench, at)
}

#[test]
fn of_many_waits_the_shortest_counts() {
    let mut bench = Bench::new();
    bench.append(0, &["a"; 5], 100);
    // A path with a rate sends back all that waited, each with the time at which it could pass.
    for n in 0..5u64 {
        bench.tell(now(), returned(n, Some(SECOND * (10 + 6 * u32::try_from(n).unwrap()))));
    }
    assert_eq!(woken_at(&bench.actions), Some(now() + 10 * SECOND));
    assert_eq!(offers(&bench.tell(now() + 9 * SECOND, Event::Tick)), [0u64; 0]);
    assert_eq!(offers(&bench.tell(now() + 10 * SECOND, Event::Tick)), [0, 1, 2, 3, 4], "in order");
}

#[test]
fn a_wait_ends_in_time_although_a_row_is_due_much_later() {
    let mut bench = Bench::new();
    bench.append(0, &["a"; 2], 100);
    bench.finish(now(), 0, Outcome::Transient { retry_after: Some(8 * MINUTE), unit: 0.5 });
    let actions = bench.tell(now(), returned(1, Some(10 * SECOND)));
    assert_eq!(woken_at(&actions), Some(now() + 10 * SECOND));
    assert_eq!(offers(&bench.tell(now() + 10 * SECOND, Event::Tick)), [1]);
}

#[test]
fn new_settings_end_a_wait() {
    let mut bench = Bench::new();
    bench.append(0, &["a"], 100);
    bench.tell(now(), returned(0, Some(MINUTE)));
    assert_eq!(offers(&bench.tell(now(), Event::Configured { lane: lane("a"), config: config(100) })), [0]);
}

#[test]
fn the_rate_of_a_queue_lets_a_burst_pass_and_then_one_each_interval() {
    let mut bench = Bench::new();
    let mut slow = config(100);
    slow.rate = Some("60/m,max_burst=3".parse().unwrap());
    bench.append(0, &[], 100);
    bench.append(0, &["a"], 100);
    bench.finish(now(), 0, Outcome::Delivered);
    bench.tell(now(), Event::Configured { lane: lane("a"), config: slow });
    bench.append_with(1, &["a"; 10], slow);
    let first = offers(&bench.actions).len();
    assert_eq!(first, 1 + 4, "a burst");
    assert_eq!(woken_at(&bench.actions), Some(now() + SECOND));
    assert_eq!(offers(&bench.tell(now() + SECOND, Event::Tick)), [5]);
    assert_eq!(offers(&bench.tell(now() + SECOND + SECOND / 2, Event::Tick)), [0u64; 0]);
    assert_eq!(offers(&bench.tell(now() + 2 * SECOND, Event::Tick)), [6]);
}

#[test]
fn a_failing_lane_is_probed_after_its_retry_interval_whatever_the_last_event_has_to_wait() {
    let (mut bench, at) = failing();
    // The event itself is due in four minutes, but a new one comes now.
    let actions = bench.tell(at, Event::Visible(Offset(2)));
    assert!(!actions.iter().any(|action| matches!(action, Action::Read { .. })), "{actions:?}");
    let actions = bench.tell(at + MINUTE, Event::Tick);
    assert!(actions.contains(&Action::Read { from: Offset(1), limit: 1 }), "one to probe with: {actions:?}");
    let read = Read { events: vec![(Offset(1), at)], next: Offset(2) };
    bench.tell(at + MINUTE, Event::Read(read));
    let verdict = Verdict::Lane(lane("a"), config(100));
    assert_eq!(offers(&bench.tell(at + MINUTE, Event::Judged { offset: Offset(1), verdict })), [1]);
    bench.tell(at + MINUTE, Event::Visible(Offset(3)));
    let actions = bench.finish(at + MINUTE, 1, Outcome::Delivered);
    assert!(actions.iter().any(|action| matches!(action, Action::Read { from: Offset(2), .. })), "{actions:?}");
}

#[test]
fn a_failing_lane_waits_as_long_as_its_endpoint_asked() {
    let mut bench = Bench::new();
    bench.append(0, &["a"; 10], 100);
    let busy = || Outcome::Transient { retry_after: Some(5 * MINUTE), unit: 0.5 };
    (0..3).for_each(|n| drop(bench.finish(now(), n, busy())));
    for n in 3..10 {
        bench.tell(now(), returned(n, None));
    }
    assert_eq!(offers(&bench.tell(now() + 4 * MINUTE, Event::Tick)), [0u64; 0]);
    assert_eq!(offers(&bench.tell(now() + 5 * MINUTE, Event::Tick)), [3]);
}

#[test]
fn a_suspended_lane_rests_until_its_time_and_gives_back_what_was_offered() {
    let mut bench = Bench::new();
    bench.append(0, &["a"; 2], 100);
    let until = now() + 10 * MINUTE;
    let actions = bench.tell(now(), Event::Suspended { lane: lane("a"), until: Some(until) });
    assert!(actions.contains(&Action::Recall { lane: lane("a") }), "{actions:?}");
    assert_eq!(offers(&bench.tell(now(), returned(0, None))), [0u64; 0]);
    bench.tell(now(), returned(1, None));
    assert_eq!(woken_at(&bench.actions), Some(until));
    assert_eq!(offers(&bench.tell(until, Event::Tick)), [0, 1]);
}

#[test]
fn a_suspension_waits_for_a_lane_that_is_not_there_yet_and_outlives_its_traffic() {
    let mut bench = Bench::new();
    bench.tell(now(), Event::Suspended { lane: lane("b"), until: Some(now() + MINUTE) });
    bench.append(0, &["a", "b"], 100);
    assert_eq!(offers(&bench.actions), [0]);
    assert_eq!(bench.consumer.status(now()).rows, 1, "the other is parked");
    let actions = bench.tell(now(), Event::Suspended { lane: lane("b"), until: None });
    assert!(actions.iter().any(|action| matches!(action, Action::Load { lane: to, .. } if *to == lane("b"))));
}

#[test]
fn a_lane_whose_suspension_is_over_is_forgotten_like_any_other() {
    let mut bench = Bench::new();
    bench.append(0, &["a", "b"], 100);
    bench.tell(now(), Event::Suspended { lane: lane("b"), until: Some(now() + MINUTE) });
    bench.finish(now(), 0, Outcome::Delivered);
    bench.finish(now(), 1, Outcome::Delivered);
    assert!(bench.consumer.status(now()).lanes.is_empty());
    // Its suspension holds all the same.
    assert_eq!(offers(&bench.append(2, &["b"], 100)), [0u64; 0]);
}

#[test]
fn a_lane_with_nearly_no_room_does_not_hide_the_others() {
    let mut bench = Bench::new();
    // None of these ever finishes; there would be room for one more.
    bench.append(0, &["dead"; 15], 16);
    let actions = bench.tell(now(), Event::Visible(Offset(17)));
    assert!(actions.iter().any(|action| matches!(action, Action::Scout { .. })), "{actions:?}");
}

#[test]
fn a_restart_looks_for_rows_at_once() {
    let key = RowKey { due: now() - MINUTE, offset: Offset(3) };
    let lanes = vec![(lane("a"), 1), (lane("b"), 1)];
    let checkpoint = Checkpoint { cursor: Offset(9), several: true, lanes, ..Checkpoint::default() };
    let mut consumer = Consumer::restore(&checkpoint, 4, |_| config(10));
    let mut actions = Vec::new();
    consumer.step(now(), Event::Visible(Offset(9)), &mut actions);
    let loads = actions.iter().filter(|action| matches!(action, Action::Load { .. })).count();
    assert_eq!(loads, 2, "{actions:?}");
    let row = LoadedRow { key, attempts: 7, created: now() - MINUTE };
    actions.clear();
    consumer.step(now(), Event::Loaded { lane: lane("a"), rows: vec![row], next_due: None }, &mut actions);
    let attempts = actions.iter().find_map(|action| match action {
        Action::Offer { attempt, .. } => Some(attempt.attempts),
        _ => None,
    });
    assert_eq!(attempts, Some(7));
}

#[test]
fn the_oldest_event_and_the_lanes_behind_can_be_looked_up() {
    let mut bench = Bench::new();
    bench.append(0, &["a", "b"], 100);
    bench.finish(now(), 1, transient());
    assert_eq!(bench.consumer.oldest_in_memory(), Some(now()));
    assert_eq!(bench.consumer.parked_lanes(8), [lane("b")]);
    let totals = bench.consumer.totals();
    assert_eq!((totals.unsettled, totals.rows, totals.offered), (2, 1, 1));
}
