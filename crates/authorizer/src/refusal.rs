use crate::Peer;
use http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use std::time::Duration;

/// Why a request goes no further. None of its words repeats what the client has shown.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// It shows no token, and needs one.
    #[error(
        "this needs a token that allows {needs} (Authorization: Bearer TOKEN): make one on the machine of the daemon with \
         `waybill tokens create --acl {needs}`{hint}", hint = if *behind_a_proxy { BEHIND } else { "" }
    )]
    Missing {
        /// `subject:action`.
        needs: String,
        /// It came from this machine, and does not look as if it was made there.
        behind_a_proxy: bool,
    },
    /// What it shows is no token.
    #[error("{0}")]
    Unreadable(&'static str),
    /// The token is none of ours, or no longer.
    #[error("this token is not known: it was deleted, or never made here; `waybill tokens create` makes one")]
    Unknown,
    /// The same, too often.
    #[error("too many tokens from here that are not known: try again in {} s", seconds(*.0))]
    TooMany(Duration),
    /// The token is one of ours and does not allow this.
    #[error(
        "this token does not allow {needs}: `waybill tokens create --acl {needs}` on the machine of the daemon makes one that does"
    )]
    NotAllowed {
        /// `subject:action[:object]`.
        needs: String,
    },
    /// Tokens are not read yet.
    #[error("waiting for spool startup")]
    NotReady,
}

const BEHIND: &str = "; without one, clients on that machine are let in only under a loopback Host (and Origin), and not \
     behind a proxy";

fn seconds(wait: Duration) -> u64 {
    wait.as_secs_f64().ceil() as u64
}

impl Refusal {
    /// The status of the answer.
    pub const fn status(&self) -> StatusCode {
        match self {
            Refusal::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Refusal::NotReady => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNAUTHORIZED,
        }
    }

    /// The code that klev's clients know.
    pub const fn code(&self) -> &'static str {
        match self {
            Refusal::Missing { .. } => "authorization-header-missing",
            Refusal::Unreadable(_) => "authorization-header-invalid",
            Refusal::Unknown | Refusal::TooMany(_) => "authentication-failed",
            Refusal::NotAllowed { .. } => "authorization-failed",
            Refusal::NotReady => "server-error",
        }
    }

    /// What to do about it, in a sentence.
    pub fn message(&self) -> String {
        self.to_string()
    }

    /// Headers that belong into the answer, whatever its body.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if self.status() == StatusCode::UNAUTHORIZED {
            // RFC 6750 section 3.
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"waybill\""));
        }
        let mut retry = |wait: u64| headers.insert(RETRY_AFTER, HeaderValue::from(wait));
        match self {
            Refusal::TooMany(wait) => drop(retry(seconds(*wait))),
            Refusal::NotReady => drop(retry(1)),
            _ => {}
        }
        headers
    }

    /// For the log.
    pub(crate) fn tell(&self, peer: Peer, untold: u64, method: &http::Method, path: &str) {
        let path: String = path.chars().take(256).flat_map(char::escape_default).collect();
        let peer = peer.address();
        tracing::warn!(target: "waybill::audit", %peer, code = self.code(), %method, path, untold, "refused");
    }
}
