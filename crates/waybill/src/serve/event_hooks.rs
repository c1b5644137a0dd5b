//! Event hooks: what they stand on, and how their calls are described.

use super::daemon::{Common, seed};
use crate::reference::{Field, Operation};
use anyhow::{Context, Result};
use axum::Router;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::RwLock;
use std::sync::{Arc, OnceLock};
use waybill_authorizer::{Authorizer, Change, TokenStore};
use waybill_event_hooks::{
    Answer, Changed, Courier, Endpoint, EventHooks, Functions, Late, Parts, ROUTES, Receipt, RecordsWanted, Signals,
};
use waybill_event_hooks_core::{Catalogue, Request};
use waybill_log_record::Capture;
use waybill_runtime::{Clock, Stop, Supervisor};
use waybill_sealing::Keyring;
use waybill_spool::Store;
use waybill_types::IdMint;
use waybill_webhook::Sender;
use waybill_webhook_core::{ConfigError, EndpointConfig, Outcome};
use waybill_webhook_sign::EventId;

/// What is there before the spool is open: which events there are, and where they are written down.
#[derive(Clone)]
pub(crate) struct Happenings {
    pub(crate) catalogue: Arc<RwLock<Catalogue>>,
    pub(crate) signals: Signals,
    /// Once it is open.
    pub(crate) store: Arc<OnceLock<Arc<dyn Store>>>,
}

impl Happenings {
    pub(crate) fn new(mint: Arc<IdMint>, clock: Arc<dyn Clock>) -> Self {
        Happenings { catalogue: Arc::default(), signals: Signals::new(mint, clock), store: Arc::default() }
    }

    /// Has changes of tokens told to hooks on the source `crud`.
    pub(crate) fn tell_of(&self, tokens: &TokenStore) {
        let signals = self.signals.clone();
        tokens.record_with(move |change: &Change, batch| {
            let shown = |token: &waybill_authorizer::Token| serde_json::to_value(token.shown()).unwrap_or_default();
            let Some(token) = change.new.as_ref().or(change.old.as_ref()) else { return };
            let old = change.old.as_ref().filter(|_| change.new.is_some()).map(shown);
            let (tenant, id) = (token.grant.tenant().map(str::to_owned), token.id.to_string());
            let (operation, entity) = (change.operation(), shown(token));
            signals.changed(batch, Changed { schema: "tokens", operation, entity, old, tenant, id });
        });
    }
}

/// What of the plan and the daemon they need.
pub(crate) struct Wanted {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) capture: Arc<Capture>,
    pub(crate) records: Arc<RecordsWanted>,
    /// None where functions of strangers are not to run.
    pub(crate) functions: Option<Arc<dyn Functions>>,
    pub(crate) keys: Arc<Keyring>,
}

/// Their routes, at the root of a listener. Nothing is there before `late` is set.
pub(crate) fn router(late: Late, authorizer: Authorizer) -> Router {
    waybill_event_hooks::router(late, authorizer)
}

/// Takes up what the store holds.
pub(crate) async fn open(
    common: &Common,
    wanted: Wanted,
    sender: Sender,
    supervisor: &Supervisor,
    stop: &Stop,
) -> Result<EventHooks> {
    let Wanted { store, capture, records, functions, keys } = wanted;
    let parts = Parts {
        store,
        clock: common.clock.clone(),
        supervisor: supervisor.clone(),
        stop: stop.clone(),
        mint: common.mint.clone(),
        node: common.nodeid.clone(),
        catalogue: common.happenings.catalogue.clone(),
        capture,
        records,
        signals: common.happenings.signals.clone(),
        courier: Arc::new(Post(sender)),
        functions,
        keys,
        seed: seed(),
    };
    EventHooks::open(parts).await.context("take up event hooks")
}

/// The HTTP sender, for event hooks.
struct Post(Sender);

struct Door {
    sender: Sender,
    endpoint: waybill_webhook::Endpoint,
}

impl Courier for Post {
    fn check(&self, endpoint: &EndpointConfig) -> Result<(), ConfigError> {
        self.0.permits(endpoint)
    }

    fn endpoint(&self, endpoint: EndpointConfig) -> Result<Arc<dyn Endpoint>, ConfigError> {
        let endpoint = self.0.endpoint(endpoint)?;
        Ok(Arc::new(Door { sender: self.0.clone(), endpoint }))
    }
}

impl Endpoint for Door {
    fn send(&self, id: EventId, request: Request, hops: u8) -> BoxFuture<'_, Receipt> {
        async move {
            let Request { headers, query, body } = request;
            let request = waybill_webhook::Request { headers, query, hops, ..waybill_webhook::Request::new(id, body) };
            let attempt = self.sender.send(&self.endpoint, request).await;
            let (error, signal) =
                ((attempt.outcome != Outcome::Delivered).then(|| attempt.to_string()), attempt.signal());
            let answer = attempt.response.map(|response| Answer {
                status: response.status,
                headers: response
                    .headers
                    .iter()
                    .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
                    .collect(),
                body: response.body,
            });
            let address = attempt.address.map(|address| address.to_string());
            let (at, duration, outcome) = (attempt.at, attempt.duration, attempt.outcome);
            Receipt { at, duration, address, answer, error, outcome, signal }
        }
        .boxed()
    }
}

/// Every call, for the description.
pub(crate) fn described() -> impl Iterator<Item = Operation> {
    ROUTES.iter().map(|route| {
        let mut operation = Operation::new(route.method, route.path, route.summary, "event hooks");
        let fields = route.takes.iter().map(|(name, kind)| Field {
            name: (*name).to_owned(),
            kind: (*kind).to_owned(),
            meaning: String::new(),
            needed: matches!(*name, "source" | "handler" | "since") && matches!(route.method, "POST" | "PUT"),
        });
        match route.method {
            "GET" => operation.query(fields),
            _ => operation.body(fields),
        };
        let (status, when) = route.success();
        operation.answer(status, when, route.gives().iter().map(|given| Field::given("", *given)));
        let mut refusals = vec![
            (400, "the request makes no sense; where it is a description of a hook, `fields` says in which way"),
            (401, "who asks shows no token that allows this"),
        ];
        if route.path.contains('{') {
            refusals.push((404, "there is none, or not of the caller's tenant"));
        }
        refusals.push((503, "the spool is not open yet"));
        for (status, when) in refusals {
            operation.refusal(status, when, &["message"]);
        }
        operation
    })
}
