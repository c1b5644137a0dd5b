//! Filters that run: what they copy, and that each message arrives once.

mod world;

use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use waybill_spool::{Batch, Crash, CrashingStore, LastWrite, Loss, MemoryStore, StreamId};
use waybill_streams_core::Limits;
use world::{Open, World};

/// The id of a new filter between two logs, from the oldest message on.
async fn filter(world: &World, from: &str, to: &str, expression: &str) -> String {
    let body = json!({"source_id": from, "target_id": to, "expression": expression, "offset": -2});
    world.post("/filters", body).await["filter_id"].as_str().unwrap().to_owned()
}

/// Waits until the status of a filter is as wanted.
async fn until(world: &World, filter: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    loop {
        let status = world.get(&format!("/filter/{filter}/status")).await;
        if wanted(&status) {
            return status;
        }
        tokio::task::yield_now().await;
    }
}

async fn messages(world: &World, log: &str) -> Vec<Value> {
    world.get(&format!("/messages/{log}?len=1000")).await["messages"].as_array().unwrap().clone()
}

async fn values(world: &World, log: &str) -> Vec<String> {
    messages(world, log).await.iter().map(|message| message["value"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn what_matches_is_copied_with_its_time_key_and_value() {
    let world = World::new().await;
    let (from, to) = (world.log(json!({})).await, world.log(json!({})).await);
    let published = json!([
        {"time": 5, "key": "k", "value": r#"{"x":"y"}"#}, {"value": r#"{"x":"z"}"#}, {"time": 9, "value": r#"{"x":"y"}"#},
        {"value": "no json"}, {"key": "alone"},
    ]);
    world.post(&format!("/messages/{from}"), json!({"messages": published})).await;
    let id = filter(&world, &from, &to, r#"toJson(value).x == "y""#).await;
    let status = until(&world, &id, |status| status["next_offset"] == 5).await;
    let found = messages(&world, &to).await;
    let expected = json!([
        {"offset": 0, "time": 5, "key": "k", "value": r#"{"x":"y"}"#}, {"offset": 1, "time": 9, "value": r#"{"x":"y"}"#},
    ]);
    assert_eq!(json!(found), expected);
    assert_eq!((&status["copied"], &status["failed"], &status["active"]), (&2.into(), &2.into(), &true.into()));
    assert_eq!(status["deliver_error"], "message 4: it cannot be told: value is no JSON");
    assert_eq!((&status["deliver_offset"], &status["lag_count"]), (&2.into(), &0.into()));
    // It goes on with what comes.
    world.say(&from, r#"{"x":"y"}"#).await;
    until(&world, &id, |status| status["copied"] == 3).await;
    assert_eq!(messages(&world, &to).await.len(), 3);
}

#[tokio::test]
async fn a_filter_begins_with_what_comes_next_unless_it_is_told_otherwise() {
    let world = World::new().await;
    let (from, to) = (world.log(json!({})).await, world.log(json!({})).await);
    world.say(&from, "before").await;
    let body = json!({"source_id": from, "target_id": to, "expression": "true"});
    let id = world.post("/filters", body).await["filter_id"].as_str().unwrap().to_owned();
    world.say(&from, "after").await;
    until(&world, &id, |status| status["next_offset"] == 2).await;
    assert_eq!(values(&world, &to).await, ["after"]);
}

#[tokio::test]
async fn filters_that_would_go_round_are_refused_and_tell_the_way() {
    let world = World::new().await;
    let [a, b, c] = [world.log(json!({})).await, world.log(json!({})).await, world.log(json!({})).await];
    let refused = async |from: &str, to: &str| {
        let body = json!({"source_id": from, "target_id": to, "expression": "true"});
        let (status, answer) = world.ask("POST", "/filters", Some(body)).await;
        assert_eq!((status.as_u16(), &answer["code"]), (400, &"filter-log-id-field-invalid".into()), "{answer}");
        answer["message"].as_str().unwrap().to_owned()
    };
    assert!(refused(&a, &a).await.contains("into itself"));
    let first = filter(&world, &a, &b, "true").await;
    let second = filter(&world, &b, &c, "true").await;
    let why = refused(&c, &a).await;
    assert!(why.contains(&format!("{first}, {second}")), "{why}");
    world.ask("DELETE", &format!("/filter/{first}"), None).await;
    filter(&world, &c, &a, "true").await;
}

#[tokio::test]
async fn every_refusal_of_a_filter_has_its_code() {
    let limits = Limits { filters: 1, ..Limits::default() };
    let world = World::over(Arc::new(MemoryStore::new()), limits, Arc::new(Open)).await;
    let (from, to) = (world.log(json!({})).await, world.log(json!({})).await);
    let events = world.get("/logs").await["logs"][0]["log_id"].clone();
    let missing = "log_2VnvpTOoNFQRf0G9peK1zKlfhlf";
    for (body, code) in [
        (json!({"source_id": from, "target_id": to}), "filter-compile-failed"),
        (json!({"source_id": from, "target_id": to, "expression": "key =="}), "filter-compile-failed"),
        (json!({"source_id": from, "target_id": to, "expression": "size(key)"}), "filter-type-not-bool"),
        (json!({"target_id": to, "expression": "true"}), "filter-log-id-field-invalid"),
        (json!({"source_id": missing, "target_id": to, "expression": "true"}), "filter-log-id-field-invalid"),
        (json!({"source_id": from, "target_id": missing, "expression": "true"}), "filter-log-id-field-invalid"),
        (json!({"source_id": from, "target_id": events, "expression": "true"}), "filter-log-id-field-invalid"),
        (json!({"source_id": from, "target_id": to, "expression": "true", "offset": 9}), "message-offset-invalid"),
        (json!({"source_id": from, "target_id": to, "expression": "true", "x": 1}), "json-invalid"),
    ] {
        assert_eq!(world.code("POST", "/filters", Some(body.clone())).await, code, "{body}");
    }
    let id = filter(&world, &from, &to, "true").await;
    let more = json!({"source_id": from, "target_id": to, "expression": "true"});
    assert_eq!(world.code("POST", "/filters", Some(more)).await, "filter-count-limited");
    let wrong = json!({"expression": "1"});
    assert_eq!(world.code("PATCH", &format!("/filter/{id}"), Some(wrong)).await, "filter-type-not-bool");
    world.ask("DELETE", &format!("/filter/{id}"), None).await;
    for (method, path) in [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/status")] {
        let body = (method == "PATCH").then(|| json!({}));
        assert_eq!(world.code(method, &format!("/filter/{id}{path}"), body).await, "filter-not-found");
    }
}

#[tokio::test]
async fn a_filter_rests_goes_on_and_takes_a_new_condition_at_its_place() {
    let world = World::new().await;
    let (from, to) = (world.log(json!({})).await, world.log(json!({})).await);
    let id = filter(&world, &from, &to, "value == 'a'").await;
    let path = format!("/filter/{id}");
    world.patch(&path, json!({"active": false})).await;
    for value in ["a", "b"] {
        world.say(&from, value).await;
    }
    let status = world.get(&format!("{path}/status")).await;
    assert_eq!((&status["active"], &status["lag_count"]), (&false.into(), &2.into()));
    world.patch(&path, json!({"active": true, "expression": "value == 'b'"})).await;
    until(&world, &id, |status| status["next_offset"] == 2).await;
    assert_eq!(values(&world, &to).await, ["b"]);
}

#[tokio::test]
async fn a_deleted_log_takes_the_filters_from_it_and_to_it_along() {
    let world = World::new().await;
    let [a, b, c] = [world.log(json!({})).await, world.log(json!({})).await, world.log(json!({})).await];
    filter(&world, &a, &b, "true").await;
    filter(&world, &b, &c, "true").await;
    let kept = filter(&world, &a, &c, "true").await;
    world.ask("DELETE", &format!("/log/{b}"), None).await;
    let left = world.get("/filters").await;
    assert_eq!(left["filters"].as_array().unwrap().len(), 1);
    assert_eq!(left["filters"][0]["filter_id"], kept.as_str());
}

#[tokio::test]
async fn a_filter_of_mail_events_keeps_the_journal_and_copies_records() {
    let store = MemoryStore::new();
    let world = World::over(Arc::new(store.clone()), Limits::default(), Arc::new(Open)).await;
    let events = world.get("/logs").await["logs"][0]["log_id"].as_str().unwrap().to_owned();
    let to = world.log(json!({})).await;
    let id = filter(&world, &events, &to, "toJson(value).type == 'Reception'").await;
    assert!(world.events_wanted.load(Ordering::Acquire) && world.streams.settled_events().is_some());
    let mut batch = Batch::new();
    batch.append(StreamId::EVENTS, world::record(1));
    store.apply(batch);
    until(&world, &id, |status| status["copied"] == 1).await;
    assert!(values(&world, &to).await[0].contains(r#""type":"Reception""#));
    world.ask("DELETE", &format!("/filter/{id}"), None).await;
    assert!(!world.events_wanted.load(Ordering::Acquire) && world.streams.settled_events().is_none());
}

/// What a view of last states tells of a mail.
async fn state(world: &World, view: &str, key: &str) -> String {
    let found = world.post(&format!("/message/{view}/key"), json!({"key": key})).await;
    let record: Value = serde_json::from_str(found["value"].as_str().unwrap()).unwrap();
    record["type"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_view_tells_how_each_mail_ended_and_what_comes_late_does_not_change_it() {
    let world = World::new().await;
    let (from, to) = (world.log(json!({})).await, world.log(json!({"compacting": true})).await);
    let plain = world.log(json!({})).await;
    let body = |target: &str| json!({"source_id": from, "target_id": target, "mode": "last_state", "offset": -2});
    assert_eq!(world.code("POST", "/filters", Some(body(&plain))).await, "filter-log-id-field-invalid");
    let record = |key: &str, kind: &str| json!({"key": key, "value": json!({"type": kind}).to_string()});
    let say = async |messages: Value| {
        world.post(&format!("/messages/{from}"), json!({"messages": messages})).await;
    };
    // In one page.
    say(json!([
        record("a", "Reception"), record("b", "Reception"), record("a", "TransientFailure"), record("a", "Delivery"),
        record("a", "TransientFailure"), {"value": "nobody's"},
    ]))
    .await;
    let id = world.post("/filters", body(&to)).await["filter_id"].as_str().unwrap().to_owned();
    let status = until(&world, &id, |status| status["next_offset"] == 6).await;
    assert_eq!((&status["copied"], &status["late"]), (&4.into(), &2.into()));
    assert_eq!((state(&world, &to, "a").await, state(&world, &to, "b").await), ("Delivery".into(), "Reception".into()));
    // In pages behind it, also with the rest of its life compacted away; the first end counts.
    world.clock.set(waybill_types::Timestamp::from_secs(world::NOW + 60));
    world.ask("DELETE", &format!("/messages/{to}?compact_seconds=1"), None).await;
    assert_eq!(messages(&world, &to).await.len(), 2);
    say(json!([record("a", "Reception")])).await;
    say(json!([record("b", "Bounce"), record("a", "Bounce")])).await;
    say(json!([record("b", "TransientFailure")])).await;
    let status = until(&world, &id, |status| status["next_offset"] == 10).await;
    assert_eq!((&status["copied"], &status["late"]), (&5.into(), &5.into()));
    assert_eq!((state(&world, &to, "a").await, state(&world, &to, "b").await), ("Delivery".into(), "Bounce".into()));
}

/// Seeded: a view over what comes in any order is what the first end of each mail says, or else its newest record, whatever is
/// compacted in between.
#[tokio::test]
async fn a_view_of_records_in_any_order_is_what_a_naive_one_would_be() {
    const KINDS: [&str; 6] = ["Reception", "TransientFailure", "Delayed", "Delivery", "Bounce", "Expiration"];
    for seed in 1..=8_u64 {
        let mut dice = seed;
        let mut below = |most: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) % most
        };
        let world = World::new().await;
        let (from, to) = (world.log(json!({})).await, world.log(json!({"compacting": true})).await);
        let body = json!({"source_id": from, "target_id": to, "mode": "last_state"});
        let id = world.post("/filters", body).await["filter_id"].as_str().unwrap().to_owned();
        let mut naive = std::collections::BTreeMap::<String, &str>::new();
        let mut end = 0;
        for _ in 0..40 {
            let page: Vec<Value> = (0..=below(6))
                .map(|_| {
                    let (key, kind) = (format!("mail {}", below(9)), KINDS[below(6) as usize]);
                    let known = naive.entry(key.clone()).or_insert(kind);
                    if !matches!(*known, "Delivery" | "Bounce" | "Expiration") {
                        *known = kind;
                    }
                    json!({"key": key, "value": json!({"type": kind}).to_string()})
                })
                .collect();
            end += page.len();
            world.post(&format!("/messages/{from}"), json!({"messages": page})).await;
            if below(3) == 0 {
                world.clock.set(world.clock_now() + std::time::Duration::from_secs(2));
                world.ask("DELETE", &format!("/messages/{to}?compact_seconds=1"), None).await;
            }
        }
        until(&world, &id, |status| status["next_offset"] == end).await;
        for (key, kind) in &naive {
            assert_eq!(state(&world, &to, key).await, *kind, "seed {seed}, {key}");
        }
        world.end().await;
    }
}

/// A run of a daemon until its store dies.
async fn run(store: Arc<CrashingStore>) {
    let world = World::over(store.clone(), Limits::default(), Arc::new(Open)).await;
    let logs = [json!({"metadata": "from"}), json!({"metadata": "to"})];
    for log in logs {
        world.ask("POST", "/logs", Some(log)).await;
    }
    let ids = ids(&world).await;
    if let [from, to] = ids.as_slice() {
        let body = json!({"source_id": from, "target_id": to, "expression": "value != 'no'", "offset": -2});
        world.ask("POST", "/filters", Some(body)).await;
        for value in ["a", "no", "b", "c"] {
            world.ask("POST", &format!("/message/{from}"), Some(json!({"value": value}))).await;
            let end = world.ends(from).await;
            while !store.is_crashed() && !caught_up(&world, end).await {
                tokio::task::yield_now().await;
            }
        }
    }
    world.end().await;
}

/// Both logs, once they are there.
async fn ids(world: &World) -> Vec<String> {
    let (_, all) = world.ask("GET", "/logs", None).await;
    let of = |name: &str| {
        let mut logs = all["logs"].as_array()?.iter();
        Some(logs.find(|log| log["metadata"] == name)?["log_id"].as_str()?.to_owned())
    };
    [of("from"), of("to")].into_iter().flatten().collect()
}

async fn caught_up(world: &World, end: u64) -> bool {
    let (_, all) = world.ask("GET", "/filters", None).await;
    let Some(id) = all["filters"][0]["filter_id"].as_str() else { return true };
    world.ask("GET", &format!("/filter/{id}/status"), None).await.1["next_offset"] == end
}

#[tokio::test]
async fn a_crash_at_any_write_leaves_each_message_in_the_target_once() {
    let whole = Arc::new(CrashingStore::new(Crash::NEVER));
    run(whole.clone()).await;
    let commits = whole.commits();
    assert!(commits > 8, "{commits} writes");
    // The first write gives the built-in log its id.
    for at in 2..=commits {
        for last in [LastWrite::Lost, LastWrite::Unacknowledged] {
            for loss in [Loss::Process, Loss::Power] {
                let store = Arc::new(CrashingStore::new(Crash { at, last, loss }));
                run(store.clone()).await;
                let world = World::over(store.survivor(), Limits::default(), Arc::new(Open)).await;
                if let [from, to] = ids(&world).await.as_slice() {
                    let end = world.ends(from).await;
                    while !caught_up(&world, end).await {
                        tokio::task::yield_now().await;
                    }
                    if world.get("/filters").await["filters"].as_array().unwrap().len() == 1 {
                        let mut wanted = values(&world, from).await;
                        wanted.retain(|value| value != "no");
                        assert_eq!(values(&world, to).await, wanted, "at {at}, {last:?}, {loss:?}");
                    }
                }
                world.end().await;
            }
        }
    }
}
