use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use waybill_streams_core::{Error, Reach};
use waybill_tokens::{Action, Subject};

/// Who may do what.
///
/// # Contract
/// `check` answers at once, from what the listener has found out about the request (its extensions and headers). `Ok`
/// lets the request through, to what is within that reach; an error is its answer: 401 where nobody is known, 403 where
/// somebody may not.
pub trait Gate: Send + Sync + 'static {
    /// Whether the request may do this, and with whose logs.
    ///
    /// # Errors
    /// What to answer it.
    fn check(&self, request: &Parts, want: &Want<'_>) -> Result<Reach, Denied>;
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
