//! The process dies, at every write (I4).

use crate::world::{Earth, World};
use serde_json::json;
use std::sync::Arc;
use waybill_spool::{CrashingStore, LastWrite};

/// Seconds and recipients; with a snooze of 30 s those in capital letters fire.
const EVENTS: [(u64, &str); 6] = [(0, "A@x"), (10, "b@x"), (20, "c@x"), (40, "D@x"), (50, "e@x"), (80, "F@x")];
/// More writes than a life has.
const MOST: usize = 200;

/// The next bounces, as long as the store lives.
async fn live(world: &World, id: &str, store: &CrashingStore) {
    let story = async {
        let mut now = 0;
        let mut fired = 0;
        for (at, recipient) in EVENTS {
            world.later(at - now);
            now = at;
            world.earth.bounce(recipient, None);
            if recipient.starts_with(|c: char| c.is_uppercase()) {
                fired += 1;
                world.earth.post.so_many(fired).await;
            }
        }
        world.until(&format!("/event-hooks/{id}/status"), |status| status["lag_events"] == 0).await;
    };
    tokio::select! {
        biased;
        () = store.crashed() => {}
        () = story => {}
    }
}

async fn dies_at(at: usize, last: LastWrite) -> bool {
    let world = World::new().await;
    let id = world.on_bounces(json!({"snooze": 30})).await;
    let earth: Earth = world.end().await;
    let store = Arc::new(CrashingStore::over(Arc::new(earth.store.clone()), at, last));
    if let Some(world) = earth.daemon_on(store.clone()).await {
        live(&world, &id, &store).await;
        world.kill();
    }
    let crashed = store.is_crashed();
    // What had not happened when it died happens now.
    let there = earth.bounces();
    let world = earth.daemon().await;
    for (before, (at, recipient)) in EVENTS.iter().enumerate().skip(there) {
        let gap = if before == 0 { 0 } else { at - EVENTS[before - 1].0 };
        world.later(gap);
        world.earth.bounce(recipient, None);
    }
    let path = format!("/event-hooks/{id}/status");
    world.until(&path, |status| status["lag_events"] == 0 && status["in_flight"] == 0).await;
    let mut told: Vec<(String, String)> = Vec::new();
    for sent in world.earth.post.sent() {
        if !told.contains(&(sent.id.clone(), sent.body.clone())) {
            told.push((sent.id, sent.body));
        }
    }
    let told: Vec<_> = told.iter().map(|(_, body)| body.as_str()).collect();
    assert_eq!(told, ["A@x", "D@x", "F@x"], "died at write {at}, {last:?}");
    world.end().await;
    crashed
}

#[tokio::test(start_paused = true)]
async fn no_event_that_fires_is_lost_and_none_that_was_quiet_comes_back_whatever_write_was_the_last() {
    for last in [LastWrite::Lost, LastWrite::Unacknowledged] {
        let mut at = 1;
        while at < MOST && dies_at(at, last).await {
            at += 1;
        }
        assert!((3..MOST).contains(&at), "a life had {at} writes");
    }
}
