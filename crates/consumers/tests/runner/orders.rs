//! What operators order about lanes: whatever is there bounces, and a crash in the middle loses nothing.

use crate::world::{Life, TokioClock, append, letters};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use waybill_consumers::Control;
use waybill_journal_core::{Demand, LaneMatch, LaneOrder};
use waybill_runtime::Clock;
use waybill_spool::{Crash, CrashingStore, MemoryStore, Store};
use waybill_types::Offset;

const HOUR: Duration = Duration::from_secs(3600);

/// Orders something about lane `a`.
async fn order(control: &Control, clock: &TokioClock, demand: Demand) {
    let lanes = LaneMatch::new(|lane| lane.as_str() == "a");
    control.order(LaneOrder { id: 1, lanes, demand, until: clock.now() + HOUR }).await.unwrap();
}

fn bounce() -> Demand {
    Demand::Bounce { reason: "gone".into(), silent: false }
}

#[tokio::test(start_paused = true)]
async fn a_bounce_ends_a_backlog_in_memory_in_rows_and_in_the_journal_and_no_other_lane() {
    let (store, clock): (Arc<dyn Store>, _) = (Arc::new(MemoryStore::new()), TokioClock::start());
    for number in 0..1500 {
        append(&*store, &clock, if number % 10 == 0 { "b" } else { "a" }, "ok").await.unwrap();
    }
    let life = Life::new(&store, &clock);
    let left = life.live(async |inside| {
        inside.desk.silence("a");
        let snapshot = inside.until_shown(|snapshot| snapshot.lag_events == 1350).await;
        assert!(snapshot.parked > 1000 && snapshot.in_flight > 0, "{snapshot:?}");
        order(&inside.control, &clock, bounce()).await;
        inside.caught_up().await;
        // While the order is in force.
        append(&*store, &clock, "a", "ok").await.unwrap();
        inside.until_shown(|snapshot| snapshot.dead_letters == 1351 && snapshot.lag_events == 0).await;
        Some(())
    });
    let left = left.await.unwrap();
    assert_eq!((left.told.delivered.len(), left.told.buried.len(), left.in_memory), (150, 1351, 0));
    let letters = letters(&store).await;
    assert!(letters.iter().all(|letter| (letter.reason.as_str(), letter.text.as_str()) == ("bounced", "gone")));
}

#[tokio::test(start_paused = true)]
async fn a_suspended_lane_waits_for_the_end_of_the_order() {
    let (store, clock): (Arc<dyn Store>, _) = (Arc::new(MemoryStore::new()), TokioClock::start());
    let life = Life::new(&store, &clock);
    let left = life.live(async |inside| {
        order(&inside.control, &clock, Demand::Suspend).await;
        append(&*store, &clock, "a", "ok").await.unwrap();
        append(&*store, &clock, "b", "ok").await.unwrap();
        inside.until_shown(|snapshot| snapshot.lag_events == 1).await;
        assert_eq!(inside.desk.told().delivered.keys().copied().collect::<Vec<_>>(), [Offset(1)]);
        inside.control.end_order(1).await.unwrap();
        inside.caught_up().await;
        Some(())
    });
    assert_eq!(left.await.unwrap().told.delivered.len(), 2);
}

/// Bounces a backlog of which some events are rows, and lives on without the order once the store has died of that.
async fn bounced(crash: Crash) -> (Arc<CrashingStore>, BTreeMap<Offset, usize>) {
    let (store, clock) = (Arc::new(CrashingStore::new(crash)), TokioClock::start());
    let shared: Arc<dyn Store> = store.clone();
    let life = Life::new(&shared, &clock);
    let first = life.live(async |inside| {
        let story = async {
            for (lane, what) in [("a", "later"), ("b", "ok"), ("a", "ok"), ("a", "later"), ("b", "later")] {
                append(&*shared, &clock, lane, what).await.ok()?;
            }
            inside.desk.until(|told| told.delivered.len() == 2).await;
            order(&inside.control, &clock, bounce()).await;
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
async fn a_crash_at_whatever_write_of_a_bounce_loses_no_event() {
    let (store, delivered) = bounced(Crash::NEVER).await;
    assert_eq!((delivered.len(), letters(&store.survivor()).await.len()), (3, 2));
    for crash in Crash::everywhere(store.commits()) {
        let (store, delivered) = bounced(crash).await;
        let survivor = store.survivor();
        let events: BTreeSet<Offset> = crate::crash::journal(&*survivor).await.into_iter().collect();
        let dead = letters(&survivor).await.into_iter().map(|letter| letter.offset);
        let ended: BTreeSet<Offset> = dead.chain(delivered.into_keys()).collect();
        assert!(events.is_subset(&ended), "{crash:?}: {events:?} came to {ended:?}");
    }
}
