use super::deliver::{Generator, Origin};
use super::request::{Dialect, Report, Request};
use crate::api::Services;
use crate::auth::AuthInfo;
use crate::connection::Connection;
use crate::detached::Detached;
use crate::reply::Refusal;
use crate::{body, liveness};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures::StreamExt;
use std::sync::Arc;
use waybill_spool::Durability;
use waybill_types::EnvelopeAddress;

/// Recipients of one request that are under way at once: enough to share a sync of the store,
const MOST: usize = 64;
/// but no more than keeps about so many bytes of messages in memory,
const IN_MEMORY: usize = 32 * 1024 * 1024;
/// though always a few.
const LEAST: usize = 4;

/// What the route is made of.
pub(crate) struct Inject {
    services: Services,
    hostname: Arc<str>,
    body_limit: usize,
    durability: Durability,
    detached: Detached,
}

impl Inject {
    pub(crate) fn new(services: Services, hostname: Arc<str>, body_limit: usize, durability: Durability) -> Self {
        Inject { services, hostname, body_limit, durability, detached: Detached::default() }
    }
}

/// The route.
pub(crate) async fn inject(
    State(state): State<Arc<Inject>>,
    Extension(who): Extension<Arc<AuthInfo>>,
    Extension(connection): Extension<Connection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Report>, Response> {
    let refuse = IntoResponse::into_response;
    if let Err(refusal) = liveness::check(&*state.services.intake).and_then(|()| expect_json(&headers)) {
        body::discard(&headers, body).await;
        return Err(refusal.into_response());
    }
    let bytes = body::read(&headers, body, state.body_limit).await.map_err(refuse)?;
    let Json(request) = Json::<Request>::from_bytes(&bytes).map_err(IntoResponse::into_response)?;
    let concurrent = (IN_MEMORY / bytes.len().max(1)).clamp(LEAST, MOST);
    drop(bytes);
    let work = accept(state.clone(), who, connection, request, concurrent);
    match state.detached.run(work).await {
        Some(result) => result.map(Json).map_err(refuse),
        None => Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "Error: internal error").into_response()),
    }
}

fn expect_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return Ok(());
    }
    let text = "Expected request with `Content-Type: application/json`";
    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text))
}

async fn accept(
    state: Arc<Inject>,
    who: Arc<AuthInfo>,
    connection: Connection,
    request: Request,
    concurrent: usize,
) -> Result<Report, Refusal> {
    let unsupported =
        |what: &str| Err(Refusal::error(StatusCode::UNPROCESSABLE_ENTITY, format!("{what} is not supported yet")));
    if request.deferred_generation {
        return unsupported("deferred_generation");
    }
    if request.template_dialect == Dialect::Handlebars {
        return unsupported("template_dialect Handlebars");
    }
    let sender: EnvelopeAddress = request.envelope_sender.parse().map_err(|error| {
        let text = format!("envelope_sender: {error}: {:?}", request.envelope_sender);
        Refusal::error(StatusCode::INTERNAL_SERVER_ERROR, text)
    })?;
    let durability = if request.deferred_spool { Durability::Written } else { state.durability };
    let generator = Generator::compile(
        Origin { services: state.services.clone(), hostname: state.hostname.clone(), who, connection },
        sender,
        request.content,
        request.trace_headers,
        request.template_dialect,
        &request.substitutions,
        // Headers, substitutions and base64 make a message longer than the request it came from.
        (2 * state.body_limit).max(20 * 1024 * 1024),
    );
    let generator = &generator.map_err(|why| Refusal::error(StatusCode::UNPROCESSABLE_ENTITY, why))?;
    let mut results = futures::stream::iter(request.recipients)
        .map(|recipient| async move {
            // A list of thousands must let other tasks run in between.
            tokio::task::yield_now().await;
            let result = generator.deliver(&recipient, durability).await;
            (recipient.email, result)
        })
        .buffered(concurrent);
    let mut report = Report::default();
    while let Some((email, result)) = results.next().await {
        match result {
            Ok(()) => report.success_count += 1,
            Err(why) => report.fail(email, &why),
        }
    }
    Ok(report)
}
