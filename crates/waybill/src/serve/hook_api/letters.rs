use super::{Answer, HookApi, Refusal, wrong};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use waybill_consumers::{Chosen, DeadLetter, Registry};
use waybill_log_record::{Capture, Entry, RecordView};
use waybill_types::{Offset, Timestamp};

/// Letters that are shown where nobody says how many.
const SOME: usize = 100;
/// The most that are shown at a time.
const MOST: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    limit: Option<usize>,
    /// `next` of the page before.
    after: Option<String>,
}

/// A page of dead letters, oldest first.
#[derive(Serialize)]
pub(super) struct Letters {
    dead_letters: Vec<Letter>,
    /// Where the next page begins; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct Letter {
    offset: u64,
    at: String,
    reason: String,
    text: String,
    lane: Option<String>,
    attempts: u16,
    /// The id that went with every attempt as `webhook-id`.
    id: Option<String>,
    /// The log record; null where its bytes make no sense.
    record: Value,
}

pub(super) async fn list(
    State(api): State<HookApi>,
    Path(name): Path<String>,
    Query(page): Query<Page>,
) -> Answer<Letters> {
    if api.hooks.find(&name).is_none() && !api.hooks.is_detached(&name) {
        return Err(api.unknown(&name));
    }
    let limit = page.limit.unwrap_or(SOME).clamp(1, MOST);
    let after = page.after.as_deref().map(place).transpose()?;
    let found = api.registry()?.dead_letters(&name, after, limit).await?;
    let next =
        found.last().filter(|_| found.len() == limit).map(|last| format!("{}:{}", last.at.nanos(), last.offset.0));
    Ok(Json(Letters { dead_letters: found.into_iter().map(|letter| shown(&name, letter)).collect(), next }))
}

fn place(text: &str) -> Result<(Timestamp, Offset), Refusal> {
    let parts = text.split_once(':').and_then(|(at, offset)| Some((at.parse().ok()?, offset.parse().ok()?)));
    let (at, offset) = parts.ok_or_else(|| wrong("after: expected what `next` of the page before said"))?;
    Ok((Timestamp::from_nanos(at), Offset(offset)))
}

fn shown(hook: &str, letter: DeadLetter) -> Letter {
    let entry = Entry::decode(letter.entry).ok();
    let id = entry.as_ref().map(|entry| entry.id().hook_message_id(hook).to_string());
    let all = Arc::new(Capture::new(["*"], ["*"]));
    let record = entry.and_then(|entry| serde_json::from_slice(&RecordView::new(entry, all).json()).ok());
    Letter {
        offset: letter.offset.0,
        at: letter.at.to_rfc3339(),
        reason: letter.reason,
        text: letter.text,
        lane: letter.lane.map(|lane| lane.to_string()),
        attempts: letter.attempts,
        id,
        record: record.unwrap_or(Value::Null),
    }
}

/// Which letters are tried again: all where nothing is named.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Wanted {
    reason: Option<String>,
    offset: Option<u64>,
}

const REASONS: [&str; 6] = ["permanent", "expired", "handler-failed", "no-queue", "bounced", "damaged"];

/// Whether there is one that is meant. They are in the order of their times: all may have to be looked at.
async fn has_letter(registry: &Registry, name: &str, chosen: &Chosen) -> Result<bool, Refusal> {
    let mut after = None;
    loop {
        let page = registry.dead_letters(name, after, MOST).await?;
        if page.iter().any(|letter| chosen.has(letter)) {
            return Ok(true);
        }
        match page.last() {
            Some(last) => after = Some((last.at, last.offset)),
            None => return Ok(false),
        }
    }
}

pub(super) async fn redrive(State(api): State<HookApi>, Path(name): Path<String>, body: Bytes) -> Answer<Value> {
    let handle = api.find(&name)?;
    let wanted: Wanted = super::replays::parse(&body)?;
    if let Some(reason) = wanted.reason.as_deref().filter(|reason| !REASONS.contains(reason)) {
        return Err(wrong(format!("reason: there is no {reason:?}, but {}", REASONS.join(", "))));
    }
    if handle.name != handle.hook.name() {
        let why = "a replay leaves its dead letters with its hook";
        return Err(Refusal(StatusCode::CONFLICT, format!("{name}: {why}")));
    }
    let chosen = Chosen { reason: wanted.reason, offset: wanted.offset };
    if let Some(offset) = chosen.offset
        && !has_letter(&api.registry()?, &name, &chosen).await?
    {
        let with = chosen.reason.map(|reason| format!(" with reason {reason}")).unwrap_or_default();
        let why = format!("no dead letter of {name} at offset {offset}{with}; see `waybill hooks dead-letters {name}`");
        return Err(Refusal(StatusCode::NOT_FOUND, why));
    }
    handle.control.redrive(chosen).await?;
    Ok(Json(json!({ "dead_letters": api.hooks.snapshot(&handle).dead_letters })))
}
