//! Events that an operator wants to be in another lane, and a process that dies of it.

use crate::desk::BATCH;
use crate::world::{Life, TokioClock, append};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use waybill_consumers::Control;
use waybill_journal_core::{Demand, LaneMatch, LaneOrder, Parcel};
use waybill_runtime::Clock;
use waybill_spool::{Crash, CrashingStore, Loss, MemoryStore, Store};
use waybill_types::Offset;

/// Has everything of lane `a` go to another lane.
async fn rebind(control: &Control, clock: &TokioClock, to: &str) {
    let lanes = LaneMatch::new(|lane| lane.as_str() == "a");
    let demand = Demand::Rebind(Parcel::new(Arc::new(to.to_owned())));
    control.order(LaneOrder { id: 1, lanes, demand, until: clock.now() }).await.unwrap();
}

/// A lane whose endpoint says nothing, with a backlog; then all of it goes elsewhere.
async fn backlog(others: bool) {
    let (store, clock): (Arc<dyn Store>, _) = (Arc::new(MemoryStore::new()), TokioClock::start());
    for number in 0..1500 {
        append(&*store, &clock, if others && number % 10 == 0 { "b" } else { "a" }, "ok").await.unwrap();
    }
    let life = Life::new(&store, &clock);
    let left = life.live(async |inside| {
        inside.desk.silence("a");
        let stuck = if others { 1350 } else { 1500 };
        inside.until_shown(|snapshot| snapshot.lag_events == stuck && snapshot.in_flight > 0).await;
        rebind(&inside.control, &clock, "c").await;
        inside.caught_up().await;
        // It is no order about what comes later.
        let later = append(&*store, &clock, "a", "ok").await.unwrap();
        inside.until_shown(|snapshot| snapshot.lag_events == 1 && snapshot.in_flight == 1).await;
        assert!(!inside.desk.told().delivered.contains_key(&later));
        Some(())
    });
    let left = left.await.unwrap();
    assert_eq!(left.told.delivered.len(), 1500);
    assert!(left.told.delivered.values().all(|times| *times == 1));
}

#[tokio::test(start_paused = true)]
async fn a_rebind_moves_a_backlog_in_memory_and_in_rows_to_another_lane() {
    backlog(true).await;
}

#[tokio::test(start_paused = true)]
async fn a_rebind_moves_what_a_stuck_only_lane_has_unread_too() {
    backlog(false).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_changed_of_an_event_is_still_there_after_a_restart() {
    let (store, clock): (Arc<dyn Store>, _) = (Arc::new(MemoryStore::new()), TokioClock::start());
    let life = Life::new(&store, &clock);
    let first = life.live(async |inside| {
        append(&*store, &clock, "a", "later").await.ok()?;
        inside.until_shown(|snapshot| snapshot.parked == 1 && snapshot.in_flight == 0).await;
        inside.desk.silence("c");
        rebind(&inside.control, &clock, "c").await;
        inside.until_shown(|snapshot| snapshot.in_flight == 1).await;
        Some(())
    });
    assert!(first.await.unwrap().told.delivered.is_empty());
    // The desk insists on the lane that the overlay names.
    let second = life.live(async |inside| {
        inside.caught_up().await;
        Some(())
    });
    assert_eq!(second.await.unwrap().told.delivered.len(), 1);
}

/// Moves a backlog of which some events are rows, and lives on without the order once the store has died of that.
async fn rebound(crash: Crash) -> (Arc<CrashingStore>, BTreeMap<Offset, usize>) {
    let (store, clock) = (Arc::new(CrashingStore::new(crash)), TokioClock::start());
    let shared: Arc<dyn Store> = store.clone();
    let life = Life::new(&shared, &clock);
    let first = life.live(async |inside| {
        let story = async {
            for (lane, what) in
                [("a", "later"), ("b", "ok"), ("a", "ok"), ("a", "later"), ("b", "later"), ("a", "later")]
            {
                append(&*shared, &clock, lane, what).await.ok()?;
            }
            inside.desk.until(|told| told.delivered.len() == 2).await;
            rebind(&inside.control, &clock, "c").await;
            inside.caught_up().await;
            Some(())
        };
        tokio::select! {
            biased;
            () = store.crashed() => None,
            ended = story => ended,
        }
    });
    let mut delivered = first.await.map(|left| left.told.delivered).unwrap_or_default();
    let survivor = store.survivor();
    let life = Life::new(&survivor, &clock);
    let second = life.live(async |inside| {
        inside.caught_up().await;
        Some(())
    });
    for (offset, times) in second.await.unwrap().told.delivered {
        *delivered.entry(offset).or_default() += times;
    }
    (store, delivered)
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_whatever_write_of_a_rebind_loses_no_event_and_doubles_few() {
    let (store, delivered) = rebound(Crash::NEVER).await;
    assert_eq!((delivered.len(), delivered.values().sum::<usize>()), (6, 6));
    for crash in Crash::everywhere(store.commits()) {
        let (store, delivered) = rebound(crash).await;
        let events: BTreeSet<Offset> = crate::crash::journal(&*store.survivor()).await.into_iter().collect();
        assert!(events.iter().all(|offset| delivered.contains_key(offset)), "{crash:?}: {events:?}, {delivered:?}");
        let twice = delivered.values().map(|times| times - 1).sum::<usize>();
        let most = if crash.loss == Loss::Process { 2 * BATCH } else { events.len() };
        assert!(twice <= most, "{crash:?}: {twice}");
    }
}
