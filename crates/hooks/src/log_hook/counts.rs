//! What came of a hook's attempts, in numbers.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use waybill_delivery::{BatchOutcome, Outcome};
use waybill_ready::stopped_by_watchdog;
use waybill_runtime::{Histograms, Observed};
use waybill_types::{ReadyQueueName, Response};

/// Classes of what endpoints answer.
pub const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "error"];
/// No answer came, or none that could be understood.
const ERROR: usize = 5;

/// Attempts since the start.
#[derive(Debug, Default)]
pub struct Counts {
    by_class: [AtomicU64; CLASSES.len()],
    by_queue: Mutex<BTreeMap<ReadyQueueName, [u64; 3]>>,
    by_protocol: Mutex<BTreeMap<String, [u64; 3]>>,
    aborted: Mutex<BTreeMap<ReadyQueueName, u64>>,
    deliveries: Histograms,
}

impl Counts {
    /// Events by what their endpoint answered, in the order of [`CLASSES`].
    pub fn by_class(&self) -> [u64; CLASSES.len()] {
        std::array::from_fn(|class| self.by_class[class].load(Ordering::Relaxed))
    }

    /// Events delivered, failed for now, failed for good: by ready queue, of those that are in memory.
    pub fn by_ready_queue(&self) -> BTreeMap<ReadyQueueName, [u64; 3]> {
        self.by_queue.lock().clone()
    }

    /// The same by the way of delivery, since the start.
    pub fn by_protocol(&self) -> BTreeMap<String, [u64; 3]> {
        self.by_protocol.lock().clone()
    }

    /// Sessions that the watchdog ended: by ready queue, of those that are in memory.
    pub fn aborted(&self) -> BTreeMap<ReadyQueueName, u64> {
        self.aborted.lock().clone()
    }

    /// How long the sessions worked on each batch, by the way of delivery.
    pub fn deliveries(&self) -> BTreeMap<String, Observed> {
        self.deliveries.seen()
    }

    /// A ready queue is gone from memory, and so are its numbers: its next life begins at zero.
    pub(super) fn forget(&self, queue: &ReadyQueueName) {
        self.by_queue.lock().remove(queue);
        self.aborted.lock().remove(queue);
    }

    pub(super) fn count(&self, queue: &ReadyQueueName, batch: &BatchOutcome, took: Duration) {
        let protocol = queue.protocol();
        self.deliveries.observe(protocol, took);
        if stopped_by_watchdog(batch) {
            *self.aborted.lock().entry(queue.clone()).or_default() += 1;
        }
        let mut totals = [0; 3];
        for outcome in &batch.outcomes {
            let (kind, fallback) = match outcome {
                Outcome::Delivered(_) => (0, 2),
                // A script's word is about the whole event: nothing is divided.
                Outcome::Transient(..) | Outcome::Divided(_) => (1, 4),
                Outcome::Permanent(_) => (2, 5),
            };
            totals[kind] += 1;
            let class = if batch.peer_spoke { class_of(outcome.response(), fallback) } else { ERROR };
            self.by_class[class].fetch_add(1, Ordering::Relaxed);
        }
        let add = |counts: &mut [u64; 3]| counts.iter_mut().zip(totals).for_each(|(count, more)| *count += more);
        // Nearly always it is there: then no name is copied.
        let mut by_queue = self.by_queue.lock();
        match by_queue.get_mut(queue) {
            Some(counts) => add(counts),
            None => add(by_queue.entry(queue.clone()).or_default()),
        }
        drop(by_queue);
        let mut by_protocol = self.by_protocol.lock();
        match by_protocol.get_mut(protocol) {
            Some(counts) => add(counts),
            None => add(by_protocol.entry(protocol.to_owned()).or_default()),
        }
    }
}

/// The class of an endpoint's answer. Scripts put its status in front of what they return or reject with (`503 Service
/// Unavailable: body`), as the helpers and the manual do; where one does not, its outcome has to do.
fn class_of(response: &Response, fallback: usize) -> usize {
    let text = response.content.as_bytes();
    let ends = text.get(3).is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'.');
    match text {
        [class @ b'1'..=b'5', b'0'..=b'9', b'0'..=b'9', ..] if ends => usize::from(class - b'1'),
        _ => fallback - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_delivery::Fate;

    const TOOK: Duration = Duration::from_millis(20);

    fn queue() -> ReadyQueueName {
        ReadyQueueName::compose("unspecified", "webhook.log_hook", "lua:make.webhook.log_hook")
    }

    fn counted(outcomes: Vec<Outcome>, peer_spoke: bool) -> Counts {
        let counts = Counts::default();
        counts.count(&queue(), &BatchOutcome { outcomes, peer_spoke, session: Fate::Keep }, TOOK);
        counts
    }

    #[test]
    fn the_status_of_the_endpoint_counts_whatever_came_of_it() {
        let said = |text: &str| Response::plain(400, text);
        let outcomes = vec![
            Outcome::Delivered(said("204 No Content: ")),
            Outcome::Transient(said("503 Service Unavailable: later"), None),
            Outcome::Transient(said("429"), None),
            Outcome::Permanent(said("404 Not Found: nobody")),
        ];
        let counts = counted(outcomes, true);
        assert_eq!(counts.by_class(), [0, 1, 0, 2, 1, 0]);
        assert_eq!(counts.by_ready_queue()[&queue()], [1, 2, 1]);
    }

    #[test]
    fn the_numbers_of_a_queue_go_with_it_and_the_sums_stay() {
        let counts = counted(vec![Outcome::Delivered(Response::plain(200, "ok"))], true);
        let text = "4.4.1 dispatcher watchdog aborted task; phase=deliver_message";
        let stopped = vec![Outcome::Transient(Response::new(451, text), None); 2];
        counts.count(&queue(), &BatchOutcome { outcomes: stopped, peer_spoke: false, session: Fate::Broken }, TOOK);
        assert_eq!(counts.aborted(), [(queue(), 1)].into());
        counts.forget(&queue());
        assert!(counts.by_ready_queue().is_empty() && counts.aborted().is_empty());
        assert_eq!(counts.deliveries()["lua"].count(), 2);
        assert_eq!(counts.by_protocol(), [("lua".to_owned(), [1, 2, 0])].into());
    }

    #[test]
    fn a_script_that_shows_no_status_is_counted_by_its_outcome() {
        let outcomes = ["done", "4.7.1 not now", "2000 events", "ok 200"]
            .map(|text| Outcome::Delivered(Response::plain(200, text)))
            .into_iter()
            .chain([Outcome::Transient(Response::plain(451, "later"), None)])
            .chain([Outcome::Permanent(Response::plain(550, "never"))]);
        assert_eq!(counted(outcomes.collect(), true).by_class(), [0, 4, 0, 1, 1, 0]);
    }

    #[test]
    fn trouble_on_the_way_is_an_error_and_no_answer() {
        let outcome = Outcome::Transient(Response::plain(400, "KumoMTA internal: connection refused"), None);
        assert_eq!(counted(vec![outcome; 3], false).by_class(), [0, 0, 0, 0, 0, 3]);
    }
}
