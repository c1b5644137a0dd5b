//! What operators order about lanes.

use crate::support::{Bench, MINUTE, lane, now, offers, transient, writes};
use std::time::Duration;
use waybill_journal_core::{
    Action, Attempt, DeadReason, Demand, Event, LaneMatch, LaneOrder, LoadedRow, Outcome, Read, RowKey, Verdict, Write,
};
use waybill_types::{Offset, Timestamp};

fn order(id: u128, name: &'static str, demand: Demand) -> Event {
    let lanes = LaneMatch::new(move |lane| lane.as_str() == name);
    Event::Ordered(LaneOrder { id, lanes, demand, until: now() + MINUTE })
}

fn bounce(id: u128, name: &'static str) -> Event {
    order(id, name, Demand::Bounce { reason: "gone".into(), silent: false })
}

/// Which events were bounced, and by which order.
fn bounced(actions: &[Action]) -> Vec<(u64, u128)> {
    let dead = |write: &Write| match write {
        Write::Dead { offset, reason: DeadReason::Bounced(bounced), .. } => Some((offset.0, bounced.order)),
        _ => None,
    };
    writes(actions).into_iter().filter_map(dead).collect()
}

fn loads(actions: &[Action]) -> Vec<(RowKey, Timestamp)> {
    let load = |action: &Action| match action {
        Action::Load { from, until, .. } => Some((*from, *until)),
        _ => None,
    };
    actions.iter().filter_map(load).collect()
}

#[test]
fn a_lane_that_an_order_fits_rests_also_when_it_appears_later_and_works_again_after_it() {
    let mut bench = Bench::new();
    bench.append(0, &["a", "b"], 10);
    bench.tell(now(), order(1, "c", Demand::Suspend));
    assert_eq!(offers(&bench.append(2, &["c", "a"], 10)), [3]);
    let actions = bench.tell(now(), Event::OrderEnded(1));
    assert_eq!(loads(&actions).len(), 1, "{actions:?}");
    assert!(!bench.consumer.status(now()).lanes.iter().any(|(_, lane)| lane.suspended));
}

#[test]
fn of_a_suspended_lane_what_is_offered_comes_back_and_the_order_ends_by_itself() {
    let mut bench = Bench::new();
    bench.append(0, &["a"], 10);
    let actions = bench.tell(now(), order(1, "a", Demand::Suspend));
    assert!(actions.contains(&Action::Recall { lane: lane("a") }), "{actions:?}");
    let actions = bench.tell(now(), Event::Returned { offset: Offset(0), delay: None });
    assert_eq!(offers(&actions), [0u64; 0]);
    assert_eq!(offers(&bench.tell(now() + MINUTE, Event::Tick)), [0]);
}

#[test]
fn a_bounce_takes_what_waits_and_what_comes_back_and_leaves_other_lanes_alone() {
    let mut bench = Bench::new();
    // Four are offered, two wait.
    bench.append(0, &["a", "a", "a", "a", "a", "a", "b"], 10);
    let offered: Vec<u64> = offers(&bench.actions);
    let actions = bench.tell(now(), bounce(7, "a"));
    let waiting = (0..6).filter(|n| !offered.contains(n)).map(|n| (n, 7)).collect::<Vec<_>>();
    assert_eq!(bounced(&actions), waiting);
    assert!(actions.contains(&Action::Recall { lane: lane("a") }), "{actions:?}");
    let returned = bench.tell(now(), Event::Returned { offset: Offset(0), delay: None });
    assert_eq!(bounced(&returned), [(0, 7)]);
    assert_eq!(bounced(&bench.finish(now(), 1, transient())), [(1, 7)]);
    assert_eq!(bounced(&bench.finish(now(), 2, Outcome::Aborted(MINUTE))), [(2, 7)]);
    assert_eq!(bounced(&bench.finish(now(), 3, Outcome::Delivered)), []);
    assert_eq!(bounced(&bench.finish(now(), 6, transient())), []);
}

#[test]
fn rows_of_a_bounced_lane_are_looked_for_whenever_they_are_due() {
    let mut bench = Bench::new();
    bench.append(0, &["a", "b"], 10);
    let actions = bench.finish(now(), 0, transient());
    let [Write::PutRow { key, attempt: Attempt { attempts, created }, .. }] = writes(&actions)[..] else {
        panic!("{actions:?}")
    };
    let actions = bench.tell(now(), bounce(7, "a"));
    assert!(matches!(loads(&actions)[..], [(_, Timestamp::MAX)]), "{actions:?}");
    let row = LoadedRow { key: *key, attempts: *attempts, created: *created };
    let loaded = Event::Loaded { lane: lane("a"), rows: vec![row], next_due: None };
    let actions = bench.tell(now(), loaded);
    assert_eq!(bounced(&actions), [(0, 7)]);
    assert!(writes(&actions).contains(&&Write::DeleteRow { lane: lane("a"), key: *key }), "{actions:?}");
    assert_eq!(bench.consumer.totals().rows, 0);
}

#[test]
fn an_order_that_is_cancelled_leaves_the_rows_it_had_not_reached() {
    let mut bench = Bench::new();
    bench.append(0, &["a", "b"], 10);
    let due = now() + Duration::from_secs(30);
    let put = bench.finish(now(), 0, Outcome::Aborted(Duration::from_secs(30)));
    assert_eq!(writes(&put).len(), 1);
    bench.tell(now(), bounce(7, "a"));
    bench.tell(now(), Event::OrderEnded(7));
    let row = LoadedRow { key: RowKey { due, offset: Offset(0) }, attempts: 0, created: now() };
    let loaded = |rows| Event::Loaded { lane: lane("a"), rows, next_due: None };
    let actions = bench.tell(now(), loaded(vec![row]));
    assert_eq!(bounced(&actions), []);
    assert!(actions.contains(&Action::Forget { offset: Offset(0) }), "{actions:?}");
    assert_eq!(loads(&actions).len(), 1, "when it is due is looked for: {actions:?}");
    assert_eq!(bench.consumer.totals().rows, 1);
}

#[test]
fn what_was_unread_bounces_also_after_the_order_and_what_came_later_does_not() {
    let mut bench = Bench::new();
    bench.append(0, &["a"], 10);
    bench.tell(now(), Event::Visible(Offset(3)));
    bench.tell(now(), bounce(7, "a"));
    let later = now() + 2 * MINUTE;
    bench.tell(later, Event::Visible(Offset(4)));
    let events = (1..4).map(|n| (Offset(n), now())).collect();
    bench.tell(later, Event::Read(Read { events, next: Offset(4) }));
    let judged = |n| Event::Judged { offset: Offset(n), verdict: Verdict::Lane(lane("a"), crate::support::config(10)) };
    assert_eq!(bounced(&bench.tell(later, judged(1))), [(1, 7)]);
    assert_eq!(bounced(&bench.tell(later, judged(2))), [(2, 7)]);
    assert_eq!(bounced(&bench.tell(later, judged(3))), []);
}

#[test]
fn what_sessions_had_when_their_queue_was_bounced_does_not_make_its_lane_fail() {
    let mut bench = Bench::new();
    bench.append(0, &["a", "a", "a", "a"], 10);
    bench.tell(now(), bounce(7, "a"));
    for n in 0..4 {
        assert_eq!(bounced(&bench.finish(now(), n, transient())), [(n, 7)]);
    }
    assert!(!bench.consumer.status(now()).lanes[0].1.failing);
    bench.tell(now(), Event::OrderEnded(7));
    assert_eq!(offers(&bench.append(4, &["a"], 10)), [4], "what comes after the order is tried at once");
}

#[test]
fn a_stuck_only_lane_is_read_on_where_a_bounce_takes_its_events() {
    let mut bench = Bench::new();
    bench.append(0, &["a", "a", "a"], 3);
    for n in 0..3 {
        bench.finish(now(), n, transient());
    }
    let actions = bench.tell(now(), Event::Visible(Offset(900)));
    assert!(!actions.iter().any(|action| matches!(action, Action::Read { .. })), "{actions:?}");
    let actions = bench.tell(now(), bounce(7, "a"));
    assert!(actions.iter().any(|action| matches!(action, Action::Read { .. })), "{actions:?}");
    assert!(!bench.consumer.status(now()).lanes[0].1.failing, "what comes after the order is tried at once");
}
