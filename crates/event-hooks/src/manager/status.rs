//! How hooks stand.

use super::EventHooks;
use crate::attempts::{self, AttemptRecord};
use crate::counts::Tally;
use crate::error::HookError;
use crate::keys;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;
use waybill_authorizer::Caller;
use waybill_consumers::{DeadLetter, Snapshot};
use waybill_event_hooks_core::Dormant;
use waybill_types::{Offset, Timestamp};

/// How a hook stands.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Status {
    /// Its id.
    pub id: Uuid,
    /// Whether it fires.
    pub enabled: bool,
    /// `active`, `disabled`, or `dormant`: it is kept and cannot run.
    pub state: &'static str,
    /// Why it does not, where nobody asked for that.
    pub reason: Option<String>,
    /// Events that happened and are not settled.
    pub lag_events: u64,
    /// Age of the oldest of them in seconds.
    pub lag_seconds: f64,
    /// Events that are being tried, or about to be.
    pub in_flight: usize,
    /// Events that wait on disk.
    pub parked: u64,
    /// Events that were given up and are kept.
    pub dead_letters: u64,
    /// They are being tried again.
    pub redriving: bool,
    /// Since when its target fails.
    pub failing_since: Option<String>,
    /// What its target said last.
    pub last_response: Option<String>,
    /// When.
    pub last_response_at: Option<String>,
    /// What it did since the start.
    pub since_start: Tally,
    /// Replays that run, with how far they are.
    pub replays: Vec<Value>,
}

impl EventHooks {
    /// How a hook stands.
    ///
    /// # Errors
    /// [`HookError::NotFound`], or when the store cannot be read.
    pub async fn status(&self, caller: &Caller, id: Uuid) -> Result<Status, HookError> {
        if let Some(dormant) = self.asleep(caller, id) {
            return self.status_asleep(dormant).await;
        }
        let shared = self.reached(caller, id)?;
        let (stream, control) = {
            let hooks = self.0.hooks.read();
            let live = hooks.get(&id).ok_or(HookError::NotFound)?;
            (live.stream, live.reader.control.clone())
        };
        // What its runner says is of this moment; what it noted for others may be half a second old.
        let consumer = control.status().await.map_err(|_| HookError::NotReady("the hook does not run"))?;
        let visible = *self.0.ground.store.visible(stream).borrow();
        // What lies behind it and is not for it is no lag.
        let read = self.0.ground.feeds(stream).passed(id, consumer.read);
        let dropped = self.0.registry.dropped().await?.get(&keys::consumer(id)).copied().unwrap_or(0);
        let hooks = self.0.hooks.read();
        let live = hooks.get(&id).ok_or(HookError::NotFound)?;
        let (armed, health) = (shared.armed(), shared.health());
        let seen: Option<Snapshot> = live.reader.snapshot();
        let replays = live.replays.iter().filter(|reader| !reader.has_ended()).map(|reader| {
            let seen = reader.snapshot();
            json!({ "name": reader.name, "progress": seen.and_then(|seen| seen.progress) })
        });
        Ok(Status {
            id,
            enabled: armed.hook.draft.enabled,
            state: if armed.hook.draft.enabled { "active" } else { "disabled" },
            reason: armed.hook.reason.clone(),
            lag_events: visible.0.saturating_sub(read.0) + consumer.in_memory as u64 + consumer.rows,
            lag_seconds: seen.as_ref().map_or(0.0, |seen| seen.lag_seconds),
            in_flight: consumer.offered,
            parked: consumer.rows,
            dead_letters: seen.as_ref().map_or(0, |seen| seen.letters.and(live.left.get()).kept(dropped)),
            redriving: seen.as_ref().is_some_and(|seen| seen.redriving),
            failing_since: health.failing_since.map(Timestamp::to_rfc3339),
            last_response: health.last_response,
            last_response_at: health.last_at.map(Timestamp::to_rfc3339),
            since_start: shared.counts.tally(),
            replays: replays.collect(),
        })
    }

    async fn status_asleep(&self, dormant: Dormant) -> Result<Status, HookError> {
        let name = keys::consumer(dormant.id);
        let known = self.0.registry.list().await?.into_iter().find(|known| known.name == name);
        let dropped = self.0.registry.dropped().await?.get(&name).copied().unwrap_or(0);
        let lag = known.as_ref().map_or(0, |known| {
            let visible = *self.0.ground.store.visible(known.stream).borrow();
            visible.0.saturating_sub(known.cursor.0) + known.rows
        });
        Ok(Status {
            id: dormant.id,
            enabled: false,
            state: "dormant",
            reason: Some(dormant.reason),
            lag_events: lag,
            lag_seconds: 0.0,
            in_flight: 0,
            parked: known.as_ref().map_or(0, |known| known.rows),
            dead_letters: known.as_ref().map_or(0, |known| known.letters.kept(dropped)),
            redriving: false,
            failing_since: None,
            last_response: None,
            last_response_at: None,
            since_start: Tally::default(),
            replays: Vec::new(),
        })
    }

    /// Events that were not written down because there were too many at once.
    pub fn dropped_signals(&self) -> u64 {
        self.0.ground.signals.dropped()
    }

    /// What all hooks did since the start, for metrics: by id.
    pub fn tallies(&self) -> Vec<(Uuid, Tally)> {
        self.0.hooks.read().iter().map(|(id, live)| (*id, live.shared.counts.tally())).collect()
    }

    /// Attempts of a hook behind `after`, the oldest first.
    ///
    /// # Errors
    /// [`HookError::NotFound`], or when the store cannot be read.
    pub async fn attempts(
        &self,
        caller: &Caller,
        id: Uuid,
        after: Option<u64>,
        most: usize,
    ) -> Result<Vec<AttemptRecord>, HookError> {
        self.reached(caller, id)?;
        Ok(attempts::read(&*self.0.ground.store, id, after, most).await?)
    }

    /// Events of a hook that were given up, those behind `after`.
    ///
    /// # Errors
    /// [`HookError::NotFound`], or when the store cannot be read.
    pub async fn dead_letters(
        &self,
        caller: &Caller,
        id: Uuid,
        after: Option<(Timestamp, Offset)>,
        most: usize,
    ) -> Result<Vec<DeadLetter>, HookError> {
        self.reached(caller, id)?;
        Ok(self.0.registry.dead_letters(&keys::consumer(id), after, most).await?)
    }
}
