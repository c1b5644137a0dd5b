use super::rcpt::needs_mail;
use super::reply::Reply;
use super::session::{Session, State, Transaction};
use super::{batch, deferred, trace};
use bytes::Bytes;
use waybill_policy::{PolicyError, Value};
use waybill_spool::{Durability, Incoming, Message, supplemental_trace};
use waybill_types::EnvelopeAddress;

/// The most bytes that one transaction may become.
const MOST_COPIED: u64 = 1 << 30;
const MESSAGE_RECEIVED: &str = "smtp_server_message_received";

impl Session {
    pub(super) fn data(&mut self) -> Result<Reply, Reply> {
        match std::mem::replace(&mut self.state, State::Idle) {
            // Open => Body.
            State::Open(transaction) if !transaction.recipients.is_empty() => {
                self.state = State::Body(transaction);
                Ok(Reply::new(354, "go ahead, CRLF.CRLF ends the message"))
            }
            State::Open(transaction) => {
                self.state = State::Open(transaction);
                Err(Reply::new(503, "5.5.0 say RCPT TO first"))
            }
            other => {
                self.state = other;
                Err(needs_mail())
            }
        }
    }

    /// The reply to the dot. Success means that the intake has taken responsibility (I1).
    pub(super) async fn deliver(&self, data: Bytes) -> Reply {
        let Some(transaction) = self.transaction() else {
            return needs_mail();
        };
        // The limit is for policy alone: once the intake has begun, only it can tell what became of the message.
        let prepared = Box::pin(self.prepare(transaction, data));
        match tokio::time::timeout(self.params.data_processing_timeout, prepared).await {
            Ok(Ok(incoming)) => self.hand_over(incoming).await,
            Ok(Err(refusal)) => refusal,
            Err(_) => {
                tracing::warn!(limit = ?self.params.data_processing_timeout, "policy took too long over a message");
                Reply::new(451, "4.4.5 it took too long to process the message")
            }
        }
    }

    async fn hand_over(&self, incoming: Vec<Incoming>) -> Reply {
        let ids: Vec<_> = incoming.iter().map(|incoming| incoming.message.id().to_string()).collect();
        let durability = if self.params.deferred_spool { Durability::Written } else { self.shared.durability };
        match self.shared.intake.accept(incoming, durability).await {
            Ok(()) => {
                self.shared.stats.receive(ids.len());
                Reply::new(250, format!("OK ids={}", ids.join(" ")))
            }
            Err(error) => {
                tracing::error!(%error, "a message was not taken");
                Reply::from_intake(&self.host, &error)
            }
        }
    }

    /// From one transaction to the messages that become of it, as policy wants them.
    async fn prepare(&self, transaction: &Transaction, data: Bytes) -> Result<Vec<Incoming>, Reply> {
        let mut report = self.recognise(&data);
        self.only_reports(transaction, report.as_mut()).await?;
        let recipients = transaction.recipients.iter().map(|recipient| recipient.address.clone()).collect();
        let whole = self.message(transaction.sender.clone(), recipients, data);
        let mut meta = self.meta.all();
        // What the connection may do is no property of its mail.
        meta.remove("auth_info");
        whole.set_overlay(meta);
        self.fire("smtp_server_data", || vec![Value::Message(whole.clone()), self.connection()]).await?;
        let size = whole.size();
        let parts = self.split(whole).await?;
        // They share the body in memory, unless policy gives them others; on disk each has a copy of its own.
        if size.saturating_mul(parts.len() as u64) > MOST_COPIED {
            return Err(Reply::new(452, "4.5.3 too many recipients for a message of this size"));
        }
        let mut incoming = Vec::with_capacity(parts.len());
        for message in parts {
            let mut received = self.receive(message).await?;
            self.log_report(&mut received, report.as_mut()).await?;
            incoming.push(received);
        }
        Ok(incoming)
    }

    fn message(&self, sender: EnvelopeAddress, recipients: Vec<EnvelopeAddress>, data: Bytes) -> Message {
        Message::new(self.shared.mint.message((self.shared.now)()), sender, recipients, data)
    }

    /// One message for each batch of recipients.
    async fn split(&self, whole: Message) -> Result<Vec<Message>, Reply> {
        let event = "smtp_server_split_transaction";
        let recipients = whole.recipients();
        if recipients.is_empty() {
            return Err(self.failed("smtp_server_data", &PolicyError::unusable("the message has no recipient left")));
        }
        let chosen = match self.fire(event, || vec![Value::Message(whole.clone()), self.connection()]).await? {
            None => None,
            Some(returned) => {
                batch::chosen(returned.first(), &recipients).map_err(|error| self.failed(event, &error))?
            }
        };
        let mut batches = chosen.unwrap_or_else(|| batch::by_default(self.params.batch_handling, recipients));
        if let [only] = batches.as_mut_slice() {
            whole.set_recipients(std::mem::take(only));
            return Ok(vec![whole]);
        }
        let part = |recipients| {
            let part = self.message(whole.sender(), recipients, whole.data().unwrap_or_default());
            part.set_overlay(whole.overlay());
            part.set_due(whole.due());
            if let Some(schedule) = whole.schedule() {
                part.set_schedule(Some(schedule));
            }
            part
        };
        Ok(batches.into_iter().map(part).collect())
    }

    /// One message: trace headers, the reception event, its queue, its record.
    async fn receive(&self, message: Message) -> Result<Incoming, Reply> {
        let mut head = Vec::new();
        if self.params.trace_headers.received_header {
            trace::received(&mut head, self, &message);
        }
        if !self.params.deferred_queue && self.shared.policy.handles(MESSAGE_RECEIVED) {
            message.prepend(&std::mem::take(&mut head));
            self.fire(MESSAGE_RECEIVED, || vec![Value::Message(message.clone()), self.connection()]).await?;
        }
        if self.params.trace_headers.supplemental_header {
            let headers = &self.params.trace_headers;
            let header = supplemental_trace(&headers.header_name, &headers.include_meta_names, &message);
            let mut first = header.into_bytes();
            first.append(&mut head);
            head = first;
        }
        message.prepend(&head);
        if self.params.deferred_queue {
            deferred::defer(&message);
        }
        let queue = message.queue_name().map_err(|why| {
            tracing::error!(id = %message.id(), %why, "the message has no queue");
            Reply::technical_difficulties(&self.host)
        })?;
        self.tell_disposition(&message, queue.as_str());
        let record = self.reception(&message);
        Ok(Incoming::new(message, queue, record))
    }
}
