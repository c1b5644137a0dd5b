//! What can be seen of a ready queue without changing it: batches, wake-ups, its end.

use super::queue::{Mode, ReadyQueue};
use super::{Order, ReadyStatus};
use std::sync::Arc;
use waybill_types::Timestamp;

impl<K: Copy + Ord> ReadyQueue<K> {
    /// The size of the batch in front, if it is formed.
    pub(super) fn next_batch(&self, now: Timestamp) -> Option<usize> {
        let first = self.waiting.front()?;
        let count = self.waiting.len().min(self.batch.batch_size());
        self.batch.is_batch(count, first.since, now).then_some(count)
    }

    /// Since when the batch in front is formed, if it is.
    pub(super) fn formed_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.next_batch(now)?;
        let latest = self.batch.latest(self.waiting.front()?.since);
        let full = self.waiting.get(self.batch.min_batch_size() - 1).map(|waiting| waiting.since);
        Some(full.map_or(latest, |full| full.min(latest)))
    }

    /// How many batches are formed.
    pub(super) fn formed(&self, now: Timestamp) -> usize {
        let full = self.waiting.len() / self.batch.batch_size();
        let rest = self.waiting.len() % self.batch.batch_size();
        full + usize::from(self.rest().is_some_and(|first| self.batch.is_batch(rest, first, now)))
    }

    /// Since when the first of the items behind the last full batch is ready.
    pub(super) fn rest(&self) -> Option<Timestamp> {
        let full = self.waiting.len() / self.batch.batch_size();
        self.waiting.get(full * self.batch.batch_size()).map(|waiting| waiting.since)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.sessions.total() == 0
    }

    /// True when it may leave memory: nothing is in it and nobody is on the way to it.
    pub(super) fn is_spent(&self, now: Timestamp) -> bool {
        if !self.is_empty() || self.reserved.count() > 0 {
            return false;
        }
        // A suspension is an operator's order: it outlives the traffic.
        self.leaving || (self.suspended.is_none() && now >= self.reap_at())
    }

    /// When it may leave memory, if nothing comes. Not before its rates are rested: they would begin afresh.
    pub(super) fn reap_at(&self) -> Timestamp {
        let rates = [self.message_rate.rested_at(), self.connection_rate.rested_at(), self.selection.rested_at()];
        let rested = rates.into_iter().max().unwrap_or(Timestamp::EPOCH);
        (self.quiet_since + self.limits.reap_after).max(rested)
    }

    /// When `settle` has something to do again if nothing happens. Always later than `now` after a `settle`.
    pub(super) fn next_wake(&self, mode: Mode, now: Timestamp) -> Option<Timestamp> {
        let until = self.order().and_then(|order| order.until);
        let idle = self.sessions.oldest_idle().map(|(since, _)| since + self.limits.idle_timeout);
        let quiet = self.is_empty().then(|| self.reap_at());
        let mut wake = [until, idle, quiet].into_iter().flatten().filter(|at| *at > now).min();
        if !mode.paused && !mode.stopping {
            let batch = self.rest().map(|first| self.batch.latest(first)).filter(|at| *at > now);
            let rate = self.throttled.as_ref().map(|throttled| throttled.until).filter(|_| !self.waiting.is_empty());
            let pause = (self.open_after > now && !self.waiting.is_empty()).then_some(self.open_after);
            let free = self.throttled.is_none() && self.in_line.is_none() && self.open_after <= now;
            let patience = self.impatient_at(now).filter(|at| free && *at > now);
            wake = [wake, batch, rate, pause, patience].into_iter().flatten().min();
        }
        wake.filter(|at| *at < Timestamp::MAX)
    }

    /// What closes it.
    fn order(&self) -> Option<&Order> {
        self.suspended.as_ref().or(self.source_suspended.as_ref())
    }

    pub(super) fn status(&self, now: Timestamp) -> ReadyStatus {
        ReadyStatus {
            ready: self.ready(),
            reserved: self.reserved.count(),
            in_flight: self.sessions.in_flight(),
            opening: self.sessions.opening(),
            idle: self.sessions.idle(),
            busy: self.sessions.busy(),
            closing: self.sessions.total() - self.sessions.live(),
            failures: self.failures,
            full: self.full,
            suspended: self.order().cloned().filter(|order| order.holds(now)),
            throttled: self.throttled.clone(),
            connection_limited: self.is_limited(now),
            limited_by: self.in_line.as_ref().map(|line| Arc::clone(line.name())),
            limited_since: self.limited_since.filter(|_| self.is_limited(now)),
            throttled_since: self.throttled_since.filter(|_| self.throttled.is_some()),
        }
    }

    /// True when more sessions would be opened but for the limit.
    pub(super) fn is_limited(&self, now: Timestamp) -> bool {
        let limit = usize::try_from(self.limits.connection_limit).unwrap_or(usize::MAX);
        self.in_line.is_some() || (self.formed(now) > 0 && self.sessions.total() >= limit)
    }
}
