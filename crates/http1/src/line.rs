//! One connection, polled by whoever waits for its answer.
//!
//! There is no task for it: while nobody asks for anything over it nothing happens, and that the server closed it
//! meanwhile is found by the next one who wants to use it.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite};

use super::framing::Framing;
use super::head::{self, Found, Head, MAX_HEAD};
use super::inbox::Inbox;
use super::outbox::Outbox;
use super::request::Request;
use super::trouble::Trouble;

/// Answers of 1xx ahead of one answer.
const MAX_INTERIM: u32 = 100;

/// A stream that HTTP is spoken over.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection.
pub struct Line {
    stream: Box<dyn Stream>,
    inbox: Inbox,
    outbox: Outbox,
    /// Why the request could not be sent as a whole. The server may have answered all the same.
    unsent: Option<io::Error>,
    /// Of the body that is being read.
    framing: Framing,
    /// Nobody said that this answer is the last one.
    keeps: bool,
    /// The request asked to close it.
    closes: bool,
    /// The request was HEAD.
    to_head: bool,
    /// How much of an unfinished head was looked at.
    known: usize,
    interim: u32,
}

/// What came of a request.
pub enum Asked {
    /// The head of an answer: [`Line::at_hand`] or [`Line::open_body`] come next.
    Answered(Head),
    /// It was not sent: the connection was of no use any more.
    Unsent(Trouble),
    /// Nobody knows what arrived.
    Broken(Trouble),
}

impl Line {
    /// Speaks HTTP over a stream.
    pub fn new(stream: Box<dyn Stream>) -> Line {
        Line {
            stream,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            unsent: None,
            framing: Framing::Length(0),
            keeps: false,
            closes: false,
            to_head: false,
            known: 0,
            interim: 0,
        }
    }

    /// Sends a request and waits for the head of its answer. Dropped on its way, it leaves a connection of no use.
    pub async fn ask(&mut self, request: &Request<'_>) -> Asked {
        let mut is_sent = false;
        poll_fn(|cx| {
            if !is_sent {
                if let Some(trouble) = self.what_came_unasked(cx) {
                    return Poll::Ready(Asked::Unsent(trouble));
                }
                self.start(request);
                is_sent = true;
            }
            self.send_on(cx);
            self.poll_head(cx).map(|read| read.map_or_else(|trouble| self.broken(trouble), Asked::Answered))
        })
        .await
    }

    fn broken(&mut self, trouble: Trouble) -> Asked {
        match (trouble, self.unsent.take()) {
            // What was there first.
            (Trouble::Closed | Trouble::Failed(_), Some(unsent)) => Asked::Broken(unsent.into()),
            (trouble, _) => Asked::Broken(trouble),
        }
    }

    /// A server that says anything now, or hangs up, did so before it knew of the next request.
    fn what_came_unasked(&mut self, cx: &mut Context<'_>) -> Option<Trouble> {
        match self.inbox.poll_fill(&mut *self.stream, cx) {
            Poll::Pending => None,
            Poll::Ready(Ok(0)) => Some(Trouble::Closed),
            Poll::Ready(Ok(_)) => Some(Trouble::wrong("the server spoke before it was asked")),
            Poll::Ready(Err(error)) => Some(error.into()),
        }
    }

    /// Whether nothing came while nobody asked, not even its end: as far as anybody knows the next request may go over it.
    pub fn is_quiet(&mut self) -> bool {
        // Whoever asks next waits for it anew.
        self.what_came_unasked(&mut Context::from_waker(Waker::noop())).is_none()
    }

    fn start(&mut self, request: &Request<'_>) {
        self.outbox.put(request);
        self.to_head = request.start.is_head;
        self.closes = request.start.closes;
        // Until its answer says so.
        self.keeps = false;
        self.known = 0;
        self.interim = 0;
    }

    /// Sends what is left of the request, also while its answer is read: a server may answer what it reads.
    fn send_on(&mut self, cx: &mut Context<'_>) {
        if self.outbox.is_done() || self.unsent.is_some() {
            return;
        }
        if let Poll::Ready(Err(error)) = self.outbox.poll_send(&mut *self.stream, cx) {
            self.unsent = Some(error);
        }
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, Trouble>> {
        loop {
            if let Some(head) = self.read_head()? {
                return Poll::Ready(Ok(head));
            }
            if ready!(self.inbox.poll_fill(&mut *self.stream, cx))? == 0 {
                return Poll::Ready(Err(Trouble::Closed));
            }
        }
    }

    /// Reads the head out of what is there. What came first is read at once; after that not before there can be an end,
    /// so that nobody makes us read the same bytes again and again.
    fn read_head(&mut self) -> Result<Option<Head>, Trouble> {
        loop {
            let unread = self.inbox.unread();
            let found = if (self.known == 0 && !unread.is_empty()) || head::may_end(unread, self.known) {
                head::parse(unread, self.to_head)?
            } else {
                None
            };
            match found {
                Some(Found::Answer(head, framing, keeps)) => {
                    self.framing = framing;
                    self.keeps = keeps && !self.closes;
                    return Ok(Some(head));
                }
                Some(Found::Interim(size)) => {
                    self.interim += 1;
                    if self.interim > MAX_INTERIM {
                        return Err(Trouble::wrong("more than 100 answers of 1xx came ahead of the answer"));
                    }
                    self.inbox.take(size);
                    self.known = 0;
                }
                None if unread.len() > MAX_HEAD => return Err(head::too_large()),
                None => {
                    self.known = unread.len();
                    return Ok(None);
                }
            }
        }
    }

    /// The whole body, if all of it came along with the head: when `look` makes something of it, the answer is read.
    pub fn at_hand<T>(&mut self, head: &Head, look: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        let Framing::Length(length) = self.framing else { return None };
        let length = usize::try_from(length).ok()?;
        let made = look(self.inbox.unread().get(head.size..)?.get(..length)?)?;
        self.inbox.take(head.size + length);
        self.framing = Framing::Length(0);
        Some(made)
    }

    /// The head as it came, for [`head::fields`], while the body is not read.
    pub fn head(&self, head: &Head) -> &[u8] {
        self.inbox.unread().get(..head.size).unwrap_or_default()
    }

    /// The head as it came, for [`head::fields`]. From there on the body is read.
    pub fn open_body(&mut self, head: &Head) -> Box<[u8]> {
        let text = self.inbox.unread()[..head.size].into();
        self.inbox.take(head.size);
        text
    }

    /// Appends more of the body, what is there at least: false when that was the end.
    pub fn poll_body(&mut self, body: &mut Vec<u8>, cx: &mut Context<'_>) -> Poll<Result<bool, Trouble>> {
        self.send_on(cx);
        let before = body.len();
        loop {
            let used = self.framing.decode(self.inbox.unread(), body)?;
            self.inbox.take(used);
            if self.framing.is_done() {
                return Poll::Ready(Ok(false));
            }
            if body.len() > before {
                return Poll::Ready(Ok(true));
            }
            if ready!(self.inbox.poll_fill(&mut *self.stream, cx))? == 0 {
                self.keeps = false;
                self.framing.close()?;
            }
        }
    }

    /// Whether the next request may go over it, as far as anybody knows. Then it is lean.
    pub fn is_free(&mut self) -> bool {
        let is_free = self.keeps && self.framing.is_done() && self.outbox.is_done() && self.inbox.unread().is_empty();
        if is_free {
            self.inbox.shrink();
        }
        is_free
    }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
