//! Logs and egress webhooks: what they stand on, who may ask for them, and how their calls are described.

use super::daemon::Common;
use crate::reference::{Key, fields};
use anyhow::{Context, Result};
use axum::Router;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::HeaderValue;
use http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::request::Parts as Head;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use waybill_http_api::{Connection, Peer, is_local};
use waybill_log_record::Capture;
use waybill_runtime::{Stop, Supervisor};
use waybill_spool::Store;
use waybill_streams::{Courier, Denied, Endpoint, Gate, Late, Parcel, Parts, ROUTES, Receipt, Route, Streams, Want};
use waybill_streams_core::{
    Cleanup, Code, EgressCreate, EgressUpdate, Error, Limits, LogCreate, LogUpdate, OffsetCreate, OffsetUpdate,
    Publish, PublishOne, Rotate, WithKey, raw_response,
};
use waybill_webhook::{Request, Sender};
use waybill_webhook_core::{EndpointConfig, Outcome, SignConfig, Target};

/// What of the plan and the daemon they need.
pub(crate) struct Wanted {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) limits: Limits,
    pub(crate) capture: Arc<Capture>,
    pub(crate) events_wanted: Arc<AtomicBool>,
}

/// Their routes, at the root of a listener. Nothing is there before `late` is set.
pub(crate) fn router(late: Late) -> Router {
    waybill_streams::router(late, Arc::new(ThisMachine))
}

/// Takes up what the store holds.
pub(crate) async fn open(
    common: &Common,
    wanted: Wanted,
    sender: Sender,
    supervisor: &Supervisor,
    stop: &Stop,
) -> Result<Streams> {
    let Wanted { store, limits, capture, events_wanted } = wanted;
    let parts = Parts {
        store,
        clock: common.clock.clone(),
        supervisor: supervisor.clone(),
        stop: stop.clone(),
        limits,
        courier: Arc::new(Post(sender)),
        capture,
        events_wanted,
    };
    Streams::open(parts).await.context("take up logs and egress webhooks")
}

/// ARCHITECTURE section 8, as far as it goes without tokens: the admin socket, and a loopback peer that is plainly no
/// browser of somebody else's page and no proxy.
struct ThisMachine;

impl Gate for ThisMachine {
    fn check(&self, request: &Head, _want: &Want<'_>) -> Result<(), Denied> {
        let peer = request.extensions.get::<Connection>().map(|connection| connection.peer);
        // A wrong token is refused for everyone, and as yet there are no right ones.
        if request.headers.contains_key(AUTHORIZATION) && peer != Some(Peer::Admin) {
            return Err(challenge(Code::AuthenticationFailed, "this token is not known here"));
        }
        match peer {
            Some(Peer::Admin) => Ok(()),
            Some(Peer::Ip(address)) if address.is_loopback() && is_local(&request.uri, &request.headers) => Ok(()),
            _ => {
                let why = "only for this machine: ask on loopback, or use `waybill logs` and its kin there";
                Err(challenge(Code::AuthorizationHeaderMissing, why))
            }
        }
    }
}

fn challenge(code: Code, why: &str) -> Denied {
    let headers = vec![(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"waybill\""))];
    Denied { headers, ..Denied::from(Error::new(code, why)) }
}

/// The HTTP sender, for egress webhooks.
struct Post(Sender);

struct Door {
    sender: Sender,
    endpoint: waybill_webhook::Endpoint,
}

impl Courier for Post {
    fn check(&self, destination: &Target) -> Result<(), String> {
        self.0.permits(&EndpointConfig::of(destination.clone())).map_err(|refused| refused.to_string())
    }

    fn endpoint(&self, destination: Target, sign: SignConfig) -> Result<Arc<dyn Endpoint>, String> {
        // One message is in flight at a time.
        let config = EndpointConfig { sign, max_connections: 1, ..EndpointConfig::of(destination) };
        let endpoint = self.0.endpoint(config).map_err(|error| error.to_string())?;
        Ok(Arc::new(Door { sender: self.0.clone(), endpoint }))
    }
}

impl Endpoint for Door {
    fn send(&self, parcel: Parcel) -> BoxFuture<'_, Receipt> {
        async move {
            let request = Request::new(parcel.id, parcel.body).header(CONTENT_TYPE.as_str(), parcel.content_type);
            let attempt = self.sender.send(&self.endpoint, request).await;
            let error = (attempt.outcome != Outcome::Delivered).then(|| attempt.to_string());
            let raw = |response: waybill_webhook::Response| {
                let body: Bytes = response.body;
                raw_response(response.version, response.status, &response.headers, &body)
            };
            Receipt { error, response: attempt.response.map(raw), outcome: attempt.outcome }
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
        ("GET", "/logs" | "/offsets" | "/egress_webhooks") => fields::<queries::List>(),
        ("GET", "/messages/{id}") => fields::<queries::Consume>(),
        ("GET", "/message/{id}") => fields::<queries::One>(),
        ("POST", "/logs") => fields::<LogCreate>(),
        ("PATCH", "/log/{id}") => fields::<LogUpdate>(),
        ("POST", "/messages/{id}") => fields::<Publish>(),
        ("POST", "/message/{id}") => fields::<PublishOne>(),
        ("POST", "/message/{id}/key") => fields::<WithKey>(),
        ("DELETE", "/messages/{id}") => fields::<Cleanup>(),
        ("POST", "/offsets") => fields::<OffsetCreate>(),
        ("PATCH", "/offset/{id}") => fields::<OffsetUpdate>(),
        ("POST", "/egress_webhooks") => fields::<EgressCreate>(),
        ("PATCH", "/egress_webhook/{id}") => fields::<EgressUpdate>(),
        ("PATCH", "/egress_webhook/{id}/secret") => fields::<Rotate>(),
        _ => Vec::new(),
    }
}

/// Every call, for the reference.
pub(crate) fn described() -> impl Iterator<Item = Value> {
    ROUTES.iter().map(|route| {
        let (method, path, summary) = (route.method, route.path, route.summary);
        json!({ "method": method, "path": path, "summary": summary, "fields": fields_of(route) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn ask(peer: Option<Peer>, headers: &[(&'static str, &'static str)]) -> Result<(), (u16, &'static str)> {
        let mut request = http::Request::get("/logs");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        if let Some(peer) = peer {
            head.extensions.insert(Connection { peer, via: "x".into() });
        }
        let want =
            Want { subject: waybill_streams::Subject::Logs, action: waybill_streams::Action::List, object: None };
        ThisMachine.check(&head, &want).map_err(|denied| (denied.status.as_u16(), denied.error.code.text()))
    }

    #[test]
    fn only_this_machine_and_the_admin_socket_may_ask_without_a_token() {
        let ip = |text: &str| Some(Peer::Ip(text.parse::<IpAddr>().unwrap()));
        let host = ("host", "localhost:8000");
        assert_eq!(ask(Some(Peer::Admin), &[]), Ok(()));
        assert_eq!(ask(ip("127.0.0.1"), &[host]), Ok(()));
        let missing = Err((401, "authorization-header-missing"));
        assert_eq!(ask(ip("192.0.2.1"), &[host]), missing);
        assert_eq!(ask(None, &[host]), missing);
        assert_eq!(ask(ip("127.0.0.1"), &[("host", "rebound.example")]), missing);
        assert_eq!(ask(ip("127.0.0.1"), &[host, ("origin", "http://evil.example")]), missing);
        assert_eq!(ask(ip("127.0.0.1"), &[host, ("x-forwarded-for", "192.0.2.1")]), missing);
        assert_eq!(ask(ip("127.0.0.1"), &[host, ("authorization", "Bearer x")]), Err((401, "authentication-failed")));
    }

    #[test]
    fn every_call_that_takes_something_tells_its_fields() {
        for route in ROUTES {
            let takes = !matches!(route.takes, waybill_streams::Takes::Nothing);
            assert_eq!(!fields_of(route).is_empty(), takes, "{} {}", route.method, route.path);
        }
    }
}
