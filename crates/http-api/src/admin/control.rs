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
/// Each has taken effect when it is done; an error is a sentence about why nothing has changed.
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

    /// Has a spool give back the room of what was removed. It goes on when whoever waits for it gives up.
    ///
    /// # Errors
    /// When there is no spool of that name ([`CompactError::Unknown`]) or its storage fails.
    fn compact_spool<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), CompactError>>;
}

/// Why a spool was not compacted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CompactError {
    /// The policy defines no such spool; here are those that it defines.
    Unknown(Vec<String>),
    /// A sentence about what the storage said.
    Failed(String),
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Spool {
    /// As in `kumo.define_spool`.
    name: String,
}

#[utoipa::path(
    post,
    path = "/api/admin/spool-compact/v1",
    tag = "administration",
    summary = "Give back the room of what was removed from a spool",
    request_body = Spool,
    responses(
        (status = 200, description = "done"),
        (status = 404, description = "no spool of that name"),
        (status = 500, description = "the storage failed, or is being compacted already"),
    )
)]
pub(super) async fn compact_spool(
    State(services): State<Services>,
    Strict(Spool { name }): Strict<Spool>,
) -> Result<(), Refusal> {
    services.control.compact_spool(&name).await.map_err(|error| match error {
        CompactError::Unknown(known) => {
            let known = known.join(", ");
            Refusal::error(StatusCode::NOT_FOUND, format_args!("no such spool {name:?}; there is: {known}"))
        }
        CompactError::Failed(why) => {
            Refusal::error(StatusCode::INTERNAL_SERVER_ERROR, format_args!("compact the spool {name:?}: {why}"))
        }
    })?;
    tracing::info!("the spool {name:?} was compacted");
    Ok(())
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
