//! What the log files are told about hook messages. Nothing of this enters the journal (I3).

use super::LogHook;
use super::outcomes::Requeue;
use std::borrow::Cow;
use waybill_delivery::Outcome;
use waybill_log_record::{Entry, LogRecord, PeerAddress, RecordType};
use waybill_ready::{Finished, is_aborted};
use waybill_spool::Message;
use waybill_types::{EnvelopeAddress, Offset, QueueName, Response};

/// The pool and source of every hook.
const UNSPECIFIED: &str = "unspecified";

/// So many records wait for the files at most: files that take nothing (a full disk) hold up the sessions, but not an
/// operator's bounce of a million events.
const MOST: usize = 10_000;

/// Records that wait for the files.
#[derive(Default)]
pub(super) struct Waiting {
    records: Vec<(Entry, Option<Message>)>,
    /// There was no room for so many.
    lost: u64,
}

impl Waiting {
    fn push(&mut self, entry: Entry, message: Option<Message>) {
        match self.records.len() < MOST {
            true => self.records.push((entry, message)),
            false => self.lost += 1,
        }
    }

    /// Whether none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Takes all of them, and tells how many there was no room for since the last time.
    pub(super) fn take(&mut self) -> (Vec<(Entry, Option<Message>)>, u64) {
        (std::mem::take(&mut self.records), std::mem::take(&mut self.lost))
    }
}

impl LogHook {
    /// A record about a hook message, to be completed.
    pub(super) fn record(
        &self,
        kind: RecordType,
        queue: &QueueName,
        message: &Message,
        response: Response,
    ) -> LogRecord {
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
    pub(super) fn note(&self, record: &LogRecord, message: Option<&Message>) {
        if !self.context.files.wants(record.kind) {
            return;
        }
        let entry = self.context.files.encode(record, self.context.mint.entry(record.event_time));
        self.records.lock().push(entry, message.cloned());
        self.nudge.notify_one();
    }

    /// The records of one event of a batch that was tried.
    pub(super) fn note_attempt(&self, finished: &Finished<Offset>, at: usize, outcome: &Outcome, requeue: &Requeue) {
        let aborted = is_aborted(outcome, finished.outcome.session);
        let kind = match outcome {
            Outcome::Delivered(_) => RecordType::Delivery,
            // What the watchdog said is all there is to tell.
            Outcome::Transient(..) if aborted => RecordType::Delayed,
            Outcome::Transient(..) | Outcome::Divided(_) => RecordType::TransientFailure,
            Outcome::Permanent(_) => RecordType::Bounce,
        };
        let attempts = match requeue {
            Requeue::Spooled(before) => Some(*before),
            _ => None,
        };
        self.note_kind(finished, at, kind, outcome.response(), attempts);
        // The endpoint said "later", then policy said "no": both are told, in this order.
        if let (Outcome::Transient(..), false, Requeue::Refused(by_policy)) = (outcome, aborted, requeue) {
            self.note_kind(finished, at, RecordType::Bounce, by_policy, None);
        }
    }

    fn note_kind(
        &self,
        finished: &Finished<Offset>,
        at: usize,
        kind: RecordType,
        response: &Response,
        attempts: Option<u32>,
    ) {
        if !self.context.files.wants(kind) {
            return;
        }
        let item = finished.items.get(at).and_then(|offset| self.items.get(*offset));
        let Some(item) = item else { return };
        let mut record = self.record(kind, &item.lane, &item.message, response.clone());
        record.num_attempts = attempts.unwrap_or(record.num_attempts);
        if kind != RecordType::Delayed {
            describe(&mut record, finished);
            record.provider_name = self.provider(finished.route.ready_queue());
        }
        self.note(&record, Some(&item.message));
    }
}

/// What all events of a batch have in common.
fn describe(record: &mut LogRecord, finished: &Finished<Offset>) {
    record.site = finished.route.site().to_owned();
    record.peer_address = finished.peer.as_ref().map(|peer| PeerAddress {
        name: peer.name.clone(),
        addr: peer.addr.clone(),
        is_secure: false,
    });
    record.delivery_protocol = Some(Cow::Borrowed(finished.route.protocol()));
    if finished.route.shows_egress() {
        record.egress_pool = Some(UNSPECIFIED.into());
        record.egress_source = Some(UNSPECIFIED.into());
    }
    record.session_id = Some(finished.session_id.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_types::{IdMint, Timestamp};

    #[test]
    fn records_that_nobody_writes_do_not_pile_up_without_end() {
        let record = LogRecord::new(RecordType::AdminBounce, Timestamp::EPOCH, Response::new(551, "gone"), "node");
        let entry = Entry::encode(&record, IdMint::random().entry(Timestamp::EPOCH));
        let mut waiting = Waiting::default();
        (0..MOST + 7).for_each(|_| waiting.push(entry.clone(), None));
        let (records, lost) = waiting.take();
        assert_eq!((records.len(), lost), (MOST, 7));
        waiting.push(entry, None);
        let (records, lost) = waiting.take();
        assert_eq!((records.len(), lost), (1, 0));
    }
}
