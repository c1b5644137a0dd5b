//! Pauses and dead letters that are tried again.

use crate::support::{Bench, config, lane, now, offers, rows, transient, writes};
use waybill_journal_core::{Action, DeadReason, Event, LaneConfig, LoadedRow, Outcome, Verdict, Write};
use waybill_types::Offset;

#[test]
fn a_paused_consumer_takes_back_what_it_offered_and_offers_and_reads_nothing() {
    let mut bench = Bench::new();
    bench.append(0, &["a"], 10);
    let actions = bench.tell(now(), Event::Paused(true));
    assert!(actions.contains(&Action::Recall { lane: lane("a") }) && actions.contains(&Action::Save), "{actions:?}");
    let actions = bench.tell(now(), Event::Returned { offset: Offset(0), delay: None });
    assert_eq!(offers(&actions), [0u64; 0]);
    let actions = bench.tell(now(), Event::Visible(Offset(5)));
    assert!(!actions.iter().any(|action| matches!(action, Action::Read { .. })), "{actions:?}");
    assert!(bench.consumer.checkpoint().paused);
    let actions = bench.tell(now(), Event::Paused(false));
    assert_eq!(offers(&actions), [0]);
    assert!(actions.iter().any(|action| matches!(action, Action::Read { .. })), "{actions:?}");
}

#[test]
fn a_letter_is_judged_again_and_its_age_counts_from_now() {
    let mut bench = Bench::new();
    bench.append(0, &["a"], 10);
    bench.finish(now(), 0, Outcome::Permanent("404 Not Found".into()));
    let max_age = config(10).retry.max_age;
    let later = now() + 2 * max_age;
    let actions = bench.tell(later, Event::Redrive { offset: Offset(0) });
    assert!(actions.contains(&Action::Judge { offsets: vec![Offset(0)] }), "{actions:?}");
    let verdict = Verdict::Lane(lane("a"), LaneConfig { ..config(10) });
    let actions = bench.tell(later, Event::Judged { offset: Offset(0), verdict });
    assert_eq!(offers(&actions), [0]);
    let failed = Outcome::Transient { retry_after: None, unit: 0.5 };
    let actions = bench.finish(later, 0, failed);
    assert!(matches!(writes(&actions)[..], [Write::PutRow { attempt, .. }] if attempt.created == later), "{actions:?}");
    assert_eq!(bench.consumer.cursor(), Offset(1));
}

#[test]
fn a_letter_does_not_wait_for_the_next_probe_of_its_lane() {
    let mut bench = Bench::new();
    bench.append(0, &["a"; 4], 10);
    bench.finish(now(), 0, Outcome::Permanent("404 Not Found".into()));
    for n in 1..4 {
        bench.finish(now(), n, transient());
    }
    assert!(bench.consumer.status(now()).lanes[0].1.failing);
    bench.tell(now(), Event::Redrive { offset: Offset(0) });
    let verdict = Verdict::Lane(lane("a"), config(10));
    assert_eq!(offers(&bench.tell(now(), Event::Judged { offset: Offset(0), verdict })), [0]);
    // One at a time still: it may fail again.
    bench.finish(now(), 0, transient());
    assert!(bench.consumer.status(now()).lanes[0].1.failing);
}

#[test]
fn an_event_that_is_in_memory_is_not_tried_twice() {
    let mut bench = Bench::new();
    bench.append(0, &["a"], 10);
    let actions = bench.tell(now(), Event::Redrive { offset: Offset(0) });
    assert!(!actions.iter().any(|action| matches!(action, Action::Judge { .. })), "{actions:?}");
    let dead = Verdict::Dead(DeadReason::NoQueue);
    assert!(bench.tell(now(), Event::Judged { offset: Offset(0), verdict: dead }).is_empty(), "it is not asked about");
}

#[test]
fn a_row_that_comes_while_a_letter_of_its_event_is_tried_has_its_turn_afterwards() {
    let mut bench = Bench::new();
    bench.append(0, &["a", "b"], 10);
    let [(key, 1)] = rows(&bench.finish(now(), 0, transient()))[..] else { panic!("it waits in a row") };
    // A replay left a letter of the same event, and an operator has it tried again.
    bench.tell(now(), Event::Redrive { offset: Offset(0) });
    let verdict = Verdict::Lane(lane("a"), config(10));
    assert_eq!(offers(&bench.tell(now(), Event::Judged { offset: Offset(0), verdict })), [0]);
    let is_load = |action: &Action| matches!(action, Action::Load { lane: of, .. } if *of == lane("a"));
    let due = key.due;
    assert!(bench.tell(due, Event::Tick).iter().any(is_load));
    let loaded = || Event::Loaded {
        lane: lane("a"),
        rows: vec![LoadedRow { key, attempts: 1, created: now() }],
        next_due: None,
    };
    assert!(!bench.tell(due, loaded()).iter().any(is_load), "not again and again");
    assert_eq!(bench.consumer.status(due).lanes[0].1.rows, 1);
    assert!(!bench.tell(due, Event::Tick).iter().any(is_load), "not again and again");
    let actions = bench.finish(due, 0, Outcome::Delivered);
    assert!(actions.iter().any(is_load), "{actions:?}");
    assert_eq!(offers(&bench.tell(due, loaded())), [0]);
    let actions = bench.finish(due, 0, Outcome::Delivered);
    assert!(matches!(writes(&actions)[..], [Write::DeleteRow { key: gone, .. }] if *gone == key), "{actions:?}");
}

#[test]
fn a_letter_ahead_of_the_cursor_is_tried_once_and_reading_goes_on_behind_it() {
    // A replay left it: its offset lies ahead of what the hook itself has read.
    let mut bench = Bench::new();
    bench.tell(now(), Event::Redrive { offset: Offset(1) });
    bench.tell(now(), Event::Visible(Offset(3)));
    let events = (0..3).map(|offset| (Offset(offset), now())).collect();
    let actions = bench.tell(now(), Event::Read(waybill_journal_core::Read { events, next: Offset(3) }));
    assert!(actions.contains(&Action::Judge { offsets: vec![Offset(0), Offset(2)] }), "{actions:?}");
    for offset in [1, 0, 2] {
        bench.tell(now(), Event::Judged { offset: Offset(offset), verdict: Verdict::Skip });
    }
    let actions = bench.tell(now(), Event::Visible(Offset(4)));
    assert!(actions.iter().any(|action| matches!(action, Action::Read { .. })), "{actions:?}");
}
