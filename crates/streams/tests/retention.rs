//! What a log drops by itself, by the schedule that it was given.

mod world;

use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use waybill_spool::MemoryStore;
use waybill_streams_core::Limits;
use world::{NOW, Open, World};

/// Longer than the daemon waits between two looks at all logs: as a consumer for whom nothing comes waits. The time of
/// the runtime goes by at once where everybody waits.
async fn until_all_was_looked_at(world: &World, idle: &str) {
    let answer = world.get(&format!("/messages/{idle}?offset=-1&poll=11000")).await;
    assert_eq!(answer["messages"], json!([]));
}

async fn offsets(world: &World, log: &str) -> Vec<u64> {
    let answer = world.get(&format!("/messages/{log}?len=1000")).await;
    answer["messages"].as_array().unwrap().iter().map(|message| message["offset"].as_u64().unwrap()).collect()
}

/// A key with three values and a delete of another, a minute apart from each other.
async fn fill(world: &World, log: &str) {
    let minute = |number: i64| (NOW + number * 60) * 1_000_000;
    let message = |number: i64, key: &str, value: Value| json!({"time": minute(number), "key": key, "value": value});
    let messages = [
        message(-3, "a", json!("one")),
        message(-2, "a", json!("two")),
        message(-1, "gone", Value::Null),
        message(0, "a", json!("three")),
    ];
    world.post(&format!("/messages/{log}"), json!({"messages": messages})).await;
}

#[tokio::test(start_paused = true)]
async fn each_log_drops_by_itself_what_its_own_limits_say_and_one_without_any_keeps_all() {
    let store = Arc::new(MemoryStore::new());
    let world = World::over(store.clone(), Limits::default(), Arc::new(Open)).await;
    let idle = world.log(json!({})).await;
    let kept = world.log(json!({"compacting": true})).await;
    let limits = [
        json!({"trim_count": 1}),
        json!({"trim_size": 1}),
        json!({"trim_seconds": 90}),
        json!({"compact_seconds": 150}),
        json!({"expire_seconds": 30}),
        json!({"compact_seconds": 90, "expire_seconds": 120}),
    ];
    let mut limited = Vec::new();
    for mut limits in limits {
        limits["compacting"] = json!(true);
        limited.push(world.log(limits).await);
    }
    for log in limited.iter().chain([&kept]) {
        fill(&world, log).await;
    }
    until_all_was_looked_at(&world, &idle).await;
    let left: [&[u64]; 6] = [&[3], &[], &[2, 3], &[1, 2, 3], &[0, 1, 3], &[2, 3]];
    for (log, left) in limited.iter().zip(left) {
        assert_eq!(offsets(&world, log).await, left, "{}", world.get(&format!("/log/{log}")).await);
    }
    assert_eq!(offsets(&world, &kept).await, [0, 1, 2, 3]);

    // What grows old goes later, and what is changed counts.
    world.clock.set(world.clock_now() + Duration::from_secs(100));
    world.patch(&format!("/log/{kept}"), json!({"trim_count": 2})).await;
    until_all_was_looked_at(&world, &idle).await;
    let left: [&[u64]; 6] = [&[3], &[], &[], &[2, 3], &[0, 1, 3], &[3]];
    for (log, left) in limited.iter().zip(left) {
        assert_eq!(offsets(&world, log).await, left, "{}", world.get(&format!("/log/{log}")).await);
    }
    assert_eq!(offsets(&world, &kept).await, [2, 3]);
    world.end().await;

    // After a restart too; and no offset is given again.
    let world = World::over(store, Limits::default(), Arc::new(Open)).await;
    let answer = world.post(&format!("/messages/{}", limited[0]), json!({"messages": [{}, {}]})).await;
    assert_eq!(answer["next_offset"], 6);
    until_all_was_looked_at(&world, &idle).await;
    assert_eq!(offsets(&world, &limited[0]).await, [5]);
}
