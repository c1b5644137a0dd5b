//! What the log files are told about hook messages. Nothing of this enters the journal (I3).

use super::LogHook;
use std::borrow::Cow;
use waybill_consumers::LastResponse;
use waybill_delivery::Outcome;
use waybill_log_record::{Entry, LogRecord, PeerAddress, RecordType};
use waybill_ready::Finished;
use waybill_spool::Message;
use waybill_types::{EnvelopeAddress, Offset, QueueName, Response};

impl LogHook {
    /// A record about a hook message, to be completed.
    fn record(&self, kind: RecordType, queue: &QueueName, message: &Message, response: Response) -> LogRecord {
        let mut record = LogRecord::new(kind, self.context.clock.now(), response, self.context.nodeid.clone());
        record.id = Some(message.id());
        record.sender = message.sender().as_str().to_owned();
        record.recipients = message.recipients().iter().map(EnvelopeAddress::to_string).collect();
        record.queue = queue.to_string();
        record.size = message.size();
        record.created = message.created();
        record.num_attempts = message.attempts();
        record.meta = message.captured_meta(&self.context.files.capture());
        record.reception_protocol = Some(Cow::Borrowed("LogRecord"));
        record.of_log_message = true;
        record
    }

    pub(super) fn expiration(&self, queue: &QueueName, message: &Message, text: &str) -> LogRecord {
        let response = Response::new(551, format!("5.4.7 {text}"));
        self.record(RecordType::Expiration, queue, message, response)
    }

    /// Leaves a record for the files, when any of them wants it.
    pub(super) fn note(&self, record: LogRecord, message: Option<&Message>) {
        if !self.context.files.wants(record.kind) {
            return;
        }
        let entry = Entry::encode(&record, self.context.mint.entry(record.event_time));
        self.records.lock().push((entry, message.cloned()));
        self.nudge.notify_one();
    }

    /// The records of a batch that was tried.
    pub(super) fn note_batch(&self, finished: &Finished<Offset>) {
        let now = self.context.clock.now();
        if let Some(outcome) = finished.outcome.outcomes.first() {
            let response = outcome.response();
            let text = match outcome {
                Outcome::Delivered(_) => response.content.clone(),
                _ => response.to_string(),
            };
            *self.last_response.lock() = Some(LastResponse { text, at: now });
        }
        let peer = finished.peer.as_ref().map(|peer| PeerAddress {
            name: peer.name.clone(),
            addr: peer.addr.clone(),
            is_secure: false,
        });
        let all = finished.items.iter().zip(&finished.messages).zip(&finished.outcome.outcomes);
        for ((offset, message), outcome) in all {
            let kind = match outcome {
                Outcome::Delivered(_) => RecordType::Delivery,
                Outcome::Transient(..) => RecordType::TransientFailure,
                Outcome::Permanent(_) => RecordType::Bounce,
            };
            if !self.context.files.wants(kind) {
                continue;
            }
            let (Some(message), Some(item)) = (message, self.items.get(*offset)) else { continue };
            let mut record = self.record(kind, &item.lane, message, outcome.response().clone());
            record.site = finished.route.site().to_owned();
            record.peer_address = peer.clone();
            record.delivery_protocol = Some(Cow::Borrowed(finished.route.protocol()));
            if finished.route.shows_egress() {
                record.egress_pool = Some("unspecified".into());
                record.egress_source = Some("unspecified".into());
            }
            record.session_id = Some(finished.session_id.to_string());
            self.note(record, Some(message));
        }
    }
}
