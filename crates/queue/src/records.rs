use crate::manager::Shared;
use crate::outcomes::Attempt;
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;
use waybill_delivery::{Peer, SessionFacts};
use waybill_log_record::{Entry, LogRecord, PeerAddress, RecordType, SourceAddress, TlsFacts};
use waybill_queue_core::queues::Logged;
use waybill_spool::{Batch, Message, MetaValue, Origin, StreamId};
use waybill_types::{EnvelopeAddress, QueueName, ReadyQueueName, Response, Timestamp};

/// An encoded record and what becomes of it.
pub(crate) struct Noted {
    pub(crate) entry: Entry,
    pub(crate) message: Message,
    /// It has to be in the journal, in the batch of the change that it tells of.
    journal: bool,
    /// So many bytes of its message are in memory for this record alone.
    pub(crate) held: u64,
}

/// Adds to the batch what has to be in the journal with it.
pub(crate) fn append(batch: &mut Batch, noted: &[Noted]) {
    for Noted { entry, .. } in noted.iter().filter(|noted| noted.journal) {
        batch.append(StreamId::EVENTS, entry.bytes().clone());
    }
}

/// What the core logged about a message.
pub(crate) struct About<'a> {
    pub(crate) now: Timestamp,
    pub(crate) message: &'a Message,
    pub(crate) queue: &'a QueueName,
    pub(crate) attempts: u16,
    pub(crate) attempt: Option<&'a Attempt>,
}

impl Shared {
    /// Fills in what every record says about its message.
    pub(crate) fn describe(&self, record: &mut LogRecord, message: &Message, queue: &QueueName) {
        record.sender = message.sender().as_str().to_owned();
        record.recipients = message.recipients().iter().map(EnvelopeAddress::to_string).collect();
        record.size = message.size();
        self.describe_report(record, message, queue);
    }

    /// Fills in what leads from a record to the message that told of it: sender, recipients and size are its own.
    pub(crate) fn describe_report(&self, record: &mut LogRecord, message: &Message, queue: &QueueName) {
        record.id = Some(message.id());
        record.queue = queue.to_string();
        record.created = message.created();
        record.nodeid = self.options.nodeid.clone();
        record.meta = message.captured_meta(&self.options.sink.capture());
        record.headers = message.captured_headers();
        let text = |name: &str| message.meta_text(name).ok().flatten();
        record.tenant = text("tenant");
        record.campaign = text("campaign");
        record.of_log_message = message.origin() == Origin::LogRecord;
        record.hops = message.hops();
        if let Some(MetaValue::Json(Value::String(protocol))) = message.meta("reception_protocol") {
            record.reception_protocol = Some(Cow::Owned(protocol));
        }
    }

    /// Encodes a record that somebody wants.
    pub(crate) fn note(&self, record: &LogRecord, message: &Message) -> Option<Noted> {
        self.note_at(record.event_time, record, message)
    }

    /// Likewise, for a record whose event may lie anywhere in time: a report of somebody else's, who may claim anything.
    /// The entry's id must tell when it was made, for ids grow and old entries are trimmed by it.
    pub(crate) fn note_at(&self, made: Timestamp, record: &LogRecord, message: &Message) -> Option<Noted> {
        let sink = &self.options.sink;
        // I3: what becomes of a log message is no event.
        let journal = !record.of_log_message && sink.wants_journal(record.kind);
        if !journal && !sink.wants(record.kind) {
            return None;
        }
        let entry = sink.encode(record, self.options.mint.entry(made));
        Some(Noted { entry, message: message.clone(), journal, held: 0 })
    }

    /// The records of something that the core logged.
    pub(crate) fn logged(&self, about: &About<'_>, what: &Logged, out: &mut Vec<Noted>) {
        let (kind, own) = kind_of(what);
        let attempt = about.attempt;
        // What waits on another node now is not delivered.
        let handed_over = attempt.is_some_and(|attempt| attempt.batch.hands_over);
        let kind = if kind == RecordType::Delivery && handed_over { RecordType::XferOut } else { kind };
        let mut response = own.or_else(|| attempt.map(|attempt| attempt.response.clone()));
        if let Some(attempt) = attempt.filter(|_| tells_of_an_attempt(kind)) {
            for part in &attempt.others {
                out.extend(self.record(about, part.kind, Some(part.response.clone()), Some(&part.recipients)));
            }
        }
        let main = attempt.and_then(|attempt| attempt.recipients.as_deref()).filter(|_| tells_of_an_attempt(kind));
        match attempt {
            // The peer said "later", then policy said "no": both are told, in this order.
            Some(Attempt { refused: Some(refused), .. }) if kind == RecordType::Bounce => {
                out.extend(self.record(about, RecordType::TransientFailure, response.take(), main));
                response = Some(refused.clone());
            }
            // What the watchdog said is more than that the message waits (contract section 5.4).
            Some(Attempt { aborted: true, response: said, .. }) if kind == RecordType::Delayed => {
                response = Some(said.clone());
            }
            _ => {}
        }
        out.extend(self.record(about, kind, response, main));
    }

    /// `recipients` where it is not about all of the message's.
    fn record(
        &self,
        about: &About<'_>,
        kind: RecordType,
        response: Option<Response>,
        recipients: Option<&[EnvelopeAddress]>,
    ) -> Option<Noted> {
        let sink = &self.options.sink;
        if !sink.wants(kind) && !sink.wants_journal(kind) {
            return None;
        }
        let response = response.unwrap_or_else(|| Response::plain(400, ""));
        let mut record = LogRecord::new(kind, about.now, response, self.options.nodeid.clone());
        self.describe(&mut record, about.message, about.queue);
        record.num_attempts = u32::from(about.attempts);
        if let Some(recipients) = recipients {
            record.recipients = recipients.iter().map(EnvelopeAddress::to_string).collect();
        }
        if kind == RecordType::AdminBounce {
            record.site = "localhost".to_owned();
        } else if tells_of_an_attempt(kind) {
            match about.attempt {
                Some(attempt) => attempt.batch.describe(&mut record),
                // It failed before it had anywhere to go: a suspended queue, a route that was not found.
                None => record.site = about.queue.to_string(),
            }
        }
        self.note(&record, about.message)
    }
}

/// What the records of a batch have in common.
pub(crate) struct BatchFacts {
    pub(crate) peer: Option<Peer>,
    pub(crate) facts: SessionFacts,
    pub(crate) session_id: Arc<str>,
    pub(crate) site: String,
    pub(crate) ready_queue: ReadyQueueName,
    pub(crate) protocol: &'static str,
    /// What is delivered goes to another node of ours.
    pub(crate) hands_over: bool,
    /// Pool and source, where the protocol shows them.
    pub(crate) egress: Option<(Arc<str>, Arc<str>)>,
    pub(crate) provider: Option<Arc<str>>,
}

impl BatchFacts {
    fn describe(&self, record: &mut LogRecord) {
        record.site.clone_from(&self.site);
        record.session_id = Some(self.session_id.to_string());
        record.delivery_protocol = Some(Cow::Borrowed(self.protocol));
        record.provider_name = self.provider.as_deref().map(str::to_owned);
        record.peer_address = self.peer.as_ref().map(|peer| PeerAddress {
            name: peer.name.clone(),
            addr: peer.addr.clone(),
            is_secure: false,
        });
        record.source_address = self.facts.source.clone().map(|source| SourceAddress {
            address: source.address,
            server: source.server,
            protocol: source.protocol.map(str::to_owned),
        });
        if let Some(tls) = &self.facts.tls {
            record.tls = TlsFacts {
                cipher: Some(tls.cipher.clone()),
                protocol_version: Some(tls.protocol_version.clone()),
                peer_subject_name: Some(tls.peer_subject_name.clone()),
            };
        }
        if let Some((pool, source)) = &self.egress {
            record.egress_pool = Some(pool.clone());
            record.egress_source = Some(source.clone());
        }
    }
}

fn tells_of_an_attempt(kind: RecordType) -> bool {
    matches!(
        kind,
        RecordType::Delivery
            | RecordType::XferOut
            | RecordType::TransientFailure
            | RecordType::Bounce
            | RecordType::DeferredInjectionRebind
    )
}

/// The type of the record, and the response where the core itself says it.
pub(crate) fn kind_of(what: &Logged) -> (RecordType, Option<Response>) {
    let owned = |response: &Option<Arc<Response>>| response.as_ref().map(|response| (**response).clone());
    match what {
        Logged::Delivery => (RecordType::Delivery, None),
        Logged::TransientFailure { response } => (RecordType::TransientFailure, owned(response)),
        Logged::Bounce { response } => (RecordType::Bounce, owned(response)),
        Logged::Expiration { response } => (RecordType::Expiration, Some(response.clone())),
        Logged::AdminBounce { response, .. } => (RecordType::AdminBounce, Some(response.clone())),
        Logged::Forwarded => (RecordType::DeferredInjectionRebind, None),
        Logged::AdminRebind { response } => (RecordType::AdminRebind, Some(response.clone())),
        Logged::Delayed { response, .. } => (RecordType::Delayed, Some(response.clone())),
    }
}
