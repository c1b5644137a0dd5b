//! Listeners over real sockets: how many, how long, and how they stop.

use crate::common::Setup;
use crate::intake::TestIntake;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use waybill_smtp::inbound::{Shared, run};

struct Daemon {
    addr: SocketAddr,
    shared: Arc<Shared>,
    intake: TestIntake,
    stop: oneshot::Sender<()>,
    running: JoinSet<()>,
}

async fn daemon(setup: Setup, grace: Duration) -> Daemon {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut shared = setup.shared();
    shared.shutdown_grace = grace;
    let shared = Arc::new(shared);
    let (stop, stopped) = oneshot::channel::<()>();
    let mut running = JoinSet::new();
    running.spawn(run(listener, shared.clone(), async {
        stopped.await.unwrap();
    }));
    Daemon { addr, shared, intake: setup.intake, stop, running }
}

impl Daemon {
    async fn connect(&self) -> BufReader<TcpStream> {
        BufReader::new(TcpStream::connect(self.addr).await.unwrap())
    }

    /// A session that has sent half a message.
    async fn in_data(&self) -> BufReader<TcpStream> {
        let mut client = self.connect().await;
        assert!(line(&mut client).await.starts_with("220 "));
        for command in ["HELO c.example", "MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>"] {
            say(&mut client, command).await;
            assert!(line(&mut client).await.starts_with("250 "));
        }
        say(&mut client, "DATA").await;
        assert!(line(&mut client).await.starts_with("354 "));
        say(&mut client, "Subject: x").await;
        client
    }
}

async fn say(client: &mut BufReader<TcpStream>, text: &str) {
    client.write_all(format!("{text}\r\n").as_bytes()).await.unwrap();
}

async fn line(client: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    client.read_line(&mut line).await.unwrap();
    line
}

#[tokio::test]
async fn idle_sessions_are_told_and_one_in_data_finishes() {
    let daemon = daemon(Setup::default(), Duration::from_secs(600)).await;
    let mut idle = daemon.connect().await;
    assert!(line(&mut idle).await.starts_with("220 mta.example "));
    let mut busy = daemon.in_data().await;
    assert_eq!((daemon.shared.stats.current(), daemon.shared.stats.connections()), (2, 2));
    daemon.stop.send(()).unwrap();
    assert_eq!(line(&mut idle).await, "421 4.3.2 mta.example shutting down\r\n");
    assert_eq!(line(&mut idle).await, "");
    say(&mut busy, "\r\nbody\r\n.").await;
    assert!(line(&mut busy).await.starts_with("250 OK ids="));
    assert_eq!(line(&mut busy).await, "421 4.3.2 mta.example shutting down\r\n");
    assert_eq!(line(&mut busy).await, "");
    let mut running = daemon.running;
    running.join_next().await.unwrap().unwrap();
    assert_eq!(daemon.intake.accepted().len(), 1);
    assert_eq!(daemon.intake.rejections().len(), 0);
    assert_eq!(daemon.shared.stats.current(), 0);
    assert!(TcpStream::connect(daemon.addr).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_session_that_does_not_finish_is_cut_off_when_the_grace_is_over() {
    let daemon = daemon(Setup::default(), Duration::ZERO).await;
    let mut busy = daemon.in_data().await;
    daemon.stop.send(()).unwrap();
    let mut running = daemon.running;
    running.join_next().await.unwrap().unwrap();
    assert_eq!(line(&mut busy).await, "");
    assert_eq!(daemon.intake.accepted().len(), 0);
    assert_eq!(daemon.shared.stats.current(), 0);
}

#[tokio::test]
async fn one_connection_too_many_is_turned_away() {
    let daemon = daemon(Setup::default().config(json!({"max_connections": 1})), Duration::ZERO).await;
    let mut first = daemon.connect().await;
    assert!(line(&mut first).await.starts_with("220 "));
    let mut second = daemon.connect().await;
    assert_eq!(line(&mut second).await, "421 4.3.2 mta.example too many connections\r\n");
    assert_eq!(line(&mut second).await, "");
    assert_eq!((daemon.shared.stats.denied(), daemon.shared.stats.current()), (1, 1));
    say(&mut first, "QUIT").await;
    assert!(line(&mut first).await.starts_with("221 "));
    assert_eq!(line(&mut first).await, "");
    // The listener learns of the end a moment later.
    loop {
        let mut third = daemon.connect().await;
        if line(&mut third).await.starts_with("220 ") {
            break;
        }
    }
}

#[tokio::test]
async fn a_stop_interrupts_a_transaction_that_has_no_data_yet() {
    let mut client = Setup::default().with_recipient().await;
    client.stop.send_replace(true);
    assert_eq!(client.rest().await, "421 4.3.2 mta.example shutting down\r\n");
    client.ended().await;
}
