//! Events as they happen, for somebody who watches.

use super::EventHooks;
use crate::error::HookError;
use crate::occurrence::{Occurrence, Sighting};
use serde_json::{Map, Value, json};
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::Ordering;
use std::time::Duration;
use waybill_authorizer::Caller;
use waybill_event_hooks_core::Filter;
use waybill_spool::{ReadLimit, StreamId};
use waybill_types::Offset;

/// Events are written down for a watcher for so long after it asked last.
const GRACE: Duration = Duration::from_secs(30);
/// Watchers at a time.
const MOST: usize = 16;
/// Events of one answer.
const PAGE: ReadLimit = ReadLimit { entries: 256, bytes: 1 << 20 };

/// Which events somebody watches.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// Only of this source.
    pub source: Option<String>,
    /// Only this event.
    pub event: Option<String>,
    /// Only where this holds.
    pub filter: Option<Filter>,
}

/// Where somebody who watches goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    events: Offset,
    signals: Offset,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.events.0, self.signals.0)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (events, signals) = text.split_once('.').ok_or(())?;
        let number = |text: &str| text.parse().map(Offset).map_err(|_| ());
        Ok(Place { events: number(events)?, signals: number(signals)? })
    }
}

/// Somebody watches.
struct Watching(EventHooks);

impl Watching {
    fn begin(hooks: &EventHooks) -> Result<Self, HookError> {
        if hooks.0.watchers.fetch_add(1, Ordering::AcqRel) >= MOST {
            hooks.0.watchers.fetch_sub(1, Ordering::AcqRel);
            return Err(HookError::TooMany(GRACE.as_secs()));
        }
        let watching = Watching(hooks.clone());
        hooks.note_wanted(None);
        Ok(watching)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let hooks = self.0.clone();
        let mut stop = hooks.0.stop.clone();
        self.0.0.ground.supervisor.spawn("end of a look at events", async move {
            // Whoever asks again at once has missed nothing.
            tokio::select! {
                () = stop.requested() => {}
                () = tokio::time::sleep(GRACE) => {}
            }
            hooks.0.watchers.fetch_sub(1, Ordering::AcqRel);
            hooks.note_wanted(None);
        });
    }
}

impl EventHooks {
    /// Events behind a place, or from now on; waits for the first as long as it is told. Gives where to go on.
    ///
    /// # Errors
    /// When too many watch, or the store cannot be read.
    pub async fn watch(
        &self,
        caller: &Caller,
        watch: &Watch,
        place: Option<Place>,
        wait: Duration,
    ) -> Result<(Vec<Value>, Place), HookError> {
        let _watching = Watching::begin(self)?;
        let store = &self.0.ground.store;
        let (mut events, mut signals) = (store.visible(StreamId::EVENTS), store.visible(StreamId::SIGNALS));
        let now = Place { events: *events.borrow(), signals: *signals.borrow() };
        let mut place = place.unwrap_or(now);
        let mut stop = self.0.stop.clone();
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            events.mark_unchanged();
            signals.mark_unchanged();
            let mut found = Vec::new();
            place.events = self.seen(caller, watch, StreamId::EVENTS, place.events, &mut found).await?;
            place.signals = self.seen(caller, watch, StreamId::SIGNALS, place.signals, &mut found).await?;
            if !found.is_empty() {
                found.sort_by_key(|occurrence| occurrence.id.created());
                return Ok((found.iter().map(shown).collect(), place));
            }
            tokio::select! {
                biased;
                () = stop.requested() => return Ok((Vec::new(), place)),
                Ok(()) = events.changed() => {}
                Ok(()) = signals.changed() => {}
                () = tokio::time::sleep_until(deadline) => return Ok((Vec::new(), place)),
            }
        }
    }

    /// Reads on, until something is found or there is no more.
    async fn seen(
        &self,
        caller: &Caller,
        watch: &Watch,
        stream: StreamId,
        mut at: Offset,
        found: &mut Vec<Occurrence>,
    ) -> Result<Offset, HookError> {
        let ground = &self.0.ground;
        let end = *ground.store.visible(stream).borrow();
        let before = found.len();
        let nothing = Map::new();
        while at < end && found.len() == before {
            let slice = ground.store.read(stream, at, PAGE).await?;
            if slice.entries.is_empty() {
                return Ok(end);
            }
            at = slice.next;
            for (_, entry) in slice.entries {
                let Some(sighting) = Sighting::of(stream, &entry) else { continue };
                let outline = sighting.outline(&nothing);
                let named = watch.source.as_deref().is_none_or(|source| source == outline.source)
                    && watch.event.as_deref().is_none_or(|event| event == outline.event);
                if sighting.is_of_a_hook() || !named || !caller.reaches(outline.tenant) {
                    continue;
                }
                let Some(occurrence) = sighting.whole(&ground.capture) else { continue };
                // What cannot be told is shown by nobody who asked for something.
                if watch.filter.as_ref().is_none_or(|filter| filter.matches(&occurrence.event()) == Ok(true)) {
                    found.push(occurrence);
                }
            }
        }
        Ok(at)
    }
}

fn shown(occurrence: &Occurrence) -> Value {
    json!({
        "time": occurrence.time.to_rfc3339(),
        "source": occurrence.source,
        "event": occurrence.event,
        "tenant": occurrence.tenant,
        "data": occurrence.data,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        let place = Place { events: Offset(7), signals: Offset(9) };
        assert_eq!(place.to_string().parse(), Ok(place));
        for wrong in ["", "7", "7.", "a.b", "7.9.1"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}
