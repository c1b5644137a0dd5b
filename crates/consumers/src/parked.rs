use crate::Registry;
use crate::layout::{self, Row};
use bytes::Bytes;
use waybill_journal_core::RowKey;
use waybill_spool::{StoreError, Table};
use waybill_types::{Offset, QueueName, Timestamp};

/// An event that waits on disk, to be looked at.
#[derive(Clone, PartialEq, Debug)]
pub struct ParkedEvent {
    /// Its lane.
    pub lane: QueueName,
    /// When it is tried next. One that was rebound is due since before 1970.
    pub due: Timestamp,
    /// Its place in the journal.
    pub offset: Offset,
    /// Attempts so far.
    pub attempts: u16,
    /// What the dispatcher keeps beside the entry.
    pub overlay: Bytes,
    /// The encoded event.
    pub entry: Bytes,
}

impl Registry {
    /// The first events that wait on disk: of a lane or, lane by lane, of the whole consumer; those behind `after`. Damaged
    /// rows are left out. Also tells behind which row the next page begins, as long as there may be one.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn parked(
        &self,
        name: &str,
        lane: Option<&QueueName>,
        after: Option<&(QueueName, RowKey)>,
        limit: usize,
    ) -> Result<(Vec<ParkedEvent>, Option<(QueueName, RowKey)>), StoreError> {
        let all = lane.map_or_else(|| layout::rows(name), |lane| layout::lane_rows(name, lane));
        let from = after.map_or_else(|| all.clone(), |(lane, key)| layout::row_key(name, lane, *key).after());
        let found = self.store.range(Table::Rows, from, all.end(), limit).await?;
        let place = |key| Some((layout::row_lane(key)?, layout::parse_row_key(key)?));
        let next = found.last().filter(|_| found.len() == limit).and_then(|(key, _)| place(key));
        let parked = found.iter().filter_map(|(key, value)| {
            let ((lane, key), Row { attempt, overlay, entry }) = (place(key)?, layout::parse_row(value)?);
            Some(ParkedEvent { lane, due: key.due, offset: key.offset, attempts: attempt.attempts, overlay, entry })
        });
        Ok((parked.collect(), next))
    }
}
