use std::collections::HashSet;
use waybill_journal_core::RowKey;
use waybill_types::{QueueName, Timestamp};

/// Rows to be loaded.
#[derive(Clone, Debug)]
pub(super) struct LoadJob {
    pub(super) lane: QueueName,
    pub(super) from: RowKey,
    pub(super) until: Timestamp,
    pub(super) limit: usize,
}

/// Loads that wait until they may begin.
#[derive(Debug, Default)]
pub(super) struct Loads {
    /// With the number of the save that must be done first: a load has to see every row written before it.
    waiting: Vec<(u64, LoadJob)>,
    /// Lanes whose settings are not known yet: whether a row is too old cannot be told.
    unknown: HashSet<QueueName>,
}

impl Loads {
    /// Loads of these lanes wait for [`Loads::configured`].
    pub(super) fn until_configured(lanes: impl IntoIterator<Item = QueueName>) -> Self {
        Loads { waiting: Vec::new(), unknown: lanes.into_iter().collect() }
    }

    pub(super) fn push(&mut self, save: u64, job: LoadJob) {
        self.waiting.push((save, job));
    }

    pub(super) fn configured(&mut self, lane: &QueueName) {
        self.unknown.remove(lane);
    }

    /// The save that the last of them waits for.
    pub(super) fn waits_for(&self) -> u64 {
        self.waiting.iter().map(|(save, _)| *save).max().unwrap_or(0)
    }

    /// Those that may begin now that so many saves are done.
    pub(super) fn take_ready(&mut self, saves: u64) -> Vec<LoadJob> {
        let mut ready = Vec::new();
        let unknown = &self.unknown;
        self.waiting.retain(|(save, job)| {
            let may = *save <= saves && !unknown.contains(&job.lane);
            if may {
                ready.push(job.clone());
            }
            !may
        });
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_types::Offset;

    fn job(lane: &str) -> LoadJob {
        let from = RowKey { due: Timestamp::EPOCH, offset: Offset::ZERO };
        LoadJob { lane: QueueName::new(lane), from, until: Timestamp::EPOCH, limit: 1 }
    }

    fn lanes(ready: &[LoadJob]) -> Vec<&str> {
        ready.iter().map(|job| job.lane.as_str()).collect()
    }

    #[test]
    fn a_load_waits_for_the_save_before_it_and_for_no_later_one() {
        let mut loads = Loads::default();
        loads.push(1, job("a"));
        loads.push(2, job("b"));
        assert!(loads.take_ready(0).is_empty());
        assert_eq!(loads.waits_for(), 2);
        assert_eq!(lanes(&loads.take_ready(1)), ["a"]);
        assert_eq!(lanes(&loads.take_ready(2)), ["b"]);
        assert_eq!(loads.waits_for(), 0);
    }

    #[test]
    fn a_lane_without_settings_holds_up_no_other() {
        let mut loads = Loads::until_configured([QueueName::new("a")]);
        loads.push(0, job("a"));
        loads.push(0, job("b"));
        assert_eq!(lanes(&loads.take_ready(0)), ["b"]);
        loads.configured(&QueueName::new("a"));
        assert_eq!(lanes(&loads.take_ready(0)), ["a"]);
    }
}
