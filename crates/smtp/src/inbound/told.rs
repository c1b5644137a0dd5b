//! What listeners to the conversation hear of it ([`waybill_trace`]). Nothing here is computed while nobody listens.

use super::reply::Reply;
use super::session::Session;
use serde_json::{Value as Json, json};
use waybill_policy::{PolicyError, Returned, Value};
use waybill_spool::Message;
use waybill_trace::{Disposition, Payload, ServerConn};

/// So much of a message is told in one event.
const PIECE: usize = 64 * 1024;
/// The event that is given a password: an error of its script may quote it.
const GIVEN_A_PASSWORD: &str = "smtp_server_auth_plain";
/// The event that may return a private key, which an error may quote too.
const GIVES_A_KEY: &str = "smtp_server_get_dynamic_parameters";

impl Session {
    /// Tells listeners.
    pub(super) fn tell(&self, payload: impl FnOnce() -> Payload) {
        if self.shared.traces.is_watched() {
            self.shared.traces.tell((self.shared.now)(), || self.conn(), payload);
        }
    }

    /// Tells listeners of a part of a message.
    pub(super) fn tell_content(&self, bytes: &[u8]) {
        if self.shared.traces.is_watched() {
            for piece in bytes.chunks(PIECE) {
                self.shared.traces.tell_content((self.shared.now)(), || self.conn(), || Payload::read_content(piece));
            }
        }
    }

    /// Tells of a line that the client said; `secret` when it answers a challenge.
    pub(super) fn tell_line(&mut self, line: &[u8], secret: bool) {
        // Also unheard: whether a password may follow must be known when somebody begins to listen.
        let line = String::from_utf8_lossy(line);
        let shown = self.mask.line(&line, secret);
        self.tell(|| Payload::Read(format!("{shown}\r\n")));
    }

    /// Tells of a reply.
    pub(super) fn tell_reply(&self, reply: &Reply) {
        self.tell(|| {
            let mut said = bytes::BytesMut::new();
            reply.write(&mut said);
            Payload::Write(String::from_utf8_lossy(&said).into_owned())
        });
    }

    /// Tells what policy said to an event.
    pub(super) fn tell_call(&self, event: &str, answer: &Result<Returned, PolicyError>) {
        self.tell(|| {
            let (result, error) = match answer {
                Ok(_) if event == GIVES_A_KEY => (None, None),
                Ok(returned) => (shown(returned.first()), None),
                Err(error) if [GIVEN_A_PASSWORD, GIVES_A_KEY].contains(&event) && error.rejected().is_none() => {
                    (None, Some("it failed; the diagnostics say why".to_owned()))
                }
                Err(error) => (None, Some(error.to_string())),
            };
            Payload::Callback { name: event.to_owned(), result, error }
        });
    }

    /// Tells what becomes of a message.
    pub(super) fn tell_disposition(&self, message: &Message, queue: &str) {
        self.tell(|| Payload::MessageDisposition(disposition(message, queue)));
    }

    fn conn(&self) -> ServerConn {
        let mut meta = self.meta.all();
        meta.insert("session_id".into(), json!(self.id));
        ServerConn { peer: self.ends.peer.ip(), meta }
    }
}

/// A message as listeners see it.
pub(crate) fn disposition(message: &Message, queue: &str) -> Disposition {
    Disposition {
        id: message.id().to_string(),
        sender: message.sender().to_string(),
        recipient: message.recipients().iter().map(ToString::to_string).collect(),
        queue: queue.to_owned(),
        meta: message.overlay(),
    }
}

fn shown(value: &Value) -> Option<Json> {
    match value {
        Value::Nil => None,
        Value::Bool(flag) => Some(json!(flag)),
        Value::Int(number) => Some(json!(number)),
        Value::Number(number) => Some(json!(number)),
        Value::Bytes(bytes) => Some(json!(String::from_utf8_lossy(bytes))),
        Value::Json(table) | Value::Record(table) => Some(table.clone()),
        other => Some(json!(format!("{other:?}").split(['(', ' ']).next().unwrap_or_default())),
    }
}
