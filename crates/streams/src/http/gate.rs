use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use waybill_streams_core::Error;

/// Who may do what.
///
/// # Contract
/// `check` answers at once, from what the listener has found out about the request (its extensions and headers). `Ok`
/// lets the request through; an error is its answer: 401 where nobody is known, 403 where somebody may not.
pub trait Gate: Send + Sync + 'static {
    /// Whether the request may do this.
    ///
    /// # Errors
    /// What to answer it.
    fn check(&self, request: &Parts, want: &Want<'_>) -> Result<(), Denied>;
}

/// What somebody hears who may not.
#[derive(Clone, Debug)]
pub struct Denied {
    /// The code and the sentence.
    pub error: Error,
    /// The status.
    pub status: StatusCode,
    /// Headers beside it: what to show instead, or when to come again.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl From<Error> for Denied {
    /// With the status of the code, and no headers.
    fn from(error: Error) -> Self {
        let status = StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::FORBIDDEN);
        Denied { error, status, headers: Vec::new() }
    }
}

/// What a request wants: the three parts of an ACL entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Want<'a> {
    /// About what.
    pub subject: Subject,
    /// What to do.
    pub action: Action,
    /// With which one: its id as the path has it, checked or not.
    pub object: Option<&'a str>,
}

/// What an ACL entry is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    /// Egress webhooks.
    EgressWebhooks,
    /// Logs.
    Logs,
    /// Messages of logs; the object is the log.
    Messages,
    /// Stored offsets.
    Offsets,
    /// What there is at all: anybody whom the listener lets in.
    Index,
}

impl Subject {
    /// As an ACL has it.
    pub const fn text(self) -> &'static str {
        match self {
            Subject::EgressWebhooks => "egress_webhooks",
            Subject::Logs => "logs",
            Subject::Messages => "messages",
            Subject::Offsets => "offsets",
            Subject::Index => "index",
        }
    }
}

/// What an ACL entry allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// See all.
    List,
    /// Make one.
    Create,
    /// See one.
    Get,
    /// Change one.
    Update,
    /// Delete one.
    Delete,
    /// Add messages.
    Publish,
    /// Read messages.
    Consume,
    /// Drop messages.
    Cleanup,
    /// Replace a secret.
    Rotate,
    /// See how one stands.
    Status,
}

impl Action {
    /// As an ACL has it.
    pub const fn text(self) -> &'static str {
        match self {
            Action::List => "list",
            Action::Create => "create",
            Action::Get => "get",
            Action::Update => "update",
            Action::Delete => "delete",
            Action::Publish => "publish",
            Action::Consume => "consume",
            Action::Cleanup => "cleanup",
            Action::Rotate => "rotate",
            Action::Status => "status",
        }
    }
}
