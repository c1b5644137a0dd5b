//! What is to be sent over a connection, and how much of it was.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::AsyncWrite;

use super::line::Stream;
use super::request::Request;

/// A body up to this size is copied behind its head, which is cheaper than to tell the system of two pieces.
const COPIED: usize = 16 * 1024;
/// A buffer larger than this is not kept for the next request.
const KEPT: usize = 2 * COPIED;

/// A request on its way.
#[derive(Default)]
pub(crate) struct Outbox {
    head: Vec<u8>,
    /// What was not copied.
    body: Bytes,
    sent: usize,
    is_underway: bool,
}

impl Outbox {
    /// Takes a request in the place of the one before.
    pub(crate) fn put(&mut self, request: &Request<'_>) {
        self.head.clear();
        self.head.shrink_to(KEPT);
        request.write_head(&mut self.head);
        if request.body.len() <= COPIED {
            self.head.extend_from_slice(&request.body);
        } else {
            self.body = request.body.clone();
        }
        self.sent = 0;
        self.is_underway = true;
    }

    /// Whether nothing is left to be sent.
    pub(crate) fn is_done(&self) -> bool {
        !self.is_underway
    }

    /// Sends on. Ready when all of it went out.
    pub(crate) fn poll_send(&mut self, stream: &mut dyn Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.head.len() + self.body.len() {
            let sent = ready!(self.poll_write(stream, cx))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += sent;
        }
        // What is encrypted may still be in our hands.
        ready!(Pin::new(stream).poll_flush(cx))?;
        self.body = Bytes::new();
        self.is_underway = false;
        Poll::Ready(Ok(()))
    }

    fn poll_write(&self, stream: &mut dyn Stream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match self.head.get(self.sent..) {
            Some(head) if !head.is_empty() && (self.body.is_empty() || !stream.is_write_vectored()) => {
                Pin::new(stream).poll_write(cx, head)
            }
            Some(head) if !head.is_empty() => {
                Pin::new(stream).poll_write_vectored(cx, &[IoSlice::new(head), IoSlice::new(&self.body)])
            }
            _ => Pin::new(stream).poll_write(cx, &self.body[self.sent - self.head.len()..]),
        }
    }
}
