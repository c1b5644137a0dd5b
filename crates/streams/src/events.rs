//! The built-in log: the mail events of the journal, as a log that nobody publishes to.

use crate::log::Found;
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::watch;
use waybill_log_record::{Capture, Entry, RecordView};
use waybill_spool::{ReadLimit, Store, StoreError, StreamId};
use waybill_streams_core::{Cleanup, Id, Log, Message, Stats};
use waybill_types::Offset;

/// One record a message: key = the id of the mail, value = the log record. Offsets may have gaps.
#[derive(Clone)]
pub(crate) struct EventsLog {
    id: Id,
    store: Arc<dyn Store>,
    /// The headers and meta fields that `define_journal` names, and no others.
    capture: Arc<Capture>,
}

/// How many records are looked at for a guess of the size.
const SAMPLES: u64 = 16;

impl EventsLog {
    pub(crate) fn new(id: Id, store: Arc<dyn Store>, capture: Arc<Capture>) -> Self {
        EventsLog { id, store, capture }
    }

    pub(crate) fn id(&self) -> Id {
        self.id
    }

    pub(crate) fn log(&self) -> Log {
        let metadata = "mail events of this daemon (built in, read only)".to_owned();
        Log { log_id: self.id, metadata, compacting: false, tenant: None, limits: Cleanup::default() }
    }

    pub(crate) fn end(&self) -> watch::Receiver<Offset> {
        self.store.visible(StreamId::EVENTS)
    }

    pub(crate) async fn read(&self, from: u64, most: usize, bytes: usize) -> Result<Found, StoreError> {
        let end = self.end().borrow().0;
        let mut found = Found { messages: Vec::new(), next: from };
        let mut weight = 0;
        while found.messages.len() < most && found.next < end {
            let limit = ReadLimit { entries: most - found.messages.len(), bytes: bytes.saturating_sub(weight).max(1) };
            let slice = self.store.read(StreamId::EVENTS, Offset(found.next), limit).await?;
            if slice.entries.is_empty() {
                found.next = found.next.max(end);
                break;
            }
            for (offset, entry) in slice.entries {
                found.next = offset.0 + 1;
                // A record that cannot be read is passed over, as hooks do.
                let Some(message) = self.message(entry) else { continue };
                weight += message.weight();
                found.messages.push((offset.0, message));
            }
            if weight >= bytes {
                break;
            }
        }
        Ok(found)
    }

    pub(crate) async fn last(&self) -> Result<Option<(u64, Message)>, StoreError> {
        let end = self.end().borrow().0;
        let Some(mut found) = self.read(0, 1, 1).await?.messages.pop() else { return Ok(None) };
        let mut high = end;
        while high - found.0 > 1 {
            let middle = found.0 + (high - found.0) / 2;
            match self.read(middle, 1, 1).await?.messages.pop() {
                Some(later) if later.0 < high => found = later,
                _ => high = middle,
            }
        }
        Ok(Some(found))
    }

    /// Offsets between the oldest record and the end, and a guess at their bytes from records spread over them: the
    /// journal is not counted.
    pub(crate) async fn stats(&self) -> Result<Stats, StoreError> {
        let end = self.end().borrow().0;
        let one = ReadLimit { entries: 1, bytes: 1 };
        let first = self.store.read(StreamId::EVENTS, Offset::ZERO, one).await?.entries.pop();
        let Some((first, _)) = first else { return Ok(Stats::default()) };
        let count = end.saturating_sub(first.0);
        let step = (count / SAMPLES).max(1);
        let (mut seen, mut bytes, mut at) = (0u64, 0u64, first.0);
        while at < end {
            let Some((offset, entry)) = self.store.read(StreamId::EVENTS, Offset(at), one).await?.entries.pop() else {
                break;
            };
            seen += 1;
            bytes += entry.len() as u64;
            at = offset.0 + step;
        }
        Ok(Stats { size: (bytes / seen.max(1)).saturating_mul(count), count })
    }

    fn message(&self, entry: Bytes) -> Option<Message> {
        let entry = Entry::decode(entry).ok()?;
        let key = entry.message_id().map(|id| Bytes::from(id.to_string()));
        let (time, hops) = (entry.event_time().nanos() / 1000, entry.hops());
        let value = RecordView::new(entry, self.capture.clone()).json();
        Some(Message { time, key, value: Some(value.into()), hops })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_log_record::{FieldsBuilder, LogRecord, RecordType};
    use waybill_spool::{Batch, MemoryStore};
    use waybill_streams_core::Kind;
    use waybill_types::{IdMint, MessageId, Response, Timestamp};

    fn record(number: u8) -> Bytes {
        let now = Timestamp::from_secs(1_700_000_000 + i64::from(number));
        let mut record = LogRecord::new(RecordType::Reception, now, Response::plain(250, ""), "node");
        record.id = Some(MessageId::from_bytes([number; 16]));
        let mut meta = FieldsBuilder::default();
        meta.push("shown", &"yes".into());
        meta.push("secret", &"no".into());
        record.meta = meta.finish();
        Entry::encode(&record, IdMint::random().entry(now)).bytes().clone()
    }

    fn events(count: u8) -> (MemoryStore, EventsLog) {
        let store = MemoryStore::new();
        for number in 0..count {
            let mut batch = Batch::new();
            batch.append(StreamId::EVENTS, record(number));
            store.apply(batch);
        }
        let capture = Capture::new(Vec::<String>::new(), ["shown".to_owned()]);
        let log = EventsLog::new(Id::mint(Kind::Log, 0, [0; 16]), Arc::new(store.clone()), Arc::new(capture));
        (store, log)
    }

    #[tokio::test]
    async fn a_record_is_a_message_with_the_mails_id_for_a_key_and_shows_only_what_the_journal_names() {
        let (_store, log) = events(3);
        let found = log.read(1, 10, 1 << 20).await.unwrap();
        assert_eq!((found.messages.len(), found.next), (2, 3));
        let (offset, message) = &found.messages[0];
        assert_eq!((*offset, message.time), (1, 1_700_000_001_000_000));
        assert_eq!(message.key.as_deref(), Some(MessageId::from_bytes([1; 16]).to_string().as_bytes()));
        let value: serde_json::Value = serde_json::from_slice(message.value.as_ref().unwrap()).unwrap();
        assert_eq!((&value["type"], &value["meta"]), (&"Reception".into(), &serde_json::json!({"shown": "yes"})));
    }

    #[tokio::test]
    async fn gaps_and_trimmed_records_are_passed_over() {
        let (store, log) = events(10);
        let mut batch = Batch::new();
        batch.push(waybill_spool::Op::Trim { stream: StreamId::EVENTS, below: Offset(4) });
        store.apply(batch);
        assert_eq!(log.read(0, 2, 1 << 20).await.unwrap().messages[0].0, 4);
        assert_eq!(log.last().await.unwrap().unwrap().0, 9);
        assert_eq!(log.stats().await.unwrap().count, 6);
        let none = events(0).1;
        assert_eq!((none.last().await.unwrap(), none.stats().await.unwrap()), (None, Stats::default()));
        assert_eq!(none.read(0, 5, 100).await.unwrap().next, 0);
    }
}
