use crate::{HeaderError, Refused, Signal};
use std::fmt;
use std::time::Duration;

/// What is to become of an event after an attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// A 2xx status: done.
    Delivered,
    /// Later: 408, 425, 429, 5xx, or no answer.
    Transient {
        /// What the endpoint asked for as the least wait.
        retry_after: Option<Duration>,
    },
    /// Another status: the same request would be refused again. A redirect is one; it is never followed.
    Permanent,
    /// 410: the endpoint wants nothing any more. Its events stay, and flow again when somebody enables it.
    Disabled,
    /// Nothing was sent, and nothing would be: the request or its target is not permitted.
    Blocked(Blocked),
}

/// Why nothing was sent.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Blocked {
    /// The target's address.
    #[error("the target is refused: {0}")]
    Target(Refused),
    /// The proxy's address.
    #[error("the proxy is refused: {}", .0.told("allow_proxies"))]
    Proxy(Refused),
    /// The address of the server that gives tokens.
    #[error("the token server is refused: {0}")]
    TokenServer(Refused),
    /// A header of the request.
    #[error("{0}")]
    Header(#[from] HeaderError),
    /// The body is larger than may be sent.
    #[error("the body has {found} bytes, at most {most} are sent")]
    Body {
        /// How large it is.
        found: usize,
        /// How large it may be.
        most: usize,
    },
    /// The event has come through so many webhooks that it must be going in circles.
    #[error("the event has been through {0} webhooks already: they go in circles")]
    Loop(u8),
}

/// Where in an attempt it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Waiting for one of the endpoint's own connections to be free.
    Waiting,
    /// Asking the DNS.
    Resolving,
    /// Getting a token.
    Authorising,
    /// Connecting, to the endpoint or its proxy.
    Connecting,
    /// Agreeing on TLS.
    Tls,
    /// Sending the request and waiting for the head of the response.
    Answer,
    /// Reading the body of the response.
    Body,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Waiting => "waiting for a free connection",
            Stage::Resolving => "asking the DNS",
            Stage::Authorising => "getting a token",
            Stage::Connecting => "connecting",
            Stage::Tls => "agreeing on TLS",
            Stage::Answer => "waiting for an answer",
            Stage::Body => "reading the answer",
        })
    }
}

/// Why an attempt did not come to its regular end. Texts of peers in it are made printable.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Trouble {
    /// The total time limit.
    #[error("no end within {limit:?}, while {stage}")]
    TimedOut {
        /// Where it was.
        stage: Stage,
        /// The limit.
        limit: Duration,
    },
    /// The DNS.
    #[error("cannot find {name}: {why}")]
    Resolve {
        /// Whose address was asked for.
        name: String,
        /// What the resolver says.
        why: String,
    },
    /// No address took the connection.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// TLS.
    #[error("cannot agree on TLS: {0}")]
    Tls(String),
    /// The proxy did not open a way.
    #[error("the proxy opens no way: {0}")]
    Proxy(String),
    /// No token.
    #[error("no token: {0}")]
    Token(String),
    /// What came is no HTTP, more than may come, or broke off.
    #[error("the exchange broke: {0}")]
    Exchange(String),
}

/// What a status means. `retry_after` is what the response asked for.
pub fn outcome_of(status: u16, retry_after: Option<Duration>) -> Outcome {
    match status {
        200..=299 => Outcome::Delivered,
        410 => Outcome::Disabled,
        408 | 425 | 429 | 500..=599 => Outcome::Transient { retry_after },
        _ => Outcome::Permanent,
    }
}

impl Outcome {
    /// What it tells of the endpoint's health. `reached` says whether a status came.
    pub fn signal(&self, reached: bool) -> Signal {
        match self {
            Outcome::Transient { retry_after } if reached => Signal::Overloaded(*retry_after),
            Outcome::Transient { .. } => Signal::Unreachable,
            Outcome::Delivered | Outcome::Permanent | Outcome::Disabled | Outcome::Blocked(_) => Signal::Well,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_2xx_is_success_and_a_redirect_is_a_failure() {
        let transient = Outcome::Transient { retry_after: None };
        for (status, outcome) in [
            (101, Outcome::Permanent),
            (200, Outcome::Delivered),
            (204, Outcome::Delivered),
            (299, Outcome::Delivered),
            (300, Outcome::Permanent),
            (301, Outcome::Permanent),
            (302, Outcome::Permanent),
            (303, Outcome::Permanent),
            (304, Outcome::Permanent),
            (307, Outcome::Permanent),
            (308, Outcome::Permanent),
            (400, Outcome::Permanent),
            (404, Outcome::Permanent),
            (408, transient.clone()),
            (410, Outcome::Disabled),
            (425, transient.clone()),
            (429, transient.clone()),
            (500, transient.clone()),
            (503, transient.clone()),
            (599, transient),
            (600, Outcome::Permanent),
            (999, Outcome::Permanent),
        ] {
            assert_eq!(outcome_of(status, None), outcome, "{status}");
        }
    }
}
