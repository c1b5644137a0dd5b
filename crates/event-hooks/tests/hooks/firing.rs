//! When a hook fires (contract/kong-event-hooks.md section 3), under a clock that moves only when told.

use crate::world::{Earth, World};
use serde_json::json;
use waybill_log_record::RecordType;

/// Bounces at these seconds; a hook with this rule sends these.
async fn fires(rule: serde_json::Value, events: &[(u64, &str)], expected: &[&str]) {
    let world = World::new().await;
    world.on_bounces(rule.clone()).await;
    let mut now = 0;
    for (at, recipient) in events {
        world.later(at - now);
        now = *at;
        world.earth.bounce(recipient, None);
    }
    let bodies = world.bodies(expected.len()).await;
    assert_eq!(bodies, expected, "{rule}");
    world.end().await;
}

#[tokio::test]
async fn every_event_fires_where_no_rule_says_otherwise() {
    fires(json!({}), &[(0, "a@x"), (0, "a@x"), (1, "b@x")], &["a@x", "a@x", "b@x"]).await;
}

#[tokio::test]
async fn a_snooze_begins_with_the_first_event_and_keeps_quiet_until_its_end() {
    let events = [(0, "a@x"), (1, "b@x"), (59, "c@x"), (60, "d@x"), (61, "e@x"), (130, "f@x")];
    fires(json!({"snooze": 60}), &events, &["a@x", "d@x", "f@x"]).await;
}

#[tokio::test]
async fn on_change_fires_only_when_the_event_differs_from_the_one_before() {
    let events = [(0, "a@x"), (1, "a@x"), (2, "b@x"), (3, "b@x"), (4, "a@x"), (5, "c@x")];
    fires(json!({"on_change": true}), &events, &["a@x", "b@x", "a@x", "c@x"]).await;
}

#[tokio::test]
async fn with_both_an_equal_event_is_quiet_for_the_snooze_and_another_fires() {
    let events = [(0, "a@x"), (10, "a@x"), (20, "b@x"), (30, "a@x"), (60, "a@x"), (61, "b@x"), (99, "c@x")];
    fires(json!({"on_change": true, "snooze": 60}), &events, &["a@x", "b@x", "a@x", "c@x"]).await;
}

#[tokio::test]
async fn what_is_quiet_is_counted() {
    let world = World::new().await;
    let id = world.on_bounces(json!({"snooze": 60})).await;
    for recipient in ["a@x", "b@x", "c@x"] {
        world.earth.bounce(recipient, None);
    }
    let path = format!("/event-hooks/{id}/status");
    let status =
        world.until(&path, |status| status["lag_events"] == 0 && status["since_start"]["delivered"] == 1).await;
    assert_eq!(status["since_start"]["snoozed"], 2, "{status}");
    world.end().await;
}

#[tokio::test]
async fn verdicts_are_those_of_the_time_of_the_event_and_survive_a_restart() {
    let world = World::new().await;
    world.on_bounces(json!({"snooze": 60})).await;
    world.earth.bounce("a@x", None);
    world.bodies(1).await;
    let earth = world.end().await;
    // The daemon is down while this happens.
    earth.clock.advance(std::time::Duration::from_secs(30));
    earth.bounce("b@x", None);
    earth.clock.advance(std::time::Duration::from_secs(31));
    earth.bounce("c@x", None);
    earth.clock.advance(std::time::Duration::from_secs(10_000));
    let world = earth.daemon().await;
    assert_eq!(world.bodies(2).await, ["a@x", "c@x"]);
    world.end().await;
}

#[tokio::test]
async fn an_event_that_was_on_its_way_fires_again_after_a_restart_and_no_other() {
    let world = World::new().await;
    let id = world.on_bounces(json!({"snooze": 3600})).await;
    world.earth.post.answers(&[503]);
    world.earth.bounce("a@x", None);
    world.bodies(1).await;
    world.earth.bounce("b@x", None);
    let status = format!("/event-hooks/{id}/status");
    world.until(&status, |status| status["since_start"]["snoozed"] == 1).await;
    let earth = world.end().await;
    earth.clock.advance(std::time::Duration::from_secs(600));
    let world = earth.daemon().await;
    world.earth.bounce("c@x", None);
    assert_eq!(world.bodies(2).await, ["a@x", "a@x"]);
    world.until(&status, |status| status["lag_events"] == 0).await;
    assert_eq!(world.earth.post.sent().len(), 2, "the snooze goes on");
    world.end().await;
}

#[tokio::test]
async fn filters_tenants_and_events_choose_and_records_of_hooks_are_never_told() {
    let world = World::new().await;
    let more = json!({"filter": "data.recipient.endsWith('@x')", "tenant": "t1"});
    world.on_bounces(more).await;
    world.earth.bounce("1@y", Some("t1"));
    world.earth.bounce("2@x", Some("t2"));
    world.earth.bounce("3@x", None);
    world.earth.record(RecordType::Delivery, "4@x", Some("t1"));
    world.earth.bounce_of_a_log_message("5@x");
    world.earth.bounce("6@x", Some("t1"));
    assert_eq!(world.bodies(1).await, ["6@x"]);
    world.end().await;
}

#[tokio::test]
async fn a_hook_is_told_from_its_creation_on_and_only_its_records_are_wanted() {
    let earth = Earth::new();
    let world = earth.daemon().await;
    assert!(!world.records.has(RecordType::Bounce));
    world.earth.bounce("before@x", None);
    let id = world.on_bounces(json!({})).await;
    assert!(world.records.has(RecordType::Bounce) && !world.records.has(RecordType::Delivery));
    world.earth.bounce("after@x", None);
    assert_eq!(world.bodies(1).await, ["after@x"]);
    let (status, _) = world.ask("DELETE", &format!("/event-hooks/{id}"), None).await;
    assert_eq!(status, 204);
    assert!(!world.records.has(RecordType::Bounce));
    world.end().await;
}

#[tokio::test]
async fn events_of_mail_that_came_through_webhooks_count_on() {
    let world = World::new().await;
    world.on_bounces(json!({})).await;
    for (expected, hops) in [0, 3, 7].into_iter().enumerate() {
        world.earth.bounce_of_mail_through(hops);
        world.earth.post.so_many(expected + 1).await;
    }
    let hops: Vec<u8> = world.earth.post.sent().iter().map(|sent| sent.hops).collect();
    assert_eq!(hops, [0, 3, 7], "the request itself is counted where it is made");
    world.end().await;
}
