use std::sync::atomic::{AtomicU64, Ordering};
use waybill_streams_core::Id;

/// What can come of an attempt: the class of the status, or `error` when nobody answered.
pub const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "error"];

/// Attempts of a webhook since the start.
#[derive(Default)]
pub(super) struct Counts([AtomicU64; CLASSES.len()]);

impl Counts {
    /// Counts one.
    pub(super) fn add(&self, status: Option<u16>) {
        let class = status.and_then(|status| (status / 100).checked_sub(1)).map_or(usize::MAX, usize::from);
        // What is no class of HTTP's is no answer.
        if let Some(count) = self.0.get(class.min(CLASSES.len() - 1)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn by_class(&self) -> [u64; CLASSES.len()] {
        std::array::from_fn(|class| self.0.get(class).map_or(0, |count| count.load(Ordering::Relaxed)))
    }
}

/// What an egress webhook did, and what waits for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EgressTally {
    /// The webhook.
    pub id: Id,
    /// Offsets that it has not delivered; of the log of mail events some may be those of nothing that it shows.
    pub lag: u64,
    /// In parallel by key: messages that wait behind a failed attempt for their key.
    pub parked: usize,
    /// Attempts since the start, in the order of [`CLASSES`].
    pub by_class: [u64; CLASSES.len()],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_of_a_class_and_no_answer_is_an_error() {
        let counts = Counts::default();
        for status in [Some(200), Some(204), Some(301), Some(404), Some(599), Some(100), Some(799), None] {
            counts.add(status);
        }
        assert_eq!(counts.by_class(), [1, 2, 1, 1, 1, 2]);
    }
}
