//! Hooks over HTTP: how they stand, and what operators do with them. Open to the admin socket, to this machine, and to tokens
//! with the subject `admin`.

mod gives;
mod letters;
mod replays;

use super::hooks::Starter;
use super::status::{HookHandle, HookStatus, Hooks};
use crate::reference::{Field, Key, Operation, fields};
use arc_swap::ArcSwapOption;
use axum::body::{Bytes, HttpBody, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post};
use axum::{Json, Router};
use gives::gives;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use waybill_consumers::{Gone, Registry};
use waybill_runtime::Observed;
use waybill_spool::StoreError;

/// So much of a body that is not wanted is read.
const UNWANTED: usize = 64 * 1024;

/// A route, for whoever serves it and for whoever describes it.
struct HookRoute {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    /// What its query or body may hold.
    fields: fn() -> Vec<Key>,
    handler: fn() -> MethodRouter<HookApi>,
}

const fn at(
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    fields: fn() -> Vec<Key>,
    handler: fn() -> MethodRouter<HookApi>,
) -> HookRoute {
    HookRoute { method, path, summary, fields, handler }
}

/// Every route below `/api/hooks`.
const HOOK_ROUTES: &[HookRoute] = &[
    at("GET", "/api/hooks/v1", "List hooks and replays", Vec::new, || get(list)),
    at("GET", "/api/hooks/v1/{name}", "Show one of them, lane by lane", Vec::new, || get(show)),
    at("DELETE", "/api/hooks/v1/{name}", "End a replay, or forget a detached hook", Vec::new, || delete(forget)),
    at("POST", "/api/hooks/v1/{name}/pause", "Have a hook rest", Vec::new, || post(pause)),
    at("POST", "/api/hooks/v1/{name}/resume", "Have a paused hook go on", Vec::new, || post(resume)),
    at("POST", "/api/hooks/v1/{name}/replay", "Send events again", fields::<replays::Wanted>, || post(replays::start)),
    at("GET", "/api/hooks/v1/{name}/dead-letters", "List what was given up", fields::<letters::Page>, || {
        get(letters::list)
    }),
    at("POST", "/api/hooks/v1/{name}/redrive", "Try dead letters again", fields::<letters::Wanted>, || {
        post(letters::redrive)
    }),
];

/// Every route, for the description.
pub(crate) fn described() -> impl Iterator<Item = Operation> {
    HOOK_ROUTES.iter().map(|route| {
        let mut operation = Operation::new(route.method, route.path, route.summary, "hooks");
        let fields = (route.fields)().into_iter().map(Field::from);
        match route.method {
            "GET" => operation.query(fields),
            _ => operation.body(fields),
        };
        operation.answer(200, "done", gives(route));
        operation.refusal(400, "what was asked for makes no sense", &[]);
        operation.refusal(401, "who asks shows no token that allows this", &[]);
        if route.path.contains('{') {
            operation.refusal(404, "there is no such hook; the text names those that there are", &[]);
            operation.refusal(409, "not with this hook", &[]);
        }
        operation.refusal(503, "the spool is not open yet", &[]);
        operation
    })
}

/// What the handlers need. The routes are there before the spool is open.
#[derive(Clone)]
pub(crate) struct HookApi {
    hooks: Arc<Hooks>,
    starter: Arc<ArcSwapOption<Starter>>,
}

/// An answer that is no success, with why.
#[derive(Debug)]
struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, format!("Error: {}", self.1)).into_response()
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Refusal(StatusCode::INTERNAL_SERVER_ERROR, format!("the spool: {error}"))
    }
}

impl From<Gone> for Refusal {
    fn from(gone: Gone) -> Self {
        Refusal(StatusCode::CONFLICT, gone.to_string())
    }
}

fn wrong(why: impl Into<String>) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, why.into())
}

type Answer<T> = Result<Json<T>, Refusal>;

impl HookApi {
    pub(crate) fn new(hooks: Arc<Hooks>) -> Self {
        HookApi { hooks, starter: Arc::default() }
    }

    /// The spool is open: replays can be started.
    pub(crate) fn open(&self, starter: Arc<Starter>) {
        self.starter.store(Some(starter));
    }

    /// The routes.
    pub(crate) fn router(&self) -> Router {
        let routes = HOOK_ROUTES.iter();
        routes
            .fold(Router::new(), |router, route| router.route(route.path, (route.handler)()))
            .route_layer(from_fn(json_only))
            .with_state(self.clone())
    }

    fn starter(&self) -> Result<Arc<Starter>, Refusal> {
        let waiting = || Refusal(StatusCode::SERVICE_UNAVAILABLE, "waiting for spool startup".to_owned());
        self.starter.load_full().ok_or_else(waiting)
    }

    fn registry(&self) -> Result<Registry, Refusal> {
        Ok(Registry::new(self.starter()?.store.clone()))
    }

    /// A hook that runs.
    fn find(&self, name: &str) -> Result<HookHandle, Refusal> {
        self.hooks.find(name).ok_or_else(|| self.unknown(name))
    }

    fn unknown(&self, name: &str) -> Refusal {
        if self.hooks.is_detached(name) {
            let why = "it is detached: the policy has no such hook now; put it back, or forget it";
            return Refusal(StatusCode::CONFLICT, format!("hook {name}: {why}"));
        }
        let mut names: Vec<String> = self.hooks.running().into_iter().map(|handle| handle.name).collect();
        names.sort();
        let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        Refusal(StatusCode::NOT_FOUND, format!("no hook {name}; there are: {known}"))
    }
}

async fn list(State(api): State<HookApi>) -> Json<Vec<HookStatus>> {
    Json(api.hooks.list())
}

/// A hook with its lanes.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    status: HookStatus,
    cursor: u64,
    read: u64,
    lanes: Vec<Lane>,
    /// Attempts since the start, by what the endpoints answered.
    responses: serde_json::Map<String, Value>,
    /// Null before the first event was delivered, and of a replay.
    latency: Option<Latency>,
}

/// How long delivered events took from their append on, since the start: bounds of the buckets of
/// `waybill_hook_latency_seconds`.
#[derive(Serialize)]
struct Latency {
    events: u64,
    /// Half of them no longer than this.
    p50_seconds: f64,
    /// All but one in a hundred.
    p99_seconds: f64,
}

impl Latency {
    fn of(latencies: &Observed) -> Option<Self> {
        let (p50_seconds, p99_seconds) = (latencies.within(0.5)?, latencies.within(0.99)?);
        Some(Latency { events: latencies.count(), p50_seconds, p99_seconds })
    }
}

#[derive(Serialize)]
struct Lane {
    lane: String,
    waiting: usize,
    in_flight: usize,
    parked: u64,
    failing: bool,
    suspended: bool,
}

async fn show(State(api): State<HookApi>, Path(name): Path<String>) -> Answer<Shown> {
    let handle = api.find(&name)?;
    let consumer = handle.control.status().await?;
    let lanes = consumer.lanes.into_iter().map(|(name, lane)| Lane {
        lane: name.to_string(),
        waiting: lane.waiting,
        in_flight: lane.offered,
        parked: lane.rows,
        failing: lane.failing,
        suspended: lane.suspended,
    });
    let classes = waybill_hooks::RESPONSE_CLASSES.iter().zip(handle.hook.counts().by_class());
    Ok(Json(Shown {
        status: api.hooks.status(&handle),
        cursor: consumer.cursor.0,
        read: consumer.read.0,
        lanes: lanes.collect(),
        latency: Latency::of(&handle.hook.latencies()),
        responses: classes.map(|(class, count)| ((*class).to_owned(), count.into())).collect(),
    }))
}

/// Refuses a body that is not said to be JSON.
async fn json_only(request: Request, next: Next) -> Response {
    let is_json = |kind: &HeaderValue| {
        let essence = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("application/json")
    };
    if request.body().is_end_stream() || request.headers().get(CONTENT_TYPE).is_none_or(is_json) {
        return next.run(request).await;
    }
    // Read to its end, or the client that still sends it never sees why.
    let _ = to_bytes(request.into_body(), UNWANTED).await;
    Refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Content-Type: expected application/json".to_owned()).into_response()
}

/// Refuses a body that says anything.
fn nothing(body: &[u8]) -> Result<(), Refusal> {
    let said: Option<Map<String, Value>> = replays::parse(body)?;
    match said.unwrap_or_default().keys().next() {
        Some(name) => Err(wrong(format!("unknown field {name:?}, expected no body, or {{}}"))),
        None => Ok(()),
    }
}

async fn pause(State(api): State<HookApi>, Path(name): Path<String>, body: Bytes) -> Answer<Value> {
    nothing(&body)?;
    api.find(&name)?.control.pause().await?;
    Ok(Json(json!({})))
}

async fn resume(State(api): State<HookApi>, Path(name): Path<String>, body: Bytes) -> Answer<Value> {
    nothing(&body)?;
    api.find(&name)?.control.resume().await?;
    Ok(Json(json!({})))
}

/// Ends a replay, or drops what is kept of a detached hook.
async fn forget(State(api): State<HookApi>, Path(name): Path<String>, body: Bytes) -> Answer<Value> {
    nothing(&body)?;
    if let Some(handle) = api.hooks.find(&name) {
        if handle.name == handle.hook.name() {
            let why = "the policy has this hook; take it out of the policy and restart, then forget it";
            return Err(Refusal(StatusCode::CONFLICT, format!("hook {name}: {why}")));
        }
        handle.control.cancel().await?;
        return Ok(Json(json!({ "cancelled": name })));
    }
    if !api.hooks.is_detached(&name) {
        return Err(api.unknown(&name));
    }
    api.registry()?.forget(&name).await?;
    api.hooks.forget_detached(&name);
    Ok(Json(json!({ "forgotten": name })))
}
