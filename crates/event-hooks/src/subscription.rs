//! A hook as its runner sees it: which events are for it, and which of them make it fire.

use crate::ground::Ground;
use crate::memory::{Memory, Silence};
use crate::occurrence::{Occurrence, Sighting, created};
use crate::shared::Shared;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::Map;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use waybill_consumers::{Dispatch, JudgedEvent, Report, Reports};
use waybill_event_hooks_core::{Digest, Form, GateRule, Hook};
use waybill_journal_core::{Attempt, DeadReason, LaneConfig, Outcome, Verdict};
use waybill_queue_core::retry::{Jitter, RetryPolicy};
use waybill_spool::StreamId;
use waybill_types::{Offset, QueueName, Timestamp};

/// The wait before the first retry, and the longest one.
const RETRY: Duration = Duration::from_secs(5);
const LONGEST_RETRY: Duration = Duration::from_secs(3600);
/// Up to a fifth on top of each wait, as egress webhooks have it: a target that comes back is not met by all at once.
const JITTER: Jitter = Jitter::OnTop(20);
/// How long an event is tried where its hook does not say.
const MAX_AGE: Duration = Duration::from_secs(7 * 86_400);
/// Events of a hook in memory.
const ROOM: usize = 256;

/// One reader of events for a hook.
pub(crate) struct Subscription {
    pub(crate) shared: Arc<Shared>,
    pub(crate) ground: Ground,
    stream: StreamId,
    lane: QueueName,
    /// It sends a part of the stream again.
    pub(crate) is_replay: bool,
    /// Entries that the runner gave to be kept, and takes away by `forget`.
    items: Mutex<HashMap<Offset, Bytes>>,
    memory: Mutex<Memory>,
    offered: Mutex<VecDeque<Offered>>,
    pub(crate) nudge: Notify,
    pub(crate) reports: Reports,
}

/// An event that waits for its request.
#[derive(Clone, Copy)]
struct Offered {
    offset: Offset,
    attempt: Attempt,
    /// Since when it waits for others.
    since: Timestamp,
}

impl Offered {
    /// An event waits from when it happened, whatever became of the daemon meanwhile. One that was tried before has waited
    /// all it may.
    fn new(offset: Offset, attempt: Attempt, now: Timestamp) -> Self {
        let since = if attempt.attempts > 0 { Timestamp::EPOCH } else { attempt.created.min(now) };
        Offered { offset, attempt, since }
    }
}

/// Events that are tried together.
pub(crate) struct Parcel {
    pub(crate) events: Vec<(Offset, Attempt, Occurrence)>,
}

impl Subscription {
    pub(crate) fn new(
        shared: Arc<Shared>,
        ground: Ground,
        stream: StreamId,
        lane: &str,
        is_replay: bool,
        reports: Reports,
    ) -> Self {
        Subscription {
            shared,
            ground,
            stream,
            lane: QueueName::new(lane),
            is_replay,
            items: Mutex::default(),
            memory: Mutex::default(),
            offered: Mutex::default(),
            nudge: Notify::new(),
            reports,
        }
    }

    pub(crate) fn lane_settings(hook: &Hook) -> LaneConfig {
        let batch = hook.draft.batch.map_or(1, |batch| batch.events);
        LaneConfig {
            retry: RetryPolicy {
                retry_interval: RETRY,
                max_retry_interval: Some(LONGEST_RETRY),
                max_age: hook.draft.max_age.unwrap_or(MAX_AGE),
                jitter: JITTER,
            },
            capacity: ROOM.max(4 * batch),
            rate: hook.draft.rate,
        }
    }

    /// What becomes of an event.
    fn verdict(&self, judged: &JudgedEvent) -> Verdict {
        match self.fires(judged) {
            Ok(false) => Verdict::Skip,
            Ok(true) => {
                self.items.lock().insert(judged.offset, judged.entry.clone());
                Verdict::Lane(self.lane.clone(), Self::lane_settings(&self.shared.armed().hook))
            }
            Err(reason) => Verdict::Dead(reason),
        }
    }

    fn fires(&self, judged: &JudgedEvent) -> Result<bool, DeadReason> {
        let damaged = || DeadReason::Damaged("the event makes no sense".to_owned());
        let armed = self.shared.armed();
        let draft = &armed.hook.draft;
        let sighting = Sighting::of(self.stream, &judged.entry).ok_or_else(damaged)?;
        let nothing = Map::new();
        if sighting.is_of_a_hook() || armed.is_concerned(sighting.about()) || !draft.takes(&sighting.outline(&nothing))
        {
            return Ok(false);
        }
        if draft.filter.is_none() && draft.gate == GateRule::default() {
            return Ok(true);
        }
        let occurrence = sighting.whole(&self.ground.capture).ok_or_else(damaged)?;
        let event = occurrence.event();
        if let Some(filter) = &draft.filter {
            match filter.matches(&event) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(error) => return Err(DeadReason::HandlerFailed(format!("filter: {error}"))),
            }
        }
        if draft.gate == GateRule::default() || judged.redriven {
            return Ok(true);
        }
        let catalogue = self.ground.catalogue.read();
        let unique = catalogue.event(event.source, event.event).and_then(|info| info.unique.clone());
        drop(catalogue);
        let digest = Digest::of(&event, unique.as_deref());
        match self.memory.lock().judge(judged.offset, draft.gate, digest, event.time) {
            Ok(()) => Ok(true),
            Err(Silence::Now(why)) => {
                self.shared.counts.quiet(why);
                Ok(false)
            }
            Err(Silence::Before) => Ok(false),
        }
    }

    /// What goes together next, or when; nothing where nothing waits.
    pub(crate) fn formed(&self, now: Timestamp) -> Option<Form> {
        let rule = self.shared.armed().batch();
        let offered = self.offered.lock();
        if offered.is_empty() {
            return None;
        }
        let items = self.items.lock();
        // An event counts as it stands in the journal.
        let size = |one: &Offered| items.get(&one.offset).map_or(0, Bytes::len);
        Some(rule.form(offered.iter().map(|one| (size(one), one.since)), now))
    }

    /// Takes so many as one request; nothing where nothing waits. What cannot be tried is reported.
    pub(crate) fn take(&self, most: usize) -> Option<Parcel> {
        loop {
            let chosen: Vec<Offered> = {
                let mut offered = self.offered.lock();
                let count = offered.len().min(most);
                offered.drain(..count).collect()
            };
            if chosen.is_empty() {
                return None;
            }
            let mut events = Vec::with_capacity(chosen.len());
            for Offered { offset, attempt, .. } in chosen {
                let entry = self.items.lock().get(&offset).cloned();
                let sighting = entry.and_then(|entry| Sighting::of(self.stream, &entry));
                match sighting.and_then(|sighting| sighting.whole(&self.ground.capture)) {
                    Some(occurrence) => events.push((offset, attempt, occurrence)),
                    None => {
                        let reason = DeadReason::Damaged("the event makes no sense".to_owned());
                        self.reports.send(Report::Finished(vec![(offset, Outcome::Dead(reason))]));
                    }
                }
            }
            if !events.is_empty() {
                return Some(Parcel { events });
            }
        }
    }
}

impl Dispatch for Subscription {
    fn judge<'a>(&'a self, events: Vec<JudgedEvent>) -> BoxFuture<'a, Vec<(Offset, Verdict)>> {
        async move { events.iter().map(|judged| (judged.offset, self.verdict(judged))).collect() }.boxed()
    }

    fn lane_config<'a>(&'a self, _lane: &'a QueueName) -> BoxFuture<'a, LaneConfig> {
        async move { Self::lane_settings(&self.shared.armed().hook) }.boxed()
    }

    fn offer(&self, lane: &QueueName, offset: Offset, attempt: Attempt) {
        self.offer_all(lane, &[(offset, attempt)]);
    }

    // At once: what is tried again goes together as it went before.
    fn offer_all(&self, _lane: &QueueName, events: &[(Offset, Attempt)]) {
        let now = self.ground.clock.now();
        let offered = events.iter().map(|(offset, attempt)| Offered::new(*offset, *attempt, now));
        self.offered.lock().extend(offered);
        self.nudge.notify_one();
    }

    fn recall(&self, _lane: &QueueName) {
        let offered = std::mem::take(&mut *self.offered.lock());
        for Offered { offset, .. } in offered {
            self.reports.send(Report::Returned(offset, None));
        }
    }

    fn overlay(&self, _offset: Offset) -> Bytes {
        waybill_consumers::EMPTY_OVERLAY
    }

    fn restore(&self, _lane: &QueueName, offset: Offset, entry: Bytes, _overlay: Bytes) {
        self.items.lock().insert(offset, entry);
    }

    fn buried(&self, _lane: Option<&QueueName>, _offset: Offset, _attempts: u16, reason: &DeadReason) {
        if let DeadReason::HandlerFailed(text) | DeadReason::Expired(text) = reason {
            tracing::info!(hook = %self.shared.id, "an event was given up: {text}");
        }
        self.shared.counts.add(crate::counts::Counted::Refused, 1);
    }

    fn forget(&self, offset: Offset) {
        self.items.lock().remove(&offset);
        self.memory.lock().forget(offset);
    }

    fn memory(&self, known: u64) -> Option<(u64, Bytes)> {
        self.memory.lock().encode(known)
    }

    fn remember(&self, memory: Bytes) {
        match Memory::decode(&memory) {
            Some(known) => *self.memory.lock() = known,
            None => {
                tracing::error!(hook = %self.shared.id, "what it remembers of events makes no sense: it starts anew")
            }
        }
    }

    fn created(&self, entry: &Bytes) -> Option<Timestamp> {
        created(self.stream, entry)
    }
}
