use super::Strict;
use super::orders::Empty;
use crate::api::Services;
use crate::reply::Refusal;
use crate::routes::Routes;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa::OpenApi;
use waybill_admin::{XferCancelRequest, XferRequest};

/// What the endpoints of transfers take and answer.
#[derive(OpenApi)]
#[openapi(paths(xfer, cancel))]
pub(crate) struct XferDoc;

/// The routes of transfers.
pub(super) fn routes() -> Routes<Services> {
    Routes::new().post("/api/admin/xfer/v1", xfer).post("/api/admin/xfer/cancel/v1", cancel)
}

#[utoipa::path(
    post,
    path = "/api/admin/xfer/v1",
    tag = "administration",
    summary = "Move messages to another node",
    request_body = XferRequest,
    responses(
        (status = 200, description = "begun", body = Empty),
        (status = 400, description = "the target is no URL of a node"),
        (status = 422, description = "a key is unknown, missing or wrong"),
    )
)]
async fn xfer(State(services): State<Services>, Strict(request): Strict<XferRequest>) -> Result<Json<Empty>, Refusal> {
    let begun = services.admin.xfer(request).await;
    begun.map_err(|error| Refusal::error(StatusCode::BAD_REQUEST, format_args!("target: {error}")))?;
    Ok(Json(Empty {}))
}

#[utoipa::path(
    post,
    path = "/api/admin/xfer/cancel/v1",
    tag = "administration",
    summary = "Bring messages back that wait to move to another node",
    request_body = XferCancelRequest,
    responses(
        (status = 200, description = "begun", body = Empty),
        (status = 400, description = "the queue is none of a transfer"),
        (status = 422, description = "a key is unknown, missing or wrong"),
    )
)]
async fn cancel(
    State(services): State<Services>,
    Strict(request): Strict<XferCancelRequest>,
) -> Result<Json<Empty>, Refusal> {
    let begun = services.admin.cancel_xfer(request).await;
    begun.map_err(|error| Refusal::error(StatusCode::BAD_REQUEST, error))?;
    Ok(Json(Empty {}))
}
