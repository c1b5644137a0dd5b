//! Where events go that an operator wants to be elsewhere.

use crate::support::{Bench, MINUTE, config, lane, now, offers, rows, transient, writes};
use std::sync::Arc;
use std::time::Duration;
use waybill_journal_core::{
    Action, Demand, Event, LaneMatch, LaneOrder, LoadedRow, Outcome, Parcel, Read, Rebound, RowKey, Verdict, Write,
};
use waybill_types::{Offset, Timestamp};

fn rebind(name: &'static str) -> Event {
    let lanes = LaneMatch::new(move |lane| lane.as_str() == name);
    Event::Ordered(LaneOrder { id: 1, lanes, demand: Demand::Rebind(Parcel::new(Arc::new(name))), until: now() })
}

/// Which events the dispatcher is asked about, and what the order was about.
fn asked(actions: &[Action]) -> Vec<(u64, &'static str)> {
    let ask = |action: &Action| match action {
        Action::Rebind { parcel, events, .. } => {
            let name = *parcel.open::<&'static str>().expect("a name");
            Some(events.iter().map(|(offset, _)| (offset.0, name)).collect::<Vec<_>>())
        }
        _ => None,
    };
    actions.iter().filter_map(ask).flatten().collect()
}

fn moves(offset: u64, to: &str) -> Event {
    Event::Rebound { offset: Offset(offset), rebound: Rebound::Moves(lane(to), config(10)) }
}

#[test]
fn what_waits_moves_at_once_and_what_is_offered_when_it_comes_back() {
    let mut bench = Bench::new();
    // Some are offered, the others wait.
    let appended = bench.append(0, &["a", "a", "a", "a", "a", "a", "b"], 10);
    let offered = offers(&appended);
    let waiting: Vec<(u64, &str)> = (0..6).filter(|n| !offered.contains(n)).map(|n| (n, "a")).collect();
    let actions = bench.tell(now(), rebind("a"));
    assert!(actions.contains(&Action::Recall { lane: lane("a") }), "{actions:?}");
    assert_eq!(asked(&actions), waiting);
    assert_eq!(asked(&bench.tell(now(), Event::Returned { offset: Offset(0), delay: None })), [(0, "a")]);
    assert_eq!(asked(&bench.finish(now(), 1, transient())), [(1, "a")]);
    assert_eq!(asked(&bench.finish(now(), 2, Outcome::Delivered)), []);
    let moved = bench.tell(now(), moves(0, "c"));
    let [Write::PutRow { lane: to, key, replaces: None, .. }] = writes(&moved)[..] else { panic!("{moved:?}") };
    assert_eq!((to, key.offset), (&lane("c"), Offset(0)));
    assert!(key.due < now(), "it is due at once");
    // Failed once, and it counts.
    let moved = bench.tell(now(), moves(1, "c"));
    assert_eq!(rows(&moved)[0].1, 1);
}

#[test]
fn a_row_leaves_its_lane_in_the_batch_that_puts_it_into_another_or_stays_no_later_than_it_was() {
    let mut bench = Bench::new();
    bench.append(0, &["a", "a", "b"], 10);
    let put: Vec<(RowKey, u16)> = (0..2).flat_map(|n| rows(&bench.finish(now(), n, transient()))).collect();
    let actions = bench.tell(now(), rebind("a"));
    let load = actions.iter().find_map(|action| match action {
        Action::Load { from, until: Timestamp::MAX, .. } => Some(*from),
        _ => None,
    });
    assert!(load.is_some_and(|from| from < put[0].0), "{actions:?}");
    let loaded = |(key, attempts): &(RowKey, u16)| LoadedRow { key: *key, attempts: *attempts, created: now() };
    let rows_of_a = put.iter().map(loaded).collect();
    let actions = bench.tell(now(), Event::Loaded { lane: lane("a"), rows: rows_of_a, next_due: None });
    assert_eq!(asked(&actions), [(0, "a"), (1, "a")]);
    let moved = bench.tell(now(), moves(0, "c"));
    let [Write::DeleteRow { lane: from, key }, Write::PutRow { lane: to, key: there, attempt, replaces: None }] =
        writes(&moved)[..]
    else {
        panic!("{moved:?}")
    };
    assert_eq!((from, *key, to, attempt.attempts), (&lane("a"), put[0].0, &lane("c"), 1));
    assert!(load.is_some_and(|from| *there < from), "the search does not come to it again");
    let stays = bench.tell(now(), Event::Rebound { offset: Offset(1), rebound: Rebound::Stays(10 * MINUTE) });
    let [Write::PutRow { key, replaces, .. }] = writes(&stays)[..] else { panic!("{stays:?}") };
    assert_eq!((*key, *replaces), (put[1].0, Some(put[1].0)), "it keeps its time");
}

#[test]
fn what_was_unread_moves_as_it_is_read_order_by_order_and_what_came_later_does_not() {
    let mut bench = Bench::new();
    bench.append(0, &["b"], 10);
    bench.tell(now(), Event::Visible(Offset(3)));
    bench.tell(now(), rebind("a"));
    bench.tell(now(), rebind("c"));
    bench.tell(now(), Event::Visible(Offset(4)));
    let events = (1..4).map(|n| (Offset(n), now())).collect();
    bench.tell(now(), Event::Read(Read { events, next: Offset(4) }));
    let judged = |n| Event::Judged { offset: Offset(n), verdict: Verdict::Lane(lane("a"), config(10)) };
    bench.tell(now(), judged(1));
    bench.tell(now(), judged(2));
    let actions = bench.tell(now(), judged(3));
    assert_eq!(asked(&actions), [(1, "a"), (2, "a")], "together, once all of them are judged");
    // One of them goes where the second order takes it from.
    assert_eq!(asked(&bench.tell(now(), moves(1, "c"))), [(1, "c")]);
    assert_eq!(writes(&bench.tell(now(), moves(1, "d"))).len(), 1);
    let stays = Event::Rebound { offset: Offset(2), rebound: Rebound::Stays(MINUTE) };
    assert_eq!(writes(&bench.tell(now(), stays)).len(), 1);
    assert!(!bench.consumer.is_rebinding());
}

#[test]
fn what_is_flushed_is_tried_at_once_though_its_lane_fails_and_the_clock_was_set_back() {
    let mut bench = Bench::new();
    bench.append(0, &["a", "a", "a", "b"], 10);
    let put: Vec<(RowKey, u16)> = (0..3).flat_map(|n| rows(&bench.finish(now(), n, transient()))).collect();
    let earlier = now() - Duration::from_secs(86_400);
    let loads = |actions: &[Action]| {
        let due = |action: &Action| matches!(action, Action::Load { until, .. } if *until == earlier);
        actions.iter().any(due)
    };
    bench.tell(earlier, rebind("a"));
    let loaded = |(key, attempts): &(RowKey, u16)| LoadedRow { key: *key, attempts: *attempts, created: now() };
    let rows_of_a = put.iter().map(loaded).collect();
    let mut actions = bench.tell(earlier, Event::Loaded { lane: lane("a"), rows: rows_of_a, next_due: None });
    assert!(!loads(&actions));
    for n in 0..3 {
        let rebound = Rebound::Stays(Duration::ZERO);
        actions.extend(bench.tell(earlier, Event::Rebound { offset: Offset(n), rebound }));
    }
    assert!(loads(&actions), "{actions:?}");
}
