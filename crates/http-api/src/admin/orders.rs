use super::Strict;
use crate::api::Services;
use crate::reply::Refusal;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;
use waybill_admin::{
    BounceRequest, BounceView, RebindRequest, SuspendReadyRequest, SuspendReadyView, SuspendRequest, SuspendView,
};

/// What a DELETE says about which.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    #[schema(value_type = String)]
    id: Uuid,
}

/// What a bounce answers.
#[derive(Serialize, ToSchema)]
pub(super) struct Bounced {
    #[schema(value_type = String)]
    id: Uuid,
    bounced: BTreeMap<String, u64>,
    total_bounced: u64,
}

/// What a suspension answers.
#[derive(Serialize, ToSchema)]
pub(super) struct Ordered {
    #[schema(value_type = String)]
    id: Uuid,
}

/// What a rebind answers: nothing.
#[derive(Serialize, ToSchema)]
pub(super) struct Empty {}

#[utoipa::path(
    post,
    path = "/api/admin/bounce/v1",
    tag = "administration",
    summary = "Fail everything in some queues for good",
    request_body = BounceRequest,
    responses((status = 200, description = "done", body = Bounced), (status = 422, description = "a key is unknown, missing or wrong"))
)]
pub(super) async fn bounce(State(services): State<Services>, Strict(request): Strict<BounceRequest>) -> Json<Bounced> {
    // The sweep has only begun: what it takes is told by GET.
    Json(Bounced { id: services.admin.bounce(request).await, bounced: BTreeMap::new(), total_bounced: 0 })
}

#[utoipa::path(
    get,
    path = "/api/admin/bounce/v1",
    tag = "administration",
    summary = "List the bounces in force",
    responses((status = 200, description = "done", body = Vec<BounceView>))
)]
pub(super) async fn bounces(State(services): State<Services>) -> Json<Vec<BounceView>> {
    Json(services.admin.bounces())
}

#[utoipa::path(
    delete,
    path = "/api/admin/bounce/v1",
    tag = "administration",
    summary = "End a bounce before its time",
    request_body = Which,
    responses((status = 200, description = "done", body = String), (status = 404, description = "there is none"))
)]
pub(super) async fn cancel_bounce(
    State(services): State<Services>,
    Strict(Which { id }): Strict<Which>,
) -> Result<String, Refusal> {
    removed(services.admin.cancel_bounce(id).await, "bounce", id)
}

#[utoipa::path(
    post,
    path = "/api/admin/suspend/v1",
    tag = "administration",
    summary = "Let nothing leave some scheduled queues",
    request_body = SuspendRequest,
    responses((status = 200, description = "done", body = Ordered), (status = 422, description = "a key is unknown, missing or wrong"))
)]
pub(super) async fn suspend(
    State(services): State<Services>,
    Strict(request): Strict<SuspendRequest>,
) -> Json<Ordered> {
    Json(Ordered { id: services.admin.suspend(request).await })
}

#[utoipa::path(
    get,
    path = "/api/admin/suspend/v1",
    tag = "administration",
    summary = "List the suspensions of scheduled queues in force",
    responses((status = 200, description = "done", body = Vec<SuspendView>))
)]
pub(super) async fn suspensions(State(services): State<Services>) -> Json<Vec<SuspendView>> {
    Json(services.admin.suspensions())
}

#[utoipa::path(
    delete,
    path = "/api/admin/suspend/v1",
    tag = "administration",
    summary = "End a suspension of scheduled queues before its time",
    request_body = Which,
    responses((status = 200, description = "done", body = String), (status = 404, description = "there is none"))
)]
pub(super) async fn cancel_suspension(
    State(services): State<Services>,
    Strict(Which { id }): Strict<Which>,
) -> Result<String, Refusal> {
    removed(services.admin.cancel_suspension(id).await, "suspend", id)
}

#[utoipa::path(
    post,
    path = "/api/admin/suspend-ready-q/v1",
    tag = "administration",
    summary = "Let nothing leave a ready queue",
    request_body = SuspendReadyRequest,
    responses((status = 200, description = "done", body = Ordered), (status = 422, description = "a key is unknown, missing or wrong"))
)]
pub(super) async fn suspend_ready(
    State(services): State<Services>,
    Strict(request): Strict<SuspendReadyRequest>,
) -> Json<Ordered> {
    Json(Ordered { id: services.admin.suspend_ready(request).await })
}

#[utoipa::path(
    get,
    path = "/api/admin/suspend-ready-q/v1",
    tag = "administration",
    summary = "List the suspensions of ready queues in force",
    responses((status = 200, description = "done", body = Vec<SuspendReadyView>))
)]
pub(super) async fn ready_suspensions(State(services): State<Services>) -> Json<Vec<SuspendReadyView>> {
    Json(services.admin.ready_suspensions())
}

#[utoipa::path(
    delete,
    path = "/api/admin/suspend-ready-q/v1",
    tag = "administration",
    summary = "End a suspension of a ready queue before its time",
    request_body = Which,
    responses((status = 200, description = "done", body = String), (status = 404, description = "there is none"))
)]
pub(super) async fn cancel_ready_suspension(
    State(services): State<Services>,
    Strict(Which { id }): Strict<Which>,
) -> Result<String, Refusal> {
    removed(services.admin.cancel_ready_suspension(id).await, "suspend-ready-q", id)
}

#[utoipa::path(
    post,
    path = "/api/admin/rebind/v1",
    tag = "administration",
    summary = "Move messages, or change their meta",
    request_body = RebindRequest,
    responses((status = 200, description = "done", body = Empty), (status = 422, description = "a key is unknown, missing or wrong"))
)]
pub(super) async fn rebind(State(services): State<Services>, Strict(request): Strict<RebindRequest>) -> Json<Empty> {
    services.admin.rebind(request).await;
    Json(Empty {})
}

fn removed(done: bool, what: &str, id: Uuid) -> Result<String, Refusal> {
    if done {
        Ok(format!("removed {id}"))
    } else {
        Err(Refusal::new(StatusCode::NOT_FOUND, format!("{what} entry {id} not found")))
    }
}
