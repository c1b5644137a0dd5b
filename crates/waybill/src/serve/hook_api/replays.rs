use super::{Answer, HookApi, Refusal, Starter, wrong};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use waybill_consumers::{Replay, history};
use waybill_log_record::{Entry, RecordType};
use waybill_spool::{Store, StreamId};
use waybill_types::{Objects, Offset, Timestamp, parse_duration};

/// What is to be sent again: from an offset, a time, or the last so many events (of these kinds), to now or to an
/// offset or time.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Wanted {
    from: Option<u64>,
    since: Option<String>,
    last: Option<usize>,
    until: Option<u64>,
    before: Option<String>,
    kinds: Vec<String>,
}

/// A JSON body; an empty one counts as `{}`.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let body = if body.is_empty() { b"{}" } else { body };
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(Objects::new(&mut json)).map_err(|error| {
        match error.path().to_string().as_str() {
            "." => wrong(error.inner().to_string()),
            field => wrong(format!("{field}: {}", error.inner())),
        }
    })?;
    json.end().map_err(|error| wrong(error.to_string()))?;
    Ok(read)
}

fn created(entry: &bytes::Bytes) -> Option<Timestamp> {
    Entry::decode(entry.clone()).ok().map(|entry| entry.id().created())
}

async fn at(store: &dyn Store, time: Timestamp) -> Result<Offset, Refusal> {
    Ok(history::since(store, StreamId::EVENTS, time, created).await?)
}

/// A time as people write it: RFC 3339, or how long ago.
fn time(field: &str, text: &str, now: Timestamp) -> Result<Timestamp, Refusal> {
    let ago = || parse_duration(text).ok().map(|ago| now - ago);
    let expected = || wrong(format!("{field}: expected a time such as 2026-11-25T08:00:00Z, or how long ago: 90m"));
    Timestamp::parse_rfc3339(text).or_else(ago).ok_or_else(expected)
}

impl Wanted {
    fn kinds(&self) -> Result<Vec<RecordType>, Refusal> {
        self.kinds.iter().map(|kind| kind.parse().map_err(|error| wrong(format!("kinds: {error}")))).collect()
    }

    async fn range(&self, starter: &Starter, kinds: &[RecordType]) -> Result<(Offset, Offset), Refusal> {
        let (store, tail, now) = (&*starter.store, starter.tail(), starter.context.clock.now());
        let until = match (self.until, &self.before) {
            (Some(_), Some(_)) => return Err(wrong("until and before: one of them, not both")),
            (Some(until), None) => Offset(until).min(tail),
            (None, Some(before)) => at(store, time("before", before, now)?).await?.min(tail),
            (None, None) => tail,
        };
        let from = match (self.from, &self.since, self.last) {
            (Some(from), None, None) => Offset(from),
            (None, Some(since), None) => at(store, time("since", since, now)?).await?,
            (None, None, Some(count)) => {
                let is_one = |entry: &bytes::Bytes| {
                    let kind = Entry::decode(entry.clone()).ok().map(|entry| entry.kind());
                    kind.is_some_and(|kind| kinds.is_empty() || kinds.contains(&kind))
                };
                history::last(store, StreamId::EVENTS, count, is_one).await?
            }
            (None, None, None) => return Err(wrong("name where to begin: from, since or last")),
            _ => return Err(wrong("from, since and last: one of them")),
        };
        if from >= until {
            return Err(wrong("there are no events to replay in that range"));
        }
        Ok((from, until))
    }
}

pub(super) async fn start(State(api): State<HookApi>, Path(name): Path<String>, body: Bytes) -> Answer<Value> {
    let handle = api.find(&name)?;
    if handle.name != handle.hook.name() {
        return Err(Refusal(StatusCode::CONFLICT, format!("{name} is a replay itself; name its hook")));
    }
    let wanted: Wanted = parse(&body)?;
    let kinds = wanted.kinds()?;
    let starter = api.starter()?;
    let (from, until) = wanted.range(&starter, &kinds).await?;
    // One at a time: a name is taken only once its runner is there.
    let _one = starter.starting.lock().await;
    let name = starter.next_replay(&handle.name);
    // Rows that a cancelled replay of this name may have left.
    api.registry()?.forget(&name).await?;
    let started = starter.context.clock.now();
    let replay = Replay { of: handle.name.clone(), from, until, kinds: wanted.kinds, started };
    let started = starter.replay(name.clone(), handle.hook.config().clone(), replay).await;
    started.map_err(|error| Refusal(StatusCode::SERVICE_UNAVAILABLE, format!("{error:#}")))?;
    Ok(Json(json!({ "name": name, "from": from.0, "until": until.0 })))
}
