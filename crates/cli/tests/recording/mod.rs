//! A daemon that writes down what it is asked, over its socket and over HTTP.
#![allow(dead_code, reason = "each test file uses a part of it")]

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
use waybill_cli::{ClientCommand, Named, run};

#[derive(Parser)]
struct Program {
    #[command(subcommand)]
    command: ClientCommand,
}

#[derive(Default, Clone)]
struct Asked(Arc<Mutex<Vec<String>>>);

pub(crate) struct Daemon {
    pub(crate) dir: tempfile::TempDir,
    socket: PathBuf,
    pub(crate) http: String,
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
        path if path.starts_with("/messages/") => Json(json!({"next_offset": 1, "messages": []})).into_response(),
        "/event-hooks/events" => Json(json!({"data": [{}], "next": "1"})).into_response(),
        "/api/hooks/v1" => Json(json!([])).into_response(),
        path if path.starts_with("/api/hooks/v1/") && head.method == "GET" => {
            let hook = json!({"name": "web", "state": "detached", "lag_events": 0, "lag_seconds": 0.0, "in_flight": 0, "parked": 0,
                "dead_letters": 0});
            Json(hook).into_response()
        }
        _ => Json(token).into_response(),
    }
}

pub(crate) async fn daemon() -> Daemon {
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
    /// Runs `waybill` with these words.
    pub(crate) async fn run(&self, words: &[&str]) -> anyhow::Result<()> {
        let program = Program::try_parse_from(["waybill"].iter().chain(words))?;
        run(program.command, &self.socket, Named::Yes).await
    }

    /// How often it was asked.
    pub(crate) fn count(&self) -> usize {
        self.asked.0.lock().unwrap().len()
    }

    /// What it was asked last: method, path, what was shown, body.
    pub(crate) fn last(&self) -> String {
        self.asked.0.lock().unwrap().last().cloned().unwrap_or_default()
    }
}
