use super::Strict;
use crate::api::Services;
use crate::reply::Refusal;
use axum::extract::State;
use axum::http::StatusCode;
use futures::future::BoxFuture;
use serde::Deserialize;
use utoipa::ToSchema;

/// What the daemon itself can be told.
///
/// # Contract
/// Both take effect before they are done; an error is a sentence about why nothing has changed.
pub trait Control: Send + Sync + 'static {
    /// Chooses which diagnostics are written (`KUMOD_LOG`'s words).
    ///
    /// # Errors
    /// When the filter cannot be read.
    fn set_log_filter(&self, filter: &str) -> Result<(), String>;

    /// Has the policy read again.
    ///
    /// # Errors
    /// When it does not load; then the old one goes on serving.
    fn bump_epoch(&self) -> BoxFuture<'_, Result<(), String>>;
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    filter: String,
}

#[utoipa::path(
    post,
    path = "/api/admin/set_diagnostic_log_filter/v1",
    tag = "administration",
    summary = "Choose which diagnostics are written",
    request_body = Filter,
    responses((status = 200, description = "done"))
)]
pub(super) async fn set_log_filter(
    State(services): State<Services>,
    Strict(Filter { filter }): Strict<Filter>,
) -> Result<(), Refusal> {
    let wrong = |why| Refusal::error(StatusCode::BAD_REQUEST, format_args!("filter {filter:?}: {why}"));
    services.control.set_log_filter(&filter).map_err(wrong)?;
    tracing::info!("diagnostics are filtered by {filter:?} from now on");
    Ok(())
}

#[utoipa::path(
    post,
    path = "/api/admin/bump-config-epoch",
    tag = "administration",
    summary = "Have the policy read again",
    responses((status = 200, description = "done"))
)]
pub(super) async fn bump_epoch(State(services): State<Services>) -> Result<(), Refusal> {
    let failed = |why| Refusal::error(StatusCode::INTERNAL_SERVER_ERROR, why);
    services.control.bump_epoch().await.map_err(failed)
}
