//! Brings parcels of the `xfer` protocol to other nodes, with the sender that webhooks go by.

use super::daemon::Common;
use super::webhooks::answer;
use anyhow::{Context, Result};
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use waybill_dns::Resolver;
use waybill_runtime::{Supervisor, SystemClock};
use waybill_webhook::{Endpoint, Guard, Request, Sender};
use waybill_webhook_core::{AddressPolicy, Compression, EndpointConfig, Limits, Target};
use waybill_webhook_sign::EventId;
use waybill_xfer::{Carrier, Parcel, Reply};

/// A node takes as much (`http-api`), compressed or not.
const LONGEST_PARCEL: usize = 256 * 1024 * 1024;
/// So many targets keep their connections; there are few, unless a policy makes them up.
const TARGETS: usize = 64;
/// As many calls to one node are under way as its ready queue has sessions.
const CONNECTIONS: u32 = 1000;

/// Nodes are called, not webhooks: nothing is signed, and the operator's own networks are open.
pub(crate) struct NodeCarrier {
    sender: Sender,
    endpoints: Mutex<HashMap<(String, Duration), Endpoint>>,
}

impl NodeCarrier {
    /// The tasks of its connections are the supervisor's.
    pub(crate) fn new(common: &Common, supervisor: Supervisor) -> NodeCarrier {
        NodeCarrier::with(common.resolver.clone(), supervisor)
    }

    fn with(resolver: impl Resolver, supervisor: Supervisor) -> NodeCarrier {
        let limits = Limits { request_body: LONGEST_PARCEL, ..Limits::default() };
        let guard = Guard { targets: AddressPolicy::own_networks(), proxies: AddressPolicy::default() };
        let sender = Sender::new(limits, guard, resolver, SystemClock, supervisor);
        NodeCarrier { sender, endpoints: Mutex::default() }
    }

    fn endpoint(&self, url: &str, limit: Duration) -> Result<Endpoint> {
        let key = (url.to_owned(), limit);
        if let Some(known) = self.endpoints.lock().get(&key) {
            return Ok(known.clone());
        }
        let kind = ("Content-Type".to_owned(), "application/octet-stream".to_owned());
        let config = EndpointConfig {
            timeout: limit,
            max_connections: CONNECTIONS,
            compression: Compression::Gzip,
            headers: BTreeMap::from([kind]),
            ..EndpointConfig::of(Target::parse(url).context("the target")?)
        };
        let endpoint = self.sender.endpoint(config)?;
        let mut all = self.endpoints.lock();
        if all.len() >= TARGETS {
            all.clear();
        }
        all.insert(key, endpoint.clone());
        Ok(endpoint)
    }

    async fn post(&self, Parcel { id, url, body, limit }: Parcel) -> Result<Reply> {
        let endpoint = self.endpoint(&url, limit)?;
        let attempt = self.sender.send(&endpoint, Request::new(EventId::new(id.to_string())?, body)).await;
        let address = attempt.address;
        let response = answer(attempt).map_err(anyhow::Error::msg)?;
        Ok(Reply { status: response.status, body: response.body, address })
    }
}

impl Carrier for NodeCarrier {
    fn carry(&self, parcel: Parcel) -> BoxFuture<'_, Result<Reply, String>> {
        async move { self.post(parcel).await.map_err(|error| format!("{error:#}")) }.boxed()
    }
}

/// One for the protocol.
pub(crate) fn carrier(common: &Common, supervisor: &Supervisor) -> Arc<dyn Carrier> {
    Arc::new(NodeCarrier::new(common, supervisor.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use waybill_dns::Zones;
    use waybill_types::{IdMint, Timestamp};

    fn carrier() -> NodeCarrier {
        NodeCarrier::with(Zones::default(), Supervisor::current())
    }

    fn parcel(url: String) -> Parcel {
        let id = IdMint::random().message(Timestamp::from_secs(1_700_000_000));
        Parcel { id, url, body: "{}\nbody".into(), limit: Duration::from_secs(30) }
    }

    /// Answers one request with these bytes; gives what was asked.
    async fn one_answer(answer: &'static str) -> (u16, tokio::task::JoinHandle<(String, Vec<u8>)>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serve = async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            let mut body = vec![0; length.parse().unwrap()];
            stream.read_exact(&mut body).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            // Until the client has read all it wants.
            let _ = stream.read_u8().await;
            (head, body)
        };
        #[expect(clippy::disallowed_methods, reason = "the test waits for this task by its handle")]
        let task = tokio::spawn(serve);
        (port, task)
    }

    #[tokio::test]
    async fn a_parcel_is_posted_as_gzip_and_the_answer_comes_back() {
        let (port, served) = one_answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
        let carrier = carrier();
        let reply = carrier.carry(parcel(format!("http://127.0.0.1:{port}/a/b"))).await.unwrap();
        assert_eq!((reply.status, &reply.body[..]), (200, &b"hi"[..]));
        assert_eq!(reply.address.map(|address| address.to_string()), Some(format!("127.0.0.1:{port}")));
        drop(carrier);
        let (head, body) = served.await.unwrap();
        assert!(head.starts_with("post /a/b http/1.1") && head.contains("content-encoding: gzip"), "{head}");
        let mut text = String::new();
        flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, "{}\nbody");
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_a_long_answer_is_cut() {
        let (port, _) =
            one_answer("HTTP/1.1 307 x\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n").await;
        assert_eq!(carrier().carry(parcel(format!("http://127.0.0.1:{port}/"))).await.unwrap().status, 307);
        let long = Box::leak(
            format!("HTTP/1.1 200 x\r\ncontent-length: 900000\r\n\r\n{}", "x".repeat(900_000)).into_boxed_str(),
        );
        let (port, _) = one_answer(long).await;
        let reply = carrier().carry(parcel(format!("http://127.0.0.1:{port}/"))).await.unwrap();
        assert_eq!(reply.body.len(), Limits::default().kept_body);
    }

    #[tokio::test]
    async fn addresses_that_no_node_has_are_not_called() {
        for (url, said) in [
            ("http://169.254.169.254/x", "not called: 169.254.169.254 is the address of a cloud's metadata service"),
            ("http://[fd00:ec2::254]/x", "metadata service"),
            ("http://0.0.0.0:8000/x", "unspecified"),
            ("http://[fe80::1]:8000/x", "link-local"),
            ("http://127.0.0.1:25/x", "something else than HTTP"),
        ] {
            let error = carrier().carry(parcel(url.to_owned())).await.unwrap_err();
            assert!(error.contains(said), "{url}: {error}");
        }
    }
}
