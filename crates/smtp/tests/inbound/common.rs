//! A session over an in-memory stream, with doubles at its seams.

use crate::intake::TestIntake;
use crate::tls_client;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use serde_json::{Value as Json, json};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use waybill_log_record::Capture;
use waybill_policy::{Args, Ending, PolicyError, PolicyHost, Rejected, Returned, ScriptedPolicy, Value};
use waybill_smtp::inbound::{Ends, ListenerConfig, Shared, run, serve};
use waybill_trace::{Hub, ServerConn};
use waybill_types::{IdMint, Timestamp};

/// The client's address in all tests.
pub(crate) const PEER: &str = "127.0.0.1:39780";
/// The time in all tests.
pub(crate) const NOW: &str = "2026-11-23T16:12:56.210249600Z";

/// What a test needs before it can talk.
pub(crate) struct Setup {
    pub(crate) config: Json,
    pub(crate) policy: ScriptedPolicy,
    pub(crate) intake: TestIntake,
    pub(crate) peer: String,
    pub(crate) capture: Option<Capture>,
    /// In place of the scripted policy.
    pub(crate) host: Option<Arc<dyn PolicyHost>>,
    pub(crate) traces: Hub<ServerConn>,
}

impl Default for Setup {
    fn default() -> Self {
        Setup {
            config: json!({"hostname": "mta.example"}),
            policy: ScriptedPolicy::new(),
            intake: TestIntake::default(),
            peer: PEER.into(),
            capture: None,
            host: None,
            traces: Hub::default(),
        }
    }
}

impl Setup {
    /// With these listener keys as well.
    pub(crate) fn config(mut self, keys: Json) -> Self {
        let more = keys.as_object().unwrap().clone();
        self.config.as_object_mut().unwrap().extend(more);
        self
    }

    pub(crate) fn on(
        mut self,
        event: &str,
        handler: impl Fn(Args) -> Result<Returned, PolicyError> + Send + Sync + 'static,
    ) -> Self {
        self.policy = self.policy.on(event, handler);
        self
    }

    pub(crate) fn from(mut self, peer: &str) -> Self {
        self.peer = peer.into();
        self
    }

    pub(crate) fn shared(&self) -> Shared {
        let config: ListenerConfig = serde_json::from_value(self.config.clone()).unwrap();
        let now = Timestamp::parse_rfc3339(NOW).unwrap();
        let scripted: Arc<dyn PolicyHost> = Arc::new(self.policy.clone());
        let (policy, intake) = (self.host.clone().unwrap_or(scripted), Arc::new(self.intake.clone()));
        let mut shared = Shared::new(config, "system.example", policy, intake, Arc::new(move || now));
        shared.nodeid = "node".into();
        shared.mint = Arc::new(IdMint::new([0xab; 8]));
        shared.traces = self.traces.clone();
        shared.capture = self.capture.clone().map(Arc::new);
        shared
    }

    /// Connects; the greeting has not been read.
    pub(crate) fn connect(self) -> Client {
        let shared = Arc::new(self.shared());
        Client { intake: self.intake, policy: self.policy, ..Client::to(shared, &self.peer) }
    }

    /// Connects to a listener whose only place is taken.
    pub(crate) async fn connect_to_crowd(self) -> Client {
        let setup = self.config(json!({"max_connections": 1}));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(setup.shared());
        let (stop, mut stopping) = watch::channel(false);
        let mut session = JoinSet::new();
        let stopped = async move { drop(stopping.wait_for(|stopping| *stopping).await) };
        session.spawn(run(listener, shared.clone(), stopped));
        let mut first = TcpStream::connect(address).await.unwrap();
        let stream = Box::new(TcpStream::connect(address).await.unwrap());
        session.spawn(async move { drop(first.read_to_end(&mut Vec::new()).await) });
        Client { stream, input: Vec::new(), intake: setup.intake, policy: setup.policy, shared, stop, session }
    }

    /// Connects and says EHLO.
    pub(crate) async fn greeted(self) -> Client {
        let mut client = self.connect();
        assert!(client.reply().await.starts_with("220 "));
        assert!(client.say("EHLO client.example").await.starts_with("250-"));
        client
    }

    /// Connects, encrypts and says EHLO.
    pub(crate) async fn secured(self) -> Client {
        let mut client = self.greeted().await;
        client.secure().await;
        assert!(client.say("EHLO client.example").await.starts_with("250-"));
        client
    }

    /// Connects, says EHLO, MAIL and one RCPT.
    pub(crate) async fn with_recipient(self) -> Client {
        let mut client = self.greeted().await;
        assert_eq!(client.say("MAIL FROM:<a@example.com>").await, "250 OK <a@example.com>\r\n");
        assert_eq!(client.say("RCPT TO:<b@example.com>").await, "250 OK <b@example.com>\r\n");
        client
    }
}

/// A connection, encrypted or not.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// The other side of a session.
pub(crate) struct Client {
    pub(crate) stream: Box<dyn Io>,
    input: Vec<u8>,
    pub(crate) intake: TestIntake,
    pub(crate) policy: ScriptedPolicy,
    pub(crate) shared: Arc<Shared>,
    pub(crate) stop: watch::Sender<bool>,
    session: JoinSet<()>,
}

impl Client {
    /// Another connection to a listener that is there. It knows neither intake nor policy.
    pub(crate) fn of(shared: Arc<Shared>) -> Client {
        Client::to(shared, PEER)
    }

    fn to(shared: Arc<Shared>, peer: &str) -> Client {
        let (stream, server) = duplex(64 * 1024);
        let (stop, stopping) = watch::channel(false);
        let ends = Ends::new(peer.parse().unwrap(), "127.0.0.1:2025".parse().unwrap());
        let mut session = JoinSet::new();
        session.spawn(serve(server, ends, shared.clone(), stopping));
        let (intake, policy) = (TestIntake::default(), ScriptedPolicy::new());
        Client { stream: Box::new(stream), input: Vec::new(), intake, policy, shared, stop, session }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        // An encrypted stream holds the last of it back until it is asked.
        self.stream.flush().await.unwrap();
    }

    /// Says STARTTLS and negotiates; the greeting of the client is to be said anew. Gives the server's certificate.
    pub(crate) async fn secure(&mut self) -> CertificateDer<'static> {
        assert!(self.say("STARTTLS").await.starts_with("220 "));
        self.negotiate(&tls_client::config()).await.expect("a handshake")
    }

    /// The handshake alone.
    pub(crate) async fn negotiate(&mut self, config: &Arc<ClientConfig>) -> std::io::Result<CertificateDer<'static>> {
        let plain = std::mem::replace(&mut self.stream, Box::new(tokio::io::empty()));
        let name = "mta.example".try_into().unwrap();
        let tls = TlsConnector::from(config.clone()).connect(name, plain).await?;
        let certificate = tls.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned();
        self.stream = Box::new(tls);
        Ok(certificate)
    }

    /// One line of a reply without its CRLF; `None` when the server has gone.
    pub(crate) async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(len) = self.input.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.input.drain(..len + 2).collect();
                return Some(String::from_utf8(line).unwrap().trim_end_matches("\r\n").to_owned());
            }
            if self.stream.read_buf(&mut self.input).await.unwrap() == 0 {
                assert_eq!(self.input, b"", "the server left in the middle of a line");
                return None;
            }
        }
    }

    /// A whole reply, line ends included.
    pub(crate) async fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let line = self.line().await.expect("a reply");
            let last = line.as_bytes().get(3) != Some(&b'-');
            reply.push_str(&line);
            reply.push_str("\r\n");
            if last {
                return reply;
            }
        }
    }

    /// Sends a line and reads its reply.
    pub(crate) async fn say(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n")).await;
        self.reply().await
    }

    /// Sends DATA, the message and the dot, and reads the last reply.
    pub(crate) async fn submit(&mut self, message: &str) -> String {
        assert!(self.say("DATA").await.starts_with("354 "));
        self.say(&format!("{message}\r\n.")).await
    }

    /// Everything up to the end of the connection.
    pub(crate) async fn rest(&mut self) -> String {
        let mut rest = String::new();
        while let Some(line) = self.line().await {
            rest.push_str(&line);
            rest.push_str("\r\n");
        }
        rest
    }

    /// Whether the server has said nothing, with everything done that can be done.
    pub(crate) async fn hears_nothing(&mut self) -> bool {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let mut byte = [0];
        self.input.is_empty() && futures::FutureExt::now_or_never(self.stream.read(&mut byte)).is_none()
    }

    /// Waits for the session to end; it must not have panicked.
    pub(crate) async fn ended(&mut self) {
        self.session.join_next().await.expect("a session").expect("no panic");
    }
}

/// A handler that rejects.
pub(crate) fn reject(code: u16, text: &str) -> impl Fn(Args) -> Result<Returned, PolicyError> + Send + Sync + 'static {
    let rejected = Rejected::new(code, text);
    move |_| Err(PolicyError::Rejected(rejected.clone()))
}

/// A handler that rejects and wants the session to end.
pub(crate) fn disconnect(
    code: u16,
    text: &str,
    ending: Ending,
) -> impl Fn(Args) -> Result<Returned, PolicyError> + Send + Sync + 'static {
    let rejected = Rejected { ending, ..Rejected::new(code, text) };
    move |_| Err(PolicyError::Rejected(rejected.clone()))
}

/// A handler that fails.
pub(crate) fn fail(_: Args) -> Result<Returned, PolicyError> {
    Err(PolicyError::Failed("policy.lua:7: boom".into()))
}

/// A handler that returns one value.
pub(crate) fn returns(value: Value) -> impl Fn(Args) -> Result<Returned, PolicyError> + Send + Sync + 'static {
    move |_| Ok(Returned(vec![value.clone()]))
}

/// Any handler.
pub(crate) type BoxedHandler = Box<dyn Fn(Args) -> Result<Returned, PolicyError> + Send + Sync>;
