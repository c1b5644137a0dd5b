//! Streams over a store in memory, behind their router, with endpoints that answer as a test wants.

#![allow(dead_code, reason = "each test binary uses its own part")]

use axum::Router;
use axum::body::{Body, to_bytes};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::request::Parts as Head;
use http::{Request, StatusCode, header};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tower::ServiceExt;
use waybill_log_record::{Capture, Entry, LogRecord, RecordType};
use waybill_runtime::{ManualClock, StopSource, Supervisor};
use waybill_sealing::{KeyId, Keyring};
use waybill_spool::{CrashingStore, MemoryStore, Store, StoreError};
use waybill_streams::{Courier, Denied, Endpoint, Gate, Late, Parcel, Parts, Receipt, Streams, Want, router};
use waybill_streams_core::{Limits, Reach, raw_response};
use waybill_types::{IdMint, MessageId, Response, Timestamp};
use waybill_webhook_core::{Outcome, SignConfig, Target, outcome_of};

/// 2023-11-14, 22:13:20.
pub(crate) const NOW: i64 = 1_700_000_000;

pub(crate) struct World {
    pub(crate) router: Router,
    pub(crate) streams: Streams,
    pub(crate) clock: ManualClock,
    pub(crate) post: Post,
    pub(crate) stop: StopSource,
    pub(crate) supervisor: Supervisor,
    pub(crate) events_wanted: Arc<AtomicBool>,
}

/// Everybody may do everything.
pub(crate) struct Open;

impl Gate for Open {
    fn check(&self, _: &Head, _: &Want<'_>) -> Result<Reach, Denied> {
        Ok(Reach::All)
    }
}

impl World {
    pub(crate) async fn new() -> World {
        World::over(Arc::new(MemoryStore::new()), Limits::default(), Arc::new(Open)).await
    }

    pub(crate) async fn over(store: Arc<dyn Store>, limits: Limits, gate: Arc<dyn Gate>) -> World {
        World::sealed(store, limits, gate, None, Vec::new()).await.unwrap()
    }

    /// With keys for secrets.
    pub(crate) async fn sealed(
        store: Arc<dyn Store>,
        limits: Limits,
        gate: Arc<dyn Gate>,
        keys: Option<Arc<Keyring>>,
        lost_keys: Vec<KeyId>,
    ) -> Result<World, StoreError> {
        let clock = ManualClock::at(Timestamp::from_secs(NOW));
        let (stop, listens) = StopSource::new();
        let (post, supervisor) = (Post::default(), Supervisor::current());
        let events_wanted = Arc::new(AtomicBool::new(false));
        let parts = Parts {
            store,
            clock: Arc::new(clock.clone()),
            supervisor: supervisor.clone(),
            stop: listens,
            limits,
            courier: Arc::new(post.clone()),
            capture: Arc::new(Capture::nothing()),
            keys,
            lost_keys,
            news: None,
            events_wanted: events_wanted.clone(),
        };
        let streams = Streams::open(parts).await?;
        let late = Late::default();
        late.set(streams.clone());
        Ok(World { router: router(late, gate), streams, clock, post, stop, supervisor, events_wanted })
    }

    pub(crate) fn clock_now(&self) -> Timestamp {
        waybill_runtime::Clock::now(&self.clock)
    }

    /// Ends all tasks, as a stopped daemon does.
    pub(crate) async fn end(self) {
        self.stop.request();
        self.supervisor.join().await;
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let (status, text) = self.send_for_text(request).await;
        (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text:?}")))
    }

    pub(crate) async fn send_for_text(&self, request: Request<Body>) -> (StatusCode, String) {
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), 64 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let request = Request::builder().method(method).uri(path);
        let request = match body {
            Some(body) => {
                request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_string())).unwrap()
            }
            None => request.body(Body::empty()).unwrap(),
        };
        self.send(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.ask("GET", path, None).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask("POST", path, Some(body)).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask("PATCH", path, Some(body)).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// The code of a refusal.
    pub(crate) async fn code(&self, method: &str, path: &str, body: Option<Value>) -> String {
        let (status, answer) = self.ask(method, path, body).await;
        assert!(status.is_client_error() || status.is_server_error(), "{path}: {status} {answer}");
        let fields: Vec<&String> = answer.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["code", "message"]);
        answer["code"].as_str().unwrap().to_owned()
    }

    /// The id of a new log.
    pub(crate) async fn log(&self, body: Value) -> String {
        self.post("/logs", body).await["log_id"].as_str().unwrap().to_owned()
    }

    /// The id of a new egress webhook of a log.
    pub(crate) async fn egress(&self, log: &str, more: Value) -> String {
        let mut body = json!({"log_id": log, "destination": "https://hooks.example/in"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.post("/egress_webhooks", body).await["webhook_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn say(&self, log: &str, value: &str) {
        self.post(&format!("/message/{log}"), json!({"value": value})).await;
    }

    /// The end of a log.
    pub(crate) async fn ends(&self, log: &str) -> u64 {
        let (_, answer) = self.ask("GET", &format!("/messages/{log}?offset=-1"), None).await;
        answer["next_offset"].as_u64().unwrap_or_default()
    }

    /// Where the only egress webhook stands.
    pub(crate) async fn next_offset(&self) -> Option<u64> {
        let (_, all) = self.ask("GET", "/egress_webhooks", None).await;
        let id = all["egress_webhooks"][0]["webhook_id"].as_str()?.to_owned();
        let (_, status) = self.ask("GET", &format!("/egress_webhook/{id}/status"), None).await;
        status["next_offset"].as_u64()
    }

    /// Waits until the status of an egress webhook is as wanted.
    pub(crate) async fn until(&self, webhook: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let status = self.get(&format!("/egress_webhook/{webhook}/status")).await;
            if wanted(&status) {
                return status;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Endpoints: what they got, and what they answer next.
#[derive(Clone, Default)]
pub(crate) struct Post(Arc<Mutex<Office>>);

#[derive(Default)]
struct Office {
    got: Vec<(String, Parcel, usize)>,
    answers: VecDeque<(u16, Option<Duration>)>,
    held: bool,
    /// One in so many attempts fails, by these numbers.
    fails: Option<(u64, u64)>,
    steps: Vec<Step>,
    /// The store of the daemon whose webhooks these are: a dead daemon sends nothing.
    dies_with: Option<Arc<CrashingStore>>,
    refuses: Option<String>,
}

/// What an endpoint saw.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// An attempt for the message at this offset begins.
    Begins(u64),
    /// It was answered with this status.
    Ends(u64, u16),
    /// The daemon died, with whatever it had under way.
    Dies,
}

impl Post {
    /// The next attempts are answered so; those behind them with 200.
    pub(crate) fn answers(&self, statuses: impl IntoIterator<Item = (u16, Option<Duration>)>) {
        self.0.lock().answers.extend(statuses);
    }

    /// One in so many attempts fails from now on, chosen by this seed.
    pub(crate) fn fails_one_in(&self, attempts: u64, seed: u64) {
        self.0.lock().fails = Some((attempts, seed));
    }

    /// From the death of this store on nothing is sent any more.
    pub(crate) fn dies_with(&self, store: Arc<CrashingStore>) {
        self.0.lock().dies_with = Some(store);
    }

    /// What was seen, in its order.
    pub(crate) fn steps(&self) -> Vec<Step> {
        self.0.lock().steps.clone()
    }

    /// Destinations are refused from now on.
    pub(crate) fn refuses(&self, why: &str) {
        self.0.lock().refuses = Some(why.to_owned());
    }

    /// Attempts do not end while it is so.
    pub(crate) fn hold(&self, held: bool) {
        self.0.lock().held = held;
    }

    /// Destination, id, content type, body and number of signing secrets of every attempt.
    pub(crate) fn got(&self) -> Vec<(String, String, &'static str, Bytes, usize)> {
        let office = self.0.lock();
        let shown = |(to, parcel, keys): &(String, Parcel, usize)| {
            (to.clone(), parcel.id.to_string(), parcel.content_type, parcel.body.clone(), *keys)
        };
        office.got.iter().map(shown).collect()
    }

    /// Through how many webhooks what was sent had come already, in the order of the attempts.
    pub(crate) fn hops(&self) -> Vec<u8> {
        self.0.lock().got.iter().map(|(_, parcel, _)| parcel.hops).collect()
    }

    /// The offsets of the attempts, in their order.
    pub(crate) fn offsets(&self) -> Vec<u64> {
        self.got().iter().map(|(_, id, ..)| id.rsplit('_').next().unwrap().parse().unwrap()).collect()
    }
}

impl Courier for Post {
    fn check(&self, _: &Target) -> Result<(), String> {
        self.0.lock().refuses.clone().map_or(Ok(()), Err)
    }

    fn endpoint(&self, destination: Target, sign: SignConfig, _: usize) -> Result<Arc<dyn Endpoint>, String> {
        let keys = sign.klev.len();
        assert_eq!(keys, sign.standard.len());
        Ok(Arc::new(Door { post: self.clone(), to: format!("{destination}{}", destination.path()), keys }))
    }
}

struct Door {
    post: Post,
    to: String,
    keys: usize,
}

impl Endpoint for Door {
    fn send(&self, parcel: Parcel) -> BoxFuture<'_, Receipt> {
        async move {
            let status = {
                let mut office = self.post.0.lock();
                if office.dies_with.as_ref().is_some_and(|store| store.is_crashed()) {
                    let outcome = Outcome::Transient { retry_after: None };
                    return Receipt { status: None, response: None, error: Some("it is dead".to_owned()), outcome };
                }
                let offset = parcel.id.to_string().rsplit('_').next().unwrap().parse().unwrap();
                office.steps.push(Step::Begins(offset));
                office.got.push((self.to.clone(), parcel, self.keys));
                let answer = office.answers.pop_front().or_else(|| {
                    let (one_in, dice) = office.fails.as_mut()?;
                    *dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (((*dice >> 33) % *one_in) == 0).then_some((503, None))
                });
                (offset, answer.unwrap_or((200, None)))
            };
            let (offset, (status, wait)) = status;
            // Whatever else can begin does so before this one ends.
            tokio::task::yield_now().await;
            while self.post.0.lock().held {
                tokio::task::yield_now().await;
            }
            self.post.0.lock().steps.push(Step::Ends(offset, status));
            let response = raw_response(http::Version::HTTP_11, status, &http::HeaderMap::new(), b"");
            let outcome = outcome_of(status, wait);
            let error = (outcome != Outcome::Delivered).then(|| format!("status {status}"));
            Receipt { status: Some(status), response: Some(response), error, outcome }
        }
        .boxed()
    }
}

/// A log record in the journal's form: the reception of a mail.
pub(crate) fn record(number: u8) -> Bytes {
    let now = Timestamp::from_secs(NOW);
    let mut record = LogRecord::new(RecordType::Reception, now, Response::plain(250, ""), "node");
    record.id = Some(MessageId::from_bytes([number; 16]));
    Entry::encode(&record, IdMint::random().entry(now)).bytes().clone()
}
