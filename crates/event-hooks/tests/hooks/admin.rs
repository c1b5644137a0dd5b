//! Who may do what, secrets, and limits (ARCHITECTURE.md section 8).

use crate::world::World;
use serde_json::{Value, json};
use waybill_spool::{Key, Store, Table};

#[tokio::test]
async fn without_a_token_that_allows_it_the_answer_is_401_in_kongs_words() {
    let world = World::new().await;
    let id = world.on_bounces(json!({})).await;
    let wrong = format!("wbt_{}", "a".repeat(40));
    let reader = world.token("event_hooks:get", None).await;
    for (token, method, path) in [
        (&wrong, "GET", "/event-hooks".to_owned()),
        (&reader, "GET", "/event-hooks".to_owned()),
        (&reader, "DELETE", format!("/event-hooks/{id}")),
        (&reader, "POST", format!("/event-hooks/{id}/test")),
    ] {
        let (status, refused) = world.ask_as(Some(token), method, &path, None).await;
        assert_eq!(status, 401, "{method} {path}: {refused}");
        assert!(refused["message"].as_str().unwrap().contains("token"), "{refused}");
    }
    let (status, _) = world.ask_as(Some(&reader), "GET", &format!("/event-hooks/{id}"), None).await;
    assert_eq!(status, 200);
    let only = world.token(&format!("event_hooks:get:{id}"), None).await;
    assert_eq!(world.ask_as(Some(&only), "GET", &format!("/event-hooks/{id}"), None).await.0, 200);
    let other = world.on_bounces(json!({})).await;
    assert_eq!(world.ask_as(Some(&only), "GET", &format!("/event-hooks/{other}"), None).await.0, 401);
    world.end().await;
}

#[tokio::test]
async fn a_token_of_a_tenant_sees_and_makes_only_what_is_that_tenants() {
    let world = World::new().await;
    let operators = world.on_bounces(json!({})).await;
    let others = world.on_bounces(json!({"tenant": "t2"})).await;
    let token = world.token("event_hooks", Some("t1")).await;
    let token = Some(token.as_str());
    let hook = json!({
        "source": "log", "event": "Bounce", "handler": "webhook-custom",
        "config": {"url": "https://t1.example/x", "method": "POST", "body": "{{ recipient }}"},
    });
    let (status, made) = world.ask_as(token, "POST", "/event-hooks", Some(&hook)).await;
    assert_eq!((status, &made["tenant"]), (201, &json!("t1")), "{made}");
    let own = made["id"].as_str().unwrap().to_owned();
    let listed = world.ask_as(token, "GET", "/event-hooks", None).await.1;
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    for id in [&operators, &others] {
        for (method, what) in [("GET", ""), ("DELETE", ""), ("PATCH", ""), ("POST", "/test"), ("GET", "/attempts")] {
            let path = format!("/event-hooks/{id}{what}");
            assert_eq!(world.ask_as(token, method, &path, None).await.0, 404, "{method} {path}");
        }
        let (status, answer) = world.ask_as(token, "PUT", &format!("/event-hooks/{id}"), Some(&hook)).await;
        assert_eq!(status, 404, "{answer}");
    }
    for tenant in [json!("t2"), json!(7)] {
        let patch = json!({ "tenant": tenant });
        let (status, refused) = world.ask_as(token, "PATCH", &format!("/event-hooks/{own}"), Some(&patch)).await;
        assert!(status == 400 && refused["fields"]["tenant"].is_string(), "{refused}");
    }
    let patch = json!({"tenant": null, "snooze": 0});
    let (_, patched) = world.ask_as(token, "PATCH", &format!("/event-hooks/{own}"), Some(&patch)).await;
    assert_eq!(patched["tenant"], "t1", "it cannot be taken off");
    world.ask("DELETE", &format!("/event-hooks/{operators}"), None).await;
    world.earth.bounce("2@x", Some("t2"));
    world.earth.bounce("0@x", None);
    world.earth.bounce("1@x", Some("t1"));
    let sent = world.earth.post.so_many(2).await;
    let to_own: Vec<_> = sent.iter().filter(|sent| sent.url.starts_with("t1.")).map(|sent| &sent.body).collect();
    assert_eq!(to_own, ["1@x"]);
    world.end().await;
}

#[tokio::test]
async fn secrets_are_shown_by_nothing_and_are_sealed_in_the_store() {
    let world = World::new().await;
    let config = json!({
        "url": "https://hooks.example/1", "method": "POST", "body": "x", "secret": "hunter2-hunter2",
        "headers": {"authorization": "Bearer t0psecret", "x-plain": "seen"},
    });
    let id = world.on_bounces(json!({ "config": config })).await;
    world.earth.bounce("a@x", None);
    world.bodies(1).await;
    let attempts = world
        .until(&format!("/event-hooks/{id}/attempts"), |found| !found["data"].as_array().unwrap().is_empty())
        .await;
    let hook = world.get(&format!("/event-hooks/{id}")).await;
    assert_eq!(hook["config"]["headers"], json!({"authorization": null, "x-plain": "seen"}));
    let (_, tested) = world.ask("POST", &format!("/event-hooks/{id}/test"), Some(json!({}))).await;
    let dry = world.get(&format!("/event-hooks/{id}/dry-run")).await;
    for shown in [&attempts, &hook, &tested, &dry, &world.get("/event-hooks").await] {
        let text = shown.to_string();
        assert!(!text.contains("hunter2") && !text.contains("t0psecret"), "{text}");
    }
    let asked = &attempts["data"][0]["request"]["headers"];
    assert!(asked.as_array().unwrap().contains(&json!(["x-kong-signature", "***"])), "{asked}");
    assert!(asked.as_array().unwrap().contains(&json!(["authorization", "***"])), "{asked}");
    let rows = world.earth.store.range(Table::State, Key::new(), Key::new().end(), 10_000).await.unwrap();
    assert!(rows.len() > 2);
    for (key, value) in rows {
        let text = String::from_utf8_lossy(&value).into_owned();
        assert!(!text.contains("hunter2") && !text.contains("t0psecret"), "{key:?}: {text}");
    }
    world.end().await;
}

#[tokio::test]
async fn what_came_back_is_kept_capped_escaped_and_without_cookies() {
    let world = World::new().await;
    let id = world.on_bounces(json!({})).await;
    world.earth.bounce("a@x", None);
    let found = world
        .until(&format!("/event-hooks/{id}/attempts"), |found| !found["data"].as_array().unwrap().is_empty())
        .await;
    let attempt = &found["data"][0];
    assert_eq!((&attempt["status"], &attempt["outcome"]), (&json!(200), &json!("delivered")));
    assert_eq!((&attempt["address"], &attempt["duration_ms"]), (&json!("192.0.2.7:443"), &json!(7)));
    assert_eq!(attempt["headers"], json!([["set-cookie", "***"], ["server", "x"]]));
    let body = attempt["body"].as_str().unwrap();
    assert!(body.starts_with("said") && !body.contains(['\r', '\n', '\u{1b}']), "{body:?}");
    world.end().await;
}

#[tokio::test]
async fn tests_and_pings_are_no_cannon() {
    let world = World::new().await;
    let id = world.on_bounces(json!({})).await;
    let path = format!("/event-hooks/{id}/test");
    let mut last = (200, Value::Null);
    let mut asked = 0;
    while last.0 == 200 && asked < 1000 {
        last = world.ask("POST", &path, Some(json!({}))).await;
        asked += 1;
    }
    assert!(last.0 == 429 && (2..=61).contains(&asked), "{asked}: {last:?}");
    assert!(last.1["message"].as_str().unwrap().contains("try again in"), "{}", last.1);
    let token = world.token("event_hooks", Some("t1")).await;
    let hook = json!({"source": "log", "handler": "log"});
    let (_, made) = world.ask_as(Some(&token), "POST", "/event-hooks", Some(&hook)).await;
    let own = format!("/event-hooks/{}/test", made["id"].as_str().unwrap());
    assert_eq!(world.ask_as(Some(&token), "POST", &own, Some(&json!({}))).await.0, 200, "others are not held up");
    world.later(61);
    assert_eq!(world.ask("POST", &path, Some(json!({}))).await.0, 200);
    world.end().await;
}

#[tokio::test]
async fn a_hook_that_cannot_be_read_is_kept_and_its_place_too() {
    let world = World::new().await;
    let id = world.on_bounces(json!({})).await;
    let mut earth = world.end().await;
    let keys = earth.keys.clone();
    // Another key: what is sealed stays shut. The key of hashed addresses is asked for first.
    earth.keys = std::sync::Arc::new(waybill_sealing::Keyring::of(waybill_sealing::Key::random().unwrap()));
    let gone = Key::new().text("event-hooks-key");
    let hash_key = earth.store.range(Table::State, gone.clone(), gone.after(), 1).await.unwrap();
    let mut batch = waybill_spool::Batch::new();
    batch.unset(Table::State, gone.clone());
    earth.store.apply(batch);
    let world = earth.daemon().await;
    let listed = world.get("/event-hooks").await["data"].clone();
    assert_eq!((&listed[0]["id"], &listed[0]["state"]), (&json!(id), &json!("dormant")), "{listed}");
    assert!(listed[0]["reason"].as_str().unwrap().contains("key"), "{listed}");
    let token = world.token("event_hooks", Some("t1")).await;
    assert_eq!(
        world.ask_as(Some(&token), "GET", "/event-hooks", None).await.1["data"],
        json!([]),
        "whose it is, nobody knows"
    );
    let path = format!("/event-hooks/{id}");
    let hook = json!({"source": "log", "handler": "log"});
    assert_eq!(world.ask_as(Some(&token), "PUT", &path, Some(&hook)).await.0, 404);
    let (status, refused) = world.ask("PATCH", &path, Some(json!({"enabled": true}))).await;
    assert!(status == 400 && refused["message"].as_str().unwrap().contains("PUT"), "{refused}");
    assert_eq!(world.hooks.consumers(), [format!("event-hook:{id}")], "nobody drops its place");
    let mut earth = world.end().await;
    earth.keys = keys;
    earth.bounce("a@x", None);
    let mut batch = waybill_spool::Batch::new();
    batch.set(Table::State, gone, hash_key[0].1.clone());
    earth.store.apply(batch);
    let world = earth.daemon().await;
    assert_eq!(world.bodies(1).await, ["a@x"]);
    world.end().await;
}

#[tokio::test]
async fn a_hook_whose_source_is_gone_is_shown_with_why_and_goes_on_where_it_was_once_it_is_mended() {
    let mut earth = crate::world::Earth::new();
    earth.published.push(("billing", "quota"));
    let world = earth.daemon().await;
    let hook = json!({
        "source": "billing", "event": "quota", "handler": "webhook-custom", "tenant": "t1",
        "config": {"url": "https://hooks.example/1", "method": "POST", "body": "{{ who }}", "secret": "hunter2-hunter2"},
    });
    let (status, made) = world.ask("POST", "/event-hooks", Some(hook)).await;
    assert_eq!(status, 201, "{made}");
    let path = format!("/event-hooks/{}", made["id"].as_str().unwrap());
    let mut earth = world.end().await;
    earth.published.clear();
    let world = earth.daemon().await;
    for shown in [world.get("/event-hooks").await["data"][0].clone(), world.get(&path).await] {
        assert_eq!((&shown["state"], &shown["source"]), (&json!("dormant"), &json!("billing")), "{shown}");
        let why = shown["reason"].as_str().unwrap();
        assert!(why.contains("source: expected one of") && !shown.to_string().contains("hunter2"), "{shown}");
    }
    let status = world.get(&format!("{path}/status")).await;
    assert_eq!((&status["state"], &status["enabled"]), (&json!("dormant"), &json!(false)), "{status}");
    let owner = world.token("event_hooks", Some("t1")).await;
    assert_eq!(world.ask_as(Some(&owner), "GET", &path, None).await.0, 200, "its tenant sees it");
    let other = world.token("event_hooks", Some("t2")).await;
    assert_eq!(world.ask_as(Some(&other), "GET", &path, None).await.0, 404);
    // Whatever it is repaired to begins anew in another stream, and nothing that is left unsaid is lost.
    let patch = json!({"source": "log", "event": "Bounce", "config": {"body": "{{ recipient }}"}});
    let (status, mended) = world.ask("PATCH", &path, Some(patch)).await;
    assert_eq!((status, &mended["state"], &mended["tenant"]), (200, &json!("active"), &json!("t1")), "{mended}");
    world.earth.bounce("a@x", Some("t1"));
    let sent = world.earth.post.so_many(1).await;
    assert_eq!(sent[0].body, "a@x");
    world.end().await;
}

#[tokio::test]
async fn attempts_of_a_hook_that_rests_are_not_kept_for_ever() {
    let world = World::new().await;
    let path = format!("/event-hooks/{}/attempts", world.on_bounces(json!({})).await);
    world.earth.bounce("a@x", None);
    world.until(&path, |found| !found["data"].as_array().unwrap().is_empty()).await;
    world.later(7 * 86_400 + 1);
    world.until(&path, |found| found["data"].as_array().unwrap().is_empty()).await;
    world.end().await;
}
