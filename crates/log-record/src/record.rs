use crate::{Fields, RecordType};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::sync::Arc;
use waybill_types::{MessageId, Response, Timestamp};

/// The other side: who sent to us, or to whom we sent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PeerAddress {
    /// The name it gave, or its host name; for Lua `Lua via CONSTRUCTOR`.
    pub name: String,
    /// Its IP address without a port; `0.0.0.0` for Lua.
    pub addr: String,
    /// True when the address was looked up securely (DNSSEC); left out otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_secure: bool,
}

/// The address that we sent from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SourceAddress {
    /// `ip:port`.
    pub address: String,
    /// A proxy's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// `haproxy` or `socks5`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
}

/// What is known of the TLS session.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TlsFacts {
    /// The cipher's name.
    pub cipher: Option<String>,
    /// Such as `TLSv1.3`.
    pub protocol_version: Option<String>,
    /// The subject names of the peer's certificate.
    pub peer_subject_name: Option<Vec<String>>,
}

/// One event in the life of a message: contract/kumomta.md section 4.1, field by field.
#[derive(Clone, Debug)]
pub struct LogRecord {
    /// What happened.
    pub kind: RecordType,
    /// The message; `None` for a rejection, shown as `""`.
    pub id: Option<MessageId>,
    /// Envelope sender; `""` is the null sender.
    pub sender: String,
    /// Envelope recipients; shown as a string when there is exactly one.
    pub recipients: Vec<String>,
    /// Scheduled queue at the time of the event.
    pub queue: String,
    /// Ready queue of a delivery.
    pub site: String,
    /// Bytes of the message; 0 when it was not in memory.
    pub size: u64,
    /// What was said.
    pub response: Response,
    /// To or by whom.
    pub peer_address: Option<PeerAddress>,
    /// When it happened.
    pub event_time: Timestamp,
    /// When the message came to be.
    pub created: Timestamp,
    /// Attempts before this one.
    pub num_attempts: u32,
    /// `Uncategorized` unless a classifier spoke.
    pub bounce_classification: Cow<'static, str>,
    /// Egress pool of a delivery.
    pub egress_pool: Option<Arc<str>>,
    /// Egress source of a delivery.
    pub egress_source: Option<Arc<str>>,
    /// Where we sent from.
    pub source_address: Option<SourceAddress>,
    /// The complaint, as JSON whose members stay in their order.
    pub feedback_report: Option<Box<RawValue>>,
    /// Captured meta fields.
    pub meta: Fields,
    /// Captured headers.
    pub headers: Fields,
    /// How it was delivered.
    pub delivery_protocol: Option<Cow<'static, str>>,
    /// How it was received.
    pub reception_protocol: Option<Cow<'static, str>>,
    /// The node's id.
    pub nodeid: Arc<str>,
    /// TLS of the session.
    pub tls: TlsFacts,
    /// Provider of the path.
    pub provider_name: Option<String>,
    /// Session id (uuid), in or out.
    pub session_id: Option<String>,
    /// Tenant of the message: an envelope field of the journal entry, not part of the JSON.
    pub tenant: Option<String>,
    /// Campaign of the message: as the tenant.
    pub campaign: Option<String>,
    /// Whether the message it tells of is itself a log message. Such a record never enters the journal (I3).
    pub of_log_message: bool,
    /// Through how many webhooks what it tells of has come: an envelope field of the journal entry, as the tenant.
    pub hops: u8,
}

impl LogRecord {
    /// A record with the least that every one has; everything else is empty.
    pub fn new(kind: RecordType, event_time: Timestamp, response: Response, nodeid: impl Into<Arc<str>>) -> Self {
        LogRecord {
            kind,
            id: None,
            sender: String::new(),
            recipients: Vec::new(),
            queue: String::new(),
            site: String::new(),
            size: 0,
            response,
            peer_address: None,
            event_time,
            created: event_time,
            num_attempts: 0,
            bounce_classification: Cow::Borrowed("Uncategorized"),
            egress_pool: None,
            egress_source: None,
            source_address: None,
            feedback_report: None,
            meta: Fields::empty(),
            headers: Fields::empty(),
            delivery_protocol: None,
            reception_protocol: None,
            nodeid: nodeid.into(),
            tls: TlsFacts::default(),
            provider_name: None,
            session_id: None,
            tenant: None,
            campaign: None,
            of_log_message: false,
            hops: 0,
        }
    }
}
