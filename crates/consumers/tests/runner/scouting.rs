//! Looking ahead of a lane that is stuck.

use crate::world::{Life, TokioClock, append};
use std::sync::Arc;
use std::time::Duration;
use waybill_spool::{MemoryStore, Store};

/// More than are read at a time before the lane is known.
const EVENTS: usize = 600;

/// How many events are in memory while the only lane is stuck, and how many are looked at ahead of their turn.
async fn stuck(is_known: bool) -> (usize, usize) {
    let (store, clock): (Arc<dyn Store>, _) = (Arc::new(MemoryStore::new()), TokioClock::start());
    for _ in 0..EVENTS {
        append(&*store, &clock, "a", "ok").await.unwrap();
    }
    let mut seen = (0, 0);
    let life = Life::new(&store, &clock);
    let left = life.live(async |inside| {
        inside.desk.silence("a");
        if is_known {
            inside.desk.know_only("a");
        }
        // In paused time: as long as anybody has anything to do before.
        tokio::time::sleep(Duration::from_secs(60)).await;
        seen = (inside.desk.in_memory(), inside.desk.scouted());
        None
    });
    left.await.unwrap();
    seen
}

#[tokio::test(start_paused = true)]
async fn nothing_is_read_ahead_where_every_event_is_known_to_be_of_the_lane() {
    let (in_memory, scouted) = stuck(false).await;
    assert!(in_memory < EVENTS, "it stands still");
    assert_eq!(scouted, EVENTS - in_memory, "once each");
    assert_eq!(stuck(true).await, (in_memory, 0));
}
