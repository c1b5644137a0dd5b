use super::*;
use crate::{Delivery, Id, Kind, View, backoff};
use std::collections::HashSet;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

fn key(name: u8) -> Lane {
    Lane::Key([name; 32])
}

const LATER: Outcome = Outcome::Transient { retry_after: None };

fn offered(keys: &[u8]) -> Lanes {
    let mut lanes = Lanes::default();
    for (offset, name) in (0..).zip(keys) {
        assert_eq!(lanes.offer(offset, key(*name)), Offered::Taken);
    }
    lanes
}

fn all(lanes: &mut Lanes, now: Timestamp) -> Vec<u64> {
    std::iter::from_fn(|| lanes.send(now)).collect()
}

#[test]
fn of_each_key_one_message_is_under_way_and_the_next_follows_when_it_arrived() {
    let mut lanes = offered(&[1, 1, 2, 1]);
    assert_eq!(all(&mut lanes, at(0)), [0, 2]);
    assert!(lanes.finished(2, &Outcome::Delivered, at(0), &backoff(), 0.0).is_empty());
    assert_eq!(lanes.position(), (0, vec![2]), "delivered ahead of the first");
    assert!(lanes.finished(0, &Outcome::Delivered, at(0), &backoff(), 0.0).is_empty());
    assert_eq!(all(&mut lanes, at(0)), [1]);
    assert_eq!(lanes.position(), (1, vec![2]));
}

#[test]
fn messages_without_a_key_wait_for_nobody() {
    let mut lanes = Lanes::default();
    (0..20).for_each(|offset| assert_eq!(lanes.offer(offset, Lane::Alone(offset)), Offered::Taken));
    assert_eq!(all(&mut lanes, at(0)).len(), Lanes::AT_ONCE);
}

#[test]
fn a_key_that_waits_parks_what_comes_behind_it_and_holds_up_nobody_else() {
    let mut lanes = offered(&[1, 2, 1]);
    assert_eq!(all(&mut lanes, at(0)), [0, 1]);
    let changes = lanes.finished(0, &LATER, at(0), &backoff(), 0.0);
    assert_eq!(changes.set.iter().map(|row| (row.offset, row.attempts)).collect::<Vec<_>>(), [(0, 1), (2, 0)]);
    let Offered::Parked(row) = lanes.offer(3, key(1)) else { panic!("it has to wait") };
    assert_eq!((row.offset, row.attempts, row.not_before), (3, 0, None));
    assert_eq!(lanes.offer(4, key(2)), Offered::Taken);
    lanes.finished(1, &Outcome::Delivered, at(0), &backoff(), 0.0);
    assert_eq!((all(&mut lanes, at(0)), lanes.parked(), lanes.wake()), (vec![4], (3, 1), Some(at(5))));
    lanes.finished(4, &Outcome::Delivered, at(0), &backoff(), 0.0);
    assert_eq!(lanes.position(), (5, vec![]), "what is parked is in rows");
    assert_eq!(all(&mut lanes, at(4)), Vec::<u64>::new());
    for (now, offset) in [(5, 0), (5, 2), (5, 3)] {
        assert_eq!(all(&mut lanes, at(now)), [offset], "in order, and without a wait behind a success");
        assert_eq!(lanes.finished(offset, &Outcome::Delivered, at(now), &backoff(), 0.0).unset, [offset]);
    }
    assert_eq!((lanes.parked(), lanes.wake()), ((0, 0), None));
    assert_eq!(lanes.offer(5, key(1)), Offered::Taken, "and it is as any other key");
}

#[test]
fn each_failure_doubles_the_wait_of_its_key_alone() {
    let mut lanes = offered(&[1, 2]);
    let mut now = 0;
    for wait in [5, 10, 20] {
        assert!(lanes.send(at(now)).is_some());
        lanes.finished(0, &LATER, at(now), &backoff(), 0.0);
        assert_eq!(lanes.wake(), Some(at(now + wait)));
        now += wait;
    }
    assert_eq!(all(&mut lanes, at(now)), [0, 1]);
    let asked = Outcome::Transient { retry_after: Some(Duration::from_secs(900)) };
    lanes.finished(1, &asked, at(now), &backoff(), 0.0);
    assert_eq!(lanes.wake(), Some(at(now + 900)));
    lanes.wake_all();
    assert_eq!(all(&mut lanes, at(now)), [1]);
}

#[test]
fn a_parked_message_is_skipped_and_its_key_goes_on_behind_it() {
    let mut lanes = offered(&[1, 1, 1, 1]);
    assert_eq!(all(&mut lanes, at(0)), [0]);
    assert_eq!(lanes.skip(0), None, "it is under way for the first time, and in no row");
    lanes.finished(0, &LATER, at(0), &backoff(), 0.0);
    assert_eq!((lanes.parked(), lanes.first_parked()), ((4, 1), Some(0)));
    assert_eq!(lanes.skip(7), None);
    assert_eq!(lanes.skip(2).unwrap().unset, [2], "one in the middle");
    assert_eq!(lanes.wake(), Some(at(5)), "the first of the key waits as before");
    assert_eq!(lanes.skip(0).unwrap().unset, [0]);
    assert_eq!((all(&mut lanes, at(0)), lanes.parked()), (vec![1], (2, 1)), "the next need not wait");
    // It is skipped while an attempt for it is under way: nothing overtakes that.
    assert_eq!(
        lanes.offer(4, key(1)),
        Offered::Parked(ParkedRow { offset: 4, lane: key(1), attempts: 0, not_before: None })
    );
    assert_eq!(lanes.skip(1).unwrap().unset, [1]);
    assert_eq!(lanes.skip(3).unwrap().unset, [3], "nor when the next is skipped too");
    assert_eq!(all(&mut lanes, at(0)), Vec::<u64>::new());
    assert!(lanes.finished(1, &LATER, at(0), &backoff(), 0.0).is_empty());
    assert_eq!(all(&mut lanes, at(0)), [4]);
    assert_eq!(lanes.finished(4, &Outcome::Delivered, at(0), &backoff(), 0.0).unset, [4]);
    assert_eq!((lanes.parked(), lanes.first_parked(), lanes.wake()), ((0, 0), None, None));
    assert_eq!(lanes.position(), (5, vec![]));
}

#[test]
fn a_key_whose_last_message_is_skipped_on_its_way_is_as_any_other() {
    let mut lanes = offered(&[1]);
    assert_eq!(all(&mut lanes, at(0)), [0]);
    lanes.finished(0, &LATER, at(0), &backoff(), 0.0);
    assert_eq!(all(&mut lanes, at(5)), [0]);
    assert_eq!(lanes.skip(0).unwrap().unset, [0]);
    assert!(matches!(lanes.offer(1, key(1)), Offered::Parked(_)), "behind what is on its way");
    assert!(lanes.finished(0, &Outcome::Delivered, at(5), &backoff(), 0.0).is_empty());
    assert_eq!(all(&mut lanes, at(5)), [1]);
    assert_eq!(lanes.finished(1, &Outcome::Delivered, at(5), &backoff(), 0.0).unset, [1]);
    assert_eq!(lanes.offer(2, key(1)), Offered::Taken);
}

#[test]
fn keys_that_wait_never_take_all_places() {
    let mut lanes = Lanes::default();
    for offset in 0..40 {
        lanes.offer(offset, Lane::Alone(offset));
        assert_eq!(all(&mut lanes, at(0)), [offset]);
        lanes.finished(offset, &LATER, at(0), &backoff(), 0.0);
    }
    lanes.offer(40, Lane::Alone(40));
    let under_way = all(&mut lanes, at(100));
    assert_eq!(under_way.len(), RETRIES_AT_ONCE + 1);
    assert!(under_way.contains(&40));
}

#[test]
fn what_is_in_hand_and_what_has_to_be_remembered_are_bounded() {
    let mut lanes = Lanes::default();
    lanes.offer(0, Lane::Alone(0));
    assert_eq!(lanes.send(at(0)), Some(0));
    let mut offset = 1;
    while lanes.room() > 0 {
        lanes.offer(offset, Lane::Alone(offset));
        assert_eq!(lanes.send(at(0)), Some(offset));
        lanes.finished(offset, &Outcome::Delivered, at(0), &backoff(), 0.0);
        offset += 1;
    }
    assert_eq!(
        (offset, lanes.position().1.len() as u64),
        (SPAN, SPAN - 1),
        "one that hangs holds up no more than this"
    );
    let mut idle = Lanes::default();
    for offset in 0..IN_HAND as u64 {
        idle.offer(offset, key(1));
    }
    assert_eq!(idle.room(), 0);
}

#[test]
fn with_as_many_rows_as_may_be_the_cursor_stops() {
    let rows = (0..MOST_ROWS as u64).map(|offset| ParkedRow { offset, lane: key(1), attempts: 0, not_before: None });
    let mut lanes = Lanes::new(MOST_ROWS as u64, [], rows);
    assert!(lanes.is_full() && lanes.room() == 0);
    let told = |lanes: &Lanes| {
        let id = Id::mint(Kind::Egress, 0, [0; 16]);
        Delivery::from_offset(0).status(id, View::default(), at(0)).with_lanes(lanes).held_up
    };
    assert!(told(&lanes).is_some_and(|why| why.contains("100000 messages are parked")));
    assert_eq!(lanes.send(at(0)), Some(0));
    lanes.finished(0, &Outcome::Delivered, at(0), &backoff(), 0.0);
    assert!(!lanes.is_full() && lanes.room() > 0 && told(&lanes).is_none());
}

#[test]
fn a_row_comes_back_from_the_store_and_a_torn_one_is_none() {
    for lane in [key(3), Lane::Alone(9)] {
        for not_before in [None, Some(at(-5))] {
            let row = ParkedRow { offset: 9, lane, attempts: 7, not_before };
            assert_eq!(ParkedRow::decode(9, row.encode()), Some(row));
            assert_eq!(ParkedRow::decode(9, row.encode().slice(..12)), None);
        }
    }
    assert_eq!(
        ParkedRow::decode(9, ParkedRow { offset: 9, lane: key(3), attempts: 0, not_before: None }.encode().slice(..40)),
        None
    );
}

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// A hundred thousand messages, an endpoint that fails at random, a daemon that dies at random.
#[test]
fn each_message_arrives_and_first_arrivals_of_a_key_are_in_order_whatever_fails_and_dies() {
    const MESSAGES: u64 = 100_000;
    let mut dice = Dice(11);
    // One in eight has no key.
    let lanes_of: Vec<Lane> = (0..MESSAGES)
        .map(|offset| if dice.below(8) == 0 { Lane::Alone(offset) } else { key(dice.below(40) as u8) })
        .collect();
    // What the store holds.
    let mut stored: (u64, Vec<u64>);
    let mut rows = BTreeMap::<u64, ParkedRow>::new();
    let mut lanes = Lanes::new(0, [], []);
    let (mut arrived, mut newest) = (HashSet::new(), HashMap::<Lane, u64>::new());
    let (mut under_way, mut now, mut repeated, mut died) = (Vec::<u64>::new(), 0, 0, 0u64);
    loop {
        let until = (lanes.cursor() + lanes.room() as u64).min(MESSAGES);
        for offset in lanes.cursor()..until {
            if let Offered::Parked(row) = lanes.offer(offset, lanes_of[offset as usize]) {
                rows.insert(row.offset, row);
            }
        }
        stored = lanes.position();
        while let Some(offset) = lanes.send(at(now)) {
            under_way.push(offset);
        }
        if under_way.is_empty() {
            match lanes.wake() {
                Some(time) => now = now.max(time.secs()),
                None if lanes.cursor() == MESSAGES => break,
                None => {}
            }
            continue;
        }
        // Ten attempts a second, about.
        now += i64::from(dice.below(10) == 0);
        let offset = under_way.swap_remove(dice.below(under_way.len() as u64) as usize);
        let outcome = if dice.below(12) == 0 { LATER } else { Outcome::Delivered };
        if outcome == Outcome::Delivered {
            if arrived.insert(offset) {
                let before = newest.insert(lanes_of[offset as usize], offset);
                assert!(before.is_none_or(|before| before < offset), "{offset} arrived behind {before:?}");
            } else {
                repeated += 1;
            }
        }
        // The daemon may die before the outcome is stored.
        if dice.below(500) != 0 {
            let changes = lanes.finished(offset, &outcome, at(now), &backoff(), 0.0);
            rows.extend(changes.set.into_iter().map(|row| (row.offset, row)));
            for offset in &changes.unset {
                rows.remove(offset);
            }
        } else {
            died += 1;
            under_way.clear();
            lanes = Lanes::new(stored.0, stored.1.clone(), rows.values().copied());
        }
    }
    assert_eq!(arrived.len() as u64, MESSAGES);
    assert!(died > 50 && repeated <= died * Lanes::AT_ONCE as u64, "{repeated} repeated after {died} deaths");
    assert!(rows.is_empty() && stored.0 == MESSAGES);
}
