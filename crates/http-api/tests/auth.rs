//! Who may do what.

mod support;

use axum::body::Body;
use axum::http::{Request, header};
use axum::routing::get;
use axum::{Extension, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::sync::Arc;
use support::{Answer, Daemon, inject_request};
use waybill_http_api::{Access, AuthInfo};
use waybill_policy::{PolicyError, Returned, ScriptedPolicy, Value};

const STRANGER: &str = "192.0.2.9";
const MAIL: &str =
    r#"{"envelope_sender":"a@example.com","recipients":[{"email":"j@example.com"}],"content":"Subject: x\r\n\r\ny"}"#;

fn policy() -> ScriptedPolicy {
    let text = |value: Option<&Value>| match value {
        Some(Value::Bytes(bytes)) => String::from_utf8(bytes.clone()).unwrap(),
        Some(Value::Nil) => "(nil)".to_owned(),
        other => panic!("{other:?}"),
    };
    ScriptedPolicy::new()
        .on("http_server_validate_auth_basic", move |args| {
            let answer = match (text(args.first()).as_str(), text(args.get(1)).as_str()) {
                ("joe", "secret") => Value::Bool(true),
                ("alone", "(nil)") => Value::Bool(true),
                ("rich", _) => Value::Json(json!({"identities": [{"identity": "rich@example.com", "context": "GenericAuth"}], "groups": ["ops"]})),
                ("nobody", _) => Value::Json(json!({"identities": [], "groups": ["ops"]})),
                ("odd", _) => Value::Int(1),
                ("nil", _) => Value::Nil,
                ("broken", _) => return Err(PolicyError::Failed("policy.lua:1: no database".into())),
                _ => Value::Bool(false),
            };
            Ok(Returned(vec![answer]))
        })
        .on("http_server_validate_auth_bearer", move |args| {
            Ok(Returned(vec![Value::Bool(text(args.first()) == "token")]))
        })
}

fn basic(credentials: &str) -> String {
    format!("Basic {}", STANDARD.encode(credentials))
}

async fn with(daemon: &Daemon, path: &str, authorization: &str) -> Answer {
    let mut request =
        if path == "/api/inject/v1" { inject_request(MAIL) } else { Request::get(path).body(Body::empty()).unwrap() };
    if !authorization.is_empty() {
        request.headers_mut().insert(header::AUTHORIZATION, authorization.parse().unwrap());
    }
    daemon.send(request).await
}

#[tokio::test]
async fn the_matrix_of_peers_credentials_and_routes() {
    let good = basic("joe:secret");
    let bad = basic("joe:guess");
    let (trusted, stranger) = ("127.0.0.1", STRANGER);
    // peer, Authorization, then the status for liveness, inject, metrics.
    for (peer, authorization, statuses) in [
        (trusted, "", [200, 200, 200]),
        (trusted, good.as_str(), [200, 200, 200]),
        (trusted, bad.as_str(), [401, 401, 401]),
        (stranger, "", [200, 401, 401]),
        (stranger, good.as_str(), [200, 200, 401]),
        (stranger, bad.as_str(), [401, 401, 401]),
        (stranger, "Bearer token", [200, 200, 401]),
        (stranger, "Bearer guess", [401, 401, 401]),
        (stranger, "Digest x", [400, 400, 400]),
        (stranger, "Basic ???", [400, 400, 400]),
        ("::ffff:127.0.0.1", "", [200, 200, 200]),
        ("::1", "", [200, 200, 200]),
    ] {
        let daemon = Daemon::with_policy(policy()).from(peer);
        for (path, status) in ["/api/check-liveness/v1", "/api/inject/v1", "/metrics"].into_iter().zip(statuses) {
            let answer = with(&daemon, path, authorization).await;
            assert_eq!(answer.status, status, "{peer} {authorization} {path}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn what_policy_returns_decides() {
    let daemon = Daemon::with_policy(policy()).from(STRANGER);
    for (user, status, text) in [
        ("alone", 200, ""),
        ("rich:x", 200, ""),
        ("nobody:x", 401, "HttpBasicAuth Authentication Failed for nobody"),
        ("nil:x", 401, "HttpBasicAuth Authentication Failed for nil"),
        ("odd:x", 500, "try again later"),
        ("broken:x", 500, "try again later"),
    ] {
        let answer = with(&daemon, "/api/inject/v1", &basic(user)).await;
        assert_eq!(answer.status, status, "{user}");
        assert!(answer.text().contains(text), "{user}: {}", answer.text());
    }
    let taken = daemon.intake.taken.lock().unwrap();
    let names: Vec<_> = taken.iter().map(|(one, _)| one.message.meta_text("http_auth").unwrap().unwrap()).collect();
    assert_eq!(names, ["alone", "rich@example.com"]);
    assert_eq!(taken[0].0.message.meta_text("received_from").unwrap().unwrap(), STRANGER);
}

#[tokio::test]
async fn without_a_handler_no_credential_is_good() {
    let daemon = Daemon::new();
    let answer = with(&daemon, "/api/inject/v1", &basic("joe:secret")).await;
    assert_eq!(answer.parts(), (401, "HttpBasicAuth Authentication Failed for joe"));
    assert!(answer.headers[header::WWW_AUTHENTICATE].to_str().unwrap().starts_with("Basic realm="));
    assert_eq!(with(&daemon, "/metrics", "Bearer x").await.parts(), (401, "BearerToken Authentication Failed"));
}

#[tokio::test]
async fn an_accepted_credential_is_not_asked_for_again_and_a_refused_one_is() {
    let policy = policy();
    let daemon = Daemon::with_policy(policy.clone()).from(STRANGER);
    for credentials in ["joe:secret", "joe:secret", "joe:guess", "joe:guess"] {
        with(&daemon, "/api/inject/v1", &basic(credentials)).await;
    }
    assert_eq!(policy.calls().len(), 3);
}

#[tokio::test]
async fn a_refusal_says_who_where_and_why() {
    let daemon = Daemon::with_policy(policy()).from(STRANGER);
    assert_eq!(
        daemon.get("/metrics?prefix=x").await.parts(),
        (401, "192.0.2.9 (not in trusted_hosts) not permitted GET on http_listener/127.0.0.1:8000/metrics")
    );
    assert_eq!(
        with(&daemon, "/metrics", &basic("joe:secret")).await.text(),
        "joe (not in trusted_hosts) not permitted GET on http_listener/127.0.0.1:8000/metrics"
    );
    let daemon = daemon.configured(r#"{"trusted_hosts": ["192.0.2.0/24"]}"#);
    assert_eq!(daemon.get("/metrics").await.status, 200);
    let trusted = "192.0.2.9 (in trusted_hosts) not permitted GET on http_listener/127.0.0.1:8000/api/inject/v1";
    assert_eq!(daemon.get("/api/inject/v1").await.parts(), (401, trusted), "it takes a POST");
    let local = daemon.from("127.0.0.1");
    assert_eq!(local.get("/metrics").await.status, 401, "only what the operator lists");
}

#[tokio::test]
async fn a_request_of_unknown_origin_is_trusted_by_nobody() {
    use tower::ServiceExt;
    let daemon = Daemon::new().configured(r#"{"trusted_hosts": ["0.0.0.0/0"]}"#);
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    assert_eq!(daemon.router().oneshot(request).await.unwrap().status(), 401);
}

#[tokio::test]
async fn routers_of_other_crates_are_guarded_as_they_ask() {
    let echo = |Extension(who): Extension<Arc<AuthInfo>>| async move { who.name() };
    let mut daemon = Daemon::with_policy(policy());
    for (access, path) in [
        (Access::Anyone, "/open"),
        (Access::Inject, "/inject"),
        (Access::Trusted, "/trusted"),
        (Access::Control, "/control"),
    ] {
        daemon.api = daemon.api.merge(access, Router::new().route(path, get(echo)));
    }
    daemon.api = daemon.api.merge(Access::Control, Router::new());
    let local = |path: &str, host: &str| Request::get(path).header(header::HOST, host).body(Body::empty()).unwrap();
    for path in ["/open", "/inject", "/trusted"] {
        assert_eq!(daemon.get(path).await.parts(), (200, "127.0.0.1"));
    }
    assert_eq!(daemon.send(local("/control", "127.0.0.1:8000")).await.parts(), (200, "127.0.0.1"));
    let rebound = daemon.send(local("/control", "evil.example:8000")).await;
    assert_eq!(rebound.status, 401);
    assert!(rebound.text().starts_with("Error: this needs a token that allows admin:list"), "{}", rebound.text());
    assert!(rebound.text().contains("`waybill tokens create --acl admin:list`"), "{}", rebound.text());
    assert_eq!(rebound.headers[header::WWW_AUTHENTICATE], "Bearer realm=\"waybill\"");
    let stranger = daemon.from(STRANGER).configured(r#"{"trusted_hosts": ["192.0.2.0/24"]}"#);
    assert_eq!(stranger.get("/trusted").await.status, 200);
    assert_eq!(stranger.send(local("/control", "127.0.0.1:8000")).await.status, 401, "trust does not open what is new");
    let admin = stranger.over_the_admin_socket().configured(r#"{"trusted_hosts": []}"#);
    for path in ["/open", "/inject", "/trusted", "/control"] {
        assert_eq!(admin.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn unknown_paths_are_404_for_everybody_in_the_words_of_whose_clients_come_there() {
    let daemon = Daemon::new().from(STRANGER);
    for (path, text) in [
        ("/nope", r#"{"code":"path-not-found","message":"no such path: /nope"}"#),
        ("/apikey", r#"{"code":"path-not-found","message":"no such path: /apikey"}"#),
        ("/token/a/b", r#"{"code":"path-not-found","message":"no such path: /token/a/b"}"#),
        ("/event-hooks/none", r#"{"message":"no such path: /event-hooks/none"}"#),
        ("/api/nope", "no such path: /api/nope"),
        ("/metrics/x", "no such path: /metrics/x"),
        ("/rapidoc/x", "no such path: /rapidoc/x"),
    ] {
        assert_eq!(daemon.get(path).await.parts(), (404, text));
    }
    assert_eq!(Daemon::new().get("/api/inject/v1").await.status, 401, "what no list allows is not permitted");
}
