use bytes::Bytes;
use serde_json::{Map, Value};
use std::sync::Arc;
use waybill_event_hooks_core::{Event, Signal};
use waybill_log_record::{Capture, Entry, RecordView};
use waybill_spool::StreamId;
use waybill_types::{EntryId, Timestamp};

/// The source whose events are the log records; all others are signals.
const LOG: &str = "log";

/// The stream that the events of a source stand in.
pub(crate) fn stream_of(source: &str) -> StreamId {
    if source == LOG { StreamId::EVENTS } else { StreamId::SIGNALS }
}

/// When an entry was appended; `None` when it makes no sense.
pub(crate) fn created(stream: StreamId, entry: &Bytes) -> Option<Timestamp> {
    if stream == StreamId::EVENTS {
        return Entry::decode(entry.clone()).ok().map(|entry| entry.id().created());
    }
    Signal::decode(entry).map(|signal| signal.id.created())
}

/// An entry whose data nobody has looked at yet.
pub(crate) enum Sighting {
    Record(Entry),
    Signal(Box<Signal>),
}

impl Sighting {
    /// `None` when it makes no sense.
    pub(crate) fn of(stream: StreamId, entry: &Bytes) -> Option<Self> {
        if stream == StreamId::EVENTS {
            return Entry::decode(entry.clone()).ok().map(Sighting::Record);
        }
        Signal::decode(entry).map(Box::new).map(Sighting::Signal)
    }

    /// What is known of it without its data: enough to tell most hooks that it is not for them.
    pub(crate) fn outline<'a>(&'a self, nothing: &'a Map<String, Value>) -> Event<'a> {
        match self {
            Sighting::Record(entry) => Event {
                id: "",
                source: LOG,
                event: entry.kind().as_str(),
                time: entry.event_time(),
                tenant: entry.tenant(),
                data: nothing,
            },
            Sighting::Signal(signal) => signal.as_event(""),
        }
    }

    /// I3: what becomes of a log message is no event. Such an entry should not be here at all.
    pub(crate) fn is_of_a_hook(&self) -> bool {
        matches!(self, Sighting::Record(entry) if entry.is_of_log_message())
    }

    /// What it is about.
    pub(crate) fn about(&self) -> &[String] {
        match self {
            Sighting::Record(_) => &[],
            Sighting::Signal(signal) => &signal.about,
        }
    }

    /// With its data; `None` when that makes no sense.
    pub(crate) fn whole(self, capture: &Arc<Capture>) -> Option<Occurrence> {
        Some(match self {
            Sighting::Record(entry) => {
                let (id, time, event) = (entry.id(), entry.event_time(), entry.kind().as_str().to_owned());
                let (tenant, hops) = (entry.tenant().map(str::to_owned), entry.hops());
                let view = RecordView::new(entry, capture.clone());
                let data = serde_json::from_slice(&view.json()).ok()?;
                let source = LOG.to_owned();
                Occurrence { id, text: id.to_string(), source, event, time, tenant, hops, data }
            }
            Sighting::Signal(signal) => {
                let time = signal.time();
                let Signal { id, source, event, tenant, data, .. } = *signal;
                Occurrence { id, text: id.to_string(), source, event, time, tenant, hops: 0, data }
            }
        })
    }
}

/// Something that happened, with its data.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Occurrence {
    pub(crate) id: EntryId,
    text: String,
    pub(crate) source: String,
    pub(crate) event: String,
    pub(crate) time: Timestamp,
    pub(crate) tenant: Option<String>,
    /// Through how many webhooks what it tells of has come.
    pub(crate) hops: u8,
    pub(crate) data: Map<String, Value>,
}

impl Occurrence {
    /// One that nobody but a tester has seen.
    pub(crate) fn made_up(id: EntryId, source: &str, event: &str, time: Timestamp, data: Map<String, Value>) -> Self {
        let (source, event) = (source.to_owned(), event.to_owned());
        Occurrence { id, text: id.to_string(), source, event, time, tenant: None, hops: 0, data }
    }

    /// The same with other data.
    pub(crate) fn with(&self, data: Map<String, Value>) -> Self {
        Occurrence { data, ..self.clone() }
    }

    /// As the core sees it.
    pub(crate) fn event(&self) -> Event<'_> {
        Event {
            id: &self.text,
            source: &self.source,
            event: &self.event,
            time: self.time,
            tenant: self.tenant.as_deref(),
            data: &self.data,
        }
    }
}
