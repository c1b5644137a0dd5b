use bytes::Bytes;
use http::{HeaderMap, Version};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;
use waybill_types::Timestamp;
use waybill_webhook_core::{Outcome, Signal, Trouble, printable};

/// What happened when an event was sent, or was not.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// When it began.
    pub at: Timestamp,
    /// How long it took, up to the last byte that was read.
    pub duration: Duration,
    /// The endpoint's address that was used; unset where none was, or where a proxy looked it up.
    pub address: Option<SocketAddr>,
    /// The proxy's address, where one was used.
    pub proxy: Option<SocketAddr>,
    /// What came back, if a status did.
    pub response: Option<Response>,
    /// Why no status came, if none did.
    pub trouble: Option<Trouble>,
    /// What is to become of the event.
    pub outcome: Outcome,
}

/// What came back: the head, and the beginning of the body as it came, never decoded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// HTTP/1.1 or HTTP/2.
    pub version: Version,
    /// The headers: at most as many and as long as [`Limits`](waybill_webhook_core::Limits) say.
    pub headers: HeaderMap,
    /// The beginning of the body.
    pub body: Bytes,
    /// Why that is not all of it.
    pub cut: Option<Cut>,
}

/// Why a body was not read to its end. The status counts all the same: it was the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// There was more than is kept.
    TooLong,
    /// It did not end within the attempt's time limit.
    TimedOut,
    /// The connection broke, or what came was no HTTP any more.
    Broken,
}

impl Attempt {
    /// The status, if one came.
    pub fn status(&self) -> Option<u16> {
        self.response.as_ref().map(|response| response.status)
    }

    /// What it told of the endpoint's health, for a [`Pace`](waybill_webhook_core::Pace).
    pub fn signal(&self) -> Signal {
        match &self.response {
            // It took the event, but held on to us until the very end.
            Some(Response { cut: Some(Cut::TimedOut), .. }) => Signal::Overloaded(None),
            response => self.outcome.signal(response.is_some()),
        }
    }
}

impl Response {
    /// The body's beginning as one printable line.
    pub fn text(&self) -> String {
        printable(&self.body, self.body.len())
    }
}

/// One line for a log.
impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let response = self.response.as_ref();
        match (response, &self.trouble, &self.outcome) {
            (Some(response), ..) => write!(f, "status {}", response.status)?,
            (None, Some(trouble), _) => write!(f, "{trouble}")?,
            (None, None, Outcome::Blocked(blocked)) => write!(f, "{blocked}")?,
            (None, None, _) => f.write_str("nothing was sent")?,
        }
        match response.and_then(|response| response.cut) {
            None => Ok(()),
            Some(Cut::TooLong) => f.write_str(", an answer longer than is kept"),
            Some(Cut::TimedOut) => f.write_str(", an answer without an end in time"),
            Some(Cut::Broken) => f.write_str(", an answer that broke off"),
        }
    }
}
