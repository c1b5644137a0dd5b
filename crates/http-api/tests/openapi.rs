//! The API's own description.

mod support;

use serde_json::{Value, json};
use std::collections::BTreeSet;
use support::Daemon;
use waybill_http_api::Description;

#[tokio::test]
async fn what_is_served_is_described_with_its_body_and_anybody_may_read_it() {
    let daemon = Daemon::new().from("192.0.2.9");
    let answer = daemon.get("/api-docs/openapi.json").await;
    assert_eq!((answer.status.as_u16(), answer.kind.as_deref()), (200, Some("application/json")));
    let doc: Value = answer.json();
    assert_eq!(&doc, Description::own().json());
    let own = Description::own();
    let described: BTreeSet<_> = own.operations().map(|(method, path, _)| (method, path)).collect();
    let served: BTreeSet<_> = daemon.api.served().into_iter().collect();
    assert_eq!(served, described);
    assert!(served.contains(&("delete", "/token/{id}")) && served.len() > 35, "{served:?}");
    for (method, path, operation) in own.operations() {
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{method} {path}");
        // As it would be if the list itself were made up: every one answers.
        let trusted = Daemon::new().over_the_admin_socket();
        let answer = trusted.ask(&method.to_uppercase(), path, "{}").await;
        let unknown = answer.text().starts_with("no such path") || answer.text().contains("path-not-found");
        assert!(![401, 405].contains(&answer.status.as_u16()) && !unknown, "{method} {path}: {answer:?}");
    }
    let schemas = doc["components"]["schemas"].as_object().unwrap();
    let fields: Vec<&String> = schemas["BounceRequest"]["properties"].as_object().unwrap().keys().collect();
    assert!(fields.iter().any(|field| *field == "suppress_logging"), "{fields:?}");
    assert_eq!(schemas["BounceRequest"]["required"], serde_json::json!(["reason"]));
    let text = answer.text();
    for part in text.split("#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name} is referred to and not there");
    }
}

#[tokio::test]
async fn the_page_needs_nothing_from_elsewhere() {
    let answer = Daemon::new().from("192.0.2.9").get("/rapidoc").await;
    assert_eq!((answer.status.as_u16(), answer.kind.as_deref()), (200, Some("text/html; charset=utf-8")));
    assert!(answer.text().contains("/api-docs/openapi.json"));
    assert!(!answer.text().contains("://"), "no address of another server");
    assert!(answer.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let answer = Daemon::new().over_the_admin_socket().ask("PUT", "/api/admin/bounce/v1", "{}").await;
    let text = "PUT /api/admin/bounce/v1: no such method here, expected DELETE,GET,HEAD,POST";
    let allowed: Vec<&str> = answer.headers["allow"].to_str().unwrap().split(',').collect();
    assert_eq!((answer.status.as_u16(), answer.kind.as_deref()), (405, Some("text/plain; charset=utf-8")));
    let mut words: Vec<&str> = answer.text().rsplit(' ').next().unwrap().split(',').collect();
    words.sort_unstable();
    assert_eq!(format!("PUT /api/admin/bounce/v1: no such method here, expected {}", words.join(",")), text);
    assert_eq!(allowed.len(), 4);
    let answer = Daemon::new().over_the_admin_socket().ask("PUT", "/tokens", "{}").await;
    assert_eq!((answer.status.as_u16(), answer.kind.as_deref()), (405, Some("application/json")));
    assert_eq!(answer.json()["code"], "method-not-allowed");
    assert!(answer.headers.contains_key("allow"), "{answer:?}");
}

#[tokio::test]
async fn what_others_say_of_what_they_add_stands_in_the_same_description() {
    let more = json!({ "paths": { "/pond": { "get": { "summary": "Look at ducks" } } } });
    let daemon = Daemon::new();
    let daemon = Daemon { api: daemon.api.clone().described(Description::own().with(more)), ..daemon };
    let doc: Value = daemon.get("/api-docs/openapi.json").await.json();
    assert_eq!(doc["paths"]["/pond"]["get"]["summary"], "Look at ducks");
    assert_eq!(doc["paths"]["/rapidoc"]["get"]["tags"], json!(["the API itself"]));
}

#[tokio::test]
async fn a_name_in_a_query_that_an_endpoint_does_not_know_is_told_so_but_to_nobody_who_may_not_ask() {
    let daemon = Daemon::new();
    for (method, path, expected) in [
        ("GET", "/api/admin/inspect-message/v1?id=x&colour=blue", "`id`, `want_body`"),
        ("GET", "/api/admin/ready-q-states/v1?queue=x", "`queues`"),
        ("GET", "/api/admin/bounce/v1?verbose", "no query"),
        ("POST", "/api/admin/bounce/v1?reason=x", "no query"),
        ("POST", "/api/admin/bump-config-epoch?now=1", "no query"),
        ("GET", "/metrics.json?perfix=x", "`only`, `prefix`"),
        ("HEAD", "/metrics.json?x=y", ""),
    ] {
        let answer = daemon.ask(method, path, "{}").await;
        assert_eq!(answer.status.as_u16(), 400, "{method} {path}: {answer:?}");
        if method != "HEAD" {
            let name = path.split(['?', '&']).next_back().unwrap().split('=').next().unwrap();
            let mut words: Vec<&str> = answer.text().rsplit("expected ").next().unwrap().split(", ").collect();
            words.sort_unstable();
            assert!(answer.text().starts_with(&format!("Error: the query: unknown field {name:?}, ")), "{answer:?}");
            assert_eq!(words.join(", "), expected, "{method} {path}");
        }
    }
    assert_eq!(*daemon.control.bumps.lock().unwrap(), 0, "nothing was done");
    let stranger = Daemon::new().from("192.0.2.9").get("/api/admin/bounce/v1?colour=blue").await;
    assert_eq!((stranger.status.as_u16(), stranger.text().contains("colour")), (401, false));
    // What caches and browsers add is nobody's mistake.
    let alive = daemon.get("/api/check-liveness/v1?t=123").await;
    assert_eq!(alive.status.as_u16(), 200);
}

#[tokio::test]
async fn a_scraper_reads_metrics_whatever_parameters_it_has_of_its_own() {
    let daemon = Daemon::new();
    let scraped = daemon.get("/metrics?collect%5B%5D=mail&prefix=kumomta_&only=lua_count&x=1").await;
    assert_eq!(scraped.status.as_u16(), 200, "{scraped:?}");
    assert!(scraped.text().ends_with("\nkumomta_lua_count 0\n"), "{scraped:?}");
    let wrong = daemon.get("/metrics?x=1&prefix=9").await;
    assert_eq!(wrong.status.as_u16(), 400, "what it does know still has to make sense: {wrong:?}");
}

#[tokio::test]
async fn an_order_that_takes_nothing_takes_no_body_and_names_what_it_was_given() {
    let daemon = Daemon::new();
    let refused = daemon.ask("POST", "/api/admin/bump-config-epoch", r#"{"force": true}"#).await;
    let text = "Error: the body: unknown field \"force\", expected no body, or {}";
    assert_eq!((refused.status.as_u16(), refused.text()), (400, text));
    assert_eq!(daemon.ask("POST", "/api/admin/bump-config-epoch", "nonsense").await.status.as_u16(), 400);
    assert_eq!(*daemon.control.bumps.lock().unwrap(), 0);
    for body in ["", "{}"] {
        assert_eq!(daemon.ask("POST", "/api/admin/bump-config-epoch", body).await.status.as_u16(), 200);
    }
    assert_eq!(*daemon.control.bumps.lock().unwrap(), 2);
}
