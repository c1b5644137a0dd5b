//! Consumers that wait.

mod world;

use futures::future::join_all;
use serde_json::json;
use std::sync::Arc;
use waybill_spool::MemoryStore;
use waybill_streams_core::Limits;
use world::{Open, World};

#[tokio::test]
async fn ten_thousand_consumers_wait_and_each_gets_the_message_that_comes() {
    let world = World::new().await;
    let id = world.log(json!({})).await;
    let path = format!("/messages/{id}?offset=-1&poll=30000");
    let mut waiting = Box::pin(join_all((0..10_000).map(|_| world.get(&path))));
    assert!(futures::poll!(&mut waiting).is_pending());
    let one_more = format!("/messages/{id}?poll=1000");
    assert_eq!(world.code("GET", &one_more, None).await, "message-poll-limited", "one more than may wait");
    world.say(&id, "here").await;
    for answer in waiting.await {
        assert_eq!((&answer["next_offset"], &answer["messages"][0]["value"]), (&1.into(), &"here".into()));
    }
    assert_eq!(world.get(&one_more).await["messages"].as_array().unwrap().len(), 1, "there is room again");
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_nothing_when_its_time_is_over() {
    let world = World::new().await;
    let id = world.log(json!({})).await;
    let answer = world.get(&format!("/messages/{id}?poll=2000")).await;
    assert_eq!(answer, json!({"next_offset": 0, "encoding": "string", "messages": []}));
}

#[tokio::test]
async fn a_wait_ends_when_the_daemon_stops() {
    let world = World::new().await;
    let id = world.log(json!({})).await;
    let path = format!("/messages/{id}?poll=30000");
    let mut waiting = Box::pin(world.get(&path));
    assert!(futures::poll!(&mut waiting).is_pending());
    world.stop.request();
    assert_eq!(waiting.await["messages"], json!([]));
}

#[tokio::test]
async fn a_consumer_that_hangs_up_makes_room_for_another() {
    let limits = Limits { waiting: 1, ..Limits::default() };
    let world = World::over(Arc::new(MemoryStore::new()), limits, Arc::new(Open)).await;
    let id = world.log(json!({})).await;
    let path = format!("/messages/{id}?poll=30000");
    let mut first = Box::pin(world.get(&path));
    assert!(futures::poll!(&mut first).is_pending());
    drop(first);
    let mut second = Box::pin(world.get(&path));
    assert!(futures::poll!(&mut second).is_pending());
    world.say(&id, "x").await;
    assert_eq!(second.await["next_offset"], 1);
}
