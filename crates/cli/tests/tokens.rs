//! `waybill tokens` against a daemon that writes down what it is asked.

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use clap::Parser;
use serde_json::json;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;
use waybill_cli::{ApiError, ClientCommand, Misuse, Named, run};

#[derive(Parser)]
struct Program {
    #[command(subcommand)]
    command: ClientCommand,
}

#[derive(Default, Clone)]
struct Asked(Arc<Mutex<Vec<String>>>);

struct Daemon {
    dir: tempfile::TempDir,
    socket: PathBuf,
    http: String,
    asked: Asked,
    _tasks: JoinSet<()>,
}

async fn answer(asked: Asked, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 10_000).await.unwrap();
    let shown = head.headers.get(header::AUTHORIZATION).map_or("-", |value| value.to_str().unwrap());
    let line = format!("{} {} [{shown}] {}", head.method, head.uri, String::from_utf8_lossy(&body));
    asked.0.lock().unwrap().push(line);
    let token = json!({"token_id": "tok_x", "metadata": "", "acl": [], "later": 1});
    match head.uri.path() {
        "/token/none" => {
            (StatusCode::NOT_FOUND, Json(json!({"code": "token-not-found", "message": "there is no token none"})))
                .into_response()
        }
        "/token/text" => (StatusCode::BAD_GATEWAY, "a proxy").into_response(),
        "/tokens" if head.method == "GET" => Json(json!({"tokens": [token]})).into_response(),
        _ => Json(token).into_response(),
    }
}

async fn daemon() -> Daemon {
    let asked = Asked::default();
    let recorded = asked.clone();
    let app = Router::new().fallback(move |request| answer(recorded.clone(), request));
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("admin.sock");
    let (unix, tcp) = (UnixListener::bind(&socket).unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let http = format!("http://{}", tcp.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    let other = app.clone();
    tasks.spawn(async move { axum::serve(unix, app).await.unwrap() });
    tasks.spawn(async move { axum::serve(tcp, other).await.unwrap() });
    Daemon { dir, socket, http, asked, _tasks: tasks }
}

impl Daemon {
    async fn run(&self, words: &[&str]) -> anyhow::Result<()> {
        let program = Program::try_parse_from(["waybill", "tokens"].iter().chain(words))?;
        run(program.command, &self.socket, Named::Yes).await
    }

    fn last(&self) -> String {
        self.asked.0.lock().unwrap().last().cloned().unwrap_or_default()
    }
}

#[tokio::test]
async fn every_command_asks_the_admin_socket_as_the_api_expects() {
    let daemon = daemon().await;
    for (words, asked) in [
        (&["create"][..], "POST /tokens [-] {}"),
        (
            &["create", "--metadata", "CI", "--acl", "logs:get,tokens", "--acl", "admin", "--tenant", "acme"],
            r#"POST /tokens [-] {"acl":["logs:get","tokens","admin"],"metadata":"CI","tenant":"acme"}"#,
        ),
        (&["list"], "GET /tokens [-] "),
        (&["list", "--metadata", "a&b=c"], "GET /tokens?metadata=a%26b%3Dc [-] "),
        (&["get", "tok_x"], "GET /token/tok%5Fx [-] "),
        (&["get", "../metrics?x"], "GET /token/%2E%2E%2Fmetrics%3Fx [-] "),
        (&["update", "tok_x", "--acl", "logs"], r#"PATCH /token/tok%5Fx [-] {"acl":["logs"]}"#),
        (&["delete", "tok_x"], "DELETE /token/tok%5Fx [-] "),
    ] {
        daemon.run(words).await.unwrap();
        assert_eq!(daemon.last(), asked);
    }
    let misuse = daemon.run(&["update", "tok_x"]).await.unwrap_err();
    assert!(misuse.is::<Misuse>() && misuse.to_string().contains("--metadata or --acl"), "{misuse}");
}

#[tokio::test]
async fn over_http_a_token_from_a_file_is_shown_and_none_can_stand_on_the_command_line() {
    let daemon = daemon().await;
    let file = daemon.dir.path().join("token");
    std::fs::write(&file, "wbt_secret\n").unwrap();
    let file = file.to_str().unwrap();
    daemon.run(&["list", "--endpoint", &daemon.http, "--token-file", file]).await.unwrap();
    assert_eq!(daemon.last(), "GET /tokens [Bearer wbt_secret] ");
    daemon.run(&["list", "--endpoint", &daemon.http]).await.unwrap();
    assert_eq!(daemon.last(), "GET /tokens [-] ");
    assert!(daemon.run(&["list", "--token", "wbt_secret"]).await.is_err());
    let missing = daemon.run(&["list", "--token-file", "/nonexistent"]).await.unwrap_err();
    assert!(format!("{missing:#}").contains("/nonexistent"), "{missing:#}");
}

#[tokio::test]
async fn an_error_of_the_api_is_its_json_and_another_answer_a_sentence() {
    let daemon = daemon().await;
    let error = daemon.run(&["get", "none"]).await.unwrap_err();
    assert!(error.is::<ApiError>());
    assert_eq!(error.to_string(), "{\n  \"code\": \"token-not-found\",\n  \"message\": \"there is no token none\"\n}");
    let error = daemon.run(&["get", "text"]).await.unwrap_err();
    assert!(!error.is::<ApiError>() && error.to_string().contains("502"), "{error}");
}
