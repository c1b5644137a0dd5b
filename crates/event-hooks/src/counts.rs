use std::sync::atomic::{AtomicU64, Ordering};
use waybill_event_hooks_core::Quiet;

/// What a hook did since the start.
#[derive(Default)]
pub(crate) struct Counts {
    delivered: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
    unchanged: AtomicU64,
    snoozed: AtomicU64,
}

/// What a hook did since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct Tally {
    /// Events that its target has.
    pub delivered: u64,
    /// Attempts that failed and are made again.
    pub failed: u64,
    /// Events that were given up.
    pub refused: u64,
    /// Events that did not make it fire, as nothing had changed.
    pub unchanged: u64,
    /// Events that did not make it fire, as it had not long before.
    pub snoozed: u64,
}

/// What became of events.
#[derive(Clone, Copy)]
pub(crate) enum Counted {
    Delivered,
    Failed,
    Refused,
}

impl Counts {
    pub(crate) fn add(&self, what: Counted, events: usize) {
        let counter = match what {
            Counted::Delivered => &self.delivered,
            Counted::Failed => &self.failed,
            Counted::Refused => &self.refused,
        };
        counter.fetch_add(events as u64, Ordering::Relaxed);
    }

    pub(crate) fn quiet(&self, why: Quiet) {
        let counter = match why {
            Quiet::Unchanged => &self.unchanged,
            Quiet::Snoozing => &self.snoozed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn tally(&self) -> Tally {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Tally {
            delivered: of(&self.delivered),
            failed: of(&self.failed),
            refused: of(&self.refused),
            unchanged: of(&self.unchanged),
            snoozed: of(&self.snoozed),
        }
    }
}
