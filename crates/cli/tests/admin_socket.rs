//! The client against a daemon's admin socket.

use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tokio::net::UnixListener;
use tokio::task::JoinSet;
use waybill_cli::{AdminClient, ClientCommand, ClientError, HookStatus, HooksCommand, Named, run};

struct Daemon {
    _dir: tempfile::TempDir,
    socket: PathBuf,
    tasks: JoinSet<()>,
}

fn daemon() -> Daemon {
    let app = Router::new()
        .route("/api/hooks/v1", get(|| async { Json(hooks()) }))
        .route("/echo", post(|Json(body): Json<Value>| async move { Json(body) }))
        .route("/empty", post(|| async {}))
        .route("/no", get(|| async { (StatusCode::CONFLICT, "Error: no\x1b[2J\n") }))
        .route("/text", get(|| async { "text" }));
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("admin.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { axum::serve(listener, app).await.unwrap() });
    Daemon { _dir: dir, socket, tasks }
}

fn hooks() -> Value {
    json!([{"name": "webhook", "state": "active", "lag_events": 3, "lag_seconds": 0.25, "in_flight": 1, "parked": 2,
            "dead_letters": 0, "last_response": null, "last_response_at": null, "later": true}])
}

#[tokio::test]
async fn answers_come_back_as_values() {
    let daemon = daemon();
    let client = AdminClient::new(&daemon.socket);
    let hooks: Vec<HookStatus> = client.get("/api/hooks/v1").await.unwrap();
    assert_eq!((hooks[0].name.as_str(), hooks[0].lag_events, &hooks[0].last_response), ("webhook", 3, &None));
    let long = json!({"text": "x".repeat(1_000_000)});
    assert_eq!(client.post::<_, Value>("/echo", &long).await.unwrap(), long);
    assert_eq!(client.post::<_, Value>("/empty", &json!({})).await.unwrap(), Value::Null);
    run(ClientCommand::Hooks(HooksCommand::List { json: true }.into()), &daemon.socket, Named::Yes).await.unwrap();
    run(ClientCommand::Hooks(HooksCommand::List { json: false }.into()), &daemon.socket, Named::Yes).await.unwrap();
}

#[tokio::test]
async fn refusals_and_foreign_answers_are_told_apart() {
    let daemon = daemon();
    let client = AdminClient::new(&daemon.socket);
    let error = client.get::<Value>("/no").await.unwrap_err();
    assert_eq!(error.to_string(), "the daemon answered 409 Conflict to /no: Error: no\\u{1b}[2J");
    let error = client.get::<Value>("/text").await.unwrap_err();
    assert!(error.to_string().contains("is it another version"), "{error}");
    assert!(matches!(client.get::<Vec<u8>>("/api/hooks/v1").await.unwrap_err(), ClientError::Answer { .. }));
}

#[tokio::test]
async fn a_daemon_that_is_not_there_is_named_with_the_way_out() {
    let mut daemon = daemon();
    let missing = daemon.socket.with_file_name("none.sock");
    let error = run(ClientCommand::Hooks(HooksCommand::List { json: false }.into()), &missing, Named::Yes)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("the daemon is not running: there is no admin socket at /"), "{error}");
    assert!(error.contains("--admin-socket or WAYBILL_ADMIN_SOCKET"), "{error}");

    daemon.tasks.shutdown().await;
    let error = AdminClient::new(&daemon.socket).get::<Value>("/api/hooks/v1").await.unwrap_err();
    assert!(matches!(error, ClientError::NobodyAnswers(_)), "{error}");
}

#[tokio::test]
async fn a_socket_of_somebody_else_says_so() {
    let daemon = daemon();
    std::fs::set_permissions(&daemon.socket, std::fs::Permissions::from_mode(0o000)).unwrap();
    match AdminClient::new(&daemon.socket).get::<Value>("/api/hooks/v1").await {
        Err(error) => assert!(error.to_string().contains("run this as the user of the daemon, or as root"), "{error}"),
        // Root may open everything.
        Ok(_) => assert_eq!(owner_of("/proc/self"), 0),
    }
}

fn owner_of(path: &str) -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).unwrap().uid()
}

#[tokio::test]
async fn a_daemon_that_hangs_up_gives_an_error_and_not_a_hang() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("admin.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let mut server = JoinSet::new();
    server.spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        drop(stream);
    });
    let error = AdminClient::new(&socket).get::<Value>("/x").await.unwrap_err();
    assert!(matches!(error, ClientError::Broken { .. }), "{error}");
    server.join_next().await.unwrap().unwrap();
}
