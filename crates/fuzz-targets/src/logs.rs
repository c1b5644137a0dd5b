//! Requests to the API of logs, as they come out of a connection.

use crate::doubles::{now, run};
use axum::Router;
use axum::body::Body;
use axum::http::request::Parts as Head;
use axum::http::{Method, Request, StatusCode, Uri, header};
use futures::FutureExt;
use futures::future::BoxFuture;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tower::ServiceExt;
use waybill_log_record::Capture;
use waybill_runtime::{ManualClock, StopSource, Supervisor};
use waybill_spool::MemoryStore;
use waybill_streams::{Courier, Denied, Endpoint, Gate, Late, Parcel, Parts, Receipt, Streams, Want};
use waybill_streams_core::{Code, Limits, Reach};
use waybill_webhook_core::{SignConfig, Target, outcome_of};

pub(crate) const WORDS: &[&str] = &[
    "GET /messages/$log?offset=0&len=10&encoding=base64\n",
    "GET /messages/$compacting?offset=-2&poll=5\n",
    "GET /messages/$log?offset_id=$offset\n",
    "GET /messages/$log?time=0\n",
    "GET /message/$log?offset=-1\n",
    "GET /logs?metadata=a\n",
    "POST /logs\n",
    "POST /messages/$log\n",
    "POST /message/$compacting\n",
    "POST /message/$compacting/key\n",
    "DELETE /messages/$log?trim_count=1\n",
    "PATCH /offset/$offset\n",
    "PATCH /egress_webhook/$egress\n",
    "PATCH /egress_webhook/$egress/secret\n",
    "PATCH /filter/$filter\n",
    "POST /filters\n",
    "POST /egress_webhooks\n",
    "POST /ingress_webhooks\n",
    "GET /egress_webhook/$egress/status\n",
    "GET /filter/$filter/status\n",
    r#"{"encoding":"base64","messages":[{"key":"YQ==","value":null}]}"#,
    r#""time":9223372036854775807"#,
    r#""next_offset":-2"#,
    r#""skip":0"#,
    r#""trim_seconds":18446744073709551615"#,
    r#""expression":"toJson(value).a == 1""#,
    r#""tenant":"acme""#,
    r#""mode":"last_state""#,
    "9223372036854775808",
    "-3",
    "%00",
    "&",
    "=",
    NEXT,
];

/// Between the requests of an input.
const NEXT: &str = "\n--\n";
/// Requests of one input.
const MOST: usize = 6;

/// Requests one after another: `METHOD TARGET` in the first line, then the body; `$log` and its kin stand for ids of what is
/// there. Each is answered with JSON; a refusal has a code that there is, the status of that code and a sentence, and has
/// changed nothing.
pub(crate) fn requests(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    run(async {
        let (stop, listens) = StopSource::new();
        let tasks = Supervisor::current();
        let router = open(tasks.clone(), listens).await;
        let ids = furnish(&router).await;
        for request in text.split(NEXT).take(MOST) {
            let request = ids.iter().fold(request.to_owned(), |text, (name, id)| text.replace(name, id));
            one(&router, &request).await;
        }
        stop.request();
        tasks.join().await;
    });
}

async fn one(router: &Router, text: &str) {
    let (line, body) = text.split_once('\n').unwrap_or((text, ""));
    let (method, target) = line.split_once(' ').unwrap_or(("GET", line));
    // What is no method or no target never comes out of hyper.
    let (Ok(method), Ok(uri)) = (Method::from_bytes(method.as_bytes()), target.parse::<Uri>()) else { return };
    if !uri.path().starts_with('/') || method == Method::HEAD {
        return;
    }
    settle().await;
    let before = held(router).await;
    let (status, answer) = ask(router, method, uri, body).await;
    if status == StatusCode::OK {
        return;
    }
    if answer.is_empty() {
        assert_eq!(status, StatusCode::NOT_FOUND, "{line}: the listener answers for paths that are not there");
        return;
    }
    let refusal: Value = serde_json::from_str(&answer).expect("a refusal is JSON");
    let code = Code::ALL.iter().find(|code| refusal["code"] == code.text());
    let code = code.unwrap_or_else(|| panic!("{line}: {answer} has no code that there is"));
    assert_eq!(status.as_u16(), code.status(), "{line}: {answer}");
    assert_ne!(*code, Code::ServerError, "{line}: {answer}");
    let message = refusal["message"].as_str().expect("a sentence");
    assert!((1..2000).contains(&message.len()), "{line}: {answer}");
    assert_eq!(before, held(router).await, "{line}: refused with {answer}, and done");
}

/// What goes on by itself has come to its end.
async fn settle() {
    for _ in 0..256 {
        tokio::task::yield_now().await;
    }
}

/// All that there is.
async fn held(router: &Router) -> Vec<String> {
    let mut all = Vec::new();
    for path in ["/logs", "/offsets", "/egress_webhooks", "/filters", "/ingress_webhooks"] {
        all.push(ask(router, Method::GET, Uri::from_static(path), "").await.1);
    }
    let logs: Value = serde_json::from_str(&all[0]).expect("logs");
    for log in logs["logs"].as_array().expect("a list") {
        let path = format!("/log/{}/stats", log["log_id"].as_str().expect("an id"));
        all.push(ask(router, Method::GET, path.parse().expect("a path"), "").await.1);
    }
    all
}

async fn ask(router: &Router, method: Method, uri: Uri, body: &str) -> (StatusCode, String) {
    let request = Request::builder().method(method).uri(uri).header(header::CONTENT_TYPE, "application/json");
    let request = request.body(Body::from(body.to_owned())).expect("a request");
    let response = router.clone().oneshot(request).await.expect("an answer");
    let status = response.status();
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8(bytes.to_vec()).expect("answers are text"))
}

/// One of each; gives the names that stand for their ids.
async fn furnish(router: &Router) -> Vec<(&'static str, String)> {
    let mut ids: Vec<(&'static str, String)> = Vec::new();
    let mut make = async |name: &'static str, path: &'static str, field: &str, body: Value| {
        let body = ids.iter().fold(body.to_string(), |text, (name, id)| text.replace(name, id));
        let (_, answer) = ask(router, Method::POST, Uri::from_static(path), &body).await;
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        ids.push((name, answer[field].as_str().expect("an id").to_owned()));
    };
    make("$log", "/logs", "log_id", json!({})).await;
    make("$compacting", "/logs", "log_id", json!({"compacting": true})).await;
    make("$target", "/logs", "log_id", json!({})).await;
    make("$offset", "/offsets", "offset_id", json!({"log_id": "$log"})).await;
    let egress = json!({"log_id": "$log", "destination": "https://hooks.example/"});
    make("$egress", "/egress_webhooks", "webhook_id", egress).await;
    let filter = json!({"source_id": "$log", "target_id": "$target", "expression": "value != null"});
    make("$filter", "/filters", "filter_id", filter).await;
    let ingress = json!({"log_id": "$target", "type": "gitHub", "secret": "hunter2"});
    make("$ingress", "/ingress_webhooks", "webhook_id", ingress).await;
    ids
}

async fn open(supervisor: Supervisor, stop: waybill_runtime::Stop) -> Router {
    let parts = Parts {
        store: Arc::new(MemoryStore::new()),
        clock: Arc::new(ManualClock::at(now())),
        supervisor,
        stop,
        limits: Limits { value: 64, key: 16, metadata: 64, publish_messages: 4, ..Limits::default() },
        courier: Arc::new(Willing),
        capture: Arc::new(Capture::nothing()),
        keys: None,
        lost_keys: Vec::new(),
        news: None,
        events_wanted: Arc::new(AtomicBool::new(false)),
    };
    let streams = Streams::open(parts).await.expect("memory can be read");
    let late = Late::default();
    late.set(streams);
    waybill_streams::router(late, Arc::new(Open))
}

/// Everybody may do everything.
struct Open;

impl Gate for Open {
    fn check(&self, _: &Head, _: &Want<'_>) -> Result<Reach, Denied> {
        Ok(Reach::All)
    }
}

/// Every endpoint takes everything.
struct Willing;

impl Courier for Willing {
    fn check(&self, _: &Target) -> Result<(), String> {
        Ok(())
    }

    fn endpoint(&self, _: Target, _: SignConfig, _: usize) -> Result<Arc<dyn Endpoint>, String> {
        Ok(Arc::new(Willing))
    }
}

impl Endpoint for Willing {
    fn send(&self, _: Parcel) -> BoxFuture<'_, Receipt> {
        let receipt = Receipt { status: Some(200), response: None, error: None, outcome: outcome_of(200, None) };
        std::future::ready(receipt).boxed()
    }
}
