//! Requests to the API, as they come out of a connection.

use crate::doubles::{Keeping, Taken, now, run};
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, Uri, header};
use futures::FutureExt;
use futures::future::BoxFuture;
use http_body_util::BodyExt;
use mail_parser::MessageParser;
use serde_json::Value;
use std::sync::Arc;
use tower::ServiceExt;
use waybill_admin::{Admin, RecordingOwner};
use waybill_authorizer::{Authorizer, TokenStore};
use waybill_http_api::{Api, CompactError, Connection, Control, Metrics, Peer, Services};
use waybill_policy::ScriptedPolicy;
use waybill_runtime::{Clock, ManualClock, Supervisor};
use waybill_spool::MemoryStore;
use waybill_trace::Tracers;
use waybill_types::IdMint;

pub(crate) const INJECTION_WORDS: &[&str] = &[
    r#""envelope_sender":"a@example.com","#,
    r#""recipients":[{"email":"b@example.com"}]"#,
    r#","name":"J\u00f6 \"X\"""#,
    r#","substitutions":{"a":"b"}"#,
    r#""metadata":{"tenant":"t"}"#,
    r#""content":"Subject: x\r\n\r\nbody""#,
    r#""content":{"text_body":"hi {{ name }}"}"#,
    r#","html_body":"<p>{{ email }}</p>""#,
    r#","attachments":[{"data":"aGk=","content_type":"text/plain","base64":true}]"#,
    r#","headers":{"X-A":"b"}"#,
    r#","from":{"email":"a@b"}"#,
    r#","subject":"\u0000\r\nBcc: x""#,
    r#","template_dialect":"Handlebars""#,
    r#","template_dialect":"Static""#,
    r#","deferred_generation":true"#,
    "{{ ",
    " }}",
    "{% for i in range(9) %}",
    "{% endfor %}",
    "\\r\\n",
    "null",
    "[]",
    "{}",
];
pub(crate) const REQUEST_WORDS: &[&str] = &[
    "GET /api/admin/bounce/v1\n",
    "POST /api/admin/suspend/v1\n",
    "DELETE /api/admin/suspend-ready-q/v1\n",
    "POST /api/admin/rebind/v1\n",
    "GET /api/admin/inspect-message/v1?id=be5ce59be75811f1aba9ee449cbbeaa0&want_body=true\n",
    "GET /api/admin/inspect-sched-q/v1?queue_name=q&limit=1\n",
    "GET /api/admin/ready-q-states/v1?queues=a,b\n",
    "POST /api/admin/abort-ready-q-conn/v1\n",
    "GET /metrics?prefix=a&only=b\n",
    "/api/check-liveness/v1",
    r#"{"reason":"x","domain":"example.com","duration":"5m"}"#,
    r#""id":"1c9695c6-71e7-4e48-b54f-5531e6875160""#,
    r#""expires":"2026-11-23T16:12:56Z""#,
    r#""queue_names":["q"]"#,
    r#""data":{"a":"b"}"#,
    "%",
    "&",
    "=",
];
/// Every name of the request, its parts included.
const FIELDS: &[&str] = &[
    "envelope_sender",
    "recipients",
    "content",
    "substitutions",
    "deferred_spool",
    "deferred_generation",
    "trace_headers",
    "template_dialect",
    "email",
    "text_body",
];

/// An answer of the API.
struct Answer {
    status: StatusCode,
    text: String,
    taken: Vec<Taken>,
}

/// An injection gives messages that are messages, or a reason that names the field.
pub(crate) fn injection(data: &[u8]) {
    let request = Request::post("/api/inject/v1").header(header::CONTENT_TYPE, "application/json");
    let answer = ask(request.body(Body::from(data.to_vec())).expect("a request"));
    let json: Option<Value> = serde_json::from_slice(data).ok();
    match answer.status {
        StatusCode::OK => accepted(&json.expect("only JSON is taken"), &answer),
        StatusCode::INTERNAL_SERVER_ERROR => {
            assert!(answer.text.contains("envelope_sender"), "{}", answer.text);
        }
        status => {
            assert!(status.is_client_error(), "{status} {}", answer.text);
            assert!(answer.taken.is_empty(), "refused and taken");
            let object = json.is_some_and(|json| json.is_object());
            let named = FIELDS.iter().any(|field| answer.text.contains(field));
            assert!(!object || named, "this names no field: {}", answer.text);
            assert!(!answer.text.is_empty());
        }
    }
}

fn accepted(json: &Value, answer: &Answer) {
    let report: Value = serde_json::from_str(&answer.text).expect("a report");
    let count = |name: &str| usize::try_from(report[name].as_u64().expect("a number")).expect("a small one");
    let recipients = json["recipients"].as_array().expect("a list").len();
    assert_eq!(count("fail_count"), report["errors"].as_array().expect("a list").len());
    if json["deferred_generation"] == true {
        assert_eq!((count("success_count"), answer.taken.len()), (0, 1));
        return;
    }
    assert_eq!(count("success_count") + count("fail_count"), recipients);
    assert_eq!(count("success_count"), answer.taken.len());
    for taken in &answer.taken {
        assert_eq!(taken.recipients.len(), 1);
        is_a_message(&taken.data);
    }
}

/// Lines end in CRLF, headers come first and are headers, and a parser finds its way.
fn is_a_message(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert!(lines.iter().all(|line| !line.contains(['\r', '\n'])), "a bare CR or LF: {text:?}");
    let (head, _) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no empty line: {text:?}"));
    for (number, line) in head.split("\r\n").enumerate() {
        let folded = number > 0 && line.starts_with([' ', '\t']);
        assert!(folded || line.contains(':'), "{line:?} is no header of {text:?}");
    }
    assert!(MessageParser::default().parse(data).is_some(), "{text:?}");
}

/// Any request gets an answer, and one that says no says why. `METHOD TARGET` in the first line, then the body.
pub(crate) fn request(data: &[u8]) {
    let (line, body) = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &b""[..]),
    };
    let Ok(line) = std::str::from_utf8(line) else { return };
    let (method, target) = line.split_once(' ').unwrap_or(("GET", line));
    // What is no method or no target never comes out of hyper.
    let (Ok(method), Ok(uri)) = (Method::from_bytes(method.as_bytes()), target.parse::<Uri>()) else { return };
    if !uri.path().starts_with('/') {
        return;
    }
    // As KumoMTA: 500 for a message that is not there, a sender that is no address, a path that policy does not give.
    let failing = ["/api/admin/inspect-message/v1", "/api/inject/v1", "/api/admin/resolve-egress-path/v1"];
    let missing = failing.contains(&uri.path());
    let silent = method == Method::HEAD;
    let request = Request::builder().method(method).uri(uri).header(header::CONTENT_TYPE, "application/json");
    let answer = ask(request.body(Body::from(body.to_vec())).expect("a request"));
    assert!(!answer.status.is_server_error() || missing, "{line}: {} {}", answer.status, answer.text);
    let reason = silent || !answer.text.is_empty();
    assert!(answer.status.is_success() || reason, "{line}: {} without a reason", answer.status);
}

fn ask(mut request: Request<Body>) -> Answer {
    run(async {
        let intake = Arc::new(Keeping::default());
        request.extensions_mut().insert(Connection { peer: Peer::Admin, via: "127.0.0.1:8000".into() });
        let response = router(intake.clone()).await.oneshot(request).await.expect("an answer");
        let status = response.status();
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        let text = String::from_utf8(bytes.to_vec()).expect("answers are text");
        Answer { status, text, taken: intake.batches().concat() }
    })
}

async fn router(intake: Arc<Keeping>) -> Router {
    let admin = Admin::new(Arc::new(now));
    admin.add(Arc::new(RecordingOwner::new())).await;
    let services = Services {
        intake,
        policy: Arc::new(ScriptedPolicy::new()),
        mint: Arc::new(IdMint::new([0xab; 8])),
        clock: Arc::new(now),
        hostname: "mta.example".into(),
        node_id: "1c9695c6-71e7-4e48-b54f-5531e6875160".into(),
        metrics: Metrics::new().expect("metrics"),
        admin,
        control: Arc::new(Obedient),
        traces: Tracers::default(),
        authorizer: authorizer().await,
    };
    Api::new(services).router()
}

/// Tokens in memory, in a daemon whose spool is open.
async fn authorizer() -> Authorizer {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(now()));
    let tokens = TokenStore::new(clock.clone(), Supervisor::current());
    tokens.open(Arc::new(MemoryStore::new())).await.expect("memory can be read");
    Authorizer::new(tokens, clock)
}

/// A daemon that does what it is told.
struct Obedient;

impl Control for Obedient {
    fn set_log_filter(&self, _: &str) -> Result<(), String> {
        Ok(())
    }

    fn bump_epoch(&self) -> BoxFuture<'_, Result<(), String>> {
        std::future::ready(Ok(())).boxed()
    }

    fn tasks(&self) -> Vec<(&'static str, Vec<String>)> {
        Vec::new()
    }

    fn compact_spool<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), CompactError>> {
        std::future::ready(Ok(())).boxed()
    }
}
