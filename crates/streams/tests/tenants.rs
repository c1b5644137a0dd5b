//! Who is confined to a tenant reaches that tenant's logs and what hangs on them, and learns of nothing else.

mod world;

use axum::body::Body;
use http::request::Parts as Head;
use http::{Request, header};
use serde_json::{Value, json};
use std::sync::Arc;
use waybill_spool::{MemoryStore, Store};
use waybill_streams::{Denied, Gate, ROUTES, Takes, Want};
use waybill_streams_core::{Limits, Reach};
use world::World;

/// Everybody is who their header says.
struct Named;

impl Gate for Named {
    fn check(&self, request: &Head, _: &Want<'_>) -> Result<Reach, Denied> {
        Ok(Reach::of(request.headers.get("tenant").map(|name| name.to_str().unwrap())))
    }
}

const OPERATOR: Option<&str> = None;
const ACME: Option<&str> = Some("acme");
const OTHER: Option<&str> = Some("other");

async fn world() -> World {
    World::over(Arc::new(MemoryStore::new()), Limits::default(), Arc::new(Named)).await
}

async fn ask(world: &World, who: Option<&str>, method: &str, path: &str, body: Value) -> (u16, Value) {
    let mut request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
    if let Some(who) = who {
        request = request.header("tenant", who);
    }
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let (status, answer) = world.send(request.body(body).unwrap()).await;
    (status.as_u16(), answer)
}

async fn done(world: &World, who: Option<&str>, method: &str, path: &str, body: Value) -> Value {
    let (status, answer) = ask(world, who, method, path, body).await;
    assert_eq!(status, 200, "{method} {path}: {answer}");
    answer
}

async fn made(world: &World, who: Option<&str>, path: &str, body: Value, id: &str) -> String {
    done(world, who, "POST", path, body).await[id].as_str().unwrap().to_owned()
}

/// What somebody finds under these names.
async fn listed(world: &World, who: Option<&str>, name: &str) -> usize {
    done(world, who, "GET", &format!("/{name}"), Value::Null).await[name].as_array().unwrap().len()
}

/// A log of a tenant with one of each that can hang on it.
struct Estate {
    log: String,
    offset: String,
    egress: String,
    filter: String,
    ingress: String,
}

impl Estate {
    async fn of(world: &World, who: Option<&str>) -> Estate {
        let log = made(world, who, "/logs", json!({}), "log_id").await;
        let target = made(world, who, "/logs", json!({}), "log_id").await;
        let offset = made(world, who, "/offsets", json!({"log_id": log}), "offset_id").await;
        let body = json!({"log_id": log, "destination": "https://hooks.example/in"});
        let egress = made(world, who, "/egress_webhooks", body, "webhook_id").await;
        let body = json!({"source_id": log, "target_id": target, "expression": "true"});
        let filter = made(world, who, "/filters", body, "filter_id").await;
        let body = json!({"log_id": log, "type": "gitHub", "secret": "hunter2"});
        let ingress = made(world, who, "/ingress_webhooks", body, "webhook_id").await;
        Estate { log, offset, egress, filter, ingress }
    }

    /// The id that stands in a path.
    fn id(&self, path: &str) -> &str {
        match path.split('/').nth(1).unwrap() {
            "log" | "message" | "messages" => &self.log,
            "offset" => &self.offset,
            "egress_webhook" => &self.egress,
            "filter" => &self.filter,
            "ingress_webhook" => &self.ingress,
            other => panic!("{other} is new here"),
        }
    }
}

/// A body that a call would take.
fn body_for(method: &str, path: &str) -> Value {
    match (method, path) {
        ("POST", "/messages/{id}") => json!({"messages": [{"value": "x"}]}),
        ("POST", "/message/{id}") => json!({"value": "x"}),
        ("POST", "/message/{id}/key") => json!({"key": "x"}),
        ("DELETE", "/messages/{id}") => json!({"trim_count": 1}),
        ("PATCH", _) => json!({}),
        _ => Value::Null,
    }
}

#[tokio::test]
async fn every_call_about_what_is_anothers_is_answered_as_if_it_were_not_there() {
    let world = world().await;
    let mine = Estate::of(&world, ACME).await;
    let theirs = Estate::of(&world, OTHER).await;
    let nobodys = Estate::of(&world, OPERATOR).await;
    let routes: Vec<_> =
        ROUTES.iter().filter(|route| route.path.contains("{id}") && route.takes != Takes::Signed).collect();
    assert!(routes.len() > 20, "{}", routes.len());
    for route in &routes {
        let body = body_for(route.method, route.path);
        for estate in [&theirs, &nobodys] {
            let path = route.path.replace("{id}", estate.id(route.path));
            let (status, answer) = ask(&world, ACME, route.method, &path, body.clone()).await;
            let code = answer["code"].as_str().unwrap_or_default();
            assert!(status == 404 && code.ends_with("-not-found"), "{} {path}: {status} {answer}", route.method);
            // In the same words as of what never was.
            let nothing = format!("{}_2VnvpTOoNFQRf0G9peK1zKlfhlf", estate.id(route.path).split_once('_').unwrap().0);
            let path = route.path.replace("{id}", &nothing);
            let (_, missing) = ask(&world, ACME, route.method, &path, body.clone()).await;
            let message = answer["message"].as_str().unwrap().replace(estate.id(route.path), &nothing);
            assert_eq!(
                (code, message.as_str()),
                (missing["code"].as_str().unwrap(), missing["message"].as_str().unwrap())
            );
        }
    }
    for name in ["offsets", "egress_webhooks", "filters", "ingress_webhooks"] {
        assert_eq!((listed(&world, ACME, name).await, listed(&world, OPERATOR, name).await), (1, 3), "{name}");
    }
    assert_eq!(listed(&world, ACME, "logs").await, 2, "and not the one of mail events");
    assert_eq!(listed(&world, OPERATOR, "logs").await, 7);
    // All of it is still there, and its owner does with it what a call says. What deletes comes last.
    let (deletes, others): (Vec<_>, Vec<_>) = routes.into_iter().partition(|route| route.method == "DELETE");
    for route in others.into_iter().chain(deletes.into_iter().rev()) {
        let path = route.path.replace("{id}", mine.id(route.path));
        let (status, answer) = ask(&world, ACME, route.method, &path, body_for(route.method, route.path)).await;
        let expected = match answer["code"].as_str() {
            None => 200,
            Some("message-not-compacting") => 400,
            Some(code) => panic!("{} {path}: {code}", route.method),
        };
        assert_eq!(status, expected, "{} {path}: {answer}", route.method);
    }
    assert_eq!(listed(&world, OPERATOR, "logs").await, 6);
}

#[tokio::test]
async fn nothing_can_be_hung_on_what_is_anothers() {
    let world = world().await;
    let mine = Estate::of(&world, ACME).await;
    let theirs = Estate::of(&world, OTHER).await;
    let events = done(&world, OPERATOR, "GET", "/logs", Value::Null).await["logs"][0]["log_id"].clone();
    let before = listed(&world, OPERATOR, "filters").await;
    for log in [json!(theirs.log), events] {
        for (path, body, code) in [
            ("/offsets", json!({"log_id": log}), "offset-log-id-field-invalid"),
            (
                "/egress_webhooks",
                json!({"log_id": log, "destination": "https://a.example/"}),
                "egress-webhook-log-id-field-invalid",
            ),
            (
                "/ingress_webhooks",
                json!({"log_id": log, "type": "gitHub", "secret": "x"}),
                "ingress-webhook-log-id-field-invalid",
            ),
            (
                "/filters",
                json!({"source_id": log, "target_id": mine.log, "expression": "true"}),
                "filter-log-id-field-invalid",
            ),
            (
                "/filters",
                json!({"source_id": mine.log, "target_id": log, "expression": "true"}),
                "filter-log-id-field-invalid",
            ),
        ] {
            let (status, answer) = ask(&world, ACME, "POST", path, body.clone()).await;
            assert_eq!((status, answer["code"].as_str()), (400, Some(code)), "{path} {body}: {answer}");
        }
    }
    assert_eq!(listed(&world, OPERATOR, "filters").await, before);
    // Nor is anything read by way of a place in another's log.
    let path = format!("/messages/{}?offset_id={}", mine.log, theirs.offset);
    let (status, answer) = ask(&world, ACME, "GET", &path, Value::Null).await;
    assert_eq!((status, answer["code"].as_str()), (404, Some("offset-not-found")));
    assert!(!answer.to_string().contains(&theirs.log), "{answer}");
}

#[tokio::test]
async fn a_log_is_for_life_of_whoever_made_it_or_whom_the_operator_names() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let world = World::over(store.clone(), Limits::default(), Arc::new(Named)).await;
    let log = done(&world, ACME, "POST", "/logs", json!({})).await;
    assert_eq!(log["tenant"], "acme");
    let (status, refused) = ask(&world, ACME, "POST", "/logs", json!({"tenant": "other"})).await;
    assert_eq!((status, refused["code"].as_str()), (403, Some("authorization-failed")));
    let (status, refused) = ask(&world, OPERATOR, "POST", "/logs", json!({"tenant": ""})).await;
    assert_eq!((status, refused["code"].as_str()), (400, Some("json-invalid")));
    let given = made(&world, OPERATOR, "/logs", json!({"tenant": "acme"}), "log_id").await;
    let nobodys = done(&world, OPERATOR, "POST", "/logs", json!({})).await;
    assert_eq!(nobodys.get("tenant"), None, "klev's clients find no field that they do not know");
    let (status, refused) = ask(&world, OPERATOR, "PATCH", &format!("/log/{given}"), json!({"tenant": "other"})).await;
    assert_eq!((status, refused["code"].as_str()), (400, Some("json-invalid")));
    let world = {
        world.end().await;
        World::over(store, Limits::default(), Arc::new(Named)).await
    };
    assert_eq!(listed(&world, ACME, "logs").await, 2, "also after a restart");
    done(&world, ACME, "POST", &format!("/message/{given}"), json!({"value": "x"})).await;
}

#[tokio::test]
async fn what_an_operator_copies_to_a_tenant_is_the_operators_and_is_read_by_the_tenant() {
    let world = world().await;
    let from = made(&world, OPERATOR, "/logs", json!({}), "log_id").await;
    let to = made(&world, ACME, "/logs", json!({}), "log_id").await;
    let body = json!({"source_id": from, "target_id": to, "expression": "key == 'acme'", "offset": -2});
    let filter = made(&world, OPERATOR, "/filters", body, "filter_id").await;
    for key in ["acme", "other"] {
        done(&world, OPERATOR, "POST", &format!("/message/{from}"), json!({"key": key, "value": "x"})).await;
    }
    let status = format!("/filter/{filter}/status");
    while done(&world, OPERATOR, "GET", &status, Value::Null).await["next_offset"] != 2 {
        tokio::task::yield_now().await;
    }
    let read = done(&world, ACME, "GET", &format!("/messages/{to}"), Value::Null).await;
    assert_eq!(read["messages"].as_array().unwrap().len(), 1);
    assert_eq!(
        (ask(&world, ACME, "GET", &status, Value::Null).await.0, listed(&world, ACME, "filters").await),
        (404, 0)
    );
    // A way round that leads over it is refused, and tells no id of it.
    let body = json!({"source_id": to, "target_id": from, "expression": "true"});
    let (_, refused) = ask(&world, OPERATOR, "POST", "/filters", body).await;
    assert!(refused["message"].as_str().unwrap().contains(&filter), "{refused}");
    let own = made(&world, ACME, "/logs", json!({}), "log_id").await;
    let back = json!({"source_id": own, "target_id": from, "expression": "true"});
    made(&world, OPERATOR, "/filters", back, "filter_id").await;
    let body = json!({"source_id": to, "target_id": own, "expression": "true"});
    let (status, refused) = ask(&world, ACME, "POST", "/filters", body).await;
    assert_eq!((status, refused["code"].as_str()), (400, Some("filter-log-id-field-invalid")));
    assert!(!refused.to_string().contains("trf_"), "{refused}");
}
