use super::{BatchHandling, CidrMap, CidrSet, InvalidLineEndings, SessionParams, TraceHeaders};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::net::IpAddr;
use std::time::Duration;
use waybill_tls::{KeySource, ServerParams};
use waybill_types::{serde_duration_opt, text};

/// Bytes that a session may ask of its socket at once: so much is set aside.
const LARGEST_BUFFER: usize = 64 * 1024 * 1024;

/// A table of listener keys as a policy writes it, each optional: a whole listener, an entry of `peer` or `via`, or
/// what `smtp_server_get_dynamic_parameters` returns.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListenerOptions {
    pub(super) listen: Option<String>,
    #[serde(deserialize_with = "text::name_opt")]
    hostname: Option<String>,
    relay_hosts: Option<CidrSet>,
    banner: Option<String>,
    pub(super) max_connections: Option<usize>,
    #[serde(deserialize_with = "serde_duration_opt::deserialize")]
    client_timeout: Option<Duration>,
    #[serde(deserialize_with = "serde_duration_opt::deserialize")]
    data_processing_timeout: Option<Duration>,
    max_messages_per_connection: Option<u64>,
    max_recipients_per_message: Option<usize>,
    max_message_size: Option<usize>,
    data_buffer_size: Option<usize>,
    batch_handling: Option<BatchHandling>,
    deferred_spool: Option<bool>,
    deferred_queue: Option<bool>,
    invalid_line_endings: Option<InvalidLineEndings>,
    line_length_hard_limit: Option<usize>,
    allow_xclient: Option<bool>,
    require_proxy_protocol: Option<bool>,
    trace_headers: Option<TraceHeaders>,
    tls_certificate: Option<KeySource>,
    tls_private_key: Option<KeySource>,
    tls_required_client_ca: Option<KeySource>,
    meta: Map<String, Value>,
    peer: CidrMap<ListenerOptions>,
    via: CidrMap<ListenerOptions>,
}

impl ListenerOptions {
    /// Refuses what cannot be meant or done. To be asked of every table that came from outside.
    ///
    /// # Errors
    /// A sentence naming the key.
    pub fn check(&self) -> Result<(), String> {
        let fixed = [("listen", self.listen.is_some()), ("max_connections", self.max_connections.is_some())];
        if let Some((key, _)) = fixed.into_iter().find(|(_, given)| *given) {
            return Err(format!("`{key}` belongs to the whole listener, it cannot differ between connections"));
        }
        self.check_above_zero()?;
        self.check_texts()?;
        if let Some(trace) = &self.trace_headers {
            // RFC 5322 section 2.2: printable ASCII but for the colon.
            let good = |byte: u8| byte.is_ascii_graphic() && byte != b':';
            if trace.header_name.is_empty() || !trace.header_name.bytes().all(good) {
                let name = &trace.header_name;
                let expected = "expected printable ASCII without spaces and colons";
                return Err(format!("`header_name` is no name for a header: {name:?}, {expected}"));
            }
        }
        self.peer.values().chain(self.via.values()).try_for_each(ListenerOptions::check)
    }

    /// What goes into replies must not end their line. To be asked of the whole listener as well.
    pub(super) fn check_texts(&self) -> Result<(), String> {
        if let Some(banner) = self.banner.as_deref().filter(|banner| banner.contains(char::is_control)) {
            return Err(format!("`banner` is {banner:?}, expected a text without control characters"));
        }
        if let Some(name) = self.hostname.as_deref().filter(|name| name.contains(char::is_whitespace)) {
            return Err(format!("`hostname` is {name:?}, expected a host's name without spaces"));
        }
        match self.data_buffer_size {
            Some(size) if size > LARGEST_BUFFER => {
                Err(format!("`data_buffer_size` is {size}, expected at most {LARGEST_BUFFER}"))
            }
            _ => Ok(()),
        }
    }

    /// With none of any of these a listener is open and takes no mail, which nobody means. To be asked of the whole
    /// listener as well, before [`check`](Self::check).
    pub(super) fn check_above_zero(&self) -> Result<(), String> {
        let counts = [
            ("max_connections", self.max_connections == Some(0)),
            ("max_messages_per_connection", self.max_messages_per_connection == Some(0)),
            ("max_recipients_per_message", self.max_recipients_per_message == Some(0)),
            ("max_message_size", self.max_message_size == Some(0)),
            ("data_buffer_size", self.data_buffer_size == Some(0)),
            ("line_length_hard_limit", self.line_length_hard_limit == Some(0)),
        ];
        let times = [
            ("client_timeout", self.client_timeout.is_some_and(|time| time.is_zero())),
            ("data_processing_timeout", self.data_processing_timeout.is_some_and(|time| time.is_zero())),
        ];
        let zero = |fields: &[(&'static str, bool)]| fields.iter().find(|(_, zero)| *zero).map(|(key, _)| *key);
        if let Some(key) = zero(&counts) {
            return Err(format!("`{key}` is 0, expected a number above zero"));
        }
        zero(&times).map_or(Ok(()), |key| Err(format!("`{key}` is 0, expected a duration above zero")))
    }

    /// What is given here about TLS over what is there.
    fn tls(&self, before: &ServerParams) -> ServerParams {
        let over = |own: &Option<KeySource>, before: &Option<KeySource>| own.as_ref().or(before.as_ref()).cloned();
        ServerParams {
            certificate: over(&self.tls_certificate, &before.certificate),
            private_key: over(&self.tls_private_key, &before.private_key),
            required_client_ca: over(&self.tls_required_client_ca, &before.required_client_ca),
        }
    }

    /// Reads every certificate and key that is named here or below, over what holds above.
    pub(super) fn check_tls(&self, above: &ServerParams) -> Result<(), String> {
        let own = self.tls(above);
        if own != *above {
            own.check()?;
        }
        self.peer.values().chain(self.via.values()).try_for_each(|options| options.check_tls(&own))
    }

    /// Puts what is given here over what is there.
    pub(crate) fn apply(&self, params: &mut SessionParams, peer: IpAddr, via: IpAddr) {
        if self.hostname.is_some() {
            params.hostname.clone_from(&self.hostname);
        }
        replace(&mut params.relay_hosts, self.relay_hosts.as_ref());
        replace(&mut params.banner, self.banner.as_ref());
        replace(&mut params.client_timeout, self.client_timeout.as_ref());
        replace(&mut params.data_processing_timeout, self.data_processing_timeout.as_ref());
        replace(&mut params.max_messages_per_connection, self.max_messages_per_connection.as_ref());
        replace(&mut params.max_recipients_per_message, self.max_recipients_per_message.as_ref());
        replace(&mut params.max_message_size, self.max_message_size.as_ref());
        replace(&mut params.data_buffer_size, self.data_buffer_size.as_ref());
        replace(&mut params.batch_handling, self.batch_handling.as_ref());
        replace(&mut params.invalid_line_endings, self.invalid_line_endings.as_ref());
        replace(&mut params.line_length_hard_limit, self.line_length_hard_limit.as_ref());
        replace(&mut params.trace_headers, self.trace_headers.as_ref());
        replace(&mut params.deferred_spool, self.deferred_spool.as_ref());
        replace(&mut params.deferred_queue, self.deferred_queue.as_ref());
        replace(&mut params.allow_xclient, self.allow_xclient.as_ref());
        replace(&mut params.require_proxy_protocol, self.require_proxy_protocol.as_ref());
        params.tls = self.tls(&params.tls);
        params.meta.extend(self.meta.clone());
        if let Some(more) = self.peer.get(peer) {
            more.apply(params, peer, via);
        }
        if let Some(more) = self.via.get(via) {
            more.apply(params, peer, via);
        }
    }
}

fn replace<T: Clone>(place: &mut T, given: Option<&T>) {
    if let Some(given) = given {
        place.clone_from(given);
    }
}
