//! The administration of queues: contract/kumomta.md section 7.2 over HTTP. What is done is [`waybill_admin`]'s business.

mod control;
mod inspect;
mod orders;
mod traces;
mod xfer;

pub use control::{CompactError, Control};
pub(crate) use xfer::XferDoc;

use crate::api::Services;
use crate::body;
use crate::inject::expect_json;
use crate::reply::Refusal;
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use utoipa::OpenApi;

/// An order is a few names and a reason.
const BODY_LIMIT: usize = 2 * 1024 * 1024;

/// What the endpoints below `/api/admin` take and answer.
#[derive(OpenApi)]
#[openapi(paths(
    orders::bounce,
    orders::bounces,
    orders::cancel_bounce,
    orders::suspend,
    orders::suspensions,
    orders::cancel_suspension,
    orders::suspend_ready,
    orders::ready_suspensions,
    orders::cancel_ready_suspension,
    orders::rebind,
    inspect::message,
    inspect::scheduled,
    inspect::ready,
    inspect::ready_states,
    inspect::abort,
    inspect::resolve,
    control::set_log_filter,
    control::bump_epoch,
    control::compact_spool,
    control::task_dump,
    control::memory_stats,
    traces::server,
    traces::client,
))]
pub(crate) struct AdminDoc;

/// The routes below `/api/admin`.
pub(crate) fn router(services: Services) -> Router {
    let bounce = get(orders::bounces).post(orders::bounce).delete(orders::cancel_bounce);
    let suspend = get(orders::suspensions).post(orders::suspend).delete(orders::cancel_suspension);
    let suspend_ready =
        get(orders::ready_suspensions).post(orders::suspend_ready).delete(orders::cancel_ready_suspension);
    Router::new()
        .route("/api/admin/bounce/v1", bounce)
        .route("/api/admin/suspend/v1", suspend)
        .route("/api/admin/suspend-ready-q/v1", suspend_ready)
        .route("/api/admin/rebind/v1", post(orders::rebind))
        .route("/api/admin/inspect-message/v1", get(inspect::message))
        .route("/api/admin/inspect-sched-q/v1", get(inspect::scheduled))
        .route("/api/admin/inspect-ready-q/v1", get(inspect::ready))
        .route("/api/admin/ready-q-states/v1", get(inspect::ready_states))
        .route("/api/admin/abort-ready-q-conn/v1", post(inspect::abort))
        .route("/api/admin/resolve-egress-path/v1", get(inspect::resolve))
        .route("/api/admin/set_diagnostic_log_filter/v1", post(control::set_log_filter))
        .route("/api/admin/bump-config-epoch", post(control::bump_epoch))
        .route("/api/admin/spool-compact/v1", post(control::compact_spool))
        .route("/api/admin/task-dump", get(control::task_dump))
        .route("/api/admin/memory/stats", get(control::memory_stats))
        .merge(xfer::router())
        .with_state(services.clone())
        .merge(traces::router(services))
}

/// A JSON body that must be all that the endpoint knows, refused in the words of the live daemon.
pub(crate) struct Strict<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Strict<T> {
    type Rejection = Response;

    async fn from_request(request: Request<Body>, _: &S) -> Result<Self, Response> {
        let (head, body) = request.into_parts();
        if let Err(refusal) = expect_json(&head.headers) {
            body::discard(&head.headers, body).await;
            return Err(refusal.into_response());
        }
        let bytes = body::read(&head.headers, body, BODY_LIMIT).await.map_err(IntoResponse::into_response)?;
        let Json(value) = Json::<T>::from_bytes(&bytes).map_err(IntoResponse::into_response)?;
        Ok(Strict(value))
    }
}

/// 404 for a queue.
fn no_such_queue(name: &str) -> Refusal {
    Refusal::error(StatusCode::NOT_FOUND, format_args!("no such queue {name}"))
}
