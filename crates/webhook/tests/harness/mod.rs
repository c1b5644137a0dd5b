//! Receivers that answer word for word what a test wants, and a sender that may call them.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use waybill_dns::{Resolver, Zones};
use waybill_runtime::{Supervisor, SystemClock};
use waybill_webhook::{Endpoint, Guard, Request, Sender};
use waybill_webhook_core::{AddressPolicy, EndpointConfig, Limits};
use waybill_webhook_sign::EventId;

pub(crate) fn request() -> Request {
    Request::new(EventId::new("evt_1").unwrap(), r#"{"a":1}"#)
}

pub(crate) fn open() -> Guard {
    let loopback = AddressPolicy::allowing(["127.0.0.0/8", "::1"]).unwrap();
    Guard { targets: loopback.clone(), proxies: loopback }
}

pub(crate) fn sender(guard: Guard, resolver: impl Resolver) -> Sender {
    Sender::new(Limits::default(), guard, resolver, SystemClock, Supervisor::current())
}

pub(crate) fn plain() -> Sender {
    sender(open(), Zones::default())
}

pub(crate) fn endpoint(sender: &Sender, json: serde_json::Value) -> Endpoint {
    sender.endpoint(EndpointConfig::from_json(json.to_string().as_bytes()).unwrap()).unwrap()
}

/// A receiver on a port of its own.
pub(crate) struct Receiver {
    pub(crate) port: u16,
    connections: Arc<AtomicUsize>,
}

impl Receiver {
    /// Every connection is given to `serve`.
    pub(crate) async fn with<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Receiver
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let supervisor = Supervisor::current();
        supervisor.clone().spawn("receiver", async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                supervisor.spawn("connection", serve(stream));
            }
        });
        Receiver { port, connections }
    }

    /// Every request is read and answered with these bytes; the connection stays open.
    pub(crate) async fn answering(answer: impl Into<Vec<u8>>) -> Receiver {
        let answer: Arc<Vec<u8>> = Arc::new(answer.into());
        Receiver::with(move |mut stream| {
            let answer = Arc::clone(&answer);
            async move {
                while read_request(&mut stream).await.is_some() {
                    if stream.write_all(&answer).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Reads one request: head and body as text; `None` at the end of the connection.
pub(crate) async fn read_request(stream: &mut (impl AsyncReadExt + Unpin)) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.ok()?;
    Some((head, body))
}
