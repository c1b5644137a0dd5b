//! What goes wrong on the way, in words that records show. None of it is the server's word, unless it is quoted.

use super::reply::Reply;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;
use waybill_delivery::{ConnectError, Outcome};
use waybill_queue_core::reason::Reason;
use waybill_types::{Response, format_duration};

/// The step of a conversation in which something went wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    Connect,
    Banner,
    Greeting,
    StartTls,
    Handshake,
    Auth,
    Reset,
    Mail,
    Rcpt,
    Data,
    Content,
    Dot,
    Quit,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Connect => "connect",
            Step::Banner => "the banner",
            Step::Greeting => "EHLO",
            Step::StartTls => "STARTTLS",
            Step::Handshake => "the TLS handshake",
            Step::Auth => "AUTH PLAIN",
            Step::Reset => "RSET",
            Step::Mail => "MAIL FROM",
            Step::Rcpt => "RCPT TO",
            Step::Data => "DATA",
            Step::Content => "the message",
            Step::Dot => "the end of the message",
            Step::Quit => "QUIT",
        })
    }
}

/// The connection is of no use any more.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{step}: {what}")]
pub(super) struct Trouble {
    pub(super) step: Step,
    pub(super) what: String,
}

impl Trouble {
    pub(super) fn new(step: Step, what: impl fmt::Display) -> Self {
        Trouble { step, what: what.to_string() }
    }

    pub(super) fn closed(step: Step) -> Self {
        Trouble::new(step, "the connection was closed by the other side")
    }

    pub(super) fn silent(step: Step, limit: Duration) -> Self {
        Trouble::new(step, format_args!("no answer within {}", format_duration(limit)))
    }
}

/// Why there is no connection to one address.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// Something broke.
    #[error(transparent)]
    Trouble(#[from] Trouble),
    /// The server said no.
    #[error("{step}: {reply}")]
    Said {
        /// To what.
        step: Step,
        /// Its words.
        reply: Reply,
    },
    /// The proxy that stands between is to blame: no other server would do better.
    #[error(transparent)]
    Proxy(#[from] ProxyTrouble),
    /// The source address is not one of this machine: no other server would do better.
    #[error(transparent)]
    Unplumbed(Trouble),
    /// We said no: what the server offers is not what the path asks for.
    #[error("{0}")]
    Ours(String),
}

/// A proxy that is not there, or does not do what it is there for.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the proxy {server}: {what}")]
pub(super) struct ProxyTrouble {
    pub(super) server: SocketAddr,
    pub(super) what: String,
}

impl Refusal {
    /// A proxy could not reach the server.
    pub(super) fn beyond(proxy: SocketAddr, what: &str) -> Self {
        Trouble::new(Step::Connect, format_args!("the proxy {proxy} says: {what}")).into()
    }

    /// Whether every other address would fail in the same way.
    pub(super) fn is_ours_alone(&self) -> bool {
        matches!(self, Refusal::Proxy(_) | Refusal::Unplumbed(_))
    }

    /// Whether the same address may do better without TLS.
    pub(super) fn is_about_tls(&self) -> bool {
        matches!(self, Refusal::Trouble(Trouble { step: Step::Handshake, .. }))
    }
}

/// No address of the plan gave a connection.
pub(super) fn no_connection(why: impl fmt::Display) -> ConnectError {
    let text = format!("KumoMTA internal: failed to connect to any candidate hosts: {why}");
    ConnectError::new(Response::plain(400, text))
}

/// There is no address to go to. `text` begins with the enhanced code.
pub(super) fn nowhere(code: u16, enhanced: &str, reason: Reason, why: impl fmt::Display) -> ConnectError {
    ConnectError::new(Response::new(code, format!("{enhanced} KumoMTA internal: {why}"))).because(reason)
}

/// The connection was lost with a message on it: try again.
pub(super) fn lost(host: &str, trouble: &Trouble) -> Outcome {
    let text = format!("KumoMTA internal: failed to send message to {host}: {trouble}");
    Outcome::Transient(Response::plain(400, text), None)
}

/// A message that must not or cannot go there.
pub(super) fn refused(code: u16, enhanced: &str, why: impl fmt::Display) -> Outcome {
    Outcome::Permanent(Response::new(code, format!("{enhanced} KumoMTA internal: {why}")))
}

/// What a server's answer means for those whom it was about. One that is neither yes nor no is no outcome.
pub(super) fn judged(response: Response) -> Option<Outcome> {
    match response.code {
        200..300 => Some(Outcome::Delivered(response)),
        400..500 => Some(Outcome::Transient(response, None)),
        500..600 => Some(Outcome::Permanent(response)),
        _ => None,
    }
}
