//! What becomes of events that fail, and how they come again.

use crate::world::{Earth, NOW, World};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use waybill_consumers::Registry;
use waybill_types::Timestamp;

#[tokio::test]
async fn a_target_that_is_gone_disables_its_hook_and_its_events_flow_when_it_is_enabled() {
    let world = World::new().await;
    let id = world.on_bounces(json!({})).await;
    let path = format!("/event-hooks/{id}");
    world.earth.post.answers(&[410]);
    world.earth.bounce("a@x", None);
    let hook = world.until(&path, |hook| hook["enabled"] == false).await;
    assert!(hook["reason"].as_str().unwrap().contains("410"), "{hook}");
    world.earth.bounce("b@x", None);
    let status = format!("{path}/status");
    world.until(&status, |status| status["lag_events"] == 2).await;
    assert_eq!(world.earth.post.sent().len(), 1, "it is called no more");

    let world = world.end().await.daemon().await;
    world.until(&status, |status| status["enabled"] == false && status["lag_events"] == 2).await;
    let (code, hook) = world.ask("PATCH", &path, Some(json!({"enabled": true}))).await;
    assert_eq!((code, &hook["enabled"], &hook["reason"]), (200, &json!(true), &Value::Null));
    let mut bodies = world.bodies(3).await;
    bodies.sort();
    assert_eq!(bodies, ["a@x", "a@x", "b@x"]);
    world.until(&status, |status| status["lag_events"] == 0).await;
    world.end().await;
}

#[tokio::test]
async fn what_fails_for_now_is_tried_again_under_the_same_id() {
    let world = World::new().await;
    let id = world.on_bounces(json!({})).await;
    world.earth.post.answers(&[503, 503]);
    world.earth.bounce("a@x", None);
    world.bodies(1).await;
    for count in [2, 3] {
        world.until(&format!("/event-hooks/{id}/status"), |status| status["since_start"]["failed"] == count - 1).await;
        world.later(60);
        world.bodies(count).await;
    }
    let sent = world.earth.post.sent();
    assert!(sent.iter().all(|one| one.id == sent[0].id && one.body == "a@x"), "{sent:?}");
    world.end().await;
}

/// When events that failed together are due again, in the order of time; the seed is that of the jitter.
async fn due_again(seed: u64) -> Vec<Duration> {
    const EVENTS: usize = 3;
    let world = Earth { seed, ..Earth::new() }.daemon().await;
    let id = world.on_bounces(json!({})).await;
    world.earth.post.answers(&[503; EVENTS]);
    (0..EVENTS).for_each(|_| world.earth.bounce("a@x", None));
    world.until(&format!("/event-hooks/{id}/status"), |status| status["parked"] == EVENTS).await;
    // With its end everything is written down.
    let earth = world.end().await;
    let registry = Registry::new(Arc::new(earth.store.clone()));
    let (parked, _) = registry.parked(&format!("event-hook:{id}"), None, None, EVENTS).await.expect("a store");
    parked.iter().map(|event| event.due.since(Timestamp::from_secs(NOW))).collect()
}

#[tokio::test]
async fn what_failed_together_does_not_come_back_together() {
    let due = due_again(1).await;
    let (first, last) = (due[0], due[due.len() - 1]);
    assert!(first >= Duration::from_secs(5) && last <= Duration::from_secs(6), "{due:?}");
    assert!(due.windows(2).all(|pair| pair[0] < pair[1]), "{due:?}");
    assert_eq!(due, due_again(1).await, "the same seed, the same waits");
    assert_ne!(due, due_again(2).await);
}

#[tokio::test]
async fn a_target_that_asks_for_time_is_left_alone_for_as_long() {
    let world = World::new().await;
    let id = world.on_bounces(json!({})).await;
    world.earth.post.answers(&[429]);
    world.earth.post.wishes(Duration::from_secs(600));
    world.earth.bounce("a@x", None);
    world.bodies(1).await;
    let path = format!("/event-hooks/{id}/status");
    world.until(&path, |status| status["since_start"]["failed"] == 1).await;
    // Whoever waited a few seconds only would come at the first of these.
    for _ in 0..20 {
        world.later(30);
        world.get(&path).await;
    }
    world.later(600);
    let sent = world.earth.post.so_many(2).await;
    assert!(sent[1].at.since(sent[0].at) >= Duration::from_secs(600), "{sent:?}");
    world.end().await;
}

#[tokio::test]
async fn what_is_refused_for_good_is_a_dead_letter_and_comes_again_when_redriven_whatever_the_gate_says() {
    let world = World::new().await;
    let id = world.on_bounces(json!({"snooze": 3600})).await;
    world.earth.post.answers(&[404]);
    world.earth.bounce("a@x", None);
    let letters = world
        .until(&format!("/event-hooks/{id}/dead-letters"), |found| !found["data"].as_array().unwrap().is_empty())
        .await;
    let letter = &letters["data"][0];
    assert_eq!((&letter["reason"], &letter["event"]), (&json!("permanent"), &json!("Bounce")), "{letter}");
    let (status, _) = world.ask("POST", &format!("/event-hooks/{id}/redrive"), Some(json!({}))).await;
    assert_eq!(status, 200);
    assert_eq!(world.bodies(2).await, ["a@x", "a@x"]);
    world.until(&format!("/event-hooks/{id}/dead-letters"), |found| found["data"].as_array().unwrap().is_empty()).await;
    world.end().await;
}

#[tokio::test]
async fn an_event_for_which_nothing_can_be_rendered_is_a_dead_letter_that_says_where() {
    let world = World::new().await;
    let config = json!({"url": "https://hooks.example/x", "method": "POST", "body": "{{ recipient.name.first }}"});
    let id = world.on_bounces(json!({ "config": config })).await;
    world.earth.bounce("a@x", None);
    let letters = world
        .until(&format!("/event-hooks/{id}/dead-letters"), |found| !found["data"].as_array().unwrap().is_empty())
        .await;
    let text = letters["data"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("body: ") && text.contains("recipient"), "{text}");
    assert!(world.earth.post.sent().is_empty());
    world.end().await;
}

#[tokio::test]
async fn attempts_ranges_and_times_are_sent_again_beside_what_happens_now() {
    let world = World::new().await;
    let id = world.on_bounces(json!({"snooze": 5})).await;
    let path = format!("/event-hooks/{id}");
    for recipient in ["a@x", "b@x", "c@x"] {
        world.earth.bounce(recipient, None);
        world.later(10);
    }
    world.bodies(3).await;
    let attempts = world.until(&format!("{path}/attempts"), |found| found["data"].as_array().unwrap().len() == 3).await;
    let again = |attempt: &Value| attempt["offsets"][0].as_u64().unwrap();
    let second = &attempts["data"][1];
    let (status, started) = world.ask("POST", &format!("{path}/resend"), Some(json!({"attempt": second["id"]}))).await;
    assert_eq!((status, &started["from"]), (200, &second["offsets"][0]), "{started}");
    let sent = world.earth.post.so_many(4).await;
    assert_eq!((sent[3].body.as_str(), &sent[3].id), ("b@x", &sent[1].id), "the same event under the same id");
    let range = json!({"from": again(&attempts["data"][0]), "until": again(second)});
    assert_eq!(world.ask("POST", &format!("{path}/resend"), Some(range)).await.0, 200);
    let mut bodies = world.bodies(6).await;
    bodies[4..].sort();
    assert_eq!(bodies[4..], ["a@x", "b@x"]);
    let (status, _) = world.ask("POST", &format!("{path}/replay"), Some(json!({"since": "15s"}))).await;
    assert_eq!(status, 200);
    assert_eq!(world.bodies(7).await[6], "c@x");
    world.until(&format!("{path}/status"), |status| status["replays"] == json!([])).await;
    for (body, why) in [
        (json!({}), "name an attempt"),
        (json!({"from": 900}), "no events"),
        (json!({"attempt": 1}), "Not found"),
        (json!({"froom": 1}), "the body: unknown field `froom`"),
        (json!({"from": "yesterday"}), "from: invalid type: string"),
        (json!([1]), "the body: invalid type: a list, expected an object"),
    ] {
        let (status, refused) = world.ask("POST", &format!("{path}/resend"), Some(body)).await;
        assert!(status >= 400 && refused["message"].as_str().unwrap().contains(why), "{status} {refused}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_dry_run_renders_the_last_events_and_sends_nothing() {
    let world = World::new().await;
    for recipient in ["a@x", "b@y", "c@x"] {
        world.earth.bounce(recipient, None);
    }
    let id = world.on_bounces(json!({"filter": "data.recipient.endsWith('@x')"})).await;
    let shown = world.get(&format!("/event-hooks/{id}/dry-run?last=2")).await;
    let shown = shown["data"].as_array().unwrap();
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert_eq!((&shown[0]["filtered"], &shown[1]["request"]["body"]), (&json!(true), &json!("c@x")));
    assert!(world.earth.post.sent().is_empty());
    world.end().await;
}
