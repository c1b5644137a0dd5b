//! A connection of HTTP/1.1: nobody drives it but who waits for an answer over it.

use crate::attempt::{Cut, Response};
use crate::failure::told;
use crate::many::Sent;
use crate::metered::{Allowance, Metered, Wire};
use crate::opening::Opening;
use crate::progress::Peer;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use std::future::poll_fn;
use tokio::time::{Instant, timeout_at};
use waybill_http1::{Asked, Head, Line, Request, fields};
use waybill_webhook_core::{Limits, Trouble};

/// A connection that takes one request at a time.
pub(crate) struct One {
    line: Line,
    peer: Peer,
    allowance: Allowance,
}

/// The head of an answer. Dropped, it closes the connection: who knows what would come next on it.
pub(crate) struct Answer {
    one: Box<One>,
    head: Head,
    headers: HeaderMap,
}

/// Bytes around a head and what is kept of a body: informational answers, chunks, what is read ahead.
const AROUND: usize = 128 * 1024;

impl One {
    /// Speaks HTTP/1.1 over a wire.
    pub(crate) fn new(wire: Box<dyn Wire>, peer: Peer) -> Self {
        let allowance = Allowance::default();
        One { line: Line::new(Box::new(Metered::new(wire, allowance.clone()))), peer, allowance }
    }

    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    /// Whether it can take a request, as far as anybody knows.
    pub(crate) fn is_open(&mut self) -> bool {
        self.line.is_quiet()
    }

    /// Sends a request and waits for the head of the answer. The caller limits the time.
    pub(crate) async fn send(
        mut self: Box<Self>,
        opening: &Opening,
        own: &[(HeaderName, HeaderValue)],
        body: Bytes,
        limits: &Limits,
    ) -> Sent<Answer> {
        let each = limits.head + limits.kept_body + AROUND;
        self.allowance.grant(each, each);
        let asked = self.line.ask(&Request { start: opening.start(), own, body }).await;
        let broken = |why: String| Sent::Broken(Trouble::Exchange(why));
        let head = match asked {
            Asked::Answered(head) => head,
            Asked::Unsent(_) => return Sent::Unsent,
            Asked::Broken(trouble) => return broken(told(&trouble)),
        };
        let headers = fields(self.line.head(&head));
        if head.size > limits.head {
            return broken(format!("the answer's head is larger than {} bytes", limits.head));
        }
        if headers.len() > limits.headers {
            return broken(format!("the answer has more than {} headers", limits.headers));
        }
        Sent::Answered(Answer { one: self, head, headers })
    }
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    /// Reads what is kept of the body. The connection comes back where the next request may go over it.
    pub(crate) async fn read(self, limits: &Limits, deadline: Instant) -> (Response, Option<Box<One>>) {
        let Answer { mut one, head, headers } = self;
        let short = |body: &[u8]| (body.len() <= limits.kept_body).then(|| Bytes::copy_from_slice(body));
        let (body, cut) = match one.line.at_hand(&head, short) {
            Some(body) => (body, None),
            None => {
                one.line.open_body(&head);
                let mut kept = Vec::new();
                let cut = timeout_at(deadline, keep(&mut one.line, &mut kept, limits.kept_body)).await;
                kept.truncate(limits.kept_body);
                (kept.into(), cut.unwrap_or(Some(Cut::TimedOut)))
            }
        };
        let is_free = cut.is_none() && one.line.is_free();
        let response = Response { status: head.status.as_u16(), version: Version::HTTP_11, headers, body, cut };
        (response, is_free.then_some(one))
    }
}

async fn keep(line: &mut Line, kept: &mut Vec<u8>, most: usize) -> Option<Cut> {
    loop {
        match poll_fn(|cx| line.poll_body(kept, cx)).await {
            Ok(_) if kept.len() > most => return Some(Cut::TooLong),
            Ok(true) => {}
            Ok(false) => return None,
            Err(_) => return Some(Cut::Broken),
        }
    }
}
