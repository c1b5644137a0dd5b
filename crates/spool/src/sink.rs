use crate::Message;
use futures::future::BoxFuture;
use std::borrow::Cow;
use std::sync::Arc;
use waybill_log_record::{Capture, Entry, LogRecord, RecordType};
use waybill_types::EntryId;

/// Who wants log records, as the queue sees them.
///
/// # Contract
/// - `capture` is the union of what all sinks show; it is asked once per record and must be cheap.
/// - `wants_journal` tells whether a record of this type has to be appended to the journal with the change it tells of.
///   It is never asked for records of log messages: those do not enter the journal (I3).
/// - `write` is called once per record, after the batch with its change is committed (and also for records of log
///   messages). It may wait when a sink is full; that is the back-pressure of local logs. It never fails: a sink reports
///   its own trouble.
pub trait RecordSink: Send + Sync + 'static {
    /// Headers and meta fields that any sink shows.
    fn capture(&self) -> Arc<Capture>;

    /// Whether any sink, the journal or a file, wants this type.
    fn wants(&self, kind: RecordType) -> bool;

    /// Whether a journal consumer wants this type.
    fn wants_journal(&self, kind: RecordType) -> bool;

    /// Whether a sink shows the message with records of this type to somebody: then its body is read before it leaves the
    /// spool with its last one.
    fn shows_message(&self, _kind: RecordType) -> bool {
        false
    }

    /// The class of what a record tells (`bounce_classification`), where there are rules that give it one. Cheap: mail
    /// waits for it.
    fn classify(&self, _record: &LogRecord) -> Option<Cow<'static, str>> {
        None
    }

    /// The record as it is kept and shown, under this id.
    fn encode(&self, record: &LogRecord, id: EntryId) -> Entry {
        match self.classify(record) {
            None => Entry::encode(record, id),
            Some(bounce_classification) => Entry::encode(&LogRecord { bounce_classification, ..record.clone() }, id),
        }
    }

    /// Hands the record to the sinks that are not consumers of the journal.
    fn write<'a>(&'a self, entry: &'a Entry, message: Option<&'a Message>) -> BoxFuture<'a, ()>;
}

/// Nobody wants anything.
#[derive(Debug, Default)]
pub struct NullSink;

impl RecordSink for NullSink {
    fn capture(&self) -> Arc<Capture> {
        Arc::new(Capture::nothing())
    }

    fn wants(&self, _kind: RecordType) -> bool {
        false
    }

    fn wants_journal(&self, _kind: RecordType) -> bool {
        false
    }

    fn write<'a>(&'a self, _entry: &'a Entry, _message: Option<&'a Message>) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}
