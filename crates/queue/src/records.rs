use crate::manager::Shared;
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;
use waybill_delivery::{Outcome, Peer};
use waybill_log_record::{Entry, LogRecord, PeerAddress, RecordType};
use waybill_queue_core::queues::Logged;
use waybill_spool::{Message, MetaValue, Origin};
use waybill_types::{EnvelopeAddress, QueueName, Response, Timestamp};

/// What is known of an attempt beside what the core says.
#[derive(Clone)]
pub(crate) struct Attempt {
    pub(crate) outcome: Outcome,
    pub(crate) peer: Option<Peer>,
    pub(crate) session_id: Arc<str>,
    pub(crate) site: String,
    pub(crate) protocol: &'static str,
    pub(crate) egress: Option<(Arc<str>, Arc<str>)>,
}

/// An encoded record and what becomes of it.
pub(crate) struct Noted {
    pub(crate) entry: Entry,
    pub(crate) message: Message,
    /// It has to be in the journal, in the batch of the change that it tells of.
    pub(crate) journal: bool,
}

impl Shared {
    /// Fills in what every record says about its message.
    pub(crate) fn describe(&self, record: &mut LogRecord, message: &Message, queue: &QueueName) {
        record.id = Some(message.id());
        record.sender = message.sender().as_str().to_owned();
        record.recipients = message.recipients().iter().map(EnvelopeAddress::to_string).collect();
        record.queue = queue.to_string();
        record.size = message.size();
        record.created = message.created();
        record.nodeid = self.options.nodeid.clone();
        record.meta = message.captured_meta(&self.options.sink.capture());
        record.headers = message.captured_headers();
        let text = |name: &str| message.meta_text(name).ok().flatten();
        record.tenant = text("tenant");
        record.campaign = text("campaign");
        record.of_log_message = message.origin() == Origin::LogRecord;
        record.reception_protocol = match message.meta("reception_protocol") {
            Some(MetaValue::Json(Value::String(protocol))) => Some(Cow::Owned(protocol)),
            _ => None,
        };
    }

    /// Encodes a record that somebody wants.
    pub(crate) fn note(&self, record: &LogRecord, message: &Message) -> Option<Noted> {
        let sink = &self.options.sink;
        // I3: what becomes of a log message is no event.
        let journal = !record.of_log_message && sink.wants_journal(record.kind);
        if !journal && !sink.wants(record.kind) {
            return None;
        }
        let entry = Entry::encode(record, self.options.mint.entry(record.event_time));
        Some(Noted { entry, message: message.clone(), journal })
    }

    /// The record of something that the core logged.
    pub(crate) fn logged(
        &self,
        now: Timestamp,
        message: &Message,
        queue: &QueueName,
        attempts: u16,
        what: &Logged,
        attempt: Option<&Attempt>,
    ) -> Option<Noted> {
        let (kind, own) = kind_of(what);
        if !self.options.sink.wants(kind) && !self.options.sink.wants_journal(kind) {
            return None;
        }
        let said = own.or_else(|| attempt.map(|attempt| attempt.outcome.response().clone()));
        let response = said.unwrap_or_else(|| Response::plain(400, ""));
        let mut record = LogRecord::new(kind, now, response, self.options.nodeid.clone());
        self.describe(&mut record, message, queue);
        record.num_attempts = u32::from(attempts);
        if kind == RecordType::AdminBounce {
            record.site = "localhost".to_owned();
        }
        if let Some(attempt) = attempt.filter(|_| tells_of_an_attempt(kind)) {
            record.site.clone_from(&attempt.site);
            record.session_id = Some(attempt.session_id.to_string());
            record.delivery_protocol = Some(Cow::Borrowed(attempt.protocol));
            record.peer_address = attempt.peer.as_ref().map(|peer| PeerAddress {
                name: peer.name.clone(),
                addr: peer.addr.clone(),
                is_secure: false,
            });
            if let Some((pool, source)) = &attempt.egress {
                record.egress_pool = Some(pool.clone());
                record.egress_source = Some(source.clone());
            }
        }
        self.note(&record, message)
    }
}

fn tells_of_an_attempt(kind: RecordType) -> bool {
    matches!(kind, RecordType::Delivery | RecordType::TransientFailure | RecordType::Bounce)
}

/// The type of the record, and the response where the core itself says it.
fn kind_of(what: &Logged) -> (RecordType, Option<Response>) {
    let owned = |response: &Option<Arc<Response>>| response.as_ref().map(|response| (**response).clone());
    match what {
        Logged::Delivery => (RecordType::Delivery, None),
        Logged::TransientFailure { response } => (RecordType::TransientFailure, owned(response)),
        Logged::Bounce { response } => (RecordType::Bounce, owned(response)),
        Logged::Expiration { response } => (RecordType::Expiration, Some(response.clone())),
        Logged::AdminBounce { response } => (RecordType::AdminBounce, Some(response.clone())),
        Logged::Delayed { response, .. } => (RecordType::Delayed, Some(response.clone())),
    }
}
