use super::Consumer;
use crate::lane::{Lane, LaneStatus};
use waybill_types::{Offset, QueueName, Timestamp};

/// A consumer, to be looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerStatus {
    /// Every event below is settled or has a row.
    pub cursor: Offset,
    /// Behind the last event read.
    pub read: Offset,
    /// Events in memory.
    pub in_memory: usize,
    /// Events offered: in a ready queue or being tried.
    pub offered: usize,
    /// Rows on disk, all lanes.
    pub rows: u64,
    /// Its lanes.
    pub lanes: Vec<(QueueName, LaneStatus)>,
}

/// A consumer in numbers: costs no name of a lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Totals {
    /// Behind the last event read.
    pub read: Offset,
    /// Events offered: in a ready queue or being tried.
    pub offered: usize,
    /// Rows on disk, all lanes.
    pub rows: u64,
    /// Events that were read and are not settled, in memory or in rows.
    pub unsettled: u64,
}

impl Consumer {
    /// Every event below is settled or has a row.
    pub fn cursor(&self) -> Offset {
        self.settled.cursor()
    }

    /// Whether nothing is in the hands of a session or handler.
    pub fn is_quiet(&self) -> bool {
        self.reading.is_quiet()
            && !self.rebinds.are_asked()
            && self.lanes.iter().all(|(_, lane)| lane.offered == 0 && lane.loading.is_none())
    }

    /// Whether the dispatcher has events that are to be rebound.
    pub fn is_rebinding(&self) -> bool {
        self.rebinds.are_asked()
    }

    /// Events that were tried and would be sent again after a crash.
    pub fn unsaved(&self) -> usize {
        self.settled.unsaved()
    }

    /// How it stands.
    pub fn status(&self, now: Timestamp) -> ConsumerStatus {
        let lanes = self.lanes.iter().map(|(name, lane)| (name.clone(), lane.status(now)));
        let mut lanes: Vec<_> = lanes.collect();
        lanes.sort_by(|a, b| a.0.cmp(&b.0));
        let Totals { read, offered, rows, .. } = self.totals();
        ConsumerStatus { cursor: self.cursor(), read, in_memory: self.items.len(), offered, rows, lanes }
    }

    /// How it stands, in numbers.
    pub fn totals(&self) -> Totals {
        let sum = |of: fn(&Lane) -> u64| self.lanes.iter().map(|(_, lane)| of(lane)).sum::<u64>();
        let rows = sum(|lane| lane.rows);
        // Rows in memory are counted once.
        let in_memory = (self.items.len() as u64).saturating_sub(sum(|lane| lane.loaded));
        Totals {
            read: self.settled.read_to(),
            offered: self.lanes.iter().map(|(_, lane)| lane.offered).sum(),
            rows,
            unsettled: rows + in_memory,
        }
    }

    /// How many events each lane has, in memory and in rows.
    pub fn lane_counts(&self) -> impl Iterator<Item = (QueueName, u64)> + '_ {
        let count = |lane: &Lane| lane.parked() + lane.in_memory() as u64;
        self.lanes.iter().map(move |(name, lane)| (name.clone(), count(lane)))
    }

    /// When the oldest event in memory was appended.
    pub fn oldest_in_memory(&self) -> Option<Timestamp> {
        self.items.values().map(|item| item.created).min()
    }

    /// Up to `limit` lanes that have rows on disk only, those first whose rows are due longest.
    pub fn parked_lanes(&self, limit: usize) -> Vec<QueueName> {
        let parked = self.lanes.iter().filter(|(_, lane)| lane.parked() > 0);
        let mut parked: Vec<_> = parked.map(|(name, lane)| (lane.next_due, name)).collect();
        parked.sort_unstable();
        parked.into_iter().take(limit).map(|(_, name)| name.clone()).collect()
    }
}
