//! A server that says what it is told to say, for tests.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Says its pieces one after the other once it was asked something.
pub(crate) struct Script {
    pieces: VecDeque<Vec<u8>>,
    /// It closes the connection behind the last one.
    ends: bool,
    pub(crate) is_asked: bool,
}

impl Script {
    pub(crate) fn new(pieces: impl IntoIterator<Item = Vec<u8>>, ends: bool) -> Script {
        let pieces = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
        Script { pieces, ends, is_asked: false }
    }
}

impl AsyncRead for Script {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.is_asked {
            return Poll::Pending;
        }
        match self.pieces.pop_front() {
            Some(mut piece) => {
                let rest = piece.split_off(piece.len().min(room.remaining()));
                room.put_slice(&piece);
                if !rest.is_empty() {
                    self.pieces.push_front(rest);
                }
                Poll::Ready(Ok(()))
            }
            None if self.ends => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    }
}

impl AsyncWrite for Script {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.is_asked = true;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
