//! `POST /api/xfer/inject/v1`: mail that another node hands over (contract/kumomta.md section 7.2).
//!
//! Once we answer 200 the other node removes its copy, so that is said only of a message that is synced to disk,
//! whatever `flush` of the spool says. If our answer gets lost, it sends the message again: twice, never lost.

use crate::api::Services;
use crate::auth::AuthInfo;
use crate::detached::Detached;
use crate::reply::Refusal;
use crate::routes::Routes;
use crate::{body, liveness};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response as HttpResponse};
use axum::{Extension, Json};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use serde::Serialize;
use std::io::Read;
use std::sync::Arc;
use utoipa::{OpenApi, ToSchema};
use waybill_authorizer::Connection;
use waybill_log_record::{LogRecord, PeerAddress, RecordType};
use waybill_policy::Value;
use waybill_spool::{Durability, Incoming, Message, transfer};
use waybill_types::Response;

/// The most bytes of a message, its line of meta included. Not the listener's `request_body_limit`: what one node has
/// taken, the other must be able to take.
const BODY_LIMIT: usize = 256 * 1024 * 1024;
/// RFC 1952, section 2.3.1.
const GZIP: [u8; 2] = [0x1f, 0x8b];
const EVENT: &str = "xfer_message_received";

/// What the route is made of.
struct Receiver {
    services: Services,
    detached: Detached,
}

/// What the route takes and answers.
#[derive(OpenApi)]
#[openapi(paths(inject))]
pub(crate) struct XferDoc;

/// Under which id the message is here.
#[derive(Serialize, ToSchema)]
struct Taken {
    #[schema(example = "be5ce59be75811f1aba9ee449cbbeaa0")]
    id: String,
}

/// The route.
pub(crate) fn routes(services: Services) -> Routes {
    let state = Arc::new(Receiver { services, detached: Detached::default() });
    Routes::new().post(transfer::INJECT_PATH, inject).with_state(state)
}

/// gzip of a line of JSON (`id`, `sender`, `recipient`, `meta`), a line feed, and the raw message.
#[utoipa::path(
    post,
    path = "/api/xfer/inject/v1",
    tag = "injection",
    summary = "Take over a message from another node",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 200, description = "the message is on our disk", body = Taken),
        (status = 400, description = "what came is no message"),
        (status = 403, description = "the policy refused it"),
        (status = 409, description = "it was ours"),
        (status = 413, description = "the message is too long"),
        (status = 503, description = "no mail is taken right now"),
    )
)]
async fn inject(
    State(state): State<Arc<Receiver>>,
    Extension(who): Extension<Arc<AuthInfo>>,
    Extension(connection): Extension<Connection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Taken>, HttpResponse> {
    let refuse = IntoResponse::into_response;
    if let Err(refusal) = liveness::check(&*state.services.intake) {
        body::discard(&headers, body).await;
        return Err(refusal.into_response());
    }
    let bytes = body::read(&headers, body, BODY_LIMIT).await.map_err(refuse)?;
    // Behind a header that says so it is unpacked already.
    let bytes = if bytes.starts_with(&GZIP) { unzipped(bytes).await.map_err(refuse)? } else { bytes };
    let message =
        transfer::unpack(&bytes).map_err(|why| Refusal::error(StatusCode::BAD_REQUEST, why).into_response())?;
    let services = state.services.clone();
    match state.detached.run(take(services, who, connection, message)).await {
        Some(result) => result.map(Json).map_err(refuse),
        None => Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "Error: internal error").into_response()),
    }
}

/// What a sender packed without saying so in a header.
async fn unzipped(bytes: Bytes) -> Result<Bytes, Refusal> {
    let unzip = move || {
        let mut out = Vec::new();
        let limit = u64::try_from(BODY_LIMIT).unwrap_or(u64::MAX);
        MultiGzDecoder::new(&bytes[..]).take(limit + 1).read_to_end(&mut out).map(|_| out)
    };
    match tokio::task::spawn_blocking(unzip).await {
        Ok(Ok(out)) if out.len() <= BODY_LIMIT => Ok(out.into()),
        Ok(Ok(_)) => Err(Refusal::error(StatusCode::PAYLOAD_TOO_LARGE, "the message is too long")),
        Ok(Err(error)) => Err(Refusal::error(StatusCode::BAD_REQUEST, format_args!("the gzip is broken: {error}"))),
        Err(error) => Err(Refusal::error(StatusCode::INTERNAL_SERVER_ERROR, error)),
    }
}

async fn take(
    services: Services,
    who: Arc<AuthInfo>,
    connection: Connection,
    message: Message,
) -> Result<Taken, Refusal> {
    if message.meta_text("xfer_prior_node").is_ok_and(|node| node.as_deref() == Some(&*services.node_id)) {
        let text = "this is the node that the message comes from: give the transfer another target";
        return Err(Refusal::error(StatusCode::CONFLICT, text));
    }
    message.set_meta("xfer_from", connection.peer.address().to_string().into());
    message.set_meta("xfer_via", (*connection.via).into());
    message.set_meta("xfer_auth", who.name().into());
    ask_policy(&services, &who, &message).await?;
    let id = message.id().to_string();
    let queue = message.queue_name().map_err(|why| Refusal::error(StatusCode::BAD_REQUEST, why))?;
    let incoming = Incoming::new(message, queue, record(&services, &connection));
    let accepted = services.intake.accept(vec![incoming], Durability::Synced).await;
    accepted.map_err(|error| Refusal::error(StatusCode::SERVICE_UNAVAILABLE, error))?;
    let service = format!("http_listener:{}", connection.via);
    for service in ["http_listener", &service] {
        services.metrics.mail.received.with_label_values(&[service]).inc();
    }
    Ok(Taken { id })
}

async fn ask_policy(services: &Services, who: &AuthInfo, message: &Message) -> Result<(), Refusal> {
    if !services.policy.handles(EVENT) {
        return Ok(());
    }
    let args = vec![Value::Message(message.clone()), Value::Json(who.to_json())];
    let Err(error) = services.policy.call(EVENT, args).await else { return Ok(()) };
    match error.rejected() {
        Some(rejected) => Err(Refusal::error(StatusCode::FORBIDDEN, rejected)),
        None => {
            tracing::error!(event = EVENT, message_id = %message.id(), "{error}");
            Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "try again later"))
        }
    }
}

/// The XferIn record; the intake fills in what the message itself knows.
fn record(services: &Services, connection: &Connection) -> LogRecord {
    let now = (services.clock)();
    let mut record = LogRecord::new(RecordType::XferIn, now, Response::plain(250, ""), services.node_id.clone());
    let addr = connection.peer.address().to_string();
    record.peer_address = Some(PeerAddress { name: String::new(), addr, is_secure: false });
    record
}
