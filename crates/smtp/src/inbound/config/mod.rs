//! What `kumo.start_esmtp_listener` takes.

mod options;

pub use options::ListenerOptions;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use waybill_tls::ServerParams;
pub(crate) use waybill_types::list;
use waybill_types::serde_duration;
use waybill_types::text::{self, is_address_and_port};
pub use waybill_types::{CidrMap, CidrSet};

/// Where a listener listens when the policy does not say.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:2025";
/// Sessions at the same time; one more is turned away with 421.
pub const DEFAULT_MAX_CONNECTIONS: usize = 32_768;

/// How recipients of one transaction become messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum BatchHandling {
    /// One message for each recipient.
    #[default]
    BifurcateAlways,
    /// One message for each domain, spelled exactly alike.
    BatchByDomain,
}

/// What becomes of a CR without LF, or a LF without CR, in message data. It never ends the data.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum InvalidLineEndings {
    /// The message is refused.
    #[default]
    Deny,
    /// It is kept as it is.
    Allow,
    /// It becomes CRLF.
    Fix,
}

/// Headers that reception adds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TraceHeaders {
    /// Whether to add `Received`.
    pub received_header: bool,
    /// Whether to add the header that finds the way back from a complaint to the message.
    pub supplemental_header: bool,
    /// Its name.
    pub header_name: String,
    /// Meta fields to show in it. It is encoded, not encrypted: the world can read them.
    #[serde(deserialize_with = "text::names")]
    pub include_meta_names: Vec<String>,
}

impl Default for TraceHeaders {
    fn default() -> Self {
        TraceHeaders {
            received_header: true,
            supplemental_header: true,
            header_name: "X-KumoRef".into(),
            include_meta_names: Vec::new(),
        }
    }
}

/// What one connection goes by, after `peer`, `via` and policy have had their say.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SessionParams {
    /// Our name; the system's when unset.
    pub hostname: Option<String>,
    /// Who may send to anywhere.
    pub relay_hosts: CidrSet,
    /// Behind our name in the greeting.
    pub banner: String,
    /// How long to wait for a command, or for the next bytes of message data.
    #[serde(with = "serde_duration")]
    pub client_timeout: Duration,
    /// How long policy may take over a message once it is here.
    #[serde(with = "serde_duration")]
    pub data_processing_timeout: Duration,
    /// MAIL commands on one connection.
    pub max_messages_per_connection: u64,
    /// Recipients of one transaction.
    pub max_recipients_per_message: usize,
    /// Bytes of one message, as stored.
    pub max_message_size: usize,
    /// Bytes to ask of the socket at once while message data comes in.
    pub data_buffer_size: usize,
    /// How recipients become messages.
    pub batch_handling: BatchHandling,
    /// What becomes of a bare CR or LF.
    pub invalid_line_endings: InvalidLineEndings,
    /// Bytes of one line of message data, without its CRLF.
    pub line_length_hard_limit: usize,
    /// Headers that reception adds.
    pub trace_headers: TraceHeaders,
    /// Whether a 250 promises no more than that the message is written: a power failure may take it.
    pub deferred_spool: bool,
    /// Whether policy sees mail only after it was taken: it waits in a queue of its own
    /// (`smtp_server_message_deferred_inject`).
    pub deferred_queue: bool,
    /// Whether the client may say in whose name it speaks (XCLIENT).
    pub allow_xclient: bool,
    /// Whether a proxy must say who the client is before anything else is said.
    pub require_proxy_protocol: bool,
    /// Certificate, key, and whose certificates clients must show.
    #[serde(skip)]
    pub tls: ServerParams,
    /// The first entries of the connection's meta.
    pub meta: Map<String, Value>,
}

impl Default for SessionParams {
    fn default() -> Self {
        SessionParams {
            hostname: None,
            relay_hosts: [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)].into_iter().collect(),
            banner: "KumoMTA".into(),
            client_timeout: Duration::from_secs(60),
            data_processing_timeout: Duration::from_secs(300),
            max_messages_per_connection: 10_000,
            max_recipients_per_message: 1024,
            max_message_size: 20 * 1024 * 1024,
            data_buffer_size: 128 * 1024,
            batch_handling: BatchHandling::default(),
            invalid_line_endings: InvalidLineEndings::default(),
            line_length_hard_limit: 998,
            trace_headers: TraceHeaders::default(),
            deferred_spool: false,
            deferred_queue: false,
            allow_xclient: false,
            require_proxy_protocol: false,
            tls: ServerParams::default(),
            meta: Map::new(),
        }
    }
}

/// One listener, checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "ListenerOptions")]
pub struct ListenerConfig {
    /// `ADDRESS:PORT` to bind; the binary does that.
    pub listen: String,
    /// Sessions at the same time.
    pub max_connections: usize,
    options: ListenerOptions,
}

impl ListenerConfig {
    /// What a connection from `peer` to our address `via` goes by: the listener's keys, then those of the most
    /// specific `peer` network, then those of the most specific `via` network; each may hold the same two again.
    pub fn params_for(&self, peer: IpAddr, via: IpAddr) -> SessionParams {
        let mut params = SessionParams::default();
        self.options.apply(&mut params, peer, via);
        params
    }

    /// Reads the certificates and keys that the listener names, wherever they stand in it. Blocks.
    ///
    /// # Errors
    /// A sentence naming the key, the file and what is wrong with it.
    pub fn check_tls(&self) -> Result<(), String> {
        self.options.check_tls(&ServerParams::default())
    }
}

impl Default for ListenerConfig {
    fn default() -> Self {
        ListenerConfig {
            listen: DEFAULT_LISTEN.into(),
            max_connections: DEFAULT_MAX_CONNECTIONS,
            options: ListenerOptions::default(),
        }
    }
}

impl TryFrom<ListenerOptions> for ListenerConfig {
    type Error = String;

    fn try_from(mut options: ListenerOptions) -> Result<Self, String> {
        options.check_above_zero()?;
        options.check_texts()?;
        let listen = options.listen.take().unwrap_or_else(|| DEFAULT_LISTEN.into());
        let max_connections = options.max_connections.take().unwrap_or(DEFAULT_MAX_CONNECTIONS);
        if !is_address_and_port(&listen) {
            return Err(format!("`listen` is to be ADDRESS:PORT, got {listen:?}"));
        }
        options.check()?;
        Ok(ListenerConfig { listen, max_connections, options })
    }
}

#[cfg(test)]
mod tests;
