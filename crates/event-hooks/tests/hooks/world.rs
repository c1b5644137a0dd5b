//! Event hooks over a store in memory, behind their router, with targets that answer as a test wants.

use axum::Router;
use axum::body::{Body, to_bytes};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, StatusCode, header};
use parking_lot::{Mutex, RwLock};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tower::ServiceExt;
use waybill_authorizer::{Authorizer, Connection, Peer, TokenStore};
use waybill_event_hooks::{
    Answer, Courier, Endpoint, EventHooks, Late, Parts, Receipt, RecordsWanted, Signals, router,
};
use waybill_event_hooks_core::{Catalogue, EventInfo};
use waybill_log_record::{Capture, Entry, LogRecord, RecordType};
use waybill_runtime::{Clock, ManualClock, StopSource, Supervisor};
use waybill_sealing::{Key, Keyring};
use waybill_spool::{Batch, MemoryStore, Store, StoreError, StreamId};
use waybill_types::{IdMint, Response, Timestamp};
use waybill_webhook_core::{AddressPolicy, ConfigError, EndpointConfig, Outcome, outcome_of};
use waybill_webhook_sign::EventId;

/// 2023-11-14, 22:13:20.
pub(crate) const NOW: i64 = 1_700_000_000;
/// So long nothing takes that comes at all.
const LIMIT: Duration = Duration::from_secs(300);

/// What survives a daemon: its store, its keys, its targets, and the time.
#[derive(Clone)]
pub(crate) struct Earth {
    pub(crate) store: MemoryStore,
    pub(crate) keys: Arc<Keyring>,
    pub(crate) post: Post,
    pub(crate) clock: ManualClock,
    pub(crate) mint: Arc<IdMint>,
    /// Events that the policy publishes.
    pub(crate) published: Vec<(&'static str, &'static str)>,
    /// What jitter is drawn from.
    pub(crate) seed: u64,
}

pub(crate) struct World {
    pub(crate) earth: Earth,
    pub(crate) router: Router,
    pub(crate) hooks: EventHooks,
    pub(crate) tokens: TokenStore,
    pub(crate) records: Arc<RecordsWanted>,
    stop: StopSource,
    supervisor: Supervisor,
}

/// Targets on `127.0.0.1` are closed, all others are open.
#[derive(Clone)]
pub(crate) struct Post(Arc<Office>);

struct Office {
    answers: Mutex<VecDeque<u16>>,
    /// What comes with a failure as `Retry-After`.
    wish: Mutex<Option<Duration>>,
    /// A host that answers 503.
    broken: Mutex<Option<String>>,
    /// A host that does not answer.
    silent: watch::Sender<Option<String>>,
    sent: watch::Sender<Vec<Sent>>,
    clock: ManualClock,
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) at: Timestamp,
    pub(crate) id: String,
    pub(crate) url: String,
    pub(crate) method: String,
    pub(crate) headers: Vec<(String, String)>,
    /// Webhooks that it came through before.
    pub(crate) hops: u8,
    pub(crate) body: String,
}

impl Sent {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Post {
    fn new(clock: ManualClock) -> Self {
        let (answers, wish, broken) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (silent, sent) = (watch::channel(None).0, watch::channel(Vec::new()).0);
        Post(Arc::new(Office { answers, wish, broken, silent, sent, clock }))
    }

    /// The next requests are answered so, all that follow 200.
    pub(crate) fn answers(&self, statuses: &[u16]) {
        self.0.answers.lock().extend(statuses);
    }

    /// From now on failures ask for so much time.
    pub(crate) fn wishes(&self, wait: Duration) {
        *self.0.wish.lock() = Some(wait);
    }

    /// From now on this host answers 503.
    pub(crate) fn breaks(&self, host: &str) {
        *self.0.broken.lock() = Some(host.to_owned());
    }

    /// From now on this host does not answer; with none, all do again.
    pub(crate) fn keeps_silent(&self, host: Option<&str>) {
        self.0.silent.send_replace(host.map(str::to_owned));
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.0.sent.borrow().clone()
    }

    /// Everything, once there is so much.
    pub(crate) async fn so_many(&self, count: usize) -> Vec<Sent> {
        let mut sent = self.0.sent.subscribe();
        let enough = sent.wait_for(|sent| sent.len() >= count);
        match tokio::time::timeout(LIMIT, enough).await {
            Ok(sent) => sent.unwrap().clone(),
            Err(_) => panic!("{count} requests were awaited, there are {:?}", self.sent()),
        }
    }
}

impl Courier for Post {
    fn check(&self, endpoint: &EndpointConfig) -> Result<(), ConfigError> {
        let refused = AddressPolicy::default().check_literal(&endpoint.url);
        refused.map_err(|refused| ConfigError::new("url", refused.to_string()))
    }

    fn endpoint(&self, endpoint: EndpointConfig) -> Result<Arc<dyn Endpoint>, ConfigError> {
        Ok(Arc::new(Door { post: self.clone(), endpoint }))
    }
}

struct Door {
    post: Post,
    endpoint: EndpointConfig,
}

impl Endpoint for Door {
    fn send(&self, id: EventId, request: waybill_event_hooks_core::Request, hops: u8) -> BoxFuture<'_, Receipt> {
        async move {
            let headers = self.endpoint.headers.clone().into_iter().chain(request.headers);
            let sent = Sent {
                at: self.post.0.clock.now(),
                id: id.as_str().to_owned(),
                url: format!("{}{}", self.endpoint.url.authority(), self.endpoint.url.path()),
                method: self.endpoint.method.to_string(),
                headers: headers.collect(),
                hops,
                body: String::from_utf8_lossy(&request.body).into_owned(),
            };
            let broken = self.post.0.broken.lock().as_ref().is_some_and(|host| sent.url.starts_with(host));
            let told = if broken { Some(503) } else { self.post.0.answers.lock().pop_front() };
            let status = told.unwrap_or(200);
            let url = sent.url.clone();
            self.post.0.sent.send_modify(|all| all.push(sent));
            let mut silent = self.post.0.silent.subscribe();
            let speaks = |host: &Option<String>| host.as_ref().is_none_or(|host| !url.starts_with(host));
            silent.wait_for(speaks).await.expect("the office lives as long as its doors");
            let outcome = outcome_of(status, *self.post.0.wish.lock());
            let delivered = outcome == Outcome::Delivered;
            Receipt {
                at: self.post.0.clock.now(),
                duration: Duration::from_millis(7),
                address: Some("192.0.2.7:443".to_owned()),
                answer: Some(Answer {
                    status,
                    headers: vec![("set-cookie".into(), "session=1".into()), ("server".into(), "x".into())],
                    body: "said\r\n\u{1b}[31m".into(),
                }),
                error: (!delivered).then(|| format!("status {status}")),
                signal: outcome.signal(true),
                outcome,
            }
        }
        .boxed()
    }
}

impl Earth {
    pub(crate) fn new() -> Self {
        let clock = ManualClock::at(Timestamp::from_secs(NOW));
        Earth {
            store: MemoryStore::new(),
            keys: Arc::new(Keyring::of(Key::random().unwrap())),
            post: Post::new(clock.clone()),
            clock,
            mint: Arc::new(IdMint::new([7; 8])),
            published: Vec::new(),
            seed: 1,
        }
    }

    /// A daemon over it.
    pub(crate) async fn daemon(&self) -> World {
        World::over(self.clone()).await
    }

    /// A daemon over a store that dies; nothing when it did so before the daemon was there.
    pub(crate) async fn daemon_on(&self, store: Arc<dyn Store>) -> Option<World> {
        World::open(self.clone(), store).await.ok()
    }

    /// Events in the journal.
    pub(crate) fn bounces(&self) -> usize {
        usize::try_from(self.store.visible(StreamId::EVENTS).borrow().0).unwrap()
    }

    fn append(&self, record: &LogRecord) {
        let entry = Entry::encode(record, self.mint.entry(record.event_time));
        let mut batch = Batch::new();
        batch.append(StreamId::EVENTS, entry.bytes().clone());
        self.store.apply(batch);
    }

    /// A bounce, now.
    pub(crate) fn bounce(&self, recipient: &str, tenant: Option<&str>) {
        self.record(RecordType::Bounce, recipient, tenant);
    }

    /// A bounce of mail that was injected behind so many webhooks.
    pub(crate) fn bounce_of_mail_through(&self, hops: u8) {
        let response = Response::plain(550, "no such user");
        let record = LogRecord::new(RecordType::Bounce, self.clock.now(), response, "node");
        self.append(&LogRecord { hops, ..record });
    }

    pub(crate) fn record(&self, kind: RecordType, recipient: &str, tenant: Option<&str>) {
        let mut record = LogRecord::new(kind, self.clock.now(), Response::plain(550, "no such user"), "node");
        record.recipients = vec![recipient.to_owned()];
        record.queue = "example.com".to_owned();
        record.tenant = tenant.map(str::to_owned);
        self.append(&record);
    }

    /// What a log hook's own delivery would look like, had it come into the journal.
    pub(crate) fn bounce_of_a_log_message(&self, recipient: &str) {
        let mut record = LogRecord::new(RecordType::Bounce, self.clock.now(), Response::plain(550, "x"), "node");
        record.recipients = vec![recipient.to_owned()];
        record.of_log_message = true;
        self.append(&record);
    }
}

impl World {
    pub(crate) async fn new() -> World {
        Earth::new().daemon().await
    }

    async fn over(earth: Earth) -> World {
        let store = Arc::new(earth.store.clone());
        World::open(earth, store).await.unwrap()
    }

    async fn open(earth: Earth, store: Arc<dyn Store>) -> Result<World, StoreError> {
        let (stop, listens) = StopSource::new();
        let supervisor = Supervisor::current();
        let clock: Arc<dyn Clock> = Arc::new(earth.clock.clone());
        let records = Arc::new(RecordsWanted::default());
        let mut catalogue = Catalogue::new();
        for (source, event) in &earth.published {
            catalogue.publish(source, event, EventInfo::default()).unwrap();
        }
        let parts = Parts {
            store: store.clone(),
            clock: clock.clone(),
            supervisor: supervisor.clone(),
            stop: listens,
            mint: earth.mint.clone(),
            node: "node".into(),
            catalogue: Arc::new(RwLock::new(catalogue)),
            capture: Arc::new(Capture::nothing()),
            records: records.clone(),
            signals: Signals::new(earth.mint.clone(), clock.clone()),
            courier: Arc::new(earth.post.clone()),
            functions: None,
            keys: earth.keys.clone(),
            seed: earth.seed,
        };
        let opened = EventHooks::open(parts).await;
        if opened.is_err() {
            supervisor.abort();
        }
        let hooks = opened?;
        let tokens = TokenStore::new(clock.clone(), supervisor.clone());
        tokens.open(store).await?;
        let late = Late::default();
        late.set(hooks.clone());
        let router = router(late, Authorizer::new(tokens.clone(), clock));
        Ok(World { earth, router, hooks, tokens, records, stop, supervisor })
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(self) {
        self.supervisor.abort();
    }

    /// Ends all tasks, as a stopped daemon does.
    pub(crate) async fn end(self) -> Earth {
        self.stop.request();
        self.supervisor.join().await;
        self.earth
    }

    /// As the operator on the admin socket, or as who shows a token.
    pub(crate) async fn send(&self, token: Option<&str>, mut request: Request<Body>) -> (StatusCode, Value) {
        let peer = if token.is_some() { Peer::ip([192, 0, 2, 1].into()) } else { Peer::Admin };
        request.extensions_mut().insert(Connection { peer, via: "test".into() });
        if let Some(token) = token {
            request.headers_mut().insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        }
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), 64 << 20).await.unwrap();
        let json = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        (status, json)
    }

    pub(crate) async fn ask_as(
        &self,
        token: Option<&str>,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> (u16, Value) {
        let request = Request::builder().method(method).uri(path);
        let request = match body {
            Some(body) => request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        let (status, answer) = self.send(token, request.unwrap()).await;
        (status.as_u16(), answer)
    }

    /// As the operator, word for word; what has a body is JSON.
    pub(crate) async fn ask_raw(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let request = Request::builder().method(method).uri(path);
        let request = if body.is_empty() { request } else { request.header(header::CONTENT_TYPE, "application/json") };
        let mut request = request.body(Body::from(body.to_owned())).unwrap();
        request.extensions_mut().insert(Connection { peer: Peer::Admin, via: "test".into() });
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = to_bytes(body, 64 << 20).await.unwrap();
        let kind = head.headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap());
        assert_eq!(kind, (!body.is_empty()).then_some("application/json; charset=utf-8"), "{method} {path}");
        (head.status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        self.ask_as(None, method, path, body.as_ref()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.ask("GET", path, None).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// Makes a hook; gives its id.
    pub(crate) async fn create(&self, hook: Value) -> String {
        let (status, answer) = self.ask("POST", "/event-hooks", Some(hook)).await;
        assert_eq!(status, 201, "{answer}");
        answer["id"].as_str().unwrap().to_owned()
    }

    /// A hook on bounces that sends their recipient alone, so that no ping comes first.
    pub(crate) async fn on_bounces(&self, more: Value) -> String {
        let mut hook = json!({
            "source": "log", "event": "Bounce", "handler": "webhook-custom",
            "config": {"url": "https://hooks.example/x", "method": "POST", "body": "{{ recipient }}"},
        });
        for (name, value) in more.as_object().unwrap() {
            hook[name] = value.clone();
        }
        self.create(hook).await
    }

    /// A token for this; with a tenant it is confined to it.
    pub(crate) async fn token(&self, acl: &str, tenant: Option<&str>) -> String {
        let mut head = http::Request::get("/").body(()).unwrap().into_parts().0;
        head.extensions.insert(Connection { peer: Peer::Admin, via: "test".into() });
        let clock: Arc<dyn Clock> = Arc::new(self.earth.clock.clone());
        let authorizer = Authorizer::new(self.tokens.clone(), clock);
        let need =
            waybill_authorizer::Need::new(waybill_authorizer::Subject::Tokens, waybill_authorizer::Action::Create);
        let operator = authorizer.authorize(&head, need).unwrap();
        let acl = waybill_authorizer::Acl::parse([acl]).unwrap();
        let made = self.tokens.create(&operator, String::new(), Some(acl), tenant.map(str::to_owned)).await;
        made.unwrap().1.reveal().to_owned()
    }

    /// Waits until the answer to a question is as wanted.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let look = async {
            loop {
                let answer = self.get(path).await;
                if wanted(&answer) {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        match tokio::time::timeout(LIMIT, look).await {
            Ok(answer) => answer,
            Err(_) => panic!("{path} does not become what is wanted: {}", self.get(path).await),
        }
    }

    pub(crate) fn later(&self, secs: u64) {
        self.earth.clock.advance(Duration::from_secs(secs));
    }

    /// The bodies of what came.
    pub(crate) async fn bodies(&self, count: usize) -> Vec<String> {
        self.earth.post.so_many(count).await.into_iter().map(|sent| sent.body).collect()
    }
}
