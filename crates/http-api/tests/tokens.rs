//! `/tokens` and `/token/{id}` in klev's words.

mod support;

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Duration;
use support::{Answer, Daemon};

const STRANGER: &str = "192.0.2.9";
const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples/tokens.txt");

/// A transcript in which ids and secrets have names instead.
#[derive(Default)]
struct Transcript {
    text: String,
    names: Vec<(String, String)>,
}

impl Transcript {
    fn hide(&mut self, answer: &Value) {
        for (field, name) in [("token_id", "ID"), ("bearer", "BEARER")] {
            let Some(text) = answer[field].as_str() else { continue };
            if !self.names.iter().any(|(known, _)| known == text) {
                let number = self.names.iter().filter(|(_, known)| known.starts_with(name)).count() + 1;
                self.names.push((text.to_owned(), format!("{name}{number}")));
            }
        }
    }

    fn named(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (secret, name)| text.replace(secret, name))
    }

    /// What stands in a request for `{NAME}`.
    fn real(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (secret, name)| text.replace(&format!("{{{name}}}"), secret))
    }
}

/// `METHOD PATH [TOKEN] BODY`: who asks shows this token, or sits at the admin socket.
async fn play(daemon: &Daemon, transcript: &mut Transcript, line: &str) {
    let mut words = line.splitn(4, ' ');
    let (method, path, who) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
    let body = words.next().unwrap_or_default();
    let mut request = Request::builder().method(method).uri(transcript.real(path));
    if !body.is_empty() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    if who != "-" {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", transcript.real(who)));
    }
    // Ids of one second have no order.
    daemon.clock.advance(Duration::from_secs(1));
    let answer = daemon.send(request.body(Body::from(transcript.real(body))).unwrap()).await;
    transcript.hide(&answer.json());
    let answered = transcript.named(answer.text());
    writeln!(transcript.text, "{line}\n-> {} {}\n{answered}\n", answer.status.as_u16(), answer.kind.unwrap()).unwrap();
}

#[tokio::test]
async fn every_request_of_the_transcript_is_answered_as_it_says() {
    let daemon = Daemon::new().over_the_admin_socket();
    let mut transcript = Transcript::default();
    for line in [
        r#"POST /tokens - {"metadata":"CI","acl":["logs:get","messages:publish:log_2VnvpTOoNFQRf0G9peK1zKlfhlf"]}"#,
        r#"POST /tokens - {"metadata":"acme","acl":["tokens","logs","event_hooks"],"tenant":"acme"}"#,
        "POST /tokens - {}",
        "GET /tokens -",
        "GET /tokens?metadata=CI -",
        "GET /tokens?metadata=none -",
        "GET /token/{ID1} -",
        r#"PATCH /token/{ID1} - {"acl":["logs:list"]}"#,
        r#"PATCH /token/{ID1} - {"metadata":"CI of the shop"}"#,
        // The tenant's own tokens.
        "GET /tokens {BEARER2}",
        "GET /token/{ID1} {BEARER2}",
        r#"POST /tokens {BEARER2} {"acl":["logs:get"]}"#,
        r#"POST /tokens {BEARER2} {"acl":["logs","admin"]}"#,
        r#"POST /tokens {BEARER2} {"acl":["logs"],"tenant":"other"}"#,
        // No right, no token.
        "GET /tokens {BEARER1}",
        "DELETE /token/{ID1} {BEARER1}",
        "GET /tokens wrong",
        // What makes no sense.
        r#"POST /tokens - {"acl":["cats"]}"#,
        r#"POST /tokens - {"acl":["logs:eat"]}"#,
        r#"POST /tokens - {"acl":"logs"}"#,
        r#"POST /tokens - {"scopes":[]}"#,
        r#"POST /tokens - {"metadata""#,
        r#"POST /tokens - {"tenant":""}"#,
        "GET /token/x -",
        "GET /token/log_2VnvpTOoNFQRf0G9peK1zKlfhlf -",
        "GET /token/tok_2VnvpTOoNFQRf0G9peK1zKlfhl -",
        "GET /token/tok_2VnvpTOoNFQRf0G9peK1zKlfhl- -",
        "GET /token/%FF -",
        "GET /token/tok_2VnvpTOoNFQRf0G9peK1zKlfhlf -",
        "DELETE /token/tok_2VnvpTOoNFQRf0G9peK1zKlfhlf -",
        r#"PATCH /token/tok_2VnvpTOoNFQRf0G9peK1zKlfhlf - {}"#,
        "PUT /token/{ID1} - {}",
        "GET /token -",
        // The end of a token.
        "DELETE /token/{ID1} -",
        "DELETE /token/{ID1} -",
        "GET /tokens {BEARER1}",
    ] {
        play(&daemon, &mut transcript, line).await;
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(SAMPLES, &transcript.text).unwrap();
    }
    assert_eq!(transcript.text, std::fs::read_to_string(SAMPLES).unwrap());
    let secrets: Vec<_> = transcript.names.iter().filter(|(_, name)| name.starts_with("BEARER")).collect();
    assert_eq!(secrets.len(), 4, "each is shown once, in the answer to its making");
    for (_, name) in secrets {
        assert_eq!(transcript.text.matches(&format!("\"bearer\":\"{name}\"")).count(), 1);
    }
}

async fn make(daemon: &Daemon, body: Value) -> Value {
    let request =
        Request::post("/tokens").header(header::HOST, "localhost").header(header::CONTENT_TYPE, "application/json");
    daemon.send(request.body(Body::from(body.to_string())).unwrap()).await.json()
}

async fn get(daemon: &Daemon, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = headers.iter().fold(Request::get(path), |request, (name, value)| request.header(*name, *value));
    daemon.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn trusted_hosts_open_nothing_that_is_new() {
    let daemon = Daemon::new().from(STRANGER).configured(r#"{"trusted_hosts": ["0.0.0.0/0"]}"#);
    assert_eq!(daemon.get("/metrics").await.status, 200);
    let answer = get(&daemon, "/tokens", &[("host", "127.0.0.1:8000")]).await;
    assert_eq!((answer.status.as_u16(), answer.json()["code"].as_str()), (401, Some("authorization-header-missing")));
    assert!(answer.json()["message"].as_str().unwrap().contains("`waybill tokens create --acl tokens:list`"));
    assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer realm=\"waybill\"");
}

#[tokio::test]
async fn a_page_in_the_operators_browser_and_a_proxy_make_no_tokens() {
    let daemon = Daemon::new();
    assert!(make(&daemon, json!({"acl": []})).await["bearer"].is_string(), "a plain client on this machine does");
    for headers in [
        &[("host", "rebound.example:8000")][..],
        &[("host", "127.0.0.1:8000"), ("origin", "https://evil.example")],
        &[("host", "127.0.0.1:8000"), ("origin", "null")],
        &[("host", "127.0.0.1:8000"), ("sec-fetch-site", "cross-site")],
        &[("host", "127.0.0.1:8000"), ("x-forwarded-for", "192.0.2.1")],
        &[("host", "127.0.0.1:8000"), ("x-real-ip", "192.0.2.1")],
        &[("host", "127.0.0.1:8000"), ("forwarded", "for=192.0.2.1")],
        &[("host", "127.0.0.1:8000"), ("via", "1.1 nginx")],
    ] {
        let post =
            headers.iter().fold(Request::post("/tokens"), |request, (name, value)| request.header(*name, *value));
        let post = post.header(header::CONTENT_TYPE, "application/json").body(Body::from("{}")).unwrap();
        let answer = daemon.send(post).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["code"].as_str()),
            (401, Some("authorization-header-missing")),
            "{headers:?}"
        );
    }
    // A form on another site can send a body without asking first, but not as JSON.
    let form = Request::post("/tokens").header(header::HOST, "localhost").header(header::CONTENT_TYPE, "text/plain");
    let answer = daemon.send(form.body(Body::from("{}")).unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.json()["code"].as_str()), (415, Some("content-type-invalid")));
    let bare = Request::post("/tokens").header(header::HOST, "localhost").body(Body::from("{}")).unwrap();
    assert_eq!(daemon.send(bare).await.json()["code"], "content-type-missing");
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_with_a_code() {
    let daemon = Daemon::new().over_the_admin_socket();
    let answer = daemon.ask("POST", "/tokens", json!({"metadata": "x".repeat(1_000_000)})).await;
    assert_eq!((answer.status.as_u16(), answer.json()["code"].as_str()), (413, Some("json-invalid")));
    for (body, code) in [
        (json!({"metadata": "x".repeat(4097)}), "token-metadata-limited"),
        (json!({"acl": (0..300).map(|n| format!("logs:get:{n}")).collect::<Vec<_>>()}), "token-acl-limited"),
    ] {
        let answer = daemon.ask("POST", "/tokens", body).await;
        assert_eq!((answer.status.as_u16(), answer.json()["code"].as_str()), (400, Some(code)));
    }
    assert_eq!(daemon.get("/tokens").await.json(), json!({"tokens": []}));
}

#[tokio::test]
async fn an_admin_token_opens_control_routes_as_far_as_it_allows_and_nothing_of_kumomtas() {
    use axum::routing::{get as on_get, post};
    let mut daemon = Daemon::new();
    let made = make(&daemon, json!({"acl": ["admin:list", "admin:get:webhook", "admin:update:webhook"]})).await;
    let bearer = format!("Bearer {}", made["bearer"].as_str().unwrap());
    let id = made["token_id"].as_str().unwrap().to_owned();
    let who =
        |axum::Extension(who): axum::Extension<std::sync::Arc<waybill_http_api::AuthInfo>>| async move { who.name() };
    let routes = axum::Router::new()
        .route("/api/hooks/v1", on_get(who))
        .route("/api/hooks/v1/{name}", on_get(who).delete(who))
        .route("/api/hooks/v1/{name}/pause", post(who));
    daemon.api = daemon.api.merge(waybill_http_api::Access::Control, routes);
    let daemon = daemon.from(STRANGER);
    for (method, path, status) in [
        ("GET", "/api/hooks/v1", 200),
        ("GET", "/api/hooks/v1/webhook", 200),
        ("GET", "/api/hooks/v1/w%65bhook", 200),
        ("POST", "/api/hooks/v1/webhook/pause", 200),
        ("GET", "/api/hooks/v1/other", 401),
        ("POST", "/api/hooks/v1/other/pause", 401),
        ("DELETE", "/api/hooks/v1/webhook", 401),
        ("GET", "/api/machine-info", 401),
        ("GET", "/tokens", 401),
    ] {
        let request = Request::builder().method(method).uri(path).header(header::AUTHORIZATION, &bearer);
        let answer = daemon.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {}", answer.text());
        if status == 200 {
            assert_eq!(answer.text(), id);
        }
    }
    let refused = get(&daemon, "/api/hooks/v1/other", &[("authorization", &bearer)]).await;
    assert!(
        refused.text().starts_with("Error: this token does not allow admin:get:other: `waybill tokens create"),
        "{}",
        refused.text()
    );
    let local = Daemon { peer: waybill_http_api::Peer::ip([127, 0, 0, 1].into()), ..daemon };
    let wrong = get(&local, "/api/hooks/v1", &[("host", "127.0.0.1"), ("authorization", "Bearer wrong")]).await;
    assert_eq!(wrong.status, 401, "also on loopback");
}

#[tokio::test]
async fn guesses_are_slowed_down_with_a_time_to_come_back() {
    let daemon = Daemon::new().from(STRANGER);
    let mut last = None;
    for _ in 0..21 {
        last = Some(get(&daemon, "/tokens", &[("authorization", "Bearer guess")]).await);
    }
    let last = last.unwrap();
    assert_eq!((last.status.as_u16(), last.json()["code"].as_str()), (429, Some("authentication-failed")));
    assert_eq!(last.headers[header::RETRY_AFTER], "3");
}
