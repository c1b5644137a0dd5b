//! The API's own description: made from the code, shown by a page that needs nothing from elsewhere.

use crate::admin::AdminDoc;
use crate::inject::InjectDoc;
use crate::tokens::TokensDoc;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use utoipa::OpenApi;

const PAGE: &str = include_str!("page.html");
/// The page loads the description, and nothing else.
const ITS_OWN: &str = "default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// Everything that has no types of its own.
#[derive(OpenApi)]
#[openapi(
    info(title = "Waybill", description = "A mail transfer agent whose every delivery event reaches your platform."),
    paths(check_liveness, metrics, metrics_json, machine_info)
)]
struct Rest;

#[utoipa::path(get, path = "/api/check-liveness/v1", tag = "the daemon", summary = "Tell whether mail is taken",
    responses((status = 200, description = "OK"), (status = 503, description = "not now, and why")))]
#[expect(dead_code, reason = "only its description is used; the handler is elsewhere")]
fn check_liveness() {}

#[utoipa::path(get, path = "/metrics", tag = "the daemon", summary = "Show the metrics as Prometheus reads them",
    params(("prefix" = Option<String>, Query, description = "goes in front of every name"),
           ("only" = Option<String>, Query, description = "shows names that begin so")),
    responses((status = 200, description = "the metrics")))]
#[expect(dead_code, reason = "only its description is used; the handler is elsewhere")]
fn metrics() {}

#[utoipa::path(get, path = "/metrics.json", tag = "the daemon", summary = "Show the metrics as JSON",
    responses((status = 200, description = "the metrics")))]
#[expect(dead_code, reason = "only its description is used; the handler is elsewhere")]
fn metrics_json() {}

#[utoipa::path(get, path = "/api/machine-info", tag = "the daemon", summary = "Tell what this daemon runs on",
    responses((status = 200, description = "the machine")))]
#[expect(dead_code, reason = "only its description is used; the handler is elsewhere")]
fn machine_info() {}

/// The description, as `/api-docs/openapi.json` gives it.
fn description() -> utoipa::openapi::OpenApi {
    let mut all = Rest::openapi();
    all.info.version = env!("CARGO_PKG_VERSION").to_owned();
    all.merge(InjectDoc::openapi());
    all.merge(AdminDoc::openapi());
    all.merge(TokensDoc::openapi());
    all.merge(crate::admin::XferDoc::openapi());
    all.merge(crate::xfer::XferDoc::openapi());
    all
}

/// The description as JSON, for those who make documents of it.
pub fn openapi() -> serde_json::Value {
    serde_json::to_value(description()).unwrap_or_default()
}

/// The two routes.
pub(crate) fn router() -> Router {
    Router::new().route("/api-docs/openapi.json", get(async || Json(description()))).route("/rapidoc", get(page))
}

async fn page() -> Response {
    ([(header::CONTENT_SECURITY_POLICY, ITS_OWN)], Html(PAGE)).into_response()
}
