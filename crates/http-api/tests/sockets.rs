//! Real sockets.

mod support;

use serde_json::Value;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::time::Duration;
use support::Daemon;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use waybill_http_api::{AdminSocketError, Listener, bind_admin_socket, run};
use waybill_spool::IntakeState;

const MAIL: &str =
    r#"{"envelope_sender":"a@example.com","recipients":[{"email":"j@example.com"}],"content":"Subject: x\r\n\r\ny"}"#;

struct Running {
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    /// Ends with the test.
    tasks: JoinSet<()>,
}

async fn start(daemon: &Daemon) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let listener = Listener::from(listener).counted(&daemon.metrics);
    let mut tasks = JoinSet::new();
    tasks.spawn(run(listener, daemon.router(), async { drop(stopped.await) }));
    Running { address, stop, tasks }
}

fn post(body: &str) -> String {
    format!(
        "POST /api/inject/v1 HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// One answer with a content length: status and body.
async fn answer(stream: &mut (impl AsyncReadExt + Unpin)) -> (u16, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    (head[9..12].parse().unwrap(), String::from_utf8(body).unwrap())
}

#[tokio::test]
async fn requests_follow_each_other_on_one_connection() {
    let daemon = Daemon::new();
    let mut running = start(&daemon).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    for _ in 0..3 {
        stream.write_all(post(MAIL).as_bytes()).await.unwrap();
        let (status, body) = answer(&mut stream).await;
        assert_eq!(
            (status, body.as_str()),
            (200, r#"{"success_count":1,"fail_count":0,"failed_recipients":[],"errors":[]}"#)
        );
    }
    let via = daemon.intake.taken.lock().unwrap()[0].0.message.meta_text("received_via").unwrap().unwrap();
    assert_eq!(via, running.address.to_string());
    assert!(daemon.metrics.text("", "connection_count").contains("connection_count{service=\"http_listener\"} 1\n"));
    drop(stream);
    running.stop.send(()).unwrap();
    running.tasks.join_next().await.unwrap().unwrap();
    assert!(daemon.metrics.text("", "connection_count").contains("connection_count{service=\"http_listener\"} 0\n"));
    let total = daemon.metrics.text("", "total_connection_count");
    assert!(total.contains("{service=\"http_listener\"} 1\n"), "{total}");
}

#[tokio::test]
async fn a_client_that_sends_too_much_gets_to_read_why() {
    let running = start(&Daemon::new()).await;
    for chunked in [false, true] {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        let body = "x".repeat(3_000_000);
        let request = if chunked {
            format!(
                "POST /api/inject/v1 HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                body.len()
            )
        } else {
            post(&body)
        };
        stream.write_all(request.as_bytes()).await.unwrap();
        let got = answer(&mut stream).await;
        assert_eq!(got, (413, "Failed to buffer the request body: length limit exceeded".into()));
    }
}

#[tokio::test]
async fn a_client_that_is_refused_unread_gets_to_read_why() {
    let stopping = Daemon::new();
    stopping.set_state(IntakeState::ShuttingDown);
    let private = Daemon::new().configured(r#"{"trusted_hosts": []}"#);
    for (daemon, expected) in [(stopping, 503), (private, 401)] {
        let running = start(&daemon).await;
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(post(&"x".repeat(1_500_000)).as_bytes()).await.unwrap();
        assert_eq!(answer(&mut stream).await.0, expected);
        stream.write_all(post(MAIL).as_bytes()).await.unwrap();
        assert_eq!(answer(&mut stream).await.0, expected, "the connection can be used again");
    }
}

#[tokio::test]
async fn a_client_that_asks_first_sends_nothing_in_vain() {
    let running = start(&Daemon::new()).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let head = "POST /api/inject/v1 HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: 3000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut stream).await.0, 413);
}

#[tokio::test]
async fn a_stopping_daemon_answers_until_the_end_and_finishes_what_runs() {
    let daemon = Daemon::new();
    let mut running = start(&daemon).await;
    daemon.set_state(IntakeState::ShuttingDown);
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    idle.write_all(post(MAIL).as_bytes()).await.unwrap();
    assert_eq!(answer(&mut idle).await, (503, "shutting down".into()));

    daemon.set_state(IntakeState::Open);
    let held = daemon.intake.gate.acquire_many(1000).await.unwrap();
    let mut busy = TcpStream::connect(running.address).await.unwrap();
    busy.write_all(post(MAIL).as_bytes()).await.unwrap();
    daemon.intake.arrived.subscribe().wait_for(|count| *count == 1).await.unwrap();
    // An idle connection ends, the busy one gets its answer.
    running.stop.send(()).unwrap();
    assert_eq!(idle.read(&mut [0; 16]).await.unwrap(), 0);
    assert!(running.tasks.try_join_next().is_none());
    drop(held);
    assert_eq!(answer(&mut busy).await.0, 200);
    running.tasks.join_next().await.unwrap().unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn a_message_goes_on_when_its_client_hangs_up() {
    let daemon = Daemon::new();
    let running = start(&daemon).await;
    let held = daemon.intake.gate.acquire_many(1000).await.unwrap();
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(post(MAIL).as_bytes()).await.unwrap();
    daemon.intake.arrived.subscribe().wait_for(|count| *count == 1).await.unwrap();
    drop(stream);
    while !daemon.metrics.text("", "connection_count").contains("} 0\n") {
        tokio::task::yield_now().await;
    }
    assert!(daemon.intake.taken.lock().unwrap().is_empty());
    drop(held);
    while daemon.intake.taken.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_ends_its_headers_is_let_go() {
    let daemon = Daemon::new();
    let running = start(&daemon).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nx: ").await.unwrap();
    // Paused time would not wait for the network: first it has to be taken.
    while !daemon.metrics.text("", "connection_count").contains("} 1\n") {
        tokio::task::yield_now().await;
    }
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(600), stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok());
}

#[tokio::test]
async fn the_admin_socket_is_private_and_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    let listener = bind_admin_socket(&path).unwrap();
    let found = std::fs::symlink_metadata(&path).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);

    let daemon = Daemon::new().configured(r#"{"trusted_hosts": []}"#);
    let mut tasks = JoinSet::new();
    tasks.spawn(run(listener, daemon.router(), std::future::pending()));
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"GET /api/machine-info HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let (status, body) = answer(&mut stream).await;
    let info: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &info["hostname"], &info["online_since"]), (200, &"mta.example".into(), &support::NOW.into()));
    stream.write_all(post(MAIL).as_bytes()).await.unwrap();
    assert_eq!(answer(&mut stream).await.0, 200);
    let message = daemon.intake.taken.lock().unwrap()[0].0.message.clone();
    assert_eq!(message.meta_text("received_via").unwrap().unwrap(), path.display().to_string());

    let error = bind_admin_socket(&path).unwrap_err();
    assert!(matches!(error, AdminSocketError::InUse(_)), "{error}");
    assert!(error.to_string().contains("another daemon answers"), "{error}");
    tasks.shutdown().await;
    bind_admin_socket(&path).expect("what a dead daemon left is replaced");
}

#[tokio::test]
async fn what_is_no_socket_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    std::fs::write(&path, "precious").unwrap();
    let error = bind_admin_socket(&path).unwrap_err().to_string();
    assert!(error.contains("no socket"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    let error = bind_admin_socket(&dir.path().join("none/admin.sock")).unwrap_err().to_string();
    assert!(error.contains("none/admin.sock: bind: No such file"), "{error}");
    let error = bind_admin_socket(&dir.path().join("x".repeat(200))).unwrap_err().to_string();
    assert!(error.contains("too long"), "{error}");
}
