//! Egress webhooks that run.

mod world;

use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use waybill_spool::{Crash, CrashingStore, LastWrite, Loss};
use waybill_streams_core::Limits;
use world::{NOW, Open, World};

#[tokio::test]
async fn each_new_message_is_sent_in_order_with_the_id_of_its_place() {
    let world = World::new().await;
    let log = world.log(json!({})).await;
    world.say(&log, "before").await;
    let webhook = world.egress(&log, json!({})).await;
    for value in ["a", "b"] {
        world.say(&log, value).await;
    }
    let status = world.until(&webhook, |status| status["next_offset"] == 3).await;
    let got = world.post.got();
    let ids: Vec<String> = got.iter().map(|(_, id, ..)| id.clone()).collect();
    assert_eq!(ids, [format!("{log}_1"), format!("{log}_2")], "only what came after it was made");
    let (to, _, kind, body, keys) = &got[0];
    assert_eq!((to.as_str(), *kind, *keys), ("https://hooks.example/in", "application/json", 1));
    let body: serde_json::Value = serde_json::from_slice(body).unwrap();
    assert_eq!(body, json!({"encoding": "base64", "offset": 1, "time": NOW * 1_000_000, "value": "YQ=="}));
    assert_eq!(
        (&status["active"], &status["available_offset"], &status["deliver_offset"], &status["deliver_time"]),
        (&true.into(), &2.into(), &2.into(), &NOW.into())
    );
    assert_eq!(status["deliver_resp"], "HTTP/1.1 200 OK\r\n\r\n");
}

#[tokio::test]
async fn attempts_are_counted_by_what_came_back_beside_what_waits() {
    let world = World::new().await;
    let log = world.log(json!({})).await;
    let webhook = world.egress(&log, json!({})).await;
    world.post.answers([(200, None), (410, None)]);
    for value in ["a", "b", "c"] {
        world.say(&log, value).await;
    }
    world.until(&webhook, |status| status["active"] == false).await;
    let [tally] = &world.streams.egress_tallies()[..] else { panic!("one webhook") };
    assert_eq!((tally.id.to_string(), tally.lag, tally.parked), (webhook, 2, 0));
    assert_eq!(tally.by_class, [0, 1, 0, 1, 0, 0]);
}

#[tokio::test]
async fn a_payload_of_key_or_value_is_their_bytes() {
    let world = World::new().await;
    let log = world.log(json!({})).await;
    let key = world.egress(&log, json!({"payload": "key"})).await;
    let value = world.egress(&log, json!({"payload": "value"})).await;
    world.post(&format!("/message/{log}"), json!({"key": "k", "value": "v"})).await;
    for webhook in [key, value] {
        world.until(&webhook, |status| status["next_offset"] == 1).await;
    }
    let mut bodies: Vec<_> = world.post.got().into_iter().map(|(_, _, kind, body, _)| (body, kind)).collect();
    bodies.sort();
    assert_eq!(bodies, [("k".into(), "application/octet-stream"), ("v".into(), "application/octet-stream")]);
}

#[tokio::test]
async fn a_failure_keeps_the_message_and_nothing_overtakes_it() {
    let world = World::new().await;
    let log = world.log(json!({})).await;
    let webhook = world.egress(&log, json!({})).await;
    world.post.answers([(500, None), (404, None), (302, None), (503, Some(Duration::from_secs(900)))]);
    world.say(&log, "a").await;
    world.say(&log, "b").await;
    for attempts in 1..=4 {
        let status = world.until(&webhook, |status| status["attempts"] == attempts).await;
        assert_eq!((&status["next_offset"], &status["deliver_offset"]), (&0.into(), &0.into()));
        assert!(status["deliver_error"].as_str().unwrap().starts_with("status "));
        let due = status["next_deliver_time"].as_i64().unwrap();
        if attempts == 4 {
            assert!(due >= status["deliver_time"].as_i64().unwrap() + 900, "Retry-After is the least wait");
        }
        world.clock.set(waybill_types::Timestamp::from_secs(due + 1));
    }
    let status = world.until(&webhook, |status| status["next_offset"] == 2).await;
    assert_eq!(world.post.offsets(), [0, 0, 0, 0, 0, 1]);
    assert_eq!((&status["attempts"], &status["lag_count"]), (&0.into(), &0.into()));
}

#[tokio::test]
async fn gone_makes_it_inactive_until_somebody_wakes_it() {
    let world = World::new().await;
    let log = world.log(json!({})).await;
    let webhook = world.egress(&log, json!({})).await;
    world.post.answers([(410, None)]);
    world.say(&log, "a").await;
    let status = world.until(&webhook, |status| status["active"] == false).await;
    assert!(status["inactive_reason"].as_str().unwrap().contains("410"));
    assert_eq!(status["next_offset"], 0);
    world.patch(&format!("/egress_webhook/{webhook}"), json!({"active": true})).await;
    world.until(&webhook, |status| status["next_offset"] == 1).await;
    assert_eq!(world.post.offsets(), [0, 0]);
}

#[tokio::test]
async fn an_operator_pauses_moves_and_redirects_it() {
    let world = World::new().await;
    let log = world.log(json!({})).await;
    let webhook = world.egress(&log, json!({})).await;
    let path = format!("/egress_webhook/{webhook}");
    world.patch(&path, json!({"active": false})).await;
    for value in ["a", "b", "c"] {
        world.say(&log, value).await;
    }
    let status = world.until(&webhook, |status| status["lag_count"] == 3).await;
    assert_eq!(status["active"], false);
    let beyond = world.code("PATCH", &path, Some(json!({"next_offset": 4}))).await;
    assert_eq!(beyond, "message-offset-invalid");
    world.patch(&path, json!({"active": true, "next_offset": 1, "destination": "https://other.example/"})).await;
    world.until(&webhook, |status| status["next_offset"] == 3).await;
    assert_eq!(world.post.offsets(), [1, 2]);
    assert!(world.post.got().iter().all(|(to, ..)| to == "https://other.example/"));
}

#[tokio::test]
async fn a_rotated_secret_signs_beside_the_old_one_and_is_shown_once() {
    let world = World::new().await;
    let log = world.log(json!({})).await;
    let made = world.post("/egress_webhooks", json!({"log_id": log, "destination": "https://hooks.example/in"})).await;
    let webhook = made["webhook_id"].as_str().unwrap();
    let path = format!("/egress_webhook/{webhook}");
    let rotated = world.patch(&format!("{path}/secret"), json!({"expire_seconds": 60})).await;
    for shown in [&made, &rotated] {
        assert!(shown["secret"].as_str().unwrap().starts_with("ewhsec_"));
        assert!(shown["standard_secret"].as_str().unwrap().starts_with("whsec_"));
    }
    assert_ne!(made["secret"], rotated["secret"]);
    for other in [world.get(&path).await, world.get("/egress_webhooks").await, world.patch(&path, json!({})).await] {
        assert!(!other.to_string().contains("secret"), "{other}");
    }
    world.say(&log, "a").await;
    world.until(webhook, |status| status["next_offset"] == 1).await;
    assert_eq!(world.post.got()[0].4, 2, "both sign");
    world.patch(&format!("{path}/secret"), json!({"expire_seconds": 0})).await;
    world.say(&log, "b").await;
    world.until(webhook, |status| status["next_offset"] == 2).await;
    assert_eq!(world.post.got()[1].4, 1, "only the new one");
}

#[tokio::test]
async fn what_is_trimmed_while_it_waits_is_skipped_and_counted() {
    let world = World::new().await;
    let log = world.log(json!({})).await;
    let webhook = world.egress(&log, json!({})).await;
    world.post.answers([(500, None)]);
    for value in ["a", "b", "c"] {
        world.say(&log, value).await;
    }
    let status = world.until(&webhook, |status| status["attempts"] == 1).await;
    world.ask("DELETE", &format!("/messages/{log}?trim_count=1"), None).await;
    world.clock.set(waybill_types::Timestamp::from_secs(status["next_deliver_time"].as_i64().unwrap() + 1));
    let status = world.until(&webhook, |status| status["next_offset"] == 3).await;
    assert_eq!((world.post.offsets(), &status["skipped"]), (vec![0, 2], &2.into()));
}

#[tokio::test]
async fn a_destination_that_must_not_be_called_is_refused_when_it_is_saved() {
    let world = World::new().await;
    let log = world.log(json!({})).await;
    world.post.refuses("127.0.0.1 is loopback; to open it: kumo.configure_webhooks");
    let (_, answer) =
        world.ask("POST", "/egress_webhooks", Some(json!({"log_id": log, "destination": "http://127.0.0.1/"}))).await;
    assert_eq!(answer["code"], "egress-webhook-path-invalid");
    assert!(answer["message"].as_str().unwrap().contains("kumo.configure_webhooks"), "{answer}");
}

#[tokio::test]
async fn a_webhook_on_mail_events_keeps_the_journal_and_a_deleted_one_does_not() {
    let world = World::new().await;
    let events = world.get("/logs").await["logs"][0]["log_id"].as_str().unwrap().to_owned();
    assert!(!world.events_wanted.load(Ordering::Acquire) && world.streams.settled_events().is_none());
    let webhook = world.egress(&events, json!({})).await;
    assert!(world.events_wanted.load(Ordering::Acquire) && world.streams.settled_events().is_some());
    let (_, deleted) = world.ask("DELETE", &format!("/egress_webhook/{webhook}"), None).await;
    assert_eq!(deleted["webhook_id"], webhook.as_str());
    assert!(!world.events_wanted.load(Ordering::Acquire) && world.streams.settled_events().is_none());
}

/// A run of a daemon until its store dies; what was sent and what of it was acknowledged to the publisher.
async fn run(store: Arc<CrashingStore>) -> Vec<u64> {
    let world = World::over(store.clone(), Limits::default(), Arc::new(Open)).await;
    let log = world.log(json!({})).await;
    world.egress(&log, json!({})).await;
    for value in ["a", "b", "c"] {
        let (status, _) = world.ask("POST", &format!("/message/{log}"), Some(json!({"value": value}))).await;
        if !status.is_success() {
            break;
        }
        let end = world.ends(&log).await;
        while !store.is_crashed() && world.next_offset().await != Some(end) {
            tokio::task::yield_now().await;
        }
    }
    let sent = world.post.offsets();
    world.end().await;
    sent
}

#[tokio::test]
async fn a_crash_at_any_write_skips_no_message_and_repeats_at_most_the_last() {
    let whole = Arc::new(CrashingStore::new(Crash::NEVER));
    assert_eq!(run(whole.clone()).await, [0, 1, 2]);
    // The first writes make log and webhook: before them there is nothing to deliver.
    for at in 4..=whole.commits() {
        for last in [LastWrite::Lost, LastWrite::Unacknowledged] {
            let store = Arc::new(CrashingStore::new(Crash { at, last, loss: Loss::Process }));
            let sent = run(store.clone()).await;
            let world = World::over(store.survivor(), Limits::default(), Arc::new(Open)).await;
            let webhook = world.get("/egress_webhooks").await["egress_webhooks"][0]["webhook_id"].clone();
            let log = world.get("/egress_webhooks").await["egress_webhooks"][0]["log_id"].clone();
            let end = world.ends(log.as_str().unwrap()).await;
            world.until(webhook.as_str().unwrap(), |status| status["next_offset"] == end).await;
            let again = world.post.offsets();
            let all: Vec<u64> = sent.iter().chain(&again).copied().collect();
            let mut once = all.clone();
            once.dedup();
            assert_eq!(once, (0..end).collect::<Vec<_>>(), "at {at}, {last:?}: {sent:?} then {again:?}");
            assert!(all.len() <= once.len() + 1, "at {at}, {last:?}: {sent:?} then {again:?}");
            world.end().await;
        }
    }
}

#[tokio::test]
async fn in_parallel_by_key_a_stuck_key_parks_what_is_behind_it_and_others_go_on() {
    let world = World::new().await;
    let log = world.log(json!({})).await;
    let webhook = world.egress(&log, json!({"mode": "parallel_by_key"})).await;
    let shown = world.get(&format!("/egress_webhook/{webhook}")).await;
    assert_eq!(shown["mode"], "parallel_by_key");
    let say = async |key: &str| drop(world.post(&format!("/message/{log}"), json!({"key": key, "value": "x"})).await);
    world.post.answers([(503, None)]);
    say("stuck").await;
    let status = world.until(&webhook, |status| status["parked"] == 1).await;
    assert_eq!((&status["parked_keys"], &status["next_offset"]), (&1.into(), &1.into()));
    for key in ["stuck", "other", "stuck", "other"] {
        say(key).await;
    }
    let status = world.until(&webhook, |status| status["next_offset"] == 5 && status["parked"] == 3).await;
    assert_eq!((world.post.offsets(), &status["parked_keys"]), (vec![0, 2, 4], &1.into()));
    world.clock.set(waybill_types::Timestamp::from_secs(NOW + 7));
    world.until(&webhook, |status| status["parked"] == 0).await;
    assert_eq!(world.post.offsets(), [0, 2, 4, 0, 1, 3]);
}

#[tokio::test]
async fn what_is_parked_survives_a_restart_and_a_move_drops_it() {
    let store = Arc::new(waybill_spool::MemoryStore::new());
    let open = async || World::over(store.clone(), Limits::default(), Arc::new(Open)).await;
    let world = open().await;
    let log = world.log(json!({})).await;
    let webhook = world.egress(&log, json!({"mode": "parallel_by_key"})).await;
    world.post.answers([(503, None)]);
    for key in ["a", "b", "a"] {
        world.post(&format!("/message/{log}"), json!({"key": key, "value": "x"})).await;
    }
    world.until(&webhook, |status| status["parked"] == 2 && status["next_offset"] == 3).await;
    world.end().await;

    let world = open().await;
    let status = world.get(&format!("/egress_webhook/{webhook}/status")).await;
    assert_eq!((&status["parked"], &status["next_offset"]), (&2.into(), &3.into()));
    // Woken by hand, it does not wait.
    world.patch(&format!("/egress_webhook/{webhook}"), json!({"active": true})).await;
    world.until(&webhook, |status| status["parked"] == 0).await;
    assert_eq!(world.post.offsets(), [0, 2]);
    world.post.answers([(503, None)]);
    world.post(&format!("/message/{log}"), json!({"key": "a"})).await;
    world.until(&webhook, |status| status["parked"] == 1).await;
    world.patch(&format!("/egress_webhook/{webhook}"), json!({"next_offset": 1})).await;
    world.until(&webhook, |status| status["next_offset"] == 4 && status["parked"] == 0).await;
    assert_eq!(world.post.offsets()[3..], [1, 2, 3], "from there on, once");
    world.end().await;
}

#[tokio::test]
async fn one_parked_message_is_skipped_for_good_and_its_key_goes_on() {
    let store = Arc::new(waybill_spool::MemoryStore::new());
    let open = async || World::over(store.clone(), Limits::default(), Arc::new(Open)).await;
    let world = open().await;
    let log = world.log(json!({})).await;
    let webhook = world.egress(&log, json!({"mode": "parallel_by_key"})).await;
    let path = format!("/egress_webhook/{webhook}");
    world.post.answers([(503, None)]);
    let say = async |key: &str| drop(world.post(&format!("/message/{log}"), json!({"key": key, "value": "x"})).await);
    say("stuck").await;
    world.until(&webhook, |status| status["parked"] == 1).await;
    for key in ["stuck", "other", "stuck"] {
        say(key).await;
    }
    let status = world.until(&webhook, |status| status["parked"] == 3 && status["next_offset"] == 4).await;
    assert_eq!((&status["parked_offset"], world.post.offsets()), (&0.into(), vec![0, 2]));
    for wrong in [2, 9] {
        assert_eq!(world.code("PATCH", &path, Some(json!({"skip": wrong}))).await, "message-offset-not-found");
    }
    assert_eq!(world.code("PATCH", &path, Some(json!({"skip": 0, "next_offset": 0}))).await, "json-invalid");
    // One from the middle, while the first waits: nothing is sent for that.
    world.patch(&path, json!({"skip": 1})).await;
    let status = world.get(&format!("{path}/status")).await;
    assert_eq!((&status["parked"], &status["parked_offset"], &status["skipped"]), (&2.into(), &0.into(), &1.into()));
    world.end().await;
    let world = open().await;
    world.patch(&path, json!({"skip": 0})).await;
    let status = world.until(&webhook, |status| status["parked"] == 0).await;
    assert_eq!((world.post.offsets(), &status["skipped"]), (vec![3], &2.into()), "also over a restart, without a wait");
    world.end().await;
}

#[tokio::test]
async fn strictly_in_order_the_message_that_is_next_is_skipped_and_no_other() {
    let world = World::new().await;
    let log = world.log(json!({})).await;
    let webhook = world.egress(&log, json!({})).await;
    let path = format!("/egress_webhook/{webhook}");
    assert_eq!(world.code("PATCH", &path, Some(json!({"skip": 0}))).await, "message-offset-not-found");
    world.post.answers([(503, None)]);
    world.say(&log, "poison").await;
    world.say(&log, "fine").await;
    world.until(&webhook, |status| status["attempts"] == 1).await;
    assert_eq!(world.code("PATCH", &path, Some(json!({"skip": 1}))).await, "message-offset-not-found");
    world.patch(&path, json!({"skip": 0})).await;
    let status = world.until(&webhook, |status| status["next_offset"] == 2).await;
    assert_eq!((world.post.offsets(), &status["skipped"]), (vec![0, 1], &1.into()));
}

#[tokio::test]
async fn it_goes_on_at_a_time_and_a_consumer_begins_at_one() {
    let world = World::new().await;
    let log = world.log(json!({})).await;
    let times = [10, 20, 20, 30, 40];
    let messages: Vec<_> = times.iter().map(|time| json!({"time": time, "value": time.to_string()})).collect();
    world.post(&format!("/messages/{log}"), json!({"messages": messages})).await;
    let trimmed = world.ask("DELETE", &format!("/messages/{log}?trim_count=4"), None).await;
    assert_eq!(trimmed.0, 200);
    for (time, first, next) in [(0, Some(1), 5), (20, Some(1), 5), (21, Some(3), 5), (40, Some(4), 5), (41, None, 5)] {
        let found = world.get(&format!("/messages/{log}?time={time}")).await;
        assert_eq!(found["messages"][0]["offset"].as_u64(), first, "{time}");
        assert_eq!(found["next_offset"], next);
    }
    let webhook = world.egress(&log, json!({})).await;
    world.patch(&format!("/egress_webhook/{webhook}"), json!({"next_time": 21})).await;
    world.until(&webhook, |status| status["next_offset"] == 5).await;
    assert_eq!(world.post.offsets(), [3, 4]);
}

#[tokio::test]
async fn gone_makes_a_parallel_one_inactive_too_and_keeps_what_waits() {
    let world = World::new().await;
    let log = world.log(json!({})).await;
    let webhook = world.egress(&log, json!({"mode": "parallel_by_key"})).await;
    world.post.answers([(410, None)]);
    world.say(&log, "a").await;
    world.until(&webhook, |status| status["active"] == false && status["parked"] == 1).await;
    world.say(&log, "b").await;
    world.patch(&format!("/egress_webhook/{webhook}"), json!({"active": true})).await;
    world.until(&webhook, |status| status["next_offset"] == 2 && status["parked"] == 0).await;
    let mut again = world.post.offsets()[1..].to_vec();
    again.sort_unstable();
    assert_eq!(again, [0, 1]);
}
