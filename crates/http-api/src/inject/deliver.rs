//! From one recipient of a request to one message in the intake.

use super::parts::{Builder, Envelope};
use super::request::{Content, Dialect, Recipient, TraceHeaders};
use super::templates::{Field, Templates};
use super::{text, trace};
use crate::api::Services;
use crate::auth::AuthInfo;
use bytes::Bytes;
use serde_json::{Map, Value as Json};
use std::borrow::Cow;
use std::sync::Arc;
use waybill_authorizer::Connection;
use waybill_log_record::{LogRecord, PeerAddress, RecordType};
use waybill_policy::Value;
use waybill_spool::{Durability, Incoming, Message, supplemental_trace};
use waybill_types::{EnvelopeAddress, MessageId, QueueName, Response, Timestamp};

/// How the message came in, as meta and records say it.
const PROTOCOL: &str = "HTTP";

/// Who asked for a generation that is done later, for the policy's eyes then.
pub(crate) const AUTH_INFO: &str = "http_auth_info";

/// Where a request comes from and what handles it.
pub(crate) struct Origin {
    pub(crate) services: Services,
    pub(crate) hostname: Arc<str>,
    pub(crate) who: Arc<AuthInfo>,
    pub(crate) connection: Connection,
    /// Through how many webhooks the request has come.
    pub(crate) hops: u8,
}

/// Why a recipient got nothing.
pub(crate) enum Failure {
    /// The intake did not take the message right now.
    Later(String),
    /// It would fail again.
    Never(String),
}

impl Failure {
    /// The reason in words.
    pub(crate) fn why(&self) -> &str {
        match self {
            Failure::Later(why) | Failure::Never(why) => why,
        }
    }
}

/// Makes the messages of one request.
pub(crate) struct Generator {
    origin: Origin,
    sender: EnvelopeAddress,
    trace: TraceHeaders,
    templates: Templates,
    content: Compiled,
    received: [prometheus::IntCounter; 2],
}

enum Compiled {
    Text(Field),
    Parts(Box<Builder>),
}

impl Generator {
    /// Compiles the templates of a request.
    ///
    /// # Errors
    /// A sentence when something of it makes no sense.
    pub(crate) fn compile(
        origin: Origin,
        sender: EnvelopeAddress,
        content: Content,
        trace: TraceHeaders,
        dialect: Dialect,
        substitutions: &Map<String, Json>,
        limit: usize,
    ) -> Result<Self, String> {
        if !trace::is_header_name(&trace.header_name) {
            return Err(format!("trace_headers.header_name: {:?} is no header name", trace.header_name));
        }
        let mut templates = Templates::new(dialect, limit, substitutions);
        let content = match content {
            Content::Text(source) => {
                Compiled::Text(templates.add("content", "content", &source).map_err(|error| error.to_string())?)
            }
            Content::Parts(parts) => Compiled::Parts(Box::new(Builder::compile(*parts, &mut templates)?)),
        };
        let service = format!("http_listener:{}", origin.connection.via);
        let received =
            ["http_listener", &service].map(|s| origin.services.metrics.mail.received.with_label_values(&[s]));
        Ok(Generator { origin, sender, trace, templates, content, received })
    }

    /// Generates, asks policy, hands over.
    ///
    /// # Errors
    /// Why this recipient gets nothing.
    pub(crate) async fn deliver(&self, recipient: &Recipient, durability: Durability) -> Result<(), Failure> {
        let incoming = self.make(recipient).await.map_err(Failure::Never)?;
        let accepted = self.origin.services.intake.accept(vec![incoming], durability).await;
        accepted.map_err(|error| Failure::Later(error.to_string()))?;
        self.received.iter().for_each(prometheus::IntCounter::inc);
        Ok(())
    }

    /// Takes the request itself, as a message to the generator's queue.
    ///
    /// # Errors
    /// A sentence about why it was not taken.
    pub(crate) async fn defer(&self, json: Bytes, durability: Durability) -> Result<(), String> {
        let services = &self.origin.services;
        let id = services.mint.message((services.clock)());
        let to = format!("generator@{}", QueueName::GENERATOR).parse().map_err(|error| format!("{error}"))?;
        let message = Message::new(id, self.sender.clone(), vec![to], json);
        self.origin.set_meta(&message);
        message.set_meta(AUTH_INFO, self.origin.who.to_json());
        let queue = message.queue_name()?;
        let incoming = Incoming::new(message, queue, self.origin.record());
        services.intake.accept(vec![incoming], durability).await.map_err(|error| error.to_string())
    }

    /// Generates, asks policy.
    ///
    /// # Errors
    /// Why there is no message for this recipient.
    pub(crate) async fn make(&self, recipient: &Recipient) -> Result<Incoming, String> {
        let email = &recipient.email;
        let to: EnvelopeAddress = email.parse().map_err(|error| format!("recipient email {email}: {error}"))?;
        if to.domain().is_none() {
            return Err(format!("recipient email {email}: an address needs a domain: local@domain"));
        }
        let services = &self.origin.services;
        let now = (services.clock)();
        let id = services.mint.message(now);
        let mut data = self.generate(recipient, id, now)?;
        if self.trace.received_header {
            let peer = self.origin.connection.peer.address();
            let received = trace::received(peer, &self.origin.hostname, id, &to, now);
            data.splice(..0, received.into_bytes());
        }
        let message = Message::new(id, self.sender.clone(), vec![to], data.into());
        self.origin.set_meta(&message);
        if let Some(metadata) = &recipient.metadata {
            message.set_meta("extra", Json::Object(metadata.clone()));
        }
        self.ask_policy(&message).await?;
        if self.trace.supplemental_header {
            let header = supplemental_trace(&self.trace.header_name, &self.trace.include_meta_names, &message);
            let data = message.data().unwrap_or_default();
            message.set_data(Bytes::from([header.as_bytes(), &data].concat()));
        }
        let queue = message.queue_name()?;
        Ok(Incoming::new(message, queue, self.origin.record()))
    }

    fn generate(&self, recipient: &Recipient, id: MessageId, now: Timestamp) -> Result<Vec<u8>, String> {
        let (email, name) = (recipient.email.as_str(), recipient.name.as_deref());
        let to_header = name.map_or_else(|| format!("<{email}>"), |name| format!("{} <{email}>", quoted(name)));
        let mut known = vec![("email", email), ("to_header", to_header.as_str())];
        // A recipient without a name has no `name`: one of the global substitutions shows through.
        known.extend(name.map(|name| ("name", name)));
        let variables = self.templates.variables(&recipient.substitutions, &known);
        match &self.content {
            Compiled::Text(field) => {
                text::complete(&self.templates.render(field, &variables).map_err(|error| error.to_string())?)
            }
            Compiled::Parts(builder) => {
                let message_id = format!("{id}@{}", self.origin.hostname);
                let envelope = Envelope { email, name, message_id, date: now.secs() };
                builder.build(&envelope, &self.templates, &variables)
            }
        }
    }

    async fn ask_policy(&self, message: &Message) -> Result<(), String> {
        const EVENT: &str = "http_message_generated";
        let policy = &self.origin.services.policy;
        if !policy.handles(EVENT) {
            return Ok(());
        }
        let args = vec![Value::Message(message.clone()), Value::Json(self.origin.who.to_json())];
        match policy.call(EVENT, args).await {
            Ok(_) => Ok(()),
            Err(error) => {
                if error.rejected().is_none() {
                    tracing::error!(event = EVENT, message_id = %message.id(), "{error}");
                }
                Err(error.to_string())
            }
        }
    }
}

impl Origin {
    /// What a message says of where it came from.
    pub(crate) fn set_meta(&self, message: &Message) {
        let connection = &self.connection;
        message.set_meta("http_auth", self.who.name().into());
        message.set_meta("reception_protocol", PROTOCOL.into());
        message.set_meta("received_from", connection.peer.address().to_string().into());
        message.set_meta("received_via", (*connection.via).into());
        message.set_meta("hostname", (*self.hostname).into());
        message.set_hops(self.hops);
    }

    /// The Reception record; the intake fills in what the message itself knows.
    pub(crate) fn record(&self) -> LogRecord {
        let services = &self.services;
        let mut record = LogRecord::new(
            RecordType::Reception,
            (services.clock)(),
            Response::plain(250, ""),
            services.node_id.clone(),
        );
        record.peer_address = Some(PeerAddress {
            name: String::new(),
            addr: self.connection.peer.address().to_string(),
            is_secure: false,
        });
        record.reception_protocol = Some(Cow::Borrowed(PROTOCOL));
        record
    }
}

/// A name as a quoted string (RFC 5322 section 3.2.4), which a line break in it cannot leave.
fn quoted(name: &str) -> String {
    let mut out = String::from('"');
    for c in name.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
