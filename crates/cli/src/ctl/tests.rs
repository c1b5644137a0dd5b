//! The commands against a daemon that writes down what it was asked.

use super::*;
use crate::Misuse;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use clap::Parser;
use serde_json::json;
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: CtlArgs,
}

/// Method, path with query, body, Authorization.
type Asked = (String, String, Value, Option<String>);

struct Daemon {
    endpoint: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    _tasks: JoinSet<()>,
}

fn answer(method: &str, path: &str) -> Response {
    let id = "9a748934-0614-4105-9511-801d2d9b9845";
    match (method, path) {
        ("GET", "/metrics.json") => Json(json!({
            "ready_count": {"value": {"service": {"unspecified->a.example@maildir": 2, "http_listener": 0}}},
            "total_messages_delivered": {"value": {"service": {"unspecified->a.example@maildir": 7}}},
            "scheduled_count": {"value": {"queue": {"t@b.example": 3, "gone.example": 0}}},
        }))
        .into_response(),
        ("GET", "/api/admin/bounce/v1") => {
            Json(json!([{"id": id, "campaign": null, "tenant": null, "domain": "d\u{1b}[2J",
            "routing_domain": null, "reason": "purge", "duration": "2s", "bounced": {"d": 3}, "total_bounced": 3}]))
            .into_response()
        }
        ("GET", path) if path.contains("none") => (StatusCode::NOT_FOUND, "Error: no such queue none").into_response(),
        ("DELETE", _) => format!("removed {id}").into_response(),
        ("POST", path) if path.ends_with("abort-ready-q-conn/v1") => "aborted s1".into_response(),
        ("POST", path) if path.contains("filter") || path.contains("epoch") => ().into_response(),
        _ => Json(json!({"id": id})).into_response(),
    }
}

async fn daemon() -> Daemon {
    let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
    let notes = asked.clone();
    let app = Router::new().fallback(async move |request: Request| {
        let (head, body) = request.into_parts();
        let body: Bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        let authorization = head.headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
        let (method, path) = (head.method.to_string(), head.uri.to_string());
        notes.lock().unwrap().push((method.clone(), path.clone(), body, authorization));
        answer(&method, &path)
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { axum::serve(listener, app).await.unwrap() });
    Daemon { endpoint, asked, _tasks: tasks }
}

impl Daemon {
    async fn run(&self, line: &[&str]) -> Result<String> {
        let line = ["ctl", "--endpoint", &self.endpoint].into_iter().chain(line.iter().copied());
        let cli = Cli::try_parse_from(line)?;
        run(cli.args, Path::new("/nowhere"), false).await
    }

    fn last(&self) -> Asked {
        self.asked.lock().unwrap().last().cloned().unwrap()
    }
}

#[tokio::test]
async fn orders_are_sent_as_the_api_takes_them() {
    let daemon = daemon().await;
    for (line, method, path, body) in [
        (
            &["bounce", "--domain", "a.example", "--reason", "purge", "--duration", "90", "--suppress-logging"][..],
            "POST",
            "/api/admin/bounce/v1",
            json!({"domain": "a.example", "reason": "purge", "duration": "1m 30s", "suppress_logging": true}),
        ),
        (
            &["bounce", "--queue", "a", "--queue", "b", "--routing-domain", "r", "--reason", "x"],
            "POST",
            "/api/admin/bounce/v1",
            json!({"queue_names": ["a", "b"], "routing_domain": "r", "reason": "x", "suppress_logging": false}),
        ),
        (&["bounce-cancel", "--id", "i"], "DELETE", "/api/admin/bounce/v1", json!({"id": "i"})),
        (
            &["suspend", "--tenant", "t", "--campaign", "c", "--reason", "x", "--duration", "1 hour"],
            "POST",
            "/api/admin/suspend/v1",
            json!({"tenant": "t", "campaign": "c", "reason": "x", "duration": "1h"}),
        ),
        (&["suspend", "--everything", "--reason", "x"], "POST", "/api/admin/suspend/v1", json!({"reason": "x"})),
        (&["suspend-cancel", "--id", "i"], "DELETE", "/api/admin/suspend/v1", json!({"id": "i"})),
        (
            &["suspend-ready-q", "--name", "s->a@b", "--reason", "x"],
            "POST",
            "/api/admin/suspend-ready-q/v1",
            json!({"name": "s->a@b", "reason": "x"}),
        ),
        (&["suspend-ready-q-cancel", "--id", "i"], "DELETE", "/api/admin/suspend-ready-q/v1", json!({"id": "i"})),
        (
            &[
                "rebind",
                "--domain",
                "a",
                "--reason",
                "x",
                "--set",
                "queue=b",
                "--data",
                r#"{"n": "1"}"#,
                "--always-flush",
            ],
            "POST",
            "/api/admin/rebind/v1",
            json!({"domain": "a", "reason": "x", "data": {"queue": "b", "n": "1"}, "always_flush": true,
                   "trigger_rebind_event": false, "suppress_logging": false}),
        ),
        (&["set-log-filter", "debug"], "POST", "/api/admin/set_diagnostic_log_filter/v1", json!({"filter": "debug"})),
        (&["bump-config-epoch"], "POST", "/api/admin/bump-config-epoch", json!({})),
        (&["spool-compact", "meta"], "POST", "/api/admin/spool-compact/v1", json!({"name": "meta"})),
        (
            &["abort-ready-q-conn", "s->a@b", "s1"],
            "POST",
            "/api/admin/abort-ready-q-conn/v1",
            json!({"queue_name": "s->a@b", "session_id": "s1"}),
        ),
    ] {
        daemon.run(line).await.unwrap_or_else(|error| panic!("{line:?}: {error}"));
        assert_eq!(daemon.last(), (method.to_owned(), path.to_owned(), body, None), "{line:?}");
    }
}

#[tokio::test]
async fn questions_are_sent_with_their_options() {
    let daemon = daemon().await;
    for (line, path) in [
        (&["inspect-message", "abc", "--want-body"][..], "/api/admin/inspect-message/v1?id=abc&want_body=true"),
        (
            &["inspect-sched-q", "c:t@a.b"],
            "/api/admin/inspect-sched-q/v1?queue_name=c%3At%40a%2Eb&want_body=false&limit=5",
        ),
        (
            &["inspect-sched-q", "a", "--no-limit", "--want-body"],
            "/api/admin/inspect-sched-q/v1?queue_name=a&want_body=true",
        ),
        (
            &["inspect-ready-q", "s->a@b", "--sched-q"],
            "/api/admin/inspect-ready-q/v1?queue_name=s%2D%3Ea%40b&include_scheduled_queues=true",
        ),
        (&["ready-q-states", "a", "b"], "/api/admin/ready-q-states/v1?queues=a&queues=b"),
        (&["resolve-egress-path", "a", "--source", "ip"], "/api/admin/resolve-egress-path/v1?domain=a&source=ip"),
        (&["suspend-list"], "/api/admin/suspend/v1"),
        (&["suspend-ready-q-list", "--json"], "/api/admin/suspend-ready-q/v1"),
    ] {
        let text = daemon.run(line).await.unwrap_or_else(|error| panic!("{line:?}: {error}"));
        assert!(text.contains("9a748934-0614-4105-9511-801d2d9b9845"), "not for a terminal, so JSON: {text}");
        assert_eq!(daemon.last().1, path);
    }
}

#[tokio::test]
async fn answers_are_json_for_programs_and_text_where_kcli_prints_text() {
    let daemon = daemon().await;
    let text = daemon.run(&["suspend", "--domain", "a", "--reason", "x"]).await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["id"], "9a748934-0614-4105-9511-801d2d9b9845");
    let text = daemon.run(&["bounce-list"]).await.unwrap();
    let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        lines,
        ["ID QUEUES REASON ENDS IN BOUNCED", "9a748934-0614-4105-9511-801d2d9b9845 domain=d\\u{1b}[2J purge 2s 3"]
    );
    assert!(daemon.run(&["bounce-list", "--json"]).await.unwrap().starts_with('['));
    assert_eq!(daemon.run(&["abort-ready-q-conn", "q", "s1"]).await.unwrap(), "aborted s1\n");
    assert_eq!(daemon.run(&["set-log-filter", "info"]).await.unwrap(), "");
}

#[tokio::test]
async fn a_summary_shows_ready_and_scheduled_queues() {
    let daemon = daemon().await;
    let text = daemon.run(&["queue-summary"]).await.unwrap();
    let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        lines,
        [
            "SITE SOURCE PROTO DELIVERED TRANSFAIL FAIL CONN READY",
            "a.example unspecified maildir 7 0 0 0 2",
            "",
            "SCHEDULED QUEUE COUNT",
            "t@b.example 3",
        ]
    );
    let json: Value = serde_json::from_str(&daemon.run(&["queue-summary", "--json"]).await.unwrap()).unwrap();
    assert_eq!(json["scheduled"], json!({"t@b.example": 3}));
    let none = daemon.run(&["queue-summary", "--domain", "other"]).await.unwrap();
    assert_eq!(none, "no ready queues are in memory\n\nnothing waits in scheduled queues\n");
    assert!(daemon.run(&["provider-summary"]).await.unwrap().starts_with("no counts by provider"));
}

#[tokio::test]
async fn slips_are_found_before_anything_is_sent() {
    let daemon = daemon().await;
    for (line, why) in [
        (&["bounce", "--reason", "x"][..], "--everything"),
        (&["suspend", "--reason", "x"], "--everything"),
        (&["rebind", "--reason", "x", "--data", "{}"], "--everything"),
        (&["bounce", "--domain", "a"], "--reason"),
        (&["bounce", "--domain", "a", "--everything", "--reason", "x"], "cannot be used with"),
        (&["bounce", "--domain", "a", "--reason", "x", "--duration", "soon"], "expected a duration"),
        (&["rebind", "--domain", "a", "--reason", "x", "--set", "x"], "NAME=VALUE"),
        (&["rebind", "--domain", "a", "--reason", "x", "--data", "{"], "--data is no JSON object"),
        (&["inspect-sched-q", "a", "--limit", "1", "--no-limit"], "cannot be used with"),
    ] {
        let error = daemon.run(line).await.unwrap_err();
        let misuse = error.is::<Misuse>() || error.downcast_ref::<clap::Error>().is_some_and(|e| e.exit_code() == 2);
        assert!(misuse, "{line:?}: a program would not end with 2: {error:?}");
        let error = error.to_string();
        assert!(error.contains(why), "{line:?}: {error}");
    }
    assert!(daemon.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn refusals_come_through_and_credentials_go_along() {
    let daemon = daemon().await;
    let error = daemon.run(&["inspect-sched-q", "none"]).await.unwrap_err().to_string();
    assert!(error.contains("404") && error.ends_with("Error: no such queue none"), "{error}");
    let endpoint = daemon.endpoint.replace("http://", "http://joe:secret@");
    let cli = Cli::parse_from(["ctl", "--endpoint", &endpoint, "suspend-list"]);
    run(cli.args, Path::new("/nowhere"), false).await.unwrap();
    assert_eq!(daemon.last().3.as_deref(), Some("Basic am9lOnNlY3JldA=="));
}

#[tokio::test]
async fn the_admin_socket_is_asked_where_it_is_and_a_missing_daemon_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("admin.sock");
    let cli = || Cli::parse_from(["ctl", "suspend-list"]).args;
    let error = run(cli(), &socket, true).await.unwrap_err().to_string();
    assert!(error.starts_with("the daemon is not running: there is no admin socket at /"), "{error}");
    let listener = UnixListener::bind(&socket).unwrap();
    let app = Router::new().fallback(async || Json(json!([])));
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { axum::serve(listener, app).await.unwrap() });
    assert_eq!(run(cli(), &socket, false).await.unwrap(), "[]\n");
    let nobody = Cli::parse_from(["ctl", "--endpoint", "http://127.0.0.1:1", "suspend-list"]).args;
    let error = run(nobody, &socket, false).await.unwrap_err().to_string();
    assert!(error.starts_with("no connection to http://127.0.0.1:1: "), "{error}");
}

#[test]
fn values_cannot_leave_their_place_in_a_query() {
    assert_eq!(with_query("/x", &[("q", "a->b@c&d=é"), ("n", "5")]), "/x?q=a%2D%3Eb%40c%26d%3D%C3%A9&n=5");
}
