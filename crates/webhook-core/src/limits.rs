use crate::MOST_HOPS;
use std::time::Duration;

/// What an attempt may cost us, whatever an endpoint does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of a response's body that are kept; at the next byte reading stops and the connection is closed.
    pub kept_body: usize,
    /// Bytes of a response's head, all informational responses before it included.
    pub head: usize,
    /// Headers of a response.
    pub headers: usize,
    /// Bytes of a request's body.
    pub request_body: usize,
    /// Addresses of one name that are tried.
    pub addresses: usize,
    /// How long a connection that nobody uses is kept.
    pub idle: Duration,
    /// Through how many webhooks one event may go.
    pub hops: u8,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            kept_body: 16 * 1024,
            head: 32 * 1024,
            headers: 100,
            request_body: 8 * 1024 * 1024,
            addresses: 8,
            idle: Duration::from_secs(60),
            hops: MOST_HOPS,
        }
    }
}
