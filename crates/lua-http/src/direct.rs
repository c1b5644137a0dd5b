//! Requests over connections of our own.
//!
//! reqwest has a task for each connection, and copies a request for redirects and retries. A hook that sends one event
//! after the other pays for that with each of them, so what needs none of it goes this way: requests of clients that
//! follow no redirects and need no proxy, over connections that are polled by the task that waits for the answer
//! (crate `http1`). A request that finds no connection is handed to reqwest, which also knows what to say about that.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use http::header::{ACCEPT, HOST, HeaderValue, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, Uri, Version};
use http_body_util::BodyExt;
use hyper_util::client::legacy::connect::HttpConnector;
use parking_lot::Mutex;
use reqwest::{Body, Client, Url};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tower::Service;
use waybill_http1::{Asked, Head, Line, Request, Start, Stream, Trouble};
use waybill_tls::Trust;

use crate::HTTP;
use crate::answer::{Answer, Failure};

/// The variables that name proxies; reqwest reads them.
const PROXIES: [&str; 6] = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
/// As reqwest has them: how long an idle connection is kept, how often a silent one is asked whether it is there, and
/// how long it may leave what was sent unacknowledged.
const IDLE: Duration = Duration::from_secs(90);
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_TRIES: u32 = 3;
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);
/// A time limit that no clock can hold.
const FOREVER: Duration = Duration::from_secs(30 * 365 * 86_400);

/// The connections of a client.
pub(crate) struct Direct {
    lines: Mutex<Lines>,
    connector: HttpConnector,
    trust: Trust,
    tls: OnceLock<Option<TlsConnector>>,
    timeout: Duration,
    idle_for: Duration,
    user_agent: Option<HeaderValue>,
    /// Where the last request went: mostly the next one goes there too.
    last: Mutex<Option<Arc<Target>>>,
}

#[derive(Default)]
struct Lines {
    idle: Vec<Idle>,
    /// None is kept any more.
    closed: bool,
}

struct Idle {
    line: Box<Line>,
    origin: Arc<str>,
    since: Instant,
}

/// A URL, taken apart.
pub(crate) struct Target {
    /// As the script writes it.
    text: String,
    url: Url,
    /// Scheme, host and port: connections to the same are the same.
    origin: Arc<str>,
    /// What stands in the request.
    path: PathAndQuery,
    host: HeaderValue,
}

impl Direct {
    /// With these limits. `None` where requests have to go over a proxy.
    pub(crate) fn new(
        trust: &Trust,
        timeout: Duration,
        idle_for: Option<Duration>,
        user_agent: Option<&str>,
    ) -> Option<Direct> {
        if PROXIES.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty())) {
            return None;
        }
        let user_agent = user_agent.map(HeaderValue::from_str).transpose().ok()?;
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_keepalive(Some(KEEPALIVE));
        connector.set_keepalive_interval(Some(KEEPALIVE));
        connector.set_keepalive_retries(Some(KEEPALIVE_TRIES));
        connector.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        Some(Direct {
            lines: Mutex::default(),
            connector,
            trust: trust.clone(),
            tls: OnceLock::new(),
            timeout,
            idle_for: idle_for.unwrap_or(IDLE),
            user_agent,
            last: Mutex::new(None),
        })
    }

    /// Closes the connections that nobody uses, and those in use when they are free.
    pub(crate) fn close(&self) {
        let mut lines = self.lines.lock();
        lines.closed = true;
        let idle = std::mem::take(&mut lines.idle);
        drop(lines);
        drop(idle);
    }

    /// The URL that a script writes so, if it is the one of the last request.
    pub(crate) fn known(&self, text: &str) -> Option<Url> {
        let last = self.last.lock();
        last.as_ref().filter(|last| last.text == text).map(|last| last.url.clone())
    }

    /// Remembers what a script's text of a URL means.
    pub(crate) fn learn(&self, text: &str, url: &Url) {
        *self.last.lock() = Target::new(text, url).map(Arc::new);
    }

    fn target(&self, url: &Url) -> Option<Arc<Target>> {
        let last = self.last.lock().clone();
        match last.filter(|last| last.url == *url) {
            Some(last) => Some(last),
            None => Target::new(url.as_str(), url).map(Arc::new),
        }
    }

    /// Sends a request. `client` takes over what cannot go this way.
    pub(crate) async fn send(
        self: &Arc<Self>,
        client: &Client,
        mut request: reqwest::Request,
    ) -> Result<Answer, mlua::Error> {
        let target = self.target(request.url()).filter(|_| request.version() == Version::HTTP_11);
        let Some((target, body)) = target.zip(plain_body(&mut request)) else {
            return Box::pin(over_reqwest(client, request)).await;
        };
        *request.headers_mut() = self.completed(&target, std::mem::take(request.headers_mut()));
        let Some(start) = Start::new(request.method(), &target.path, request.headers()) else {
            return Box::pin(over_reqwest(client, request)).await;
        };
        let deadline = self.deadline(request.timeout().copied());
        match self.deliver(&target, &Request { start: &start, own: &[], body }, deadline).await? {
            Some((head, line)) => Ok(Answer::direct(&head, line, self.home(&target), deadline)),
            None => {
                *request.timeout_mut() = Some(deadline.saturating_duration_since(Instant::now()));
                Box::pin(over_reqwest(client, request)).await
            }
        }
    }

    /// When an exchange that begins now has to be over: within the client's time limit if it has none of its own.
    pub(crate) fn deadline(&self, wait: Option<Duration>) -> Instant {
        let now = Instant::now();
        now.checked_add(wait.unwrap_or(self.timeout)).unwrap_or(now + FOREVER)
    }

    /// Sends a request as it goes over the wire: the head of its answer, and the connection that its body comes over.
    /// `None` when there is no connection for it.
    pub(crate) async fn deliver(
        &self,
        target: &Target,
        request: &Request<'_>,
        deadline: Instant,
    ) -> mlua::Result<Option<(Head, Box<Line>)>> {
        let failed = |why: Failure| Err(mlua::Error::external(why));
        match timeout_at(deadline, self.exchange(target, request)).await {
            Err(_) => {
                failed(Failure::sending(&target.url, io::Error::new(io::ErrorKind::TimedOut, "operation timed out")))
            }
            Ok(Exchanged::Broken(trouble)) => failed(Failure::sending(&target.url, trouble)),
            Ok(Exchanged::NoLine) => Ok(None),
            Ok(Exchanged::Answered(head, line)) => Ok(Some((head, line))),
        }
    }

    /// Where the connections to a target go.
    pub(crate) fn home(self: &Arc<Self>, target: &Target) -> Home {
        Home { direct: self.clone(), origin: target.origin.clone() }
    }

    /// Takes a connection back, if it is good for another request.
    pub(crate) fn take_back(&self, mut line: Box<Line>, origin: &Arc<str>) {
        if !line.is_free() {
            return;
        }
        let mut lines = self.lines.lock();
        if !lines.closed {
            lines.idle.push(Idle { line, origin: origin.clone(), since: Instant::now() });
        }
    }

    /// With the headers that every request has.
    pub(crate) fn completed(&self, target: &Target, mut headers: HeaderMap) -> HeaderMap {
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        if let Some(user_agent) = &self.user_agent {
            headers.entry(USER_AGENT).or_insert_with(|| user_agent.clone());
        }
        headers.entry(HOST).or_insert_with(|| target.host.clone());
        headers
    }

    async fn exchange(&self, target: &Target, request: &Request<'_>) -> Exchanged {
        while let Some(mut line) = self.idle_line(&target.origin) {
            match line.ask(request).await {
                Asked::Answered(head) => return Exchanged::Answered(head, line),
                // It was closed meanwhile: another one may do.
                Asked::Unsent(_) => {}
                Asked::Broken(trouble) => return Exchanged::Broken(trouble),
            }
        }
        // What is rarely needed is boxed: Lua moves the whole of a call to the heap, which was a tenth of its cost.
        let Some(mut line) = Box::pin(self.connect(target)).await else { return Exchanged::NoLine };
        match line.ask(request).await {
            Asked::Answered(head) => Exchanged::Answered(head, line),
            Asked::Unsent(trouble) | Asked::Broken(trouble) => Exchanged::Broken(trouble),
        }
    }

    /// An idle connection, the one that was used last.
    fn idle_line(&self, origin: &str) -> Option<Box<Line>> {
        let mut lines = self.lines.lock();
        if lines.idle.is_empty() {
            return None;
        }
        let now = Instant::now();
        lines.idle.retain(|idle| now.duration_since(idle.since) < self.idle_for);
        let at = lines.idle.iter().rposition(|idle| *idle.origin == *origin)?;
        Some(lines.idle.swap_remove(at).line)
    }

    /// A new connection; `None` when none comes about.
    async fn connect(&self, target: &Target) -> Option<Box<Line>> {
        let uri: Uri = target.origin.parse().ok()?;
        let stream = self.connector.clone().call(uri).await.ok()?.into_inner();
        let stream: Box<dyn Stream> = match target.url.scheme() {
            "https" => self.over_tls(target, stream).await?,
            _ => Box::new(stream),
        };
        Some(Box::new(Line::new(stream)))
    }

    async fn over_tls(&self, target: &Target, stream: TcpStream) -> Option<Box<dyn Stream>> {
        let make = || Some(TlsConnector::from(Arc::new(self.trust.client_config(HTTP).ok()?)));
        let connector = self.tls.get_or_init(make).as_ref()?;
        let host = target.url.host_str()?.trim_start_matches('[').trim_end_matches(']');
        let stream = connector.connect(ServerName::try_from(host.to_owned()).ok()?, stream).await.ok()?;
        Some(Box::new(stream))
    }
}

/// Where a connection goes when its answer is read.
pub(crate) struct Home {
    direct: Arc<Direct>,
    origin: Arc<str>,
}

impl Home {
    /// Takes a connection back.
    pub(crate) fn take_back(&self, line: Box<Line>) {
        self.direct.take_back(line, &self.origin);
    }
}

/// What came of a request.
enum Exchanged {
    Answered(Head, Box<Line>),
    /// There is no connection for it.
    NoLine,
    /// Nobody knows what arrived.
    Broken(Trouble),
}

impl Target {
    /// `None` for what only reqwest can make something of.
    pub(crate) fn new(text: &str, url: &Url) -> Option<Target> {
        if !matches!(url.scheme(), "http" | "https") {
            return None;
        }
        let host = url.host_str()?;
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        Some(Target {
            text: text.to_owned(),
            url: url.clone(),
            origin: format!("{}://{host}", url.scheme()).into(),
            path: PathAndQuery::try_from(path).ok()?,
            host: HeaderValue::from_str(&host).ok()?,
        })
    }

    /// What stands in a request.
    pub(crate) fn path(&self) -> &PathAndQuery {
        &self.path
    }

    /// Connections to the same are the same.
    pub(crate) fn origin(&self) -> &Arc<str> {
        &self.origin
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }
}

/// Sends a request by reqwest.
pub(crate) async fn over_reqwest(client: &Client, request: reqwest::Request) -> Result<Answer, mlua::Error> {
    let response = client.execute(request).await.map_err(mlua::Error::external)?;
    Ok(Answer::of_reqwest(response))
}

/// The body of a request, which keeps it. `None` when it is made while it is sent.
fn plain_body(request: &mut reqwest::Request) -> Option<Bytes> {
    let Some(body) = request.body_mut() else { return Some(Bytes::new()) };
    body.as_bytes()?;
    // Bytes come in one piece and at once; there is no other way to get them out without a copy.
    let bytes = match body.frame().now_or_never()? {
        Some(frame) => frame.ok()?.into_data().ok()?,
        None => Bytes::new(),
    };
    *body = Body::from(bytes.clone());
    Some(bytes)
}
