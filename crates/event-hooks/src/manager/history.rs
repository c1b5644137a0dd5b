//! What happened before: sent again, or only looked at.

use super::EventHooks;
use super::changes::audit;
use crate::attempts;
use crate::error::HookError;
use crate::keys;
use crate::live;
use crate::occurrence::{Occurrence, Sighting, created, stream_of};
use serde_json::{Map, Value, json};
use uuid::Uuid;
use waybill_authorizer::Caller;
use waybill_consumers::{Chosen, Replay, history};
use waybill_event_hooks_core::Request;
use waybill_spool::ReadLimit;
use waybill_types::{Offset, Timestamp};

/// Replays of one hook at a time.
const MOST_REPLAYS: usize = 4;
/// Events of a page that is looked through.
const PAGE: ReadLimit = ReadLimit { entries: 512, bytes: 1 << 20 };

/// Which events are sent again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resend {
    /// Those of an attempt.
    Attempt(u64),
    /// Those in a part of the stream.
    Range(Window),
}

/// A part of the stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Window {
    /// From one place to another, both included.
    Places(u64, u64),
    /// From a time on, up to now or to another time.
    Since(Timestamp, Option<Timestamp>),
}

impl EventHooks {
    /// Sends events again, under the same ids, beside what happens now. Gives the name of the replay, and its range.
    ///
    /// # Errors
    /// When there is no such hook or attempt, nothing is in that range, or too many replays run.
    pub async fn resend(&self, caller: &Caller, id: Uuid, what: Resend) -> Result<Value, HookError> {
        let shared = self.reached(caller, id)?;
        let stream = stream_of(&shared.armed().hook.draft.source);
        let store = self.0.ground.store.clone();
        let tail = *store.visible(stream).borrow();
        let at = async |time| {
            history::since(&*store, stream, time, |entry| created(stream, entry)).await.map_err(HookError::from)
        };
        let (from, until) = match what {
            Resend::Attempt(number) => {
                let attempt = attempts::find(&*store, id, number).await?.ok_or(HookError::NotFound)?;
                match (attempt.offsets.iter().min(), attempt.offsets.iter().max()) {
                    (Some(first), Some(last)) => (Offset(*first), Offset(last + 1)),
                    _ => {
                        return Err(HookError::Asked(
                            "that attempt was a test or a ping: there is no event".to_owned(),
                        ));
                    }
                }
            }
            Resend::Range(Window::Places(first, last)) => (Offset(first), Offset(last.saturating_add(1))),
            Resend::Range(Window::Since(since, until)) => {
                let end = match until {
                    Some(until) => at(until).await?,
                    None => tail,
                };
                (at(since).await?, end)
            }
        };
        let until = until.min(tail);
        if from >= until {
            return Err(HookError::Asked("there are no events in that range".to_owned()));
        }
        let hooks = self.clone();
        let started = self.change(async move { hooks.replay(id, from, until).await }).await?;
        audit("replay", &shared.armed().hook, caller, &caller.peer().address());
        Ok(started)
    }

    async fn replay(&self, id: Uuid, from: Offset, until: Offset) -> Result<Value, HookError> {
        let of = keys::consumer(id);
        let (shared, stream, left, names) = {
            let mut hooks = self.0.hooks.write();
            let live = hooks.get_mut(&id).ok_or(HookError::NotFound)?;
            live.replays.retain(|reader| !reader.has_ended());
            let names: Vec<String> = live.replays.iter().map(|reader| reader.name.clone()).collect();
            (live.shared.clone(), live.stream, live.left.clone(), names)
        };
        if names.len() >= MOST_REPLAYS {
            return Err(HookError::Asked(format!("{MOST_REPLAYS} replays of this hook run already: wait for one")));
        }
        let free = (1..).map(|number| format!("{of}@replay-{number}")).find(|name| !names.contains(name));
        let name = free.unwrap_or_default();
        // What a replay of this name may have left that was broken off.
        self.0.registry.forget(&name).await?;
        let started = self.0.ground.clock.now();
        let replay = Replay { of, from, until, kinds: Vec::new(), started };
        let part = live::Part { stream, fed: None, replay: Some(replay) };
        let reader = live::read(&self.0.ground, shared, name.clone(), part, left).await?;
        if let Some(live) = self.0.hooks.write().get_mut(&id) {
            live.replays.push(reader);
        }
        Ok(json!({ "replay": name, "from": from.0, "until": until.0 }))
    }

    /// Tries dead letters again: all, or those with this reason, or that of one event.
    ///
    /// # Errors
    /// When there is no such hook, or it does not run.
    pub async fn redrive(&self, caller: &Caller, id: Uuid, chosen: Chosen) -> Result<(), HookError> {
        let hook = self.get(caller, id)?;
        let control = self.0.hooks.read().get(&id).map(|live| live.reader.control.clone());
        let control = control.ok_or(HookError::NotFound)?;
        control.redrive(chosen).await.map_err(|_| HookError::NotReady("the hook does not run"))?;
        audit("redrive", &hook, caller, &caller.peer().address());
        Ok(())
    }

    /// What the last events that are for a hook would be sent as. Nothing is sent, and its gate is not asked.
    ///
    /// # Errors
    /// When there is no such hook, or the store cannot be read.
    pub async fn dry_run(&self, caller: &Caller, id: Uuid, most: usize) -> Result<Vec<Value>, HookError> {
        let armed = self.reached(caller, id)?.armed();
        let ground = &self.0.ground;
        let draft = &armed.hook.draft;
        let stream = stream_of(&draft.source);
        let nothing = Map::new();
        let fits = |entry: &bytes::Bytes| {
            Sighting::of(stream, entry).is_some_and(|sighting| draft.takes(&sighting.outline(&nothing)))
        };
        let mut at = history::last(&*ground.store, stream, most, fits).await?;
        let tail = *ground.store.visible(stream).borrow();
        let mut shown = Vec::new();
        while at < tail && shown.len() < most {
            let slice = ground.store.read(stream, at, PAGE).await?;
            if slice.entries.is_empty() {
                break;
            }
            at = slice.next;
            for (offset, entry) in slice.entries.iter().filter(|(_, entry)| fits(entry)) {
                let whole = Sighting::of(stream, entry).and_then(|sighting| sighting.whole(&ground.capture));
                let Some(occurrence) = whole else { continue };
                let mut view = json!({
                    "offset": offset.0,
                    "time": occurrence.time.to_rfc3339(),
                    "source": occurrence.source,
                    "event": occurrence.event,
                });
                let wanted = draft.filter.as_ref().map_or(Ok(true), |filter| filter.matches(&occurrence.event()));
                match wanted {
                    Ok(true) => rendered(&armed, &occurrence, &mut view),
                    Ok(false) => view["filtered"] = true.into(),
                    Err(error) => view["error"] = format!("filter: {error}").into(),
                }
                shown.push(view);
            }
        }
        shown.truncate(most);
        Ok(shown)
    }
}

fn rendered(armed: &crate::armed::Armed, occurrence: &Occurrence, view: &mut Value) {
    match armed.request(std::slice::from_ref(occurrence)) {
        Ok(Some(Request { headers, query, body })) => {
            let masked = headers.iter().map(|(name, value)| attempts::masked(name, value));
            let headers: Map<String, Value> = masked.map(|(name, value)| (name, Value::from(value))).collect();
            let method = armed.config.as_ref().map(|config| config.method.to_string());
            view["request"] = json!({
                "method": method,
                "headers": headers,
                "query": query,
                "body": String::from_utf8_lossy(&body),
            });
        }
        Ok(None) => view["handler"] = armed.hook.draft.handler.name().into(),
        Err(error) => view["error"] = error.to_string().into(),
    }
}
