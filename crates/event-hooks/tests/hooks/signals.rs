//! Events that are no log records: of endpoints, and of what is managed.

use crate::world::World;
use serde_json::{Value, json};

/// A hook on another source that sends all that it is told, to a host of its own.
async fn listener(world: &World, source: &str, event: &str, host: &str) -> String {
    let hook = json!({
        "source": source, "event": event, "handler": "webhook-custom",
        "config": {
            "url": format!("https://{host}/x"), "method": "POST", "headers": {"content-type": "application/json"},
            "payload": {"event": "{{ event }}", "endpoint": "{{ endpoint }}", "operation": "{{ operation }}",
                        "id": "{{ entity.id }}", "old": "{{ old_entity.snooze }}"},
        },
    });
    world.create(hook).await
}

fn told(world: &World, host: &str) -> Vec<Value> {
    world.earth.post.sent().iter().filter(|sent| sent.url.starts_with(host)).map(crate::world::Sent::json).collect()
}

#[tokio::test]
async fn hooks_on_crud_are_told_of_changes_of_others_and_not_of_their_own() {
    let world = World::new().await;
    let watching = listener(&world, "crud", "event_hooks:update", "watch.example").await;
    let watched = world.on_bounces(json!({"snooze": 7})).await;
    world.ask("PATCH", &format!("/event-hooks/{watching}"), Some(json!({"snooze": null}))).await;
    world.ask("PATCH", &format!("/event-hooks/{watched}"), Some(json!({"snooze": 8}))).await;
    world.earth.post.so_many(1).await;
    world.until(&format!("/event-hooks/{watching}/status"), |status| status["lag_events"] == 0).await;
    let expected = json!({
        "event": "event_hooks:update", "endpoint": "", "operation": "update", "id": watched, "old": "7",
    });
    assert_eq!(told(&world, "watch.example"), [expected]);
    world.end().await;
}

#[tokio::test]
async fn an_endpoint_that_fails_is_told_to_others_and_never_to_a_hook_on_it() {
    let world = World::new().await;
    let broken = world.on_bounces(json!({})).await;
    let watching = listener(&world, "endpoint", "failing", "watch.example").await;
    // The same target as the one that breaks: an event about it must not go there.
    let same = listener(&world, "endpoint", "failing", "hooks.example").await;
    world.earth.post.breaks("hooks.example");
    for _ in 0..5 {
        world.earth.bounce("a@x", None);
    }
    // Each failure is followed by a wait.
    let path = format!("/event-hooks/{watching}/status");
    world
        .until(&path, |status| {
            world.later(60);
            status["since_start"]["delivered"] == 1
        })
        .await;
    world.until(&format!("/event-hooks/{same}/status"), |status| status["lag_events"] == 0).await;
    let heard = told(&world, "watch.example");
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!((&heard[0]["event"], &heard[0]["endpoint"]), (&json!("failing"), &json!(broken)));
    let status = world.get(&format!("/event-hooks/{same}/status")).await;
    assert_eq!(status["since_start"]["delivered"], 0, "{status}");
    world.end().await;
}

#[tokio::test]
async fn a_target_that_is_gone_is_told_as_disabled() {
    let world = World::new().await;
    let gone = world.on_bounces(json!({})).await;
    listener(&world, "endpoint", "disabled", "watch.example").await;
    world.earth.post.answers(&[410]);
    world.earth.bounce("a@x", None);
    world.earth.post.so_many(2).await;
    assert_eq!(told(&world, "watch.example")[0]["endpoint"], json!(gone));
    world.end().await;
}

#[tokio::test]
async fn a_hook_that_moves_to_another_source_begins_there_with_what_comes() {
    let world = World::new().await;
    let id = world.on_bounces(json!({})).await;
    let other = world.on_bounces(json!({"enabled": false})).await;
    let put = json!({
        "source": "crud", "event": "event_hooks:delete", "handler": "webhook-custom",
        "config": {"url": "https://moved.example/x", "method": "POST", "body": "{{ entity.id }}"},
    });
    let (status, moved) = world.ask("PUT", &format!("/event-hooks/{id}"), Some(put)).await;
    assert_eq!(status, 200, "{moved}");
    world.earth.bounce("a@x", None);
    world.ask("DELETE", &format!("/event-hooks/{other}"), None).await;
    let sent = world.earth.post.so_many(1).await;
    assert_eq!((sent[0].url.as_str(), &sent[0].body), ("moved.example/x", &other));
    world.end().await;
}
