use crate::PolicyHost;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What becomes of the session in which policy said no: the modes of `kumo.disconnect`. Only who has a session to end
/// reads it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Ending {
    /// It ends when the code is 421, and only then: what `kumo.reject` means.
    #[default]
    If421,
    /// The reply is followed by a 421, so that the client hears why the connection is closed (RFC 5321 section 3.8).
    FollowWith421,
    /// The connection is closed behind the reply, whatever its code.
    Force,
}

/// Policy said no, with a code: `kumo.reject(code, text)`, `kumo.disconnect(code, text, mode)`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejected {
    /// The status; what it means is the caller's business (any number a script wrote).
    pub code: u16,
    /// The text, with its enhanced code if it has one.
    pub text: String,
    /// The least time to wait before the next try, where the script knows one (Waybill's own).
    pub retry_after: Option<Duration>,
    /// What becomes of the session.
    pub ending: Ending,
}

impl Rejected {
    /// A plain no: no wish about the next try, and the session ends only with a 421.
    pub fn new(code: u16, text: impl Into<String>) -> Self {
        Rejected { code, text: text.into(), retry_after: None, ending: Ending::default() }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.text)
    }
}

/// Why a call to policy gave no result.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PolicyError {
    /// The script rejected on purpose.
    #[error("{0}")]
    Rejected(Rejected),
    /// There is no handler for an event that needs one, or no such method.
    #[error("{0}")]
    Missing(Arc<str>),
    /// The script failed: message and stack trace, with file and line.
    #[error("{0}")]
    Failed(Arc<str>),
    /// It returned something that the caller cannot use.
    #[error("{0}")]
    Unusable(Arc<str>),
    /// It ran longer than it may and was stopped.
    #[error("policy was stopped: {0}")]
    TimedOut(Arc<str>),
    /// There is no room for another state, or no policy is loaded.
    #[error("policy is not available: {0}")]
    Unavailable(Arc<str>),
}

impl PolicyError {
    /// A result that cannot be used.
    pub fn unusable(what: impl fmt::Display) -> Self {
        PolicyError::Unusable(what.to_string().into())
    }

    /// The same, where it is what an event returned, with the event and where its handlers are. Other errors tell their
    /// place themselves.
    #[must_use]
    pub fn from_event(self, event: &str, policy: &dyn PolicyHost) -> Self {
        let PolicyError::Unusable(why) = &self else { return self };
        let places = policy.places(event).join(", ");
        let place = if places.is_empty() { String::new() } else { format!(" ({places})") };
        PolicyError::unusable(format_args!("{event}{place} returned what cannot be used: {why}"))
    }

    /// The rejection, when it is one.
    pub fn rejected(&self) -> Option<&Rejected> {
        match self {
            PolicyError::Rejected(rejected) => Some(rejected),
            _ => None,
        }
    }
}
