//! A daemon without a queue: an intake that remembers, a policy of closures, a clock that stands still.
#![allow(dead_code, reason = "each test file uses a part of it")]

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use futures::FutureExt;
use futures::future::BoxFuture;
use http_body_util::BodyExt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt;
use waybill_admin::Admin;
use waybill_authorizer::{Authorizer, TokenStore};
use waybill_http_api::{Api, CompactError, Connection, Control, HttpListenerConfig, Metrics, Peer, Services};
use waybill_policy::{PolicyHost, ScriptedPolicy};
use waybill_runtime::{Clock, ManualClock, Supervisor};
use waybill_spool::{Durability, Incoming, Intake, IntakeError, IntakeState, MemoryStore, Rejection};
use waybill_trace::Tracers;
use waybill_types::{IdMint, Timestamp};

/// The moment of the samples.
pub(crate) const NOW: &str = "2026-11-23T16:12:56.274840600Z";

type Refuse = Box<dyn Fn(&Incoming) -> Option<IntakeError> + Send + Sync>;

/// Remembers what it was given.
pub(crate) struct Remembering {
    pub(crate) taken: Mutex<Vec<(Incoming, Durability)>>,
    pub(crate) state: Mutex<IntakeState>,
    pub(crate) refuse: Refuse,
    /// Each message needs a permit: take them away to make it wait.
    pub(crate) gate: Semaphore,
    /// How many messages came as far as the gate.
    pub(crate) arrived: watch::Sender<usize>,
}

impl Intake for Remembering {
    fn accept(&self, incoming: Vec<Incoming>, durability: Durability) -> BoxFuture<'_, Result<(), IntakeError>> {
        async move {
            // As a store does: other calls come in before this one is done.
            tokio::task::yield_now().await;
            self.arrived.send_modify(|count| *count += 1);
            let _permit = self.gate.acquire().await.unwrap();
            if let Some(error) = incoming.iter().find_map(|one| (self.refuse)(one)) {
                return Err(error);
            }
            self.taken.lock().unwrap().extend(incoming.into_iter().map(|one| (one, durability)));
            Ok(())
        }
        .boxed()
    }

    fn rejected(&self, _rejection: Rejection) -> BoxFuture<'_, ()> {
        std::future::ready(()).boxed()
    }

    fn state(&self) -> IntakeState {
        self.state.lock().unwrap().clone()
    }
}

/// Tokens in memory, in a daemon whose spool is open.
fn authorizer(clock: &ManualClock) -> Authorizer {
    let clock: Arc<dyn Clock> = Arc::new(clock.clone());
    let tokens = TokenStore::new(clock.clone(), Supervisor::current());
    tokens.open(Arc::new(MemoryStore::new())).now_or_never().unwrap().unwrap();
    Authorizer::new(tokens, clock)
}

/// What the daemon itself was told.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) filters: Mutex<Vec<String>>,
    pub(crate) bumps: Mutex<usize>,
    pub(crate) compactions: Mutex<Vec<String>>,
}

impl Control for Told {
    fn set_log_filter(&self, filter: &str) -> Result<(), String> {
        if filter.contains("???") {
            return Err("it makes no sense".into());
        }
        self.filters.lock().unwrap().push(filter.to_owned());
        Ok(())
    }

    fn bump_epoch(&self) -> BoxFuture<'_, Result<(), String>> {
        *self.bumps.lock().unwrap() += 1;
        std::future::ready(Ok(())).boxed()
    }

    fn tasks(&self) -> Vec<(&'static str, Vec<String>)> {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        vec![("listeners", names(&["smtp listener"])), ("mail", names(&["session a", "queue manager", "session a"]))]
    }

    fn compact_spool<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), CompactError>> {
        let answer = match name {
            "meta" => {
                self.compactions.lock().unwrap().push(name.to_owned());
                Ok(())
            }
            "data" => Err(CompactError::Failed("the disk is on fire".into())),
            _ => Err(CompactError::Unknown(vec!["data".into(), "meta".into()])),
        };
        std::future::ready(answer).boxed()
    }
}

/// The API with its surroundings.
pub(crate) struct Daemon {
    pub(crate) intake: Arc<Remembering>,
    pub(crate) metrics: Metrics,
    pub(crate) admin: Admin,
    pub(crate) control: Arc<Told>,
    pub(crate) services: Services,
    pub(crate) api: Api,
    pub(crate) peer: Peer,
    /// That of tokens and failed attempts.
    pub(crate) clock: ManualClock,
}

impl Daemon {
    pub(crate) fn new() -> Self {
        Daemon::with_policy(ScriptedPolicy::new())
    }

    pub(crate) fn with_policy(policy: impl PolicyHost) -> Self {
        Daemon::build(policy, Box::new(|_| None))
    }

    pub(crate) fn refusing(refuse: impl Fn(&Incoming) -> Option<IntakeError> + Send + Sync + 'static) -> Self {
        Daemon::build(ScriptedPolicy::new(), Box::new(refuse))
    }

    fn build(policy: impl PolicyHost, refuse: Refuse) -> Self {
        let intake = Arc::new(Remembering {
            taken: Mutex::default(),
            state: Mutex::new(IntakeState::Open),
            refuse,
            gate: Semaphore::new(1000),
            arrived: watch::Sender::new(0),
        });
        let metrics = Metrics::new().unwrap();
        let now = Timestamp::parse_rfc3339(NOW).unwrap();
        let clock = ManualClock::at(now);
        let (admin, control) = (Admin::new(Arc::new(move || now)), Arc::new(Told::default()));
        let services = Services {
            intake: intake.clone(),
            policy: Arc::new(policy),
            mint: Arc::new(IdMint::new([0xab, 0xf9, 0xee, 0x44, 0x9c, 0xbb, 0xea, 0xa0])),
            clock: Arc::new(move || now),
            hostname: "mta.example".into(),
            node_id: "1c9695c6-71e7-4e48-b54f-5531e6875160".into(),
            metrics: metrics.clone(),
            admin: admin.clone(),
            control: control.clone(),
            traces: Tracers::default(),
            authorizer: authorizer(&clock),
        };
        Daemon {
            intake,
            metrics,
            admin,
            control,
            api: Api::new(services.clone()),
            services,
            peer: Peer::ip(IpAddr::from([127, 0, 0, 1])),
            clock,
        }
    }

    /// As seen by a client with this address.
    pub(crate) fn from(mut self, address: &str) -> Self {
        self.peer = Peer::ip(address.parse().unwrap());
        self
    }

    pub(crate) fn over_the_admin_socket(mut self) -> Self {
        self.peer = Peer::Admin;
        self
    }

    pub(crate) fn configured(mut self, json: &str) -> Self {
        let config: HttpListenerConfig = serde_json::from_str(json).unwrap();
        self.api = self.api.listener(&config);
        self
    }

    pub(crate) fn set_state(&self, state: IntakeState) {
        *self.intake.state.lock().unwrap() = state;
    }

    pub(crate) fn router(&self) -> Router {
        self.api.clone().router()
    }

    /// Sends a request as it would come out of a connection.
    pub(crate) async fn send(&self, mut request: Request<Body>) -> Answer {
        request.extensions_mut().insert(Connection { peer: self.peer, via: "127.0.0.1:8000".into() });
        let response = self.router().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let kind = head.headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap().to_owned());
        let bytes = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: head.status, kind, headers: head.headers, bytes }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// Sends a JSON body, which GET has none of.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: impl ToString) -> Answer {
        let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    pub(crate) async fn inject(&self, json: impl ToString) -> Answer {
        self.send(inject_request(json.to_string())).await
    }

    /// The bytes of the messages that were taken.
    pub(crate) fn messages(&self) -> Vec<String> {
        let taken = self.intake.taken.lock().unwrap();
        taken.iter().map(|(one, _)| String::from_utf8(one.message.data().unwrap().to_vec()).unwrap()).collect()
    }
}

pub(crate) fn inject_request(body: impl Into<Body>) -> Request<Body> {
    Request::post("/api/inject/v1").header(header::CONTENT_TYPE, "application/json").body(body.into()).unwrap()
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) kind: Option<String>,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    pub(crate) fn parts(&self) -> (u16, &str) {
        (self.status.as_u16(), self.text())
    }
}
