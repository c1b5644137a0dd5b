//! What follows from what an attempt came to.

use crate::support::{Bench, MINUTE, config, lane, now, offers, rows, transient, writes};
use std::time::Duration;
use waybill_journal_core::{Action, DeadReason, Event, Outcome, Verdict, Write};
use waybill_types::{Offset, QueueName};

fn recalled(actions: &[Action]) -> Vec<&QueueName> {
    fn recall(action: &Action) -> Option<&QueueName> {
        match action {
            Action::Recall { lane } => Some(lane),
            _ => None,
        }
    }
    actions.iter().filter_map(recall).collect()
}

#[test]
fn a_batch_of_two_lanes_is_judged_for_each_by_its_own_events() {
    let mut bench = Bench::new();
    bench.append(0, &["bad", "good", "bad", "good", "bad", "good"], 100);
    for n in [0, 2, 4] {
        let results = vec![(Offset(n), transient()), (Offset(n + 1), Outcome::Delivered)];
        let actions = bench.tell(now(), Event::Finished { results });
        assert_eq!(recalled(&actions).len(), usize::from(n == 4), "{actions:?}");
    }
    let failing: Vec<_> =
        bench.consumer.status(now()).lanes.into_iter().map(|(name, lane)| (name, lane.failing)).collect();
    assert!(failing.contains(&(lane("bad"), true)), "{failing:?}");
    assert!(!failing.contains(&(lane("good"), true)), "{failing:?}");
}

#[test]
fn a_batch_counts_once_however_many_events_it_had() {
    let mut bench = Bench::new();
    bench.append(0, &["a"; 20], 100);
    let results = (0..20).map(|n| (Offset(n), transient())).collect();
    let actions = bench.tell(now(), Event::Finished { results });
    assert!(recalled(&actions).is_empty(), "one batch is no streak: {actions:?}");
}

#[test]
fn what_says_nothing_about_the_endpoint_does_not_end_a_streak() {
    let mut bench = Bench::new();
    bench.append(0, &["a"; 5], 100);
    bench.finish(now(), 0, transient());
    bench.finish(now(), 1, transient());
    bench.finish(now(), 2, Outcome::Materialised);
    bench.finish(now(), 3, Outcome::Dead(DeadReason::NoQueue));
    let actions = bench.finish(now(), 4, transient());
    assert_eq!(recalled(&actions), [&lane("a")]);
}

#[test]
fn nobody_is_made_to_wait_for_longer_than_a_day() {
    let mut bench = Bench::new();
    let week = Duration::from_secs(7 * 86_400);
    let mut patient = config(10);
    patient.retry.max_age = 2 * week;
    bench.append(0, &["a"], 10);
    bench.tell(now(), Event::Configured { lane: lane("a"), config: patient });
    let outcome = Outcome::Transient { retry_after: Some(week), unit: 0.5 };
    let actions = bench.finish(now(), 0, outcome);
    assert_eq!(rows(&actions)[0].0.due, now() + Duration::from_secs(86_400));
}

#[test]
fn an_attempt_that_was_broken_off_does_not_count() {
    let mut bench = Bench::new();
    bench.append(0, &["a"], 10);
    let actions = bench.finish(now(), 0, Outcome::Aborted(MINUTE / 2));
    let [(key, 0)] = rows(&actions)[..] else { panic!("{actions:?}") };
    assert_eq!(key.due, now() + MINUTE / 2);
}

#[test]
fn an_event_that_policy_moved_is_due_at_once_in_the_other_lane() {
    let mut bench = Bench::new();
    bench.append(0, &["a"], 10);
    let actions = bench.finish(now(), 0, Outcome::Moved(lane("b"), config(10)));
    let [Write::PutRow { lane: to, key, attempt, replaces: None }] = writes(&actions)[..] else {
        panic!("{actions:?}")
    };
    assert_eq!((to, key.due, attempt.attempts), (&lane("b"), now(), 1));
    assert!(matches!(&actions[..], [.., Action::Load { lane: to, .. }] if *to == lane("b")), "{actions:?}");
    assert_eq!(bench.consumer.cursor(), Offset(1));
}

#[test]
fn an_event_with_a_schedule_waits_on_disk() {
    let mut bench = Bench::new();
    bench.append(0, &[], 10);
    bench.tell(now(), Event::Visible(Offset(1)));
    let events = vec![(Offset(0), now())];
    bench.tell(now(), Event::Read(waybill_journal_core::Read { events, next: Offset(1) }));
    let verdict = Verdict::Later(lane("a"), config(10), now() + 5 * MINUTE);
    let actions = bench.tell(now(), Event::Judged { offset: Offset(0), verdict });
    let [(key, 0)] = rows(&actions)[..] else { panic!("{actions:?}") };
    assert_eq!(key.due, now() + 5 * MINUTE);
    assert_eq!(offers(&actions), [0u64; 0]);
    assert_eq!(bench.consumer.cursor(), Offset(1));
}
