//! The HTTP API: every call, every refusal, and who may ask.

mod world;

use axum::body::Body;
use http::request::Parts as Head;
use http::{Request, StatusCode, header};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use tower::ServiceExt;
use waybill_spool::MemoryStore;
use waybill_streams::{Denied, Gate, ROUTES, Takes, Want};
use waybill_streams_core::{Code, Error, Limits, Reach};
use world::{NOW, Open, World};

const MISSING: &str = "2VnvpTOoNFQRf0G9peK1zKlfhlf";

#[tokio::test]
async fn a_log_is_made_shown_changed_and_deleted() {
    let world = World::new().await;
    let made = world.post("/logs", json!({"metadata": "m", "compacting": true, "trim_count": 5})).await;
    let id = made["log_id"].as_str().unwrap();
    assert_eq!(made, json!({"log_id": id, "metadata": "m", "compacting": true, "trim_count": 5}));
    assert_eq!(world.get(&format!("/log/{id}")).await, made);
    assert_eq!(world.get("/logs?metadata=m").await, json!({"logs": [made]}));
    assert_eq!(world.get("/logs?metadata=M").await, json!({"logs": []}));
    let changed = world.patch(&format!("/log/{id}"), json!({"trim_count": 0, "expire_seconds": 9})).await;
    assert_eq!(changed, json!({"log_id": id, "metadata": "m", "compacting": true, "expire_seconds": 9}));
    let (status, deleted) = world.ask("DELETE", &format!("/log/{id}"), None).await;
    assert_eq!((status, deleted), (StatusCode::OK, changed));
    assert_eq!(world.code("GET", &format!("/log/{id}"), None).await, "log-not-found");
}

#[tokio::test]
async fn messages_are_published_consumed_and_found_by_offset_and_key() {
    let world = World::new().await;
    let id = world.log(json!({"compacting": true})).await;
    let messages = json!([{"key": "a", "value": "1"}, {"time": 7, "key": "a", "value": "2"}, {"value": null}]);
    let published = world.post(&format!("/messages/{id}"), json!({"encoding": "string", "messages": messages})).await;
    assert_eq!(published, json!({"next_offset": 3}));
    let one = world.post(&format!("/message/{id}"), json!({"encoding": "base64", "value": "/w=="})).await;
    assert_eq!(one, json!({"next_offset": 4}));

    let now = NOW * 1_000_000;
    let consumed = world.get(&format!("/messages/{id}?offset=-2&len=3")).await;
    assert_eq!(
        consumed,
        json!({"next_offset": 3, "encoding": "string", "messages": [
            {"offset": 0, "time": now, "key": "a", "value": "1"}, {"offset": 1, "time": 7, "key": "a", "value": "2"},
            {"offset": 2, "time": now},
        ]})
    );
    let rest = world.get(&format!("/messages/{id}?offset=3&encoding=base64")).await;
    assert_eq!(rest["messages"], json!([{"offset": 3, "time": now, "value": "/w=="}]));
    assert_eq!(world.get(&format!("/messages/{id}?offset=-1")).await["next_offset"], 4);
    let last = world.get(&format!("/message/{id}?encoding=base64")).await;
    assert_eq!(last, json!({"encoding": "base64", "offset": 3, "time": now, "value": "/w=="}));
    let by_key = world.post(&format!("/message/{id}/key"), json!({"encoding": "string", "key": "a"})).await;
    assert_eq!(by_key, json!({"encoding": "string", "offset": 1, "time": 7, "key": "a", "value": "2"}));
    assert_eq!(world.get(&format!("/log/{id}/stats")).await["count"], 4);
}

#[tokio::test]
async fn a_cleanup_tells_what_it_freed_by_body_or_by_query() {
    let world = World::new().await;
    let id = world.log(json!({})).await;
    for _ in 0..4 {
        world.say(&id, "12345").await;
    }
    let each = world.get(&format!("/log/{id}/stats")).await["size"].as_u64().unwrap() / 4;
    let path = format!("/messages/{id}");
    let (_, freed) = world.ask("DELETE", &path, Some(json!({"trim_count": 3}))).await;
    assert_eq!(freed, json!({"size": each}));
    let (_, freed) = world.ask("DELETE", &format!("{path}?trim_count=1"), None).await;
    assert_eq!(freed, json!({"size": 2 * each}));
    assert_eq!(world.get(&format!("{path}?offset=0")).await["messages"].as_array().unwrap().len(), 1);
    assert_eq!(world.code("GET", &format!("/message/{id}?offset=0"), None).await, "message-offset-not-found");
    assert_eq!(world.code("DELETE", &format!("{path}?trim_count=x"), None).await, "json-invalid");
}

#[tokio::test]
async fn a_stored_offset_is_where_a_consumer_goes_on() {
    let world = World::new().await;
    let (id, other) = (world.log(json!({})).await, world.log(json!({})).await);
    for value in ["a", "b", "c"] {
        world.say(&id, value).await;
    }
    let made = world.post("/offsets", json!({"log_id": id, "metadata": "mine"})).await;
    let offset = made["offset_id"].as_str().unwrap();
    let shown = json!({"offset_id": offset, "log_id": id, "metadata": "mine", "value": 0, "value_metadata": ""});
    assert_eq!(made, shown);
    let path = format!("/offset/{offset}");
    world.patch(&path, json!({"value": 2, "value_metadata": "done with b"})).await;
    let consumed = world.get(&format!("/messages/{id}?offset_id={offset}")).await;
    assert_eq!((&consumed["messages"][0]["value"], &consumed["next_offset"]), (&"c".into(), &3.into()));
    assert_eq!(world.get("/offsets?metadata=mine").await["offsets"].as_array().unwrap().len(), 1);
    let mismatch = format!("/messages/{other}?offset_id={offset}");
    assert_eq!(world.code("GET", &mismatch, None).await, "message-offset-log-mismatch");
    world.ask("DELETE", &path, None).await;
    assert_eq!(world.code("GET", &path, None).await, "offset-not-found");
}

#[tokio::test]
async fn every_refusal_has_its_code() {
    let world = World::new().await;
    let id = world.log(json!({})).await;
    let other = world.log(json!({})).await;
    world.say(&id, "x").await;
    let log = |rest: &str| format!("/messages/{id}{rest}");
    let one = |rest: &str| format!("/message/{id}{rest}");
    let none: Option<Value> = None;
    for (method, path, body, code) in [
        ("GET", "/log/x".to_owned(), none.clone(), "id-invalid-format"),
        ("GET", format!("/log/ewh_{MISSING}"), none.clone(), "id-invalid-prefix"),
        ("GET", "/log/log_x".to_owned(), none.clone(), "id-invalid-suffix-len"),
        ("GET", format!("/log/log_{}", "-".repeat(27)), none.clone(), "id-invalid-suffix"),
        ("GET", format!("/log/log_{MISSING}"), none.clone(), "log-not-found"),
        ("GET", format!("/log/log_{MISSING}/stats"), none.clone(), "log-not-found"),
        ("GET", format!("/messages/log_{MISSING}"), none.clone(), "log-not-found"),
        ("POST", format!("/messages/log_{MISSING}"), Some(json!({"messages": []})), "log-not-found"),
        ("GET", format!("/offset/off_{MISSING}"), none.clone(), "offset-not-found"),
        ("GET", format!("/egress_webhook/ewh_{MISSING}"), none.clone(), "egress-webhook-not-found"),
        ("GET", format!("/egress_webhook/ewh_{MISSING}/status"), none.clone(), "egress-webhook-not-found"),
        ("PUT", "/logs".to_owned(), Some(json!({})), "method-not-allowed"),
        ("POST", "/logs".to_owned(), Some(json!({"compact_seconds": 1})), "log-compact-not-allowed"),
        ("POST", "/logs".to_owned(), Some(json!({"metadata": "x".repeat(5000)})), "log-metadata-limited"),
        ("POST", "/logs".to_owned(), Some(json!([])), "json-invalid"),
        ("GET", log("?offset=2"), none.clone(), "message-offset-invalid"),
        ("GET", log("?offset=-4"), none.clone(), "message-offset-invalid"),
        ("GET", log("?offset=9223372036854775807"), none.clone(), "message-offset-invalid"),
        ("GET", log("?offset=x"), none.clone(), "message-offset-parameter-invalid"),
        ("GET", log("?offset_id=x"), none.clone(), "message-offset-id-parameter-invalid"),
        ("GET", log(&format!("?offset_id=off_{MISSING}")), none.clone(), "offset-not-found"),
        ("GET", log("?len=0"), none.clone(), "message-len-parameter-invalid"),
        ("GET", log("?len=1001"), none.clone(), "message-consume-limited"),
        ("GET", log("?poll=x"), none.clone(), "message-poll-parameter-invalid"),
        ("GET", log("?poll=30001"), none.clone(), "message-poll-limited"),
        ("GET", log("?encoding=hex"), none.clone(), "message-encoding-parameter-invalid"),
        ("GET", one("?offset=1"), none.clone(), "message-offset-invalid"),
        ("POST", one(""), Some(json!({"encoding": "hex"})), "message-encoding-invalid"),
        ("POST", one(""), Some(json!({"key": "x".repeat(70_000)})), "message-key-limited"),
        ("POST", one(""), Some(json!({"value": "x".repeat(1_100_000)})), "message-value-limited"),
        ("POST", log(""), Some(json!({"messages": vec![json!({}); 1001]})), "message-publish-limited"),
        ("POST", log(""), Some(json!({"messages": [], "x": "y".repeat(25 << 20)})), "message-publish-limited"),
        ("POST", one("/key"), Some(json!({"key": "a"})), "message-not-compacting"),
        ("POST", "/offsets".to_owned(), Some(json!({})), "offset-log-id-field-invalid"),
        (
            "POST",
            "/offsets".to_owned(),
            Some(json!({"log_id": format!("log_{MISSING}")})),
            "offset-log-id-field-invalid",
        ),
        ("POST", "/egress_webhooks".to_owned(), Some(json!({})), "egress-webhook-log-id-field-invalid"),
        ("POST", "/egress_webhooks".to_owned(), Some(json!({"log_id": id})), "egress-webhook-path-invalid"),
        (
            "POST",
            "/egress_webhooks".to_owned(),
            Some(json!({"log_id": id, "destination": "https://hooks.example/in", "payload": "all"})),
            "egress-webhook-payload-invalid",
        ),
        (
            "POST",
            "/egress_webhooks".to_owned(),
            Some(json!({"log_id": id, "destination": "https://hooks.example/in", "metadata": "x".repeat(5000)})),
            "egress-webhook-metadata-limited",
        ),
        (
            "POST",
            "/filters".to_owned(),
            Some(json!({"source_id": id, "target_id": other, "expression": "true", "metadata": "x".repeat(5000)})),
            "filter-metadata-limited",
        ),
    ] {
        assert_eq!(world.code(method, &path, body).await, code, "{method} {path}");
    }
    let compacting = world.log(json!({"compacting": true})).await;
    let by_key = format!("/message/{compacting}/key");
    assert_eq!(world.code("POST", &by_key, Some(json!({"key": "a"}))).await, "message-key-not-found");
    world.post(&one(""), json!({"encoding": "base64", "value": "/w=="})).await;
    assert_eq!(world.code("GET", &one(""), None).await, "message-encoding-invalid");
}

#[tokio::test]
async fn a_body_needs_its_content_type() {
    let world = World::new().await;
    let plain = |kind: Option<&str>| {
        let request = Request::post("/logs");
        let request = kind.into_iter().fold(request, |request, kind| request.header(header::CONTENT_TYPE, kind));
        request.body(Body::from("{}")).unwrap()
    };
    let (status, missing) = world.send(plain(None)).await;
    assert_eq!((status.as_u16(), &missing["code"]), (415, &"content-type-missing".into()));
    let (_, invalid) = world.send(plain(Some("text/plain"))).await;
    assert_eq!(invalid["code"], "content-type-invalid");
    let (status, _) = world.send(plain(Some("Application/JSON; charset=utf-8"))).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn a_publish_that_comes_again_with_its_key_is_answered_as_before_and_stored_once() {
    let world = World::new().await;
    let id = world.log(json!({})).await;
    let send = async |path: &str, keys: &[&str], body: Value| {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        let request = keys.iter().fold(request, |request, key| request.header("Idempotency-Key", *key));
        world.send(request.body(Body::from(body.to_string())).unwrap()).await
    };
    let (one, several) = (format!("/message/{id}"), format!("/messages/{id}"));
    let first = send(&one, &["k1"], json!({"value": "a"})).await;
    assert_eq!(first, (StatusCode::OK, json!({"next_offset": 1})));
    world.say(&id, "between").await;
    assert_eq!(send(&one, &["k1"], json!({"value": "a"})).await, first, "word for word");
    let (status, other) = send(&one, &["k1"], json!({"value": "b"})).await;
    assert_eq!((status.as_u16(), &other["code"]), (422, &"message-idempotency-key-reused".into()));
    let (_, other) = send(&several, &["k1"], json!({"messages": [{"value": "a"}]})).await;
    assert_eq!(other["code"], "message-idempotency-key-reused", "another path is another publish");
    let batch = json!({"messages": [{"value": "x"}, {"value": "y"}]});
    for _ in 0..2 {
        assert_eq!(send(&several, &["k2"], batch.clone()).await.1, json!({"next_offset": 4}));
    }
    let other_log = world.log(json!({})).await;
    let elsewhere = send(&format!("/message/{other_log}"), &["k1"], json!({"value": "b"})).await;
    assert_eq!(elsewhere.1, json!({"next_offset": 1}), "keys are a log's own");
    for wrong in [&["a", "a"][..], &[""], &["a b"], &["x".repeat(256).as_str()]] {
        let (status, answer) = send(&one, wrong, json!({})).await;
        assert_eq!((status.as_u16(), &answer["code"]), (400, &"message-idempotency-key-invalid".into()));
    }
    assert_eq!(world.get(&several).await["messages"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn what_there_may_be_is_limited() {
    let limits = Limits { logs: 1, egress_webhooks: 1, ..Limits::default() };
    let world = World::over(Arc::new(MemoryStore::new()), limits, Arc::new(Open)).await;
    let id = world.log(json!({})).await;
    assert_eq!(world.code("POST", "/logs", Some(json!({}))).await, "log-count-limited");
    world.egress(&id, json!({})).await;
    let more = json!({"log_id": id, "destination": "https://hooks.example/"});
    assert_eq!(world.code("POST", "/egress_webhooks", Some(more)).await, "egress-webhook-count-limited");
}

#[tokio::test]
async fn the_log_of_mail_events_is_listed_and_read_only() {
    let world = World::new().await;
    let logs = world.get("/logs").await;
    let id = logs["logs"][0]["log_id"].as_str().unwrap();
    assert_eq!(world.get(&format!("/messages/{id}")).await["messages"], json!([]));
    let publish = Some(json!({"value": "forged"}));
    assert_eq!(world.code("POST", &format!("/message/{id}"), publish).await, "authorization-failed");
    for (method, path) in [("DELETE", format!("/log/{id}")), ("DELETE", format!("/messages/{id}?trim_count=1"))] {
        assert_eq!(world.code(method, &path, None).await, "authorization-failed");
    }
}

/// Notes what was asked for, and says no.
#[derive(Default)]
struct Closed(Mutex<Vec<(String, String, Option<String>)>>);

impl Gate for Closed {
    fn check(&self, _: &Head, want: &Want<'_>) -> Result<Reach, Denied> {
        let asked = (want.subject.as_str().into(), want.action.as_str().into(), want.object.map(str::to_owned));
        self.0.lock().push(asked);
        let error = Error::new(Code::AuthorizationHeaderMissing, "run `waybill tokens create`");
        let headers = vec![(header::WWW_AUTHENTICATE, "Bearer".parse().unwrap())];
        Err(Denied { headers, ..Denied::from(error) })
    }
}

#[tokio::test]
async fn every_call_asks_the_gate_before_it_reads_a_byte() {
    let gate = Arc::new(Closed::default());
    let world = World::over(Arc::new(MemoryStore::new()), Limits::default(), gate.clone()).await;
    for route in ROUTES.iter().filter(|route| route.takes != Takes::Signed) {
        let path = route.path.replace("{id}", "no-id-at-all");
        let (status, answer) = world.ask(route.method, &path, None).await;
        assert_eq!((status.as_u16(), &answer["code"]), (401, &"authorization-header-missing".into()), "{path}");
        let (subject, action, object) = gate.0.lock().pop().unwrap();
        assert_eq!((subject.as_str(), action.as_str()), (route.subject.as_str(), route.action.as_str()));
        assert_eq!(object.is_some(), route.path.contains("{id}"), "{path}");
    }
}

#[tokio::test]
async fn the_root_lists_every_path() {
    let world = World::new().await;
    let index = world.get("/").await;
    for route in ROUTES {
        assert!(index[route.path].as_str().unwrap().contains(route.summary), "{}", route.path);
    }
    assert!(index["/tokens"].is_string() && index["/token/{id}"].is_string(), "though others answer there: {index}");
}

#[tokio::test]
async fn a_wrong_method_is_answered_with_those_that_there_are() {
    let world = World::new().await;
    for route in ROUTES {
        let path = route.path.replace("{id}", "x");
        let request = Request::builder().method("PUT").uri(&path).body(Body::empty()).unwrap();
        let answer = world.router.clone().oneshot(request).await.unwrap();
        let allowed = answer.headers()[header::ALLOW].to_str().unwrap().to_owned();
        assert!(allowed.split(',').any(|method| method == route.method), "{path}: {allowed}");
        let (status, answer) = world.ask("PUT", &path, None).await;
        assert_eq!((status.as_u16(), &answer["code"]), (405, &"method-not-allowed".into()));
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains(route.method) && message.contains(&path), "{message}");
    }
}

#[tokio::test]
async fn what_the_limits_allow_is_taken_however_it_is_escaped() {
    let world = World::new().await;
    let log = world.log(json!({"compacting": true})).await;
    let escaped = |bytes: usize| "\\u0000".repeat(bytes);
    let send = async |path: &str, body: String| {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        world.send(request.body(Body::from(body)).unwrap()).await
    };
    let limits = Limits::default();
    let value = format!(r#"{{"value":"{}"}}"#, escaped(limits.value));
    let many = limits.publish_bytes / limits.value;
    let body = format!(r#"{{"messages":[{}]}}"#, vec![value; many].join(","));
    assert_eq!(send(&format!("/messages/{log}"), body).await, (StatusCode::OK, json!({"next_offset": many})));
    let key = format!(r#"{{"key":"{}"}}"#, escaped(limits.key));
    assert_eq!(send(&format!("/message/{log}"), key.clone()).await.0, StatusCode::OK);
    assert_eq!(send(&format!("/message/{log}/key"), key).await.1["offset"], many);
}

#[tokio::test]
async fn all_is_there_again_after_a_restart_and_a_deleted_log_is_gone() {
    let store = Arc::new(MemoryStore::new());
    let open = async || World::over(store.clone(), Limits::default(), Arc::new(Open)).await;
    let world = open().await;
    let built_in = world.get("/logs").await["logs"][0].clone();
    let (kept, gone) = (world.log(json!({"trim_count": 9})).await, world.log(json!({})).await);
    world.say(&kept, "a").await;
    world.say(&gone, "b").await;
    let offset = world.post("/offsets", json!({"log_id": kept})).await;
    let lost = world.post("/offsets", json!({"log_id": gone})).await["offset_id"].as_str().unwrap().to_owned();
    let webhook = world.egress(&gone, json!({})).await;
    world.ask("DELETE", &format!("/log/{gone}"), None).await;
    assert_eq!(world.code("GET", &format!("/offset/{lost}"), None).await, "offset-not-found");
    assert_eq!(world.code("GET", &format!("/egress_webhook/{webhook}"), None).await, "egress-webhook-not-found");
    world.end().await;

    let world = open().await;
    let logs = world.get("/logs").await;
    assert_eq!(logs["logs"].as_array().unwrap().len(), 2);
    assert_eq!(logs["logs"][0], built_in, "its id stays");
    assert_eq!(world.get("/offsets").await, json!({"offsets": [offset]}));
    assert_eq!(world.post(&format!("/message/{kept}"), json!({})).await["next_offset"], 2);
    // A new log takes over nothing of the deleted one.
    let new = world.log(json!({})).await;
    assert_eq!(world.get(&format!("/messages/{new}")).await["messages"], json!([]));
}
