//! What is done with a hook that is there.

use super::answer::{Refused, ok};
use super::call::Call;
use crate::manager::{Resend, Window};
use crate::{HookError, occurrence};
use axum::body::Body;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use waybill_consumers::{Chosen, DeadLetter};
use waybill_types::{Offset, Timestamp, parse_duration};

/// What is shown of a list where nobody says how much, and the most.
const SOME: usize = 100;
const MOST: usize = 1000;
/// Events that a dry run looks at, likewise.
const FEW: usize = 10;
const MOST_DRY: usize = 100;

pub(super) async fn ping(call: Call) -> Result<Response<Body>, Refused> {
    Ok(ok(&call.hooks.ping(&call.caller, call.id()?).await?))
}

pub(super) async fn test(call: Call) -> Result<Response<Body>, Refused> {
    let (document, _) = call.document()?;
    let tested = call.hooks.test(&call.caller, call.id()?, document.into_object()).await?;
    Ok(ok(&json!({ "data": tested.data, "result": tested.result })))
}

pub(super) async fn status(call: Call) -> Result<Response<Body>, Refused> {
    Ok(ok(&call.hooks.status(&call.caller, call.id()?).await?))
}

pub(super) async fn attempts(call: Call) -> Result<Response<Body>, Refused> {
    let limit = call.number("limit", SOME, MOST)?.max(1);
    let wrong = |_| HookError::Asked("after: expected `next` of the page before".to_owned());
    let after = call.asked("after").map(|text| text.parse::<u64>().map_err(wrong)).transpose()?;
    let found = call.hooks.attempts(&call.caller, call.id()?, after, limit).await?;
    let next = found.last().filter(|_| found.len() == limit).map(|last| last.id.to_string());
    let data: Vec<Value> = found.iter().map(crate::AttemptRecord::to_json).collect();
    Ok(ok(&json!({ "data": data, "next": next })))
}

pub(super) async fn dead_letters(call: Call) -> Result<Response<Body>, Refused> {
    let limit = call.number("limit", SOME, MOST)?.max(1);
    let after = call.asked("after").map(place).transpose()?;
    let id = call.id()?;
    let hook = call.hooks.get(&call.caller, id)?;
    let found = call.hooks.dead_letters(&call.caller, id, after, limit).await?;
    let last = found.last().filter(|_| found.len() == limit);
    let next = last.map(|last| format!("{}:{}", last.at.nanos(), last.offset.0));
    let stream = occurrence::stream_of(&hook.draft.source);
    let shown = |letter: &DeadLetter| {
        let sighting = occurrence::Sighting::of(stream, &letter.entry);
        let (event, tenant) = sighting.as_ref().map_or((None, None), |sighting| {
            let nothing = Map::new();
            let outline = sighting.outline(&nothing);
            (Some(outline.event.to_owned()), outline.tenant.map(str::to_owned))
        });
        json!({
            "offset": letter.offset.0, "at": letter.at.to_rfc3339(), "reason": letter.reason, "text": letter.text,
            "attempts": letter.attempts, "event": event, "tenant": tenant,
        })
    };
    Ok(ok(&json!({ "data": found.iter().map(shown).collect::<Vec<Value>>(), "next": next })))
}

fn place(text: &str) -> Result<(Timestamp, Offset), HookError> {
    let parts = text.split_once(':').and_then(|(at, offset)| Some((at.parse().ok()?, offset.parse().ok()?)));
    let wrong = || HookError::Asked("after: expected `next` of the page before".to_owned());
    let (at, offset) = parts.ok_or_else(wrong)?;
    Ok((Timestamp::from_nanos(at), Offset(offset)))
}

pub(super) async fn dry_run(call: Call) -> Result<Response<Body>, Refused> {
    let last = call.number("last", FEW, MOST_DRY)?;
    Ok(ok(&json!({ "data": call.hooks.dry_run(&call.caller, call.id()?, last).await? })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Again {
    attempt: Option<u64>,
    from: Option<u64>,
    until: Option<u64>,
}

pub(super) async fn resend(call: Call) -> Result<Response<Body>, Refused> {
    let again: Again = call.json()?;
    let what = match (again.attempt, again.from, again.until) {
        (Some(attempt), None, None) => Resend::Attempt(attempt),
        (None, Some(from), until) => Resend::Range(Window::Places(from, until.unwrap_or(from))),
        _ => return Err(HookError::Asked("name an attempt, or a range by from and until".to_owned()).into()),
    };
    Ok(ok(&call.hooks.resend(&call.caller, call.id()?, what).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Since {
    since: Option<String>,
    until: Option<String>,
}

pub(super) async fn replay(call: Call) -> Result<Response<Body>, Refused> {
    let wanted: Since = call.json()?;
    let now = call.hooks.now();
    let since = wanted.since.as_deref();
    let since = since.ok_or_else(|| HookError::Asked("since: name the time from which on".to_owned()))?;
    let window = Window::Since(
        time("since", since, now)?,
        wanted.until.as_deref().map(|until| time("until", until, now)).transpose()?,
    );
    Ok(ok(&call.hooks.resend(&call.caller, call.id()?, Resend::Range(window)).await?))
}

/// A time as people write it: RFC 3339, or how long ago.
fn time(field: &str, text: &str, now: Timestamp) -> Result<Timestamp, HookError> {
    let ago = || parse_duration(text).ok().map(|ago| now - ago);
    let expected =
        || HookError::Asked(format!("{field}: expected a time such as 2026-11-25T08:00:00Z, or how long ago: 90m"));
    Timestamp::parse_rfc3339(text).or_else(ago).ok_or_else(expected)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Letters {
    reason: Option<String>,
    offset: Option<u64>,
}

pub(super) async fn redrive(call: Call) -> Result<Response<Body>, Refused> {
    let Letters { reason, offset } = call.json()?;
    call.hooks.redrive(&call.caller, call.id()?, Chosen { reason, offset }).await?;
    Ok(ok(&json!({})))
}
