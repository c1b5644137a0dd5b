use super::{Strict, no_such_queue};
use crate::api::Services;
use crate::reply::Refusal;
use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use waybill_admin::{InspectedMessage, NoPath, PathView, ReadyStates, ReadyView, ScheduledQuery, ScheduledView};
use waybill_types::{MessageId, QueueName, ReadyQueueName};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct MessageQuery {
    id: String,
    #[serde(default)]
    want_body: bool,
}

#[utoipa::path(
    get,
    path = "/api/admin/inspect-message/v1",
    tag = "administration",
    summary = "Show a message",
    params(MessageQuery),
    responses((status = 200, description = "done", body = InspectedMessage), (status = 500, description = "there is none"))
)]
pub(super) async fn message(
    State(services): State<Services>,
    Query(MessageQuery { id, want_body }): Query<MessageQuery>,
) -> Result<Json<InspectedMessage>, Refusal> {
    let parsed: MessageId =
        id.parse().map_err(|error| Refusal::error(StatusCode::BAD_REQUEST, format_args!("id: {error}")))?;
    let found = services.admin.inspect_message(parsed, want_body).await;
    // As the live daemon: an id that is not there is a failure to load it.
    found.map(Json).ok_or_else(|| {
        Refusal::error(StatusCode::INTERNAL_SERVER_ERROR, format_args!("message {parsed} is not in the spool"))
    })
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct QueueQuery {
    queue_name: String,
    #[serde(default)]
    want_body: bool,
    #[serde(default)]
    limit: Option<usize>,
}

#[utoipa::path(
    get,
    path = "/api/admin/inspect-sched-q/v1",
    tag = "administration",
    summary = "Show a scheduled queue and its messages",
    params(QueueQuery),
    responses((status = 200, description = "done", body = ScheduledView), (status = 404, description = "there is none"))
)]
pub(super) async fn scheduled(
    State(services): State<Services>,
    Query(QueueQuery { queue_name, want_body, limit }): Query<QueueQuery>,
) -> Result<Json<ScheduledView>, Refusal> {
    let query = ScheduledQuery { queue: QueueName::new(queue_name.as_str()), want_body, limit };
    services.admin.inspect_scheduled(query).await.map(Json).ok_or_else(|| no_such_queue(&queue_name))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ReadyQuery {
    queue_name: String,
    #[serde(default)]
    include_scheduled_queues: bool,
}

#[utoipa::path(
    get,
    path = "/api/admin/inspect-ready-q/v1",
    tag = "administration",
    summary = "Show a ready queue and its sessions",
    params(ReadyQuery),
    responses((status = 200, description = "done", body = ReadyView), (status = 404, description = "there is none"))
)]
pub(super) async fn ready(
    State(services): State<Services>,
    Query(ReadyQuery { queue_name, include_scheduled_queues }): Query<ReadyQuery>,
) -> Result<Json<ReadyView>, Refusal> {
    let queue = ReadyQueueName::new(queue_name.as_str());
    let found = services.admin.inspect_ready(queue, include_scheduled_queues).await;
    found.map(Json).ok_or_else(|| no_such_queue(&queue_name))
}

#[derive(Serialize, ToSchema)]
pub(super) struct States {
    #[schema(value_type = BTreeMap<String, ReadyStates>)]
    states_by_ready_queue: BTreeMap<ReadyQueueName, ReadyStates>,
}

/// `queues` may be there several times, and hold several names between commas. (KumoMTA shows those that are *not*
/// named; nobody can have meant that.)
#[utoipa::path(
    get,
    path = "/api/admin/ready-q-states/v1",
    tag = "administration",
    summary = "Show what keeps ready queues back",
    params(("queues" = Option<String>, Query, description = "names between commas")),
    responses((status = 200, description = "done", body = States))
)]
pub(super) async fn ready_states(
    State(services): State<Services>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Json<States> {
    let named = pairs.iter().filter(|(key, _)| key == "queues");
    let names: Vec<String> =
        named.flat_map(|(_, value)| value.split(',')).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let names = (!names.is_empty()).then_some(&names[..]);
    Json(States { states_by_ready_queue: services.admin.ready_states(names).await })
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Session {
    queue_name: String,
    session_id: String,
}

#[utoipa::path(
    post,
    path = "/api/admin/abort-ready-q-conn/v1",
    tag = "administration",
    summary = "Cut a session off",
    request_body = Session,
    responses((status = 200, description = "done", body = String), (status = 404, description = "there is none"))
)]
pub(super) async fn abort(
    State(services): State<Services>,
    Strict(Session { queue_name, session_id }): Strict<Session>,
) -> Result<String, Refusal> {
    if services.admin.abort(ReadyQueueName::new(queue_name.as_str()), session_id.clone()).await {
        return Ok(format!("aborted {session_id}"));
    }
    let text = format_args!("ready queue {queue_name} has no session {session_id}");
    Err(Refusal::error(StatusCode::NOT_FOUND, text))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PathQuery {
    domain: String,
    #[serde(default)]
    source: Option<String>,
}

#[utoipa::path(
    get,
    path = "/api/admin/resolve-egress-path/v1",
    tag = "administration",
    summary = "Show how mail for a domain would leave",
    params(PathQuery),
    responses(
        (status = 200, description = "done", body = PathView),
        (status = 404, description = "the mail would have nowhere to go, and why"),
        (status = 500, description = "the policy fails, or what it says makes no sense: what and where"),
        (status = 503, description = "the name servers do not answer, or the spool is not open yet"),
    )
)]
pub(super) async fn resolve(
    State(services): State<Services>,
    Query(PathQuery { domain, source }): Query<PathQuery>,
) -> Result<Json<PathView>, Refusal> {
    let found = services.admin.resolve(domain, source).await;
    found.map(Json).map_err(|why| Refusal::error(status_of(&why), why))
}

fn status_of(why: &NoPath) -> StatusCode {
    match why {
        NoPath::Nowhere(response) if response.code >= 500 => StatusCode::NOT_FOUND,
        NoPath::Nowhere(_) | NoPath::Starting => StatusCode::SERVICE_UNAVAILABLE,
        NoPath::Policy(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
