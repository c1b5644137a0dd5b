//! What a ready queue does with its sessions: it opens, hands over, gives up and closes.

use super::batch::wanted_sessions;
use super::queue::{Mode, ReadyQueue};
use super::{Fate, ReadyAction, SessionId, Throttled};
use crate::reason::Reason;
use std::time::Duration;
use waybill_types::{ThrottleSpec, Timestamp};

/// How long no further session is opened after one could not connect while others work.
const REOPEN_PAUSE: Duration = Duration::from_secs(5);
/// The most that the items of a throttled queue are spread over when they go back.
const MAX_SPREAD: Duration = Duration::from_secs(3600);

impl<K: Copy + Ord> ReadyQueue<K> {
    /// A session connected.
    pub(super) fn connected(&mut self, session: SessionId, now: Timestamp) {
        if self.sessions.connected(session, now) {
            self.failures = 0;
            self.open_after = now;
        }
    }

    /// A session could not connect.
    ///
    /// It would have carried the batch in front, so that one has had its attempt: without this, items of a dead
    /// destination would wait here for ever. Where another session works, the path is not to blame, and nor are they.
    pub(super) fn failed(&mut self, session: SessionId, mode: Mode, now: Timestamp, out: &mut Vec<ReadyAction<K>>) {
        if !self.sessions.is_opening(session) {
            return self.closed(session, out);
        }
        self.sessions.remove(session);
        self.failures = self.failures.saturating_add(1);
        if mode.stopping {
            return;
        }
        self.drop_withdrawn();
        if self.failures > self.limits.consecutive_connection_failures {
            self.send_back(self.waiting.len(), Reason::TooManyConnectionFailures, out, |_| None);
        } else if self.sessions.proven() {
            self.open_after = now + REOPEN_PAUSE;
        } else {
            let batch = self.next_batch(now).unwrap_or(0);
            self.send_back(batch, Reason::LoggedTransientFailure, out, |_| None);
        }
    }

    /// A session could not connect, and can take a batch to say so.
    ///
    /// As with [`ReadyQueue::failed`] the batch in front has had its attempt, but here the session fails it, so that
    /// policy can judge the failure as it judges any other.
    pub(super) fn refused(&mut self, session: SessionId, mode: Mode, now: Timestamp, out: &mut Vec<ReadyAction<K>>) {
        let proven = self.sessions.proven();
        if !self.sessions.refused(session, now) {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        self.drop_withdrawn();
        if self.failures > self.limits.consecutive_connection_failures && !mode.stopping {
            self.send_back(self.waiting.len(), Reason::TooManyConnectionFailures, out, |_| None);
        } else if proven {
            self.open_after = now + REOPEN_PAUSE;
            self.close(session, out);
        }
    }

    /// A session has done with its batch.
    pub(super) fn finished(&mut self, session: SessionId, fate: Fate, now: Timestamp, out: &mut Vec<ReadyAction<K>>) {
        let Some(served) = self.sessions.finish(session, now) else { return };
        let limit = usize::try_from(self.limits.connection_limit).unwrap_or(usize::MAX);
        let worn = served >= self.limits.max_deliveries_per_connection;
        if fate != Fate::Keep || worn || self.sessions.live() > limit {
            self.close(session, out);
        }
    }

    /// A session is gone. What it held was not delivered, as far as anybody knows.
    pub(super) fn closed(&mut self, session: SessionId, out: &mut Vec<ReadyAction<K>>) {
        for (item, from) in self.sessions.remove(session) {
            out.push(ReadyAction::Return { item, from, reason: Reason::DispatcherDrop, delay: None });
        }
    }

    /// Everything that can be done now, is.
    pub(super) fn settle(
        &mut self,
        mode: Mode,
        now: Timestamp,
        new_session: &mut impl FnMut() -> SessionId,
        out: &mut Vec<ReadyAction<K>>,
    ) {
        self.drop_withdrawn();
        self.throttled = None;
        if self.suspended.as_ref().is_some_and(|suspension| !suspension.holds(now)) {
            self.suspended = None;
        }
        let closed = self.leaving || self.suspended.is_some();
        if closed {
            let reason = if self.leaving { Reason::ReadyQueueWasReaped } else { Reason::ReadyQueueWasSuspended };
            self.send_back(self.waiting.len(), reason, out, |_| None);
        } else if !mode.paused && !mode.stopping {
            self.hand(now, out);
            self.open(now, new_session, out);
            self.give_up_throttled(now, out);
        }
        self.close_idle(closed || mode.stopping, now, out);
        self.limited_since = self.is_limited(now).then(|| self.limited_since.unwrap_or(now));
        self.throttled_since = self.throttled.is_some().then(|| self.throttled_since.unwrap_or(now));
        if !self.is_empty() || self.reserved.count() > 0 {
            self.quiet_since = now;
        }
    }

    /// Formed batches go to idle sessions, the most recently used first, so that the others can go.
    fn hand(&mut self, now: Timestamp, out: &mut Vec<ReadyAction<K>>) {
        while let Some(formed) = self.next_batch(now) {
            let Some(size) = self.pass_message_rate(formed, now) else { return };
            let Some(session) = self.sessions.next_to_serve() else { return };
            if let Some(spec) = &self.limits.max_message_rate {
                self.message_rate.take(now, spec, size as u64);
            }
            let batch: Vec<_> = self.waiting.drain(..size).map(|waiting| (waiting.item, waiting.from)).collect();
            let items = batch.iter().map(|(item, _)| *item).collect();
            self.sessions.hand(session, batch);
            out.push(ReadyAction::Hand { session, queue: self.name.clone(), items });
        }
    }

    /// How many of a formed batch the rate lets pass; `None` makes it wait.
    ///
    /// A batch that is large enough is not torn below its minimum just because the rate had a little to spare.
    fn pass_message_rate(&mut self, formed: usize, now: Timestamp) -> Option<usize> {
        let Some(spec) = &self.limits.max_message_rate else { return Some(formed) };
        let needed = formed.min(self.batch.min_batch_size()) as u64;
        let wait = self.message_rate.wait(now, spec, needed);
        if !wait.is_zero() {
            self.throttled = Some(Throttled { reason: Reason::MessageRateThrottle, until: now + wait });
            return None;
        }
        Some(formed.min(usize::try_from(self.message_rate.available(now, spec)).unwrap_or(usize::MAX)))
    }

    /// Batches that are left want sessions.
    fn open(&mut self, now: Timestamp, new_session: &mut impl FnMut() -> SessionId, out: &mut Vec<ReadyAction<K>>) {
        let limit = usize::try_from(self.limits.connection_limit).unwrap_or(usize::MAX);
        let wanted = self.wanted(now);
        // A rate that lets nothing leave needs no connection for it.
        if self.throttled.is_some() || now < self.open_after {
            return;
        }
        while self.sessions.live() < wanted && self.sessions.total() < limit {
            let Some(front) = self.waiting.front() else { return };
            if let Some(spec) = &self.limits.max_connection_rate
                && let Err(wait) = self.connection_rate.check(now, spec)
            {
                self.throttled = Some(Throttled { reason: Reason::ConnectionRateThrottle, until: now + wait });
                return;
            }
            let session = new_session();
            self.sessions.open(session);
            let representative = front.from.clone();
            out.push(ReadyAction::Open { queue: self.name.clone(), session, representative });
        }
    }

    fn wanted(&self, now: Timestamp) -> usize {
        match self.formed(now) {
            0 => 0,
            formed => wanted_sessions(
                self.limits.connection_limit,
                formed + self.sessions.busy(),
                self.limits.aggressive_connection_opening,
            ),
        }
    }

    /// A rate that is spent for longer than a session would idle sends the items back, each to about the time at
    /// which the rate would let it pass: they may take another way, and expire in time.
    fn give_up_throttled(&mut self, now: Timestamp, out: &mut Vec<ReadyAction<K>>) {
        let Some(Throttled { reason, until }) = self.throttled else { return };
        let spec: Option<ThrottleSpec> = match reason {
            Reason::MessageRateThrottle => self.limits.max_message_rate,
            // Where a session lives, the items leave without another connection.
            _ if self.sessions.live() > 0 => None,
            _ => self.limits.max_connection_rate,
        };
        let wait = until.since(now);
        if let Some(spec) = spec
            && wait >= self.limits.idle_timeout
        {
            let spread = |place: usize| {
                let place = u32::try_from(place).unwrap_or(u32::MAX);
                Some(wait + spec.interval().saturating_mul(place).min(MAX_SPREAD))
            };
            self.send_back(self.waiting.len(), reason, out, spread);
        }
    }

    fn close_idle(&mut self, all: bool, now: Timestamp, out: &mut Vec<ReadyAction<K>>) {
        // One that is not connected has nothing to wait for.
        for session in self.sessions.idle_and_refused() {
            self.close(session, out);
        }
        let limit = usize::try_from(self.limits.connection_limit).unwrap_or(usize::MAX);
        while let Some((since, session)) = self.sessions.oldest_idle() {
            if !all && self.sessions.live() <= limit && now < since + self.limits.idle_timeout {
                return;
            }
            self.close(session, out);
        }
    }

    pub(super) fn close(&mut self, session: SessionId, out: &mut Vec<ReadyAction<K>>) {
        self.sessions.close(session);
        out.push(ReadyAction::Close { session });
    }
}
