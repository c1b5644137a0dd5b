//! Hooks that are changed and deleted while they are at work.

use crate::world::{Earth, NOW, World};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use waybill_consumers::Registry;
use waybill_spool::{Key, Store, StreamId, Table};
use waybill_types::Offset;

/// Where its hook will go on after a restart; nothing where the store does not know it.
async fn place(world: &World, id: &str) -> Option<Offset> {
    let known = Registry::new(Arc::new(world.earth.store.clone())).list().await.unwrap();
    known.into_iter().find(|one| one.name == format!("event-hook:{id}")).map(|one| one.cursor)
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_the_id_of_a_deleted_hook_waits_until_that_has_ended() {
    let world = World::new().await;
    let config = |host: &str| json!({"url": format!("https://{host}/x"), "method": "POST", "body": "{{ recipient }}"});
    let id = world.on_bounces(json!({ "config": config("old.example") })).await;
    let path = format!("/event-hooks/{id}");
    world.earth.post.keeps_silent(Some("old.example"));
    world.earth.bounce("a@x", None);
    world.bodies(1).await;
    assert_eq!(world.ask("DELETE", &path, None).await.0, 204);
    let hook =
        json!({"source": "log", "event": "Bounce", "handler": "webhook-custom", "config": config("new.example")});
    let mut put = Box::pin(world.ask("PUT", &path, Some(hook)));
    // In paused time: as long as anybody has anything to do.
    let early = tokio::time::timeout(Duration::from_secs(5), &mut put).await;
    assert!(early.is_err(), "what is being sent for the old one has not ended: {early:?}");
    world.on_bounces(json!({ "config": config("other.example") })).await;
    world.earth.post.keeps_silent(None);
    assert_eq!(put.await.0, 200);
    world.earth.post.answers(&[404, 404]);
    world.earth.bounce("b@x", None);
    world.bodies(3).await;
    world.until(&format!("{path}/dead-letters"), |found| found["data"].as_array().unwrap().len() == 1).await;
    let mut urls: Vec<String> = world.earth.post.sent().into_iter().map(|sent| sent.url).collect();
    urls.sort();
    assert_eq!(urls, ["new.example/x", "old.example/x", "other.example/x"], "the new one begins with what happens now");
    world.end().await;
}

#[tokio::test]
async fn two_patches_at_a_time_are_both_done() {
    let world = World::new().await;
    let path = format!("/event-hooks/{}", world.on_bounces(json!({})).await);
    let (one, other) = tokio::join!(
        world.ask("PATCH", &path, Some(json!({"snooze": 7}))),
        world.ask("PATCH", &path, Some(json!({"config": {"body": "x"}}))),
    );
    assert_eq!((one.0, other.0), (200, 200), "{one:?} {other:?}");
    let hook = world.get(&path).await;
    assert_eq!((&hook["snooze"], &hook["config"]["body"]), (&json!(7), &json!("x")), "{hook}");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_place_of_a_hook_that_nothing_is_for_moves_on_or_nothing_could_be_trimmed() {
    let world = World::new().await;
    let id = world.create(json!({"source": "log", "event": "Delivery", "handler": "log"})).await;
    (0..3).for_each(|_| world.earth.bounce("a@x", None));
    let end = *world.earth.store.visible(StreamId::EVENTS).borrow();
    // In paused time: long past everything that it waits for.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(place(&world, &id).await, Some(end));
    world.kill();
}

#[tokio::test]
async fn of_a_hook_that_cannot_run_nothing_is_left_when_it_is_deleted_and_that_is_told() {
    let mut earth = Earth::new();
    earth.published.push(("billing", "quota"));
    let world = earth.daemon().await;
    let hook = json!({"source": "billing", "handler": "webhook", "config": {"url": "https://hooks.example/1"}});
    let id = world.create(hook).await;
    // An attempt that is kept: the ping.
    let attempts = format!("/event-hooks/{id}/attempts");
    world.until(&attempts, |found| !found["data"].as_array().unwrap().is_empty()).await;
    let mut earth = world.end().await;
    earth.published.clear();
    let world = earth.daemon().await;
    let config = json!({"url": "https://told.example/1", "method": "POST", "body": "{{ operation }} {{ entity.id }}"});
    world.create(json!({"source": "dao:crud", "handler": "webhook-custom", "config": config})).await;
    assert_eq!(world.ask("DELETE", &format!("/event-hooks/{id}"), None).await.0, 204);
    assert_eq!(world.bodies(2).await[1], format!("delete {id}"));
    assert_eq!(place(&world, &id).await, None);
    let rows = world.earth.store.range(Table::State, Key::new(), Key::new().end(), 10_000).await.unwrap();
    let left: Vec<String> = rows.iter().map(|(key, _)| format!("{key:?}")).filter(|key| key.contains(&id)).collect();
    assert_eq!(left, Vec::<String>::new());
    world.end().await;
}

/// A hook that shows its target a token and a header of its own.
fn with_secrets() -> Value {
    json!({
        "url": "https://hooks.example/x", "method": "POST", "body": "{{ recipient }}", "secret": "hunter2-hunter2",
        "secret_headers": {"x-pass": "hunter2"}, "auth": {"bearer": {"token": "hunter2"}},
    })
}

#[tokio::test]
async fn whoever_points_a_hook_elsewhere_has_to_give_its_secrets_again() {
    let world = World::new().await;
    let path = format!("/event-hooks/{}", world.on_bounces(json!({ "config": with_secrets() })).await);
    let (status, refused) = world.ask("PATCH", &path, Some(json!({"config": {"url": "https://evil.example/x"}}))).await;
    assert_eq!(status, 400, "{refused}");
    let fields = &refused["fields"]["config"];
    for why in [&fields["auth"]["bearer"]["token"], &fields["secret_headers"]["x-pass"]] {
        let why = why.as_str().unwrap();
        assert!(why.contains("https://hooks.example") && why.contains("give it again"), "{refused}");
    }
    assert!(!refused.to_string().contains("hunter2"), "{refused}");
    world.earth.bounce("a@x", None);
    world.bodies(1).await;

    let given = json!({"url": "https://new.example/x", "secret_headers": {"x-pass": "new"}, "auth": null});
    let (status, hook) = world.ask("PATCH", &path, Some(json!({ "config": given }))).await;
    assert_eq!((status, &hook["config"]["url"]), (200, &json!("https://new.example/x")), "{hook}");
    world.earth.bounce("b@x", None);
    let sent = world.earth.post.so_many(2).await;
    let seen: Vec<_> = sent.iter().map(|sent| (sent.url.as_str(), sent.headers[0].1.as_str())).collect();
    assert_eq!(seen, [("hooks.example/x", "hunter2"), ("new.example/x", "new")]);
    world.end().await;
}

#[tokio::test]
async fn nor_does_a_hook_that_cannot_run_carry_its_secrets_elsewhere_when_it_is_mended() {
    let mut earth = Earth::new();
    earth.published.push(("billing", "quota"));
    let world = earth.daemon().await;
    let hook = json!({"source": "billing", "handler": "webhook-custom", "config": with_secrets()});
    let path = format!("/event-hooks/{}", world.create(hook).await);
    let mut earth = world.end().await;
    earth.published.clear();
    let world = earth.daemon().await;
    let mut patch = json!({"source": "log", "event": "Bounce", "config": {"url": "https://evil.example/x"}});
    let (status, refused) = world.ask("PATCH", &path, Some(patch.clone())).await;
    assert!(status == 400 && refused["fields"]["config"]["auth"]["bearer"]["token"].is_string(), "{refused}");
    patch["config"]["url"] = json!("https://hooks.example/y");
    assert_eq!(world.ask("PATCH", &path, Some(patch)).await.0, 200);
    world.earth.bounce("a@x", None);
    let sent = world.earth.post.so_many(1).await;
    assert_eq!((sent[0].url.as_str(), sent[0].headers[0].1.as_str()), ("hooks.example/y", "hunter2"));
    world.end().await;
}

#[tokio::test]
async fn to_mend_a_hook_is_to_change_it_and_it_stays_as_old_as_it_was() {
    let mut earth = Earth::new();
    earth.published.push(("billing", "quota"));
    let world = earth.daemon().await;
    let hook = json!({"source": "billing", "handler": "log"});
    let path = format!("/event-hooks/{}", world.create(hook).await);
    let mut earth = world.end().await;
    earth.published.clear();
    let world = earth.daemon().await;
    let config = json!({"url": "https://told.example/1", "method": "POST", "body": "{{ operation }} of one {{ old_entity.state }}"});
    world.create(json!({"source": "dao:crud", "handler": "webhook-custom", "config": config})).await;
    world.later(100);
    let (status, mended) = world.ask("PATCH", &path, Some(json!({"source": "log"}))).await;
    assert_eq!((status, &mended["state"]), (200, &json!("active")), "{mended}");
    assert_eq!((&mended["created_at"], &mended["updated_at"]), (&json!(NOW), &json!(NOW + 100)), "{mended}");
    assert_eq!(world.bodies(1).await, ["update of one dormant"]);
    world.end().await;
}
