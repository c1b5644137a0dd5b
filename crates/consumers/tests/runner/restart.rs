//! Stops, starts, and what is on the disk between them.

use crate::world::{Life, TokioClock, append, letters, registered};
use std::sync::Arc;
use waybill_spool::{Batch, Durability, Key, MemoryStore, Op, Store, Table};

#[tokio::test(start_paused = true)]
async fn a_consumer_goes_on_where_it_was_stopped() {
    let (store, clock): (Arc<dyn Store>, _) = (Arc::new(MemoryStore::new()), TokioClock::start());
    let life = Life::new(&store, &clock);
    for at in 1..=2 {
        append(&*store, &clock, "a", "ok").await.unwrap();
        let left = life.live(async |inside| {
            inside.caught_up().await;
            Some(())
        });
        let left = left.await.unwrap();
        assert_eq!(left.told.delivered.len(), 1, "each life has one event of its own");
        assert_eq!(left.in_memory, 0);
        assert_eq!(registered(&store).await.cursor.0, at);
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_endpoint_did_not_answer_before_the_stop_comes_again_after_it() {
    let (store, clock): (Arc<dyn Store>, _) = (Arc::new(MemoryStore::new()), TokioClock::start());
    let life = Life::new(&store, &clock);
    let silent = append(&*store, &clock, "mute", "ok").await.unwrap();
    let other = append(&*store, &clock, "a", "ok").await.unwrap();
    let left = life.live(async |inside| {
        inside.desk.silence("mute");
        inside.desk.until(|told| told.delivered.contains_key(&other)).await;
        Some(())
    });
    let left = left.await.unwrap();
    assert!(!left.told.delivered.contains_key(&silent));
    let left = life.live(async |inside| {
        inside.desk.until(|told| told.delivered.contains_key(&silent)).await;
        Some(())
    });
    assert!(!left.await.unwrap().told.delivered.contains_key(&other), "that one was settled");
}

#[tokio::test(start_paused = true)]
async fn a_damaged_row_and_a_damaged_event_are_dead_letters_and_hold_up_nobody() {
    let (store, clock): (Arc<dyn Store>, _) = (Arc::new(MemoryStore::new()), TokioClock::start());
    let life = Life::new(&store, &clock);
    append(&*store, &clock, "a", "later").await.unwrap();
    // It stops while the event waits for its second attempt: that is a row.
    let failed = life.live(async |inside| {
        inside.until_shown(|snapshot| snapshot.parked > 0).await;
        Some(())
    });
    failed.await.unwrap();
    let rows = store.range(Table::Rows, Key::new(), Key::new().end(), 10).await.unwrap();
    let [(key, _)] = &rows[..] else { panic!("one row, not {rows:?}") };
    let mut batch = Batch::new();
    batch.set(Table::Rows, key.clone(), "no row at all");
    batch.push(Op::Append { stream: waybill_spool::StreamId::EVENTS, entry: "nonsense".into() });
    store.commit(batch, Durability::Synced).await.unwrap();
    append(&*store, &clock, "a", "ok").await.unwrap();
    let left = life.live(async |inside| {
        inside.caught_up().await;
        Some(())
    });
    assert_eq!(left.await.unwrap().told.delivered.len(), 1);
    let letters = letters(&store).await;
    let found: Vec<_> = letters.iter().map(|letter| (letter.reason.as_str(), &letter.entry[..])).collect();
    assert!(found.contains(&("damaged", b"nonsense")) && found.contains(&("damaged", b"no row at all")), "{found:?}");
    assert!(store.range(Table::Rows, Key::new(), Key::new().end(), 10).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_is_silent_holds_up_no_other_and_its_backlog_stays_on_disk() {
    let (store, clock): (Arc<dyn Store>, _) = (Arc::new(MemoryStore::new()), TokioClock::start());
    let life = Life::new(&store, &clock);
    for number in 0..1000 {
        append(&*store, &clock, if number % 10 == 9 { "a" } else { "mute" }, "ok").await.unwrap();
    }
    let left = life.live(async |inside| {
        inside.desk.silence("mute");
        inside.desk.until(|told| told.delivered.len() == 100).await;
        assert!(inside.desk.in_memory() < 300, "{}", inside.desk.in_memory());
        Some(())
    });
    left.await.unwrap();
    assert!(registered(&store).await.rows >= 700);
    let left = life.live(async |inside| {
        inside.caught_up().await;
        Some(())
    });
    let left = left.await.unwrap();
    assert_eq!(left.told.delivered.len(), 900);
    assert!(left.told.delivered.values().all(|times| *times == 1));
    assert_eq!(left.snapshot.map(|snapshot| snapshot.parked), Some(0));
}
