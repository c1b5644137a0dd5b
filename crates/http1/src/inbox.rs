//! What came over a connection and was not used yet.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;

use super::line::Stream;

/// Room at first: for the answers that hooks get.
const FIRST: usize = 4 * 1024;
/// Room at most. Larger than any head may be, see [`super::head::MAX_HEAD`].
const MOST: usize = 128 * 1024;
/// So much room is kept between two answers.
const KEPT: usize = 16 * 1024;

/// A buffer: bytes that were read stand in its middle.
#[derive(Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    from: usize,
    to: usize,
}

impl Inbox {
    /// What is there.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.bytes[self.from..self.to]
    }

    /// Lets go of so many bytes.
    pub(crate) fn take(&mut self, count: usize) {
        self.from = self.to.min(self.from + count);
    }

    /// Reads on: how many bytes came, which is none when nothing will come any more.
    pub(crate) fn poll_fill(&mut self, stream: &mut dyn Stream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.make_room();
        let mut room = ReadBuf::new(&mut self.bytes[self.to..]);
        ready!(Pin::new(stream).poll_read(cx, &mut room))?;
        let came = room.filled().len();
        self.to += came;
        Poll::Ready(Ok(came))
    }

    /// A buffer was too small if it is full of what nobody can use yet, or filled faster than it is emptied.
    fn make_room(&mut self) {
        if self.to == self.bytes.len() {
            let kept = self.to - self.from;
            self.bytes.copy_within(self.from..self.to, 0);
            self.from = 0;
            self.to = kept;
            if kept == 0 || kept > self.bytes.len() / 2 {
                self.bytes.resize((2 * self.bytes.len()).clamp(FIRST, MOST), 0);
            }
        } else if self.from == self.to {
            self.from = 0;
            self.to = 0;
        }
    }

    /// Gives back room that only a large answer needs. Nothing must be unread.
    pub(crate) fn shrink(&mut self) {
        if self.bytes.len() > KEPT {
            *self = Inbox::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::script::Script;

    #[test]
    fn it_grows_while_nobody_takes_anything_and_keeps_what_is_there() {
        let sent: Vec<u8> = (0..=250).cycle().take(100_000).collect();
        let mut stream = Script::new([sent.clone()], true);
        stream.is_asked = true;
        let (mut inbox, mut cx) = (Inbox::default(), Context::from_waker(Waker::noop()));
        while let Poll::Ready(Ok(1..)) = inbox.poll_fill(&mut stream, &mut cx) {}
        assert_eq!(inbox.unread(), sent);
        assert_eq!(inbox.bytes.len(), MOST);
        inbox.take(99_999);
        assert_eq!(inbox.unread(), &sent[99_999..]);
        inbox.take(1);
        inbox.shrink();
        assert_eq!((inbox.bytes.len(), inbox.unread().len()), (0, 0));
    }

    #[test]
    fn what_is_taken_makes_room() {
        let sent: Vec<u8> = (0..=250).cycle().take(1_000_000).collect();
        let mut stream = Script::new(sent.chunks(1000).map(<[u8]>::to_vec), true);
        stream.is_asked = true;
        let (mut inbox, mut cx, mut read) = (Inbox::default(), Context::from_waker(Waker::noop()), Vec::new());
        while let Poll::Ready(Ok(1..)) = inbox.poll_fill(&mut stream, &mut cx) {
            // One stays behind each time.
            let taken = inbox.unread().len() - 1;
            read.extend_from_slice(&inbox.unread()[..taken]);
            inbox.take(taken);
        }
        read.extend_from_slice(inbox.unread());
        assert_eq!(read, sent);
        assert!(inbox.bytes.len() <= FIRST, "{}", inbox.bytes.len());
    }
}
