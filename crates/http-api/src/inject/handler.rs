use super::deliver::{Failure, Generator, Origin};
use super::request::{Recipient, Report, Request};
use crate::api::Services;
use crate::auth::AuthInfo;
use crate::detached::Detached;
use crate::reply::Refusal;
use crate::{body, liveness};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use futures::StreamExt;
use std::sync::Arc;
use utoipa::OpenApi;
use waybill_authorizer::Connection;
use waybill_spool::{Durability, Message};
use waybill_types::EnvelopeAddress;
use waybill_webhook_core::{HOPS, HopsError};

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

/// What the route takes and answers.
#[derive(OpenApi)]
#[openapi(paths(inject))]
pub(crate) struct InjectDoc;

/// The route.
#[utoipa::path(
    post,
    path = "/api/inject/v1",
    tag = "injection",
    summary = "Generate a message for each recipient and take it",
    request_body = Request,
    responses(
        (status = 200, description = "done, also when every recipient failed", body = Report),
        (status = 400, description = "the body is no JSON, or it has come through too many webhooks (`x-waybill-hops`)"),
        (status = 413, description = "the body is too long"),
        (status = 422, description = "a key is unknown, missing or wrong, or a template does not parse"),
        (status = 503, description = "no mail is taken right now"),
    )
)]
pub(crate) async fn inject(
    State(state): State<Arc<Inject>>,
    Extension(who): Extension<Arc<AuthInfo>>,
    Extension(connection): Extension<Connection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Report>, Response> {
    let refuse = IntoResponse::into_response;
    let checked = liveness::check(&*state.services.intake).and_then(|()| expect_json(&headers));
    let hops = match checked.and_then(|()| hops(&headers)) {
        Ok(hops) => hops,
        Err(refusal) => {
            body::discard(&headers, body).await;
            return Err(refusal.into_response());
        }
    };
    let bytes = body::read(&headers, body, state.body_limit).await.map_err(refuse)?;
    let request: Request = body::object(&bytes).map_err(refuse)?;
    let (services, hostname) = (state.services.clone(), state.hostname.clone());
    let origin = Origin { services, hostname, who, connection, hops };
    let (limit, durability) = (state.body_limit, state.durability);
    let work = take(origin, request, bytes, limit, durability);
    match state.detached.run(work).await {
        Some(result) => result.map(Json).map_err(refuse),
        None => Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "Error: internal error").into_response()),
    }
}

/// 415 unless the body says that it is JSON.
pub(crate) fn expect_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return Ok(());
    }
    let text = "Expected request with `Content-Type: application/json`";
    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text))
}

/// 400 when it has come through so many webhooks that it goes in a circle: a hook that tells of mail, and injects mail.
fn hops(headers: &HeaderMap) -> Result<u8, Refusal> {
    let values = headers.get_all(HOPS).iter().map(HeaderValue::as_bytes);
    waybill_webhook_core::hops(values).map_err(|refusal| {
        let way_out = match refusal {
            HopsError::Circle(_) => ". A hook injects mail that it is told of again: have its filter leave that out",
            HopsError::NoNumber => "",
        };
        Refusal::error(StatusCode::BAD_REQUEST, format_args!("{refusal}{way_out}"))
    })
}

/// The same for a request that came another way than over HTTP.
///
/// # Errors
/// A sentence about what is wrong with it, or why it is not taken.
pub(crate) async fn accept_from(
    origin: Origin,
    request: Request,
    json: Bytes,
    limit: usize,
    durability: Durability,
) -> Result<Report, String> {
    take(origin, request, json, limit, durability).await.map_err(|refusal| refusal.text)
}

async fn take(
    origin: Origin,
    request: Request,
    bytes: Bytes,
    limit: usize,
    durability: Durability,
) -> Result<Report, Refusal> {
    let durability = if request.deferred_spool { Durability::Written } else { durability };
    let deferred = request.deferred_generation;
    let work = Work::of(origin, request, limit, concurrency(bytes.len()))?;
    // Also before it is deferred: what makes no sense is told to whoever sent it.
    if deferred {
        return work.defer(bytes, durability).await;
    }
    let mut report = Report::default();
    for (recipient, result) in work.run(durability).await {
        match result {
            Ok(()) => report.success_count += 1,
            Err(failure) => report.fail(recipient.email, failure.why()),
        }
    }
    Ok(report)
}

fn concurrency(bytes: usize) -> usize {
    (IN_MEMORY / bytes.max(1)).clamp(LEAST, MOST)
}

/// A request whose templates are compiled.
pub(crate) struct Work {
    generator: Generator,
    recipients: Vec<Recipient>,
    concurrent: usize,
}

impl Work {
    /// # Errors
    /// 500 when the sender is no address, 422 when something else makes no sense.
    pub(crate) fn of(origin: Origin, request: Request, limit: usize, concurrent: usize) -> Result<Work, Refusal> {
        let sender: EnvelopeAddress = request.envelope_sender.parse().map_err(|error| {
            let text = format!("envelope_sender: {error}: {:?}", request.envelope_sender);
            Refusal::error(StatusCode::INTERNAL_SERVER_ERROR, text)
        })?;
        let generator = Generator::compile(
            origin,
            sender,
            request.content,
            request.trace_headers,
            request.template_dialect,
            &request.substitutions,
            // Headers, substitutions and base64 make a message longer than the request it came from.
            (2 * limit).max(20 * 1024 * 1024),
        );
        let generator = generator.map_err(|why| Refusal::error(StatusCode::UNPROCESSABLE_ENTITY, why))?;
        Ok(Work { generator, recipients: request.recipients, concurrent })
    }

    /// A request as the spool gave it back.
    pub(crate) fn again(origin: Origin, json: &[u8]) -> Result<Work, String> {
        let request: Request = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        Work::compile(origin, request, json.len(), json.len())
    }

    /// A request of so many bytes that did not come over HTTP.
    pub(crate) fn compile(origin: Origin, request: Request, bytes: usize, limit: usize) -> Result<Work, String> {
        Work::of(origin, request, limit, concurrency(bytes)).map_err(|refusal| refusal.text)
    }

    /// Generates a message for each recipient, in order, and hands none over.
    ///
    /// # Errors
    /// Why one of the recipients has no message.
    pub(crate) async fn build(self) -> Result<Vec<Message>, String> {
        let mut messages = Vec::with_capacity(self.recipients.len());
        for recipient in &self.recipients {
            tokio::task::yield_now().await;
            let made = self.generator.make(recipient).await;
            messages.push(made.map_err(|why| format!("{}: {why}", recipient.email))?.message);
        }
        Ok(messages)
    }

    /// Generates a message for each recipient and hands it over; the recipients in order, each with what came of it.
    pub(crate) async fn run(self, durability: Durability) -> Vec<(Recipient, Result<(), Failure>)> {
        let Work { generator, recipients, concurrent } = self;
        let generator = &generator;
        let results = futures::stream::iter(recipients).map(|recipient| async move {
            // A list of thousands must let other tasks run in between.
            tokio::task::yield_now().await;
            let result = generator.deliver(&recipient, durability).await;
            (recipient, result)
        });
        results.buffered(concurrent).collect().await
    }

    /// Takes the request itself; its messages are generated later.
    async fn defer(self, json: Bytes, durability: Durability) -> Result<Report, Refusal> {
        let unavailable = |why: String| Refusal::error(StatusCode::SERVICE_UNAVAILABLE, why);
        self.generator.defer(json, durability).await.map_err(unavailable)?;
        Ok(Report::default())
    }
}
