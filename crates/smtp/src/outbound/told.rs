//! What listeners to a delivery session hear of it ([`waybill_trace`]). Nothing here is computed while nobody listens.

use super::failure::Step;
use super::plan::Candidate;
use super::reply::Reply;
use crate::inbound::disposition;
use parking_lot::Mutex;
use std::sync::Arc;
use waybill_delivery::{ConnectContext, TlsSession};
use waybill_spool::Message;
use waybill_trace::{ClientConn, Hub, Level, Mask, Payload};
use waybill_types::{QueueName, Timestamp};

/// Tells the time.
pub(super) type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Where a session tells of itself. Clones are the same session.
#[derive(Clone)]
pub(super) struct Tap(Arc<Inner>);

struct Inner {
    hub: Hub<ClientConn>,
    now: Now,
    session_id: Arc<str>,
    /// Stands for the messages of the session while it carries none.
    representative: QueueName,
    /// None where nobody chose.
    pool: Option<String>,
    source: String,
    ready_queue: String,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    host: Option<Candidate>,
    message: Option<Message>,
}

impl Tap {
    /// `egress` is the pool and the source.
    pub(super) fn new(
        hub: Hub<ClientConn>,
        now: Now,
        context: &ConnectContext,
        egress: [&str; 2],
        ready: &str,
    ) -> Self {
        let [pool, source] = egress;
        Tap(Arc::new(Inner {
            hub,
            now,
            session_id: context.session_id.clone(),
            representative: context.representative.clone(),
            pool: Some(pool).filter(|pool| !pool.is_empty()).map(str::to_owned),
            source: source.to_owned(),
            ready_queue: ready.to_owned(),
            current: Mutex::default(),
        }))
    }

    /// Tells listeners.
    pub(super) fn tell(&self, payload: impl FnOnce() -> Payload) {
        let Inner { hub, now, .. } = &*self.0;
        if hub.is_watched() {
            hub.tell(now(), || self.conn(), payload);
        }
    }

    /// Which host the session turns to.
    pub(super) fn turn_to(&self, candidate: &Candidate) {
        self.0.current.lock().host = Some(candidate.clone());
    }

    /// Which message the session carries now, if any.
    pub(super) fn carry(&self, message: Option<&Message>) {
        self.0.current.lock().message = message.cloned();
        if let Some(message) = message {
            self.tell(|| Payload::MessageObtained(disposition(message, self.queue_of(message).as_str())));
        }
    }

    /// Tells of what we say.
    pub(super) fn said(&self, bytes: &[u8], step: Step) {
        let Inner { hub, now, .. } = &*self.0;
        if !hub.is_watched() {
            return;
        }
        let text = || Payload::Write(String::from_utf8_lossy(bytes).into_owned());
        match step {
            Step::Content => hub.tell_content(now(), || self.conn(), text),
            Step::Auth => {
                let line = String::from_utf8_lossy(bytes);
                let masked = Mask::default().line(line.trim_end(), false).into_owned();
                self.tell(|| Payload::Write(format!("{masked}\r\n")));
            }
            _ => self.tell(text),
        }
    }

    /// Tells of what the server says.
    pub(super) fn heard(&self, reply: &Reply) {
        self.tell(|| {
            let last = reply.lines.len().saturating_sub(1);
            let line = |(index, text): (usize, &String)| {
                let separator = if index == last { ' ' } else { '-' };
                format!("{}{separator}{text}\r\n", reply.code)
            };
            Payload::Read(reply.lines.iter().enumerate().map(line).collect())
        });
    }

    /// Tells of something that went wrong.
    pub(super) fn trouble(&self, why: impl std::fmt::Display) {
        self.tell(|| Payload::remark(Level::Error, why));
    }

    /// Tells how the connection is encrypted.
    pub(super) fn secured(&self, tls: &TlsSession) {
        self.tell(|| Payload::remark(Level::Info, format_args!("TLS: {} {}", tls.protocol_version, tls.cipher)));
    }

    fn queue_of(&self, message: &Message) -> QueueName {
        message.queue_name().unwrap_or_else(|_| self.0.representative.clone())
    }

    fn conn(&self) -> ClientConn {
        let (host, message) = {
            let current = self.0.current.lock();
            (current.host.clone(), current.message.clone())
        };
        let queue = message.as_ref().map_or_else(|| self.0.representative.clone(), |message| self.queue_of(message));
        let parts = queue.parts();
        let owned = |part: Option<&str>| part.map(str::to_owned);
        let recipients = message.as_ref().map(Message::recipients).unwrap_or_default();
        ClientConn {
            session_id: self.0.session_id.to_string(),
            campaign: owned(parts.campaign),
            tenant: owned(parts.tenant),
            domain: owned(Some(parts.domain)),
            routing_domain: owned(parts.routing_domain),
            mail_from: message.as_ref().map(|message| message.sender().to_string()),
            rcpt_to: recipients.iter().map(ToString::to_string).collect(),
            egress_pool: self.0.pool.clone(),
            egress_source: Some(self.0.source.clone()),
            ready_queue: self.0.ready_queue.clone(),
            mx_host: host.as_ref().map(|host| host.host.clone()),
            mx_addr: host.as_ref().map(|host| host.address.ip()),
        }
    }
}

/// Tells that the connection is gone, however it goes.
pub(super) struct Until(Tap);

impl Until {
    /// From now on.
    pub(super) fn closed(tap: &Tap) -> Self {
        tap.tell(|| Payload::Connected);
        Until(tap.clone())
    }

    pub(super) fn tap(&self) -> &Tap {
        &self.0
    }
}

impl Drop for Until {
    fn drop(&mut self) {
        self.0.tell(|| Payload::Closed);
    }
}

#[cfg(test)]
impl Tap {
    /// One that nobody listens to.
    pub(super) fn nobody() -> Self {
        let context = ConnectContext {
            representative: QueueName::new("example.com"),
            session_id: "s".into(),
            watchdog: std::time::Duration::ZERO,
        };
        Tap::new(Hub::default(), Arc::new(|| Timestamp::EPOCH), &context, ["unspecified"; 2], "q")
    }
}
