//! Logs and egress webhooks: what they stand on, who may ask for them, and how their calls are described.

use super::daemon::Common;
use crate::reference::{Field, Key, Operation, fields};
use anyhow::{Context, Result};
use axum::Router;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::CONTENT_TYPE;
use http::request::Parts as Head;
use serde::Deserialize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use waybill_authorizer::{Authorizer, Need, Refusal};
use waybill_log_record::Capture;
use waybill_runtime::{Stop, Supervisor};
use waybill_sealing::{KeyId, Keyring};
use waybill_spool::Store;
use waybill_streams::{
    Courier, Denied, Endpoint, Gate, Given, Late, News, Parcel, Parts, ROUTES, Receipt, Route, Streams, Takes, Want,
};
use waybill_streams_core::{
    Cleanup, Code, EgressCreate, EgressUpdate, Error, FilterCreate, FilterUpdate, IngressCreate, IngressUpdate, Limits,
    LogCreate, LogUpdate, OffsetCreate, OffsetUpdate, Publish, PublishOne, Reach, Rotate, WithKey, raw_response,
};
use waybill_webhook::{Request, Sender};
use waybill_webhook_core::{EndpointConfig, Outcome, SignConfig, Target};

/// What of the plan and the daemon they need.
pub(crate) struct Wanted {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) limits: Limits,
    pub(crate) capture: Arc<Capture>,
    /// What seals secrets, where there is such a thing.
    pub(crate) keys: Option<Arc<Keyring>>,
    pub(crate) lost_keys: Vec<KeyId>,
    pub(crate) news: Arc<dyn News>,
    pub(crate) events_wanted: Arc<AtomicBool>,
}

/// Their routes, at the root of a listener. Nothing is there before `late` is set.
pub(crate) fn router(late: Late, authorizer: Authorizer) -> Router {
    waybill_streams::router(late, Arc::new(Tokens(authorizer)))
}

/// Takes up what the store holds.
pub(crate) async fn open(
    common: &Common,
    wanted: Wanted,
    sender: Sender,
    supervisor: &Supervisor,
    stop: &Stop,
) -> Result<Streams> {
    let Wanted { store, limits, capture, keys, lost_keys, news, events_wanted } = wanted;
    let parts = Parts {
        store,
        clock: common.clock.clone(),
        supervisor: supervisor.clone(),
        stop: stop.clone(),
        limits,
        courier: Arc::new(Post(sender)),
        capture,
        keys,
        lost_keys,
        news: Some(news),
        events_wanted,
    };
    Streams::open(parts).await.context("take up logs and egress webhooks")
}

/// ARCHITECTURE section 8, in klev's words.
struct Tokens(Authorizer);

impl Gate for Tokens {
    fn check(&self, request: &Head, want: &Want<'_>) -> Result<Reach, Denied> {
        let need = Need::new(want.subject, want.action);
        let need = want.object.map_or(need, |id| need.object(id));
        let caller = self.0.authorize(request, need).map_err(denied)?;
        Ok(Reach::of(caller.tenant()))
    }
}

fn denied(refusal: Refusal) -> Denied {
    let known = Code::ALL.iter().find(|code| code.text() == refusal.code());
    let code = known.copied().unwrap_or(Code::ServerError);
    let headers = refusal.headers().into_iter().filter_map(|(name, value)| Some((name?, value))).collect();
    Denied { error: Error::new(code, refusal.message()), status: refusal.status(), headers }
}

/// The HTTP sender, for egress webhooks.
struct Post(Sender);

struct Door {
    sender: Sender,
    endpoint: waybill_webhook::Endpoint,
}

impl Courier for Post {
    fn check(&self, destination: &Target) -> Result<(), String> {
        self.0.permits(&EndpointConfig::of(destination.clone())).map_err(|refused| refused.why)
    }

    fn endpoint(&self, destination: Target, sign: SignConfig, connections: usize) -> Result<Arc<dyn Endpoint>, String> {
        // As many as there are messages in flight.
        let config = EndpointConfig {
            sign,
            max_connections: u32::try_from(connections).unwrap_or(u32::MAX),
            ..EndpointConfig::of(destination)
        };
        let endpoint = self.0.endpoint(config).map_err(|error| error.to_string())?;
        Ok(Arc::new(Door { sender: self.0.clone(), endpoint }))
    }
}

impl Endpoint for Door {
    fn send(&self, parcel: Parcel) -> BoxFuture<'_, Receipt> {
        async move {
            let request = Request { hops: parcel.hops, ..Request::new(parcel.id, parcel.body) };
            let request = request.header(CONTENT_TYPE.as_str(), parcel.content_type);
            let attempt = self.sender.send(&self.endpoint, request).await;
            let error = (attempt.outcome != Outcome::Delivered).then(|| attempt.to_string());
            let raw = |response: waybill_webhook::Response| {
                let body: Bytes = response.body;
                raw_response(response.version, response.status, &response.headers, &body)
            };
            let status = attempt.response.as_ref().map(|response| response.status);
            Receipt { status, error, response: attempt.response.map(raw), outcome: attempt.outcome }
        }
        .boxed()
    }
}

/// What may stand in queries that no type reads as a whole.
mod queries {
    use super::Deserialize;

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its fields are told")]
    pub(super) struct List {
        metadata: Option<String>,
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its fields are told")]
    pub(super) struct Consume {
        offset: Option<i64>,
        offset_id: Option<String>,
        time: Option<i64>,
        len: Option<u64>,
        poll: Option<u64>,
        encoding: Option<String>,
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its fields are told")]
    pub(super) struct One {
        offset: Option<i64>,
        encoding: Option<String>,
    }
}

fn fields_of(route: &Route) -> Vec<Key> {
    match (route.method, route.path) {
        ("GET", "/logs" | "/offsets" | "/egress_webhooks" | "/filters" | "/ingress_webhooks") => {
            fields::<queries::List>()
        }
        ("GET", "/messages/{id}") => fields::<queries::Consume>(),
        ("GET", "/message/{id}") => fields::<queries::One>(),
        ("POST", "/logs") => fields::<LogCreate>(),
        ("PATCH", "/log/{id}") => fields::<LogUpdate>(),
        ("POST", "/messages/{id}") => fields::<Publish<'_>>(),
        ("POST", "/message/{id}") => fields::<PublishOne<'_>>(),
        ("POST", "/message/{id}/key") => fields::<WithKey<'_>>(),
        ("DELETE", "/messages/{id}") => fields::<Cleanup>(),
        ("POST", "/offsets") => fields::<OffsetCreate>(),
        ("PATCH", "/offset/{id}") => fields::<OffsetUpdate>(),
        ("POST", "/egress_webhooks") => fields::<EgressCreate>(),
        ("PATCH", "/egress_webhook/{id}") => fields::<EgressUpdate>(),
        ("PATCH", "/egress_webhook/{id}/secret") => fields::<Rotate>(),
        ("POST", "/filters") => fields::<FilterCreate>(),
        ("PATCH", "/filter/{id}") => fields::<FilterUpdate>(),
        ("POST", "/ingress_webhooks") => fields::<IngressCreate>(),
        ("PATCH", "/ingress_webhook/{id}") => fields::<IngressUpdate>(),
        _ => Vec::new(),
    }
}

/// Every call, for the description.
pub(crate) fn described() -> impl Iterator<Item = Operation> {
    ROUTES.iter().map(|route| {
        let mut operation = Operation::new(route.method, route.path, route.summary, "logs");
        let fields = fields_of(route).into_iter().map(Field::from);
        match (route.takes, route.method) {
            (Takes::Signed, _) => operation.any_body("whatever the sender signs"),
            // In its query or in its body.
            (Takes::CleanupRule, _) => operation.either(fields),
            (_, "GET") => operation.query(fields),
            _ => operation.body(fields),
        };
        if route.takes == Takes::Messages {
            operation.header("Idempotency-Key", "a publish that comes again with the same key is stored once");
        }
        let given = route.gives().into_iter().map(|given| {
            let Given { name, kind, meaning, always } = given;
            Field { name, kind: kind.to_owned(), meaning: meaning.to_owned(), needed: always }
        });
        operation.answer(200, "done", given);
        let mut refusals = vec![
            (400, "the request makes no sense: `code` says in which way"),
            (401, "who asks shows no token that allows this"),
        ];
        if route.path.contains("{id}") {
            refusals.push((404, "there is none"));
        }
        if route.has_body() {
            refusals.push((415, "the body is not said to be JSON"));
        }
        refusals.push((503, "the spool is not open yet"));
        for (status, when) in refusals {
            operation.refusal(status, when, &["code", "message"]);
        }
        operation
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;
    use waybill_authorizer::{Acl, Action, Connection, Peer, Subject, TokenStore};
    use waybill_runtime::Clock;
    use waybill_spool::MemoryStore;

    fn ask(gate: &Tokens, peer: Option<Peer>, headers: &[(&'static str, &str)]) -> Result<Reach, (u16, &'static str)> {
        let mut request = http::Request::get("/logs");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        if let Some(peer) = peer {
            head.extensions.insert(Connection { peer, via: "x".into() });
        }
        let want = Want { subject: Subject::Logs, action: Action::List, object: None };
        gate.check(&head, &want).map_err(|denied| (denied.status.as_u16(), denied.error.code.text()))
    }

    #[tokio::test]
    async fn whoever_asks_is_on_this_machine_or_shows_a_token_for_it() {
        let clock: Arc<dyn Clock> = Arc::new(waybill_runtime::SystemClock);
        let authorizer = Authorizer::new(TokenStore::new(clock.clone(), Supervisor::current()), clock);
        authorizer.tokens().open(Arc::new(MemoryStore::new())).await.unwrap();
        let gate = Tokens(authorizer);
        let ip = |text: &str| Some(Peer::Ip(text.parse::<IpAddr>().unwrap()));
        let host = ("host", "localhost:8000");
        assert_eq!(ask(&gate, Some(Peer::Admin), &[]), Ok(Reach::All));
        assert_eq!(ask(&gate, ip("127.0.0.1"), &[host]), Ok(Reach::All));
        let missing = Err((401, "authorization-header-missing"));
        assert_eq!(ask(&gate, ip("192.0.2.1"), &[host]), missing);
        assert_eq!(ask(&gate, None, &[host]), missing);
        assert_eq!(ask(&gate, ip("127.0.0.1"), &[("host", "rebound.example")]), missing);
        assert_eq!(ask(&gate, ip("127.0.0.1"), &[host, ("origin", "http://evil.example")]), missing);
        assert_eq!(ask(&gate, ip("127.0.0.1"), &[host, ("x-forwarded-for", "192.0.2.1")]), missing);
        let unknown = format!("Bearer wbt_{}", "a".repeat(40));
        let wrong = ask(&gate, ip("127.0.0.1"), &[host, ("authorization", &unknown)]);
        assert_eq!(wrong, Err((401, "authentication-failed")));
        let mut head = http::Request::get("/tokens").body(()).unwrap().into_parts().0;
        head.extensions.insert(Connection { peer: Peer::Admin, via: "x".into() });
        let operator = gate.0.authorize(&head, Need::new(Subject::Tokens, Action::Create)).unwrap();
        let may = async |acl: &str, tenant: Option<&str>| {
            let (acl, tenant) = (Acl::parse([acl]).unwrap(), tenant.map(str::to_owned));
            let (_, bearer) = gate.0.tokens().create(&operator, String::new(), Some(acl), tenant).await.unwrap();
            let shown = format!("Bearer {}", bearer.reveal());
            ask(&gate, ip("192.0.2.1"), &[("authorization", &shown)])
        };
        assert_eq!(may("logs:list", None).await, Ok(Reach::All));
        assert_eq!(may("messages", None).await, Err((401, "authorization-failed")));
        assert_eq!(may("logs:list", Some("acme")).await, Ok(Reach::Tenant("acme".into())));
        assert_eq!(may("messages", Some("acme")).await, Err((401, "authorization-failed")));
    }

    #[test]
    fn every_call_that_takes_something_tells_its_fields() {
        for route in ROUTES {
            // What a sender signs is the sender's.
            let takes = !matches!(route.takes, waybill_streams::Takes::Nothing | waybill_streams::Takes::Signed);
            assert_eq!(!fields_of(route).is_empty(), takes, "{} {}", route.method, route.path);
        }
    }
}
