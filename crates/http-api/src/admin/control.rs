use super::{NoBody, Strict};
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

    /// The names of the tasks that run, by the stage of the stop in which they end.
    fn tasks(&self) -> Vec<(&'static str, Vec<String>)>;
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
    get,
    path = "/api/admin/task-dump",
    tag = "the daemon",
    summary = "Show which tasks run, for reading",
    responses((status = 200, description = "a text"))
)]
pub(super) async fn task_dump(State(services): State<Services>) -> String {
    let mut text = String::new();
    for (stage, mut tasks) in services.control.tasks() {
        text.push_str(&format!("{stage}: {}\n", tasks.len()));
        tasks.sort();
        // Sessions of one queue have the same name.
        for same in tasks.chunk_by(|one, other| one == other) {
            let times = if same.len() > 1 { format!("{} x ", same.len()) } else { String::new() };
            text.push_str(&format!("  {times}{}\n", same.first().map_or("", String::as_str)));
        }
    }
    text
}

#[utoipa::path(
    get,
    path = "/api/admin/memory/stats",
    tag = "the daemon",
    summary = "Show how much memory the daemon uses, for reading",
    responses((status = 200, description = "a text"), (status = 500, description = "the system does not tell"))
)]
pub(super) async fn memory_stats() -> Result<String, Refusal> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|error| {
        Refusal::error(StatusCode::INTERNAL_SERVER_ERROR, format_args!("read /proc/self/status: {error}"))
    })?;
    Ok(memory_text(&status))
}

/// What is worth knowing of the text of `/proc/PID/status` (proc_pid_status(5)).
fn memory_text(status: &str) -> String {
    const LINES: [(&str, &str); 6] = [
        ("VmRSS:", "resident now"),
        ("VmHWM:", "resident at most so far"),
        ("RssAnon:", "of it neither files nor shared"),
        ("VmSwap:", "swapped out"),
        ("VmSize:", "address space"),
        ("Threads:", "threads"),
    ];
    let mut text = String::new();
    for (name, meaning) in LINES {
        let value = status.lines().find_map(|line| line.strip_prefix(name)).map_or("unknown", str::trim);
        text.push_str(&format!("{meaning}: {value}\n"));
    }
    text
}

#[utoipa::path(
    post,
    path = "/api/admin/bump-config-epoch",
    tag = "administration",
    summary = "Have the policy read again",
    responses(
        (status = 200, description = "done"),
        (status = 400, description = "there is a body"),
        (status = 500, description = "it does not load, and why"),
    )
)]
pub(super) async fn bump_epoch(State(services): State<Services>, _: NoBody) -> Result<(), Refusal> {
    let failed = |why| Refusal::error(StatusCode::INTERNAL_SERVER_ERROR, why);
    services.control.bump_epoch().await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::memory_text;

    #[test]
    fn memory_is_told_line_by_line_and_what_is_not_known_too() {
        let text = memory_text("Name:\tx\nVmHWM:\t  200 kB\nVmRSS:\t  100 kB\nThreads:\t7\n");
        assert!(text.starts_with("resident now: 100 kB\nresident at most so far: 200 kB\n"), "{text}");
        assert!(text.ends_with("threads: 7\n") && text.contains("swapped out: unknown\n"), "{text}");
    }
}
