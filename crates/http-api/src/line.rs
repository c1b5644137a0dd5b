use crate::tls::Stream;
use bytes::{Buf, Bytes};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are read at once of what a client sends while its request waits. It seldom sends any.
const AHEAD: usize = 512;

/// What HTTP is spoken over, one speaker after another: what one of them has read too much of is read by the next.
pub(crate) struct Line {
    stream: Box<dyn Stream>,
    /// What is read before anything else.
    early: Bytes,
    unsent: Unsent,
}

/// Whether whoever speaks has something that could not be written yet. Only it knows what, so nobody may take its place.
#[derive(Clone, Default)]
pub(crate) struct Unsent(Arc<AtomicBool>);

impl Unsent {
    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn wrote(&self, all: usize, written: &Poll<io::Result<usize>>) {
        let whole = matches!(written, Poll::Ready(Ok(bytes)) if *bytes == all);
        self.0.store(!whole, Ordering::Relaxed);
    }
}

impl Line {
    pub(crate) fn new(stream: Box<dyn Stream>) -> Self {
        Line { stream, early: Bytes::new(), unsent: Unsent::default() }
    }

    pub(crate) fn unsent(&self) -> Unsent {
        self.unsent.clone()
    }

    /// Puts bytes in front of what is to be read.
    pub(crate) fn unread(&mut self, bytes: Bytes) {
        self.early = if self.early.is_empty() { bytes } else { [&bytes[..], &self.early].concat().into() };
    }

    /// Ready when the other side is gone. What it sends is kept; once it has sent something, nothing more is heard of it
    /// until that is read.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.early.is_empty() {
            return Poll::Pending;
        }
        let mut room = [0; AHEAD];
        let mut read = ReadBuf::new(&mut room);
        let gone = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read)).is_err();
        if gone || read.filled().is_empty() {
            return Poll::Ready(());
        }
        self.early = Bytes::copy_from_slice(read.filled());
        Poll::Pending
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let bytes = self.early.len().min(buf.remaining());
        buf.put_slice(&self.early[..bytes]);
        self.early.advance(bytes);
        if self.early.is_empty() {
            // A slice of nothing holds what it was cut from.
            self.early = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.unsent.wrote(buf.len(), &written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.unsent.wrote(bufs.iter().map(|buf| buf.len()).sum(), &written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
