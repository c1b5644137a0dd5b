//! The API's own description.

mod support;

use serde_json::Value;
use support::Daemon;

#[tokio::test]
async fn every_route_is_described_with_its_body_and_anybody_may_read_it() {
    let daemon = Daemon::new().from("192.0.2.9");
    let answer = daemon.get("/api-docs/openapi.json").await;
    assert_eq!((answer.status.as_u16(), answer.kind.as_deref()), (200, Some("application/json")));
    let doc: Value = answer.json();
    for (path, methods) in [
        ("/api/inject/v1", &["post"][..]),
        ("/api/check-liveness/v1", &["get"]),
        ("/metrics", &["get"]),
        ("/tokens", &["get", "post"]),
        ("/token/{id}", &["delete", "get", "patch"]),
        ("/api/admin/bounce/v1", &["delete", "get", "post"]),
        ("/api/admin/suspend/v1", &["delete", "get", "post"]),
        ("/api/admin/suspend-ready-q/v1", &["delete", "get", "post"]),
        ("/api/admin/rebind/v1", &["post"]),
        ("/api/admin/inspect-message/v1", &["get"]),
        ("/api/admin/inspect-sched-q/v1", &["get"]),
        ("/api/admin/inspect-ready-q/v1", &["get"]),
        ("/api/admin/ready-q-states/v1", &["get"]),
        ("/api/admin/abort-ready-q-conn/v1", &["post"]),
        ("/api/admin/resolve-egress-path/v1", &["get"]),
        ("/api/admin/set_diagnostic_log_filter/v1", &["post"]),
        ("/api/admin/bump-config-epoch", &["post"]),
        ("/api/admin/spool-compact/v1", &["post"]),
    ] {
        let described: Vec<&String> =
            doc["paths"][path].as_object().unwrap_or_else(|| panic!("{path}")).keys().collect();
        assert_eq!(described, methods, "{path}");
        // What is described is there: no method that is refused by everybody.
        let trusted = Daemon::new().over_the_admin_socket();
        for method in methods {
            let status = trusted.ask(&method.to_uppercase(), path, "{}").await.status.as_u16();
            assert!(![404, 405, 401].contains(&status) || path.contains("-q"), "{method} {path}: {status}");
        }
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
