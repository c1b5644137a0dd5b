//! What a ready queue does with its sessions: it opens, hands over, gives up and closes.

use super::batch::wanted_sessions;
use super::queue::{Mode, ReadyQueue};
use super::{Fate, ReadyAction, SessionId, Throttled};
use crate::reason::Reason;
use crate::shared::Lease;
use std::time::Duration;
use waybill_types::{ThrottleSpec, Timestamp};

/// How long no further session is opened after one could not connect while others work.
const REOPEN_PAUSE: Duration = Duration::from_secs(5);
/// How long a batch waits for the sessions that are there. Below that a working endpoint gets the events of one mail in
/// their order, over few connections; beyond it, a request that hangs would hold back what came after it.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
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
        self.leases.remove(&session);
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
        self.leases.remove(&session);
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
        for order in [&mut self.suspended, &mut self.source_suspended] {
            let _ = order.take_if(|order| !order.holds(now));
        }
        let closed = self.leaving || self.suspended.is_some() || self.source_suspended.is_some();
        if closed {
            let reason = match (self.leaving, &self.suspended) {
                (true, _) => Reason::ReadyQueueWasReaped,
                (false, Some(_)) => Reason::ReadyQueueWasSuspended,
                (false, None) => Reason::SourceIsUnhealthyAndSuspended,
            };
            self.send_back(self.waiting.len(), reason, out, |_| None);
        } else if !mode.paused && !mode.stopping {
            self.hand(now, out);
            self.open(now, new_session, out);
            self.give_up_throttled(now, out);
        }
        self.leave_what_is_not_needed(now);
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
            self.take_of_rates(size as u64, now);
            let batch: Vec<_> = self.waiting.drain(..size).map(|waiting| (waiting.item, waiting.from)).collect();
            let items = batch.iter().map(|(item, _)| *item).collect();
            self.sessions.hand(session, batch);
            out.push(ReadyAction::Hand { session, queue: self.name.clone(), items });
        }
    }

    /// Batches that are left want sessions.
    fn open(&mut self, now: Timestamp, new_session: &mut impl FnMut() -> SessionId, out: &mut Vec<ReadyAction<K>>) {
        // A rate that lets nothing leave needs no connection for it.
        while self.throttled.is_none() && now >= self.open_after && self.wants_session(now) {
            let Some(representative) = self.waiting.front().map(|waiting| waiting.from.clone()) else { break };
            // First what only looks, then what would have to be given back.
            if let Some(spec) = &self.limits.max_connection_rate {
                let wait = self.connection_rate.wait(now, spec, 1);
                if !wait.is_zero() {
                    let (reason, until) = (Reason::ConnectionRateThrottle, now + wait);
                    self.throttled = Some(Throttled { reason, name: None, until });
                    break;
                }
            }
            let Some(leases) = self.lease() else { return };
            if let Some(spec) = &self.limits.max_connection_rate {
                self.connection_rate.take(now, spec, 1);
            }
            let session = new_session();
            self.sessions.open(session);
            self.opened_at = now;
            if !leases.is_empty() {
                self.leases.insert(session, leases);
            }
            out.push(ReadyAction::Open { queue: self.name.clone(), session, representative });
        }
        self.in_line = None;
    }

    fn wants_session(&self, now: Timestamp) -> bool {
        self.has_connections()
            && (self.sessions.live() < self.wanted(now) || self.impatient_at(now).is_some_and(|at| at <= now))
    }

    /// True while the path's own limit allows another session.
    pub(super) fn has_connections(&self) -> bool {
        self.sessions.total() < usize::try_from(self.limits.connection_limit).unwrap_or(usize::MAX)
    }

    /// When the batch in front has waited so long that one more session is worth it, whatever the curve says: those
    /// that are there may hang. While one connects, that is what it waits for.
    pub(super) fn impatient_at(&self, now: Timestamp) -> Option<Timestamp> {
        if self.sessions.opening() > 0 || !self.has_connections() {
            return None;
        }
        Some(self.formed_at(now)?.max(self.opened_at) + PATIENCE)
    }

    /// A connection under each of the shared limits, or a place in the line of the first that is reached.
    fn lease(&mut self) -> Option<Vec<Lease>> {
        let mut leases = Vec::with_capacity(self.limits.additional_connection_limits.len());
        for (name, limit) in &self.limits.additional_connection_limits {
            let handed = self.handed.iter().position(|lease| lease.name() == name);
            leases.push(match handed {
                Some(place) => self.handed.swap_remove(place),
                // Those that it has go to others meanwhile: holding them in a line would be a deadlock.
                None => self.shared.take_or_wait(name, *limit, self.id, &mut self.in_line)?,
            });
        }
        self.in_line = None;
        Some(leases)
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
        let Some(Throttled { reason, name, until }) = self.throttled.clone() else { return };
        let spec: Option<ThrottleSpec> = match reason {
            Reason::MessageRateThrottle => match name {
                Some(name) => self.limits.additional_message_rate_throttles.get(&name).copied(),
                None => self.limits.max_message_rate,
            },
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
