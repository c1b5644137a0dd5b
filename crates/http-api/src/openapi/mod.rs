//! The API's own description: made from the code, shown by a page that needs nothing from elsewhere.

mod description;

pub use description::Description;

use crate::admin::AdminDoc;
use crate::inject::InjectDoc;
use crate::routes::Routes;
use crate::tokens::TokensDoc;
use axum::body::Bytes;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use utoipa::OpenApi;

const PAGE: &str = include_str!("page.html");
/// The page loads the description, and nothing else.
const ITS_OWN: &str = "default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// Everything that has no types of its own.
#[derive(OpenApi)]
#[openapi(
    info(title = "Waybill", description = "A mail transfer agent whose every delivery event reaches your platform."),
    paths(check_liveness, metrics, metrics_json, machine_info, description_json, page)
)]
struct Rest;

#[utoipa::path(get, path = "/api/check-liveness/v1", tag = "the daemon", summary = "Tell whether mail is taken",
    responses((status = 200, description = "OK"), (status = 503, description = "not now, and why")))]
#[expect(dead_code, reason = "only its description is used; the handler is elsewhere")]
fn check_liveness() {}

#[utoipa::path(get, path = "/metrics", tag = "the daemon", summary = "Show the metrics as Prometheus reads them",
    params(("prefix" = Option<String>, Query, description = "goes in front of every name"),
           ("only" = Option<String>, Query, description = "shows names that begin so")),
    responses((status = 200, description = "the metrics"), (status = 400, description = "no name could begin so")))]
#[expect(dead_code, reason = "only its description is used; the handler is elsewhere")]
fn metrics() {}

#[utoipa::path(get, path = "/metrics.json", tag = "the daemon", summary = "Show the metrics as JSON",
    params(("prefix" = Option<String>, Query, description = "goes in front of every name"),
           ("only" = Option<String>, Query, description = "shows names that begin so")),
    responses((status = 200, description = "the metrics"), (status = 400, description = "no name could begin so")))]
#[expect(dead_code, reason = "only its description is used; the handler is elsewhere")]
fn metrics_json() {}

#[utoipa::path(get, path = "/api/machine-info", tag = "the daemon", summary = "Tell what this daemon runs on",
    responses((status = 200, description = "the machine")))]
#[expect(dead_code, reason = "only its description is used; the handler is elsewhere")]
fn machine_info() {}

#[utoipa::path(get, path = "/api-docs/openapi.json", tag = "the API itself", summary = "Describe the API for programs",
    responses((status = 200, description = "OpenAPI 3.1")))]
#[expect(dead_code, reason = "only its description is used; the handler needs what it is about")]
fn description_json() {}

/// What the routes of this crate say of themselves.
fn own() -> utoipa::openapi::OpenApi {
    let mut all = Rest::openapi();
    all.info.version = env!("CARGO_PKG_VERSION").to_owned();
    all.merge(InjectDoc::openapi());
    all.merge(AdminDoc::openapi());
    all.merge(TokensDoc::openapi());
    all.merge(crate::admin::XferDoc::openapi());
    all.merge(crate::xfer::XferDoc::openapi());
    all
}

/// The two routes.
pub(crate) fn routes(description: &Description) -> Routes {
    // Once, not for each of those whom nobody asks who they are.
    let text = Bytes::from(description.json().to_string());
    let json = move || async move { ([(header::CONTENT_TYPE, "application/json")], text) };
    Routes::new().get("/api-docs/openapi.json", json).get("/rapidoc", page)
}

#[utoipa::path(get, path = "/rapidoc", tag = "the API itself", summary = "Show the API to people",
    responses((status = 200, description = "a page that loads the description and nothing else")))]
async fn page() -> Response {
    ([(header::CONTENT_SECURITY_POLICY, ITS_OWN)], Html(PAGE)).into_response()
}
