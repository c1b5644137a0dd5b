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
use crate::routes::Routes;
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
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
pub(crate) fn routes(services: Services) -> Routes {
    Routes::new()
        .get("/api/admin/bounce/v1", orders::bounces)
        .post("/api/admin/bounce/v1", orders::bounce)
        .delete("/api/admin/bounce/v1", orders::cancel_bounce)
        .get("/api/admin/suspend/v1", orders::suspensions)
        .post("/api/admin/suspend/v1", orders::suspend)
        .delete("/api/admin/suspend/v1", orders::cancel_suspension)
        .get("/api/admin/suspend-ready-q/v1", orders::ready_suspensions)
        .post("/api/admin/suspend-ready-q/v1", orders::suspend_ready)
        .delete("/api/admin/suspend-ready-q/v1", orders::cancel_ready_suspension)
        .post("/api/admin/rebind/v1", orders::rebind)
        .get("/api/admin/inspect-message/v1", inspect::message)
        .get("/api/admin/inspect-sched-q/v1", inspect::scheduled)
        .get("/api/admin/inspect-ready-q/v1", inspect::ready)
        .get("/api/admin/ready-q-states/v1", inspect::ready_states)
        .post("/api/admin/abort-ready-q-conn/v1", inspect::abort)
        .get("/api/admin/resolve-egress-path/v1", inspect::resolve)
        .post("/api/admin/set_diagnostic_log_filter/v1", control::set_log_filter)
        .post("/api/admin/bump-config-epoch", control::bump_epoch)
        .post("/api/admin/spool-compact/v1", control::compact_spool)
        .get("/api/admin/task-dump", control::task_dump)
        .get("/api/admin/memory/stats", control::memory_stats)
        .merge(xfer::routes())
        .with_state(services.clone())
        .merge(traces::routes(services))
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
        body::object(&bytes).map(Strict).map_err(IntoResponse::into_response)
    }
}

/// No body, or an object with nothing in it: all that there is to say to some endpoints.
pub(crate) struct NoBody;

impl<S: Send + Sync> FromRequest<S> for NoBody {
    type Rejection = Response;

    async fn from_request(request: Request<Body>, _: &S) -> Result<Self, Response> {
        let (head, body) = request.into_parts();
        let bytes = body::read(&head.headers, body, BODY_LIMIT).await.map_err(IntoResponse::into_response)?;
        nothing(&bytes).map_err(|why| Refusal::error(StatusCode::BAD_REQUEST, why).into_response())?;
        Ok(NoBody)
    }
}

/// Whether a body says nothing; else what is wrong with it. A client may send the empty object or null instead of none.
fn nothing(body: &[u8]) -> Result<(), String> {
    const EXPECTED: &str = "expected no body, or {}";
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    match serde_json::from_slice::<Option<Map<String, Value>>>(body) {
        Ok(None) => Ok(()),
        Ok(Some(fields)) => match fields.keys().next() {
            None => Ok(()),
            Some(name) => Err(format!("the body: unknown field {name:?}, {EXPECTED}")),
        },
        Err(error) => Err(format!("the body: {EXPECTED} ({error})")),
    }
}

/// 404 for a queue.
fn no_such_queue(name: &str) -> Refusal {
    Refusal::error(StatusCode::NOT_FOUND, format_args!("no such queue {name}"))
}

#[cfg(test)]
mod tests {
    use super::nothing;

    #[test]
    fn a_body_that_says_nothing_is_none_and_any_other_is_refused_by_name() {
        for body in ["", " \r\n", "{}", "{ }\n", "null"] {
            assert_eq!(nothing(body.as_bytes()), Ok(()), "{body:?}");
        }
        let said = nothing(br#"{"force": true}"#).unwrap_err();
        assert_eq!(said, "the body: unknown field \"force\", expected no body, or {}");
        for body in ["[]", "1", "{", "force=true", "{}{}"] {
            let said = nothing(body.as_bytes()).unwrap_err();
            assert!(said.starts_with("the body: expected no body, or {} ("), "{body:?}: {said}");
        }
    }
}
