//! Which events go together, and how long they wait for others.

use crate::world::{NOW, Sent, World};
use serde_json::{Value, json};
use std::time::Duration;

/// A hook on bounces whose bodies hold up to three events, and wait 30 s for them. Its ping has come.
async fn batching(world: &World) -> String {
    let config = json!({"url": "https://hooks.example/1"});
    let hook = json!({
        "source": "log", "event": "Bounce", "handler": "webhook", "config": config, "batch": 3, "batch_wait": "30s",
    });
    let id = world.create(hook).await;
    world.earth.post.so_many(1).await;
    id
}

/// In paused time: until nobody has anything to do before the clock is set.
async fn quiet() {
    tokio::time::sleep(Duration::from_secs(60)).await;
}

/// What came in bodies after the ping: when, and whom it was about.
fn bodies(world: &World) -> Vec<(i64, Vec<String>)> {
    let recipients = |sent: &Sent| {
        let events = sent.json();
        let events = events.as_array().expect("a list").iter();
        events.map(|event| event["recipient"].as_str().expect("a recipient").to_owned()).collect()
    };
    world.earth.post.sent()[1..].iter().map(|sent| (sent.at.secs() - NOW, recipients(sent))).collect()
}

fn body(at: i64, recipients: &[&str]) -> (i64, Vec<String>) {
    (at, recipients.iter().map(|recipient| (*recipient).to_owned()).collect())
}

#[tokio::test]
async fn batches_hold_what_is_there_and_one_event_each_without_them() {
    let world = World::new().await;
    let config = json!({"url": "https://hooks.example/1"});
    let hook = json!({"source": "log", "event": "Bounce", "handler": "webhook", "config": config, "batch": 10, "enabled": false});
    let id = world.create(hook).await;
    world.earth.post.so_many(1).await;
    for recipient in ["a@x", "b@x", "c@x"] {
        world.earth.bounce(recipient, None);
    }
    world.ask("PATCH", &format!("/event-hooks/{id}"), Some(json!({"enabled": true}))).await;
    world.until(&format!("/event-hooks/{id}/status"), |status| status["lag_events"] == 0).await;
    let sent = world.earth.post.sent();
    let events: Vec<Value> = sent[1..].iter().flat_map(|sent| sent.json().as_array().unwrap().clone()).collect();
    let recipients: Vec<_> = events.iter().map(|event| event["recipient"].as_str().unwrap()).collect();
    assert_eq!(recipients, ["a@x", "b@x", "c@x"]);
    assert!(events.iter().all(|event| event["source"] == "log" && event["event"] == "Bounce"));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_waits_for_others_as_long_as_it_may_and_goes_at_once_when_it_is_full() {
    let world = World::new().await;
    let id = batching(&world).await;
    world.earth.bounce("a@x", None);
    quiet().await;
    world.later(20);
    world.earth.bounce("b@x", None);
    quiet().await;
    world.later(9);
    quiet().await;
    assert!(bodies(&world).is_empty(), "a third one may come yet");
    world.later(1);
    quiet().await;
    assert_eq!(bodies(&world), [body(30, &["a@x", "b@x"])], "the first has waited, and takes the second along");
    for recipient in ["c@x", "d@x", "e@x"] {
        world.earth.bounce(recipient, None);
    }
    quiet().await;
    assert_eq!(bodies(&world)[1..], [body(30, &["c@x", "d@x", "e@x"])], "it is full");
    let (status, answer) = world.ask("PATCH", &format!("/event-hooks/{id}"), Some(json!({"batch_bytes": 1}))).await;
    assert_eq!((status, &answer["batch_wait"]), (200, &json!("30s")), "{answer}");
    for recipient in ["f@x", "g@x"] {
        world.earth.bounce(recipient, None);
    }
    quiet().await;
    let mut alone = bodies(&world)[2..].to_vec();
    alone.sort();
    assert_eq!(alone, [body(30, &["f@x"]), body(30, &["g@x"])], "no second one fits");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_tried_again_has_waited_already_and_goes_with_what_it_went_with() {
    let world = World::new().await;
    batching(&world).await;
    world.earth.post.answers(&[503]);
    world.earth.bounce("a@x", None);
    world.earth.bounce("b@x", None);
    quiet().await;
    world.later(30);
    quiet().await;
    assert_eq!(bodies(&world), [body(30, &["a@x", "b@x"])]);
    // Later than the retry is due, and earlier than both would have waited once more.
    world.later(10);
    quiet().await;
    assert_eq!(bodies(&world)[1..], [body(40, &["a@x", "b@x"])]);
    let sent = world.earth.post.sent();
    assert_eq!(sent[1].id, sent[2].id, "to the target it is the same body");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_does_not_begin_the_wait_anew() {
    let world = World::new().await;
    batching(&world).await;
    world.earth.bounce("a@x", None);
    quiet().await;
    world.later(20);
    quiet().await;
    let world = world.end().await.daemon().await;
    quiet().await;
    world.later(9);
    quiet().await;
    assert!(bodies(&world).is_empty(), "it may wait for 30 s");
    world.later(2);
    quiet().await;
    assert_eq!(bodies(&world), [body(31, &["a@x"])]);
    world.end().await;
}
