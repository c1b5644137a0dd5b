//! How fast items leave a ready queue, and how fast it is chosen for them: its own rates and those that it shares.

use super::queue::ReadyQueue;
use super::{Selected, Throttled};
use crate::reason::Reason;
use crate::shared::Kind;
use std::sync::Arc;
use std::time::Duration;
use waybill_types::{ThrottleSpec, Timestamp};

/// How long a turn is kept that cannot be used: sessions are busy, or the wake-up comes late. Turns that are hoarded
/// would be used together.
pub(crate) const TURN_KEPT: Duration = Duration::from_secs(1);

/// A turn that a queue has booked at all of its shared rates.
#[derive(Debug)]
pub(super) struct Booked {
    at: Timestamp,
    count: u64,
    rates: Vec<(Arc<str>, ThrottleSpec)>,
}

impl<K: Copy + Ord> ReadyQueue<K> {
    /// How many of a formed batch the rates let pass; `None` makes it wait.
    ///
    /// A batch that is large enough is not torn below its minimum just because a rate had a little to spare.
    pub(super) fn pass_message_rate(&mut self, formed: usize, now: Timestamp) -> Option<usize> {
        let needed = formed.min(self.batch.min_batch_size()) as u64;
        let mut spare = u64::MAX;
        if let Some(spec) = &self.limits.max_message_rate {
            let wait = self.message_rate.wait(now, spec, needed);
            if !wait.is_zero() {
                self.wait_for_rate(None, now + wait);
                return None;
            }
            spare = self.message_rate.available(now, spec);
        }
        if !self.limits.additional_message_rate_throttles.is_empty() {
            spare = spare.min(self.pass_shared_rates(needed, now)?);
        }
        Some(formed.min(usize::try_from(spare).unwrap_or(usize::MAX)))
    }

    /// How many the shared rates let pass now, at least as many as are needed.
    fn pass_shared_rates(&mut self, needed: u64, now: Timestamp) -> Option<u64> {
        let rates: Vec<_> =
            self.limits.additional_message_rate_throttles.iter().map(|(name, spec)| (name.clone(), *spec)).collect();
        // Never more than a burst can pass together.
        let needed = rates.iter().map(|(_, spec)| spec.burst()).fold(needed, u64::min);
        if self.booked.as_ref().is_some_and(|booked| booked.rates != rates || now > booked.at + TURN_KEPT) {
            self.give_back_turn(now);
        }
        let (at, count) = self.booked.as_ref().map_or((now, 0), |booked| (booked.at, booked.count));
        let missing = needed.saturating_sub(count);
        let turns = rates
            .iter()
            .map(|(name, spec)| (self.shared.turn(Kind::Messages, name, now, spec, missing).max(at), name.clone()));
        let (turn, name) = turns.max_by_key(|(turn, _)| *turn)?;
        if turn > now {
            // What would wait for longer goes back instead, and books nothing.
            if turn.since(now) < self.limits.idle_timeout && missing > 0 {
                rates.iter().for_each(|(name, spec)| self.shared.book(Kind::Messages, name, now, spec, missing));
                self.booked = Some(Booked { at: turn, count: count + missing, rates });
            }
            self.wait_for_rate(Some(name), turn);
            return None;
        }
        let free = |(name, spec): &(Arc<str>, ThrottleSpec)| self.shared.available(Kind::Messages, name, now, spec);
        Some(count.saturating_add(rates.iter().map(free).min()?))
    }

    fn wait_for_rate(&mut self, name: Option<Arc<str>>, until: Timestamp) {
        self.throttled = Some(Throttled { reason: Reason::MessageRateThrottle, name, until });
    }

    /// So many leave.
    pub(super) fn take_of_rates(&mut self, size: u64, now: Timestamp) {
        if let Some(spec) = &self.limits.max_message_rate {
            self.message_rate.take(now, spec, size);
        }
        let booked = self.booked.take();
        let count = booked.as_ref().map_or(0, |booked| booked.count);
        for (name, spec) in &self.limits.additional_message_rate_throttles {
            self.shared.book(Kind::Messages, name, now, spec, size.saturating_sub(count));
            self.shared.give_back(Kind::Messages, name, now, spec, count.saturating_sub(size));
        }
    }

    fn give_back_turn(&mut self, now: Timestamp) {
        if let Some(Booked { count, rates, .. }) = self.booked.take() {
            rates.iter().for_each(|(name, spec)| self.shared.give_back(Kind::Messages, name, now, spec, count));
        }
    }

    /// Places in lines, connections and turns that nothing here waits for go to others.
    pub(super) fn leave_what_is_not_needed(&mut self, now: Timestamp) {
        self.handed.clear();
        if self.waiting.is_empty() {
            self.in_line = None;
            self.give_back_turn(now);
        }
    }

    /// When this queue may be chosen for one more item, and how far apart such turns are.
    pub(super) fn selection_turn(&mut self, now: Timestamp) -> (Timestamp, Duration) {
        let own = self.limits.source_selection_rate.as_ref();
        let own = own.map(|spec| (self.selection.turn(now, spec, 1), spec.interval()));
        let named = self.limits.additional_source_selection_rates.iter();
        let named = named.map(|(name, spec)| (self.shared.turn(Kind::Selections, name, now, spec, 1), spec.interval()));
        named.chain(own).max().unwrap_or((now, Duration::ZERO))
    }

    /// This queue is chosen, now or at the turn that was said.
    pub(super) fn select(&mut self, now: Timestamp) {
        if let Some(spec) = &self.limits.source_selection_rate {
            self.selection.book(now, spec, 1);
        }
        for (name, spec) in &self.limits.additional_source_selection_rates {
            self.shared.book(Kind::Selections, name, now, spec, 1);
        }
    }

    /// What being chosen for one item takes.
    pub(super) fn selected(&self) -> Selected {
        Selected {
            own: self.limits.source_selection_rate,
            named: self.limits.additional_source_selection_rates.clone(),
        }
    }

    /// It was chosen, which took this, for an item that does not come. Rates may have changed since then: one that had no
    /// part in it gets nothing back.
    pub(super) fn deselect(&mut self, now: Timestamp, taken: &Selected) {
        if let (Some(spec), Some(taken)) = (&self.limits.source_selection_rate, &taken.own) {
            self.selection.give_back_one(now, spec, taken);
        }
        for (name, taken) in &taken.named {
            let spec = self.limits.additional_source_selection_rates.get(name).unwrap_or(taken);
            self.shared.give_back_one(Kind::Selections, name, now, spec, taken);
        }
    }
}
