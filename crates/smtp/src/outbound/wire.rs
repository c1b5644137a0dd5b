//! Bytes to and from a server, which may send anything, at any pace, without end.

use super::failure::{Step, Trouble};
use super::reply::{Line, Reply};
use super::told::Tap;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// The longest line of a reply, its end included. RFC 5321 allows 512; servers that quote something need more.
const LONGEST_LINE: usize = 4096;
/// The most lines of one reply.
const MOST_LINES: usize = 128;
/// The most text of one reply that is kept.
const MOST_TEXT: usize = 16 * 1024;

/// Whatever carries a conversation: a socket, TLS, a pipe in a test.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// One side of a conversation.
///
/// Not cancel safe: whoever drops one of its futures half way has to drop the wire too.
pub(super) struct Wire {
    stream: Box<dyn Stream>,
    /// What was read and not used yet, less than a line.
    unread: Vec<u8>,
    tap: Tap,
}

impl Wire {
    pub(super) fn new(stream: impl Stream + 'static, tap: Tap) -> Self {
        Wire { stream: Box::new(stream), unread: Vec::new(), tap }
    }

    /// The stream, for something else to be laid over it. What was said too early is an offence: with STARTTLS it
    /// would count as said under TLS (RFC 3207 section 6).
    pub(super) fn into_stream(self, step: Step) -> Result<Box<dyn Stream>, Trouble> {
        if self.unread.is_empty() { Ok(self.stream) } else { Err(Trouble::new(step, "the server spoke out of turn")) }
    }

    /// Whether nothing was said that nobody asked for, as far as it was read.
    pub(super) fn is_quiet(&self) -> bool {
        self.unread.is_empty()
    }

    /// Sends all of it.
    pub(super) async fn send(&mut self, bytes: &[u8], step: Step, limit: Duration) -> Result<(), Trouble> {
        self.tap.said(bytes, step);
        let send = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        match timeout(limit, send).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Trouble::new(step, error)),
            Err(_) => Err(Trouble::silent(step, limit)),
        }
    }

    /// Reads one whole reply within the time.
    pub(super) async fn reply(&mut self, step: Step, limit: Duration) -> Result<Reply, Trouble> {
        match timeout(limit, self.read_reply(step)).await {
            Ok(reply) => reply.inspect(|reply| self.tap.heard(reply)),
            Err(_) => Err(Trouble::silent(step, limit)),
        }
    }

    async fn read_reply(&mut self, step: Step) -> Result<Reply, Trouble> {
        let nonsense = |what: String| Trouble::new(step, what);
        let mut reply: Option<Reply> = None;
        let mut size = 0;
        loop {
            let line = self.read_line(step).await?;
            let Line { code, last, text } = Line::parse(&line).map_err(nonsense)?;
            size += text.len();
            let reply = reply.get_or_insert(Reply { code, lines: Vec::new() });
            if reply.code != code {
                return Err(nonsense(format!("a reply with the codes {} and {code}", reply.code)));
            }
            if reply.lines.len() == MOST_LINES || size > MOST_TEXT {
                return Err(nonsense("a reply without end".into()));
            }
            reply.lines.push(text);
            if last {
                return Ok(std::mem::replace(reply, Reply { code, lines: Vec::new() }));
            }
        }
    }

    /// A line without its end. It ends with LF; a CR before it is no part of it.
    async fn read_line(&mut self, step: Step) -> Result<Vec<u8>, Trouble> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.unread[searched..].iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.unread.drain(..=searched + at).collect();
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(line);
            }
            searched = self.unread.len();
            if searched >= LONGEST_LINE {
                return Err(Trouble::new(step, "a line without end"));
            }
            let mut chunk = [0; 1024];
            match self.stream.read(&mut chunk).await {
                Ok(0) => return Err(Trouble::closed(step)),
                Ok(length) => self.unread.extend_from_slice(&chunk[..length]),
                Err(error) => return Err(Trouble::new(step, error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::DuplexStream;

    const LIMIT: Duration = Duration::from_secs(5);

    /// A wire, and what the server does on its end of it.
    fn wire() -> (Wire, DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        (Wire::new(ours, Tap::nobody()), theirs)
    }

    async fn read(said: &[u8]) -> Result<Reply, String> {
        let (mut wire, mut server) = wire();
        server.write_all(said).await.unwrap();
        drop(server);
        wire.reply(Step::Banner, LIMIT).await.map_err(|trouble| trouble.to_string())
    }

    #[tokio::test]
    async fn replies_come_one_after_the_other() {
        let (mut wire, mut server) = wire();
        server.write_all(b"250-a\r\n250-b\r\n250 c\r\n354 go\n").await.unwrap();
        let first = wire.reply(Step::Mail, LIMIT).await.unwrap();
        assert_eq!((first.code, first.lines), (250, vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]));
        assert_eq!(wire.reply(Step::Data, LIMIT).await.unwrap().code, 354);
    }

    #[tokio::test]
    async fn what_makes_no_sense_ends_the_conversation() {
        for (said, why) in [
            (&b"250-a\r\n251 b\r\n"[..], "the banner: a reply with the codes 250 and 251"),
            (b"SSH-2.0-OpenSSH\r\n", "the banner: no reply: \"SSH-2.0-OpenSSH\""),
            (b"\x00\xff\xfe\r\n", "the banner: no reply: \"\\0\u{fffd}\u{fffd}\""),
            (b"", "the banner: the connection was closed by the other side"),
            (b"220 half a li", "the banner: the connection was closed by the other side"),
            (b"220-more\r\n", "the banner: the connection was closed by the other side"),
        ] {
            assert_eq!(read(said).await.unwrap_err(), why);
        }
    }

    #[tokio::test]
    async fn a_reply_without_end_is_cut_off() {
        let endless = b"220-x\r\n".repeat(100_000);
        assert_eq!(read(&endless).await.unwrap_err(), "the banner: a reply without end");
        let wide = [b"220-".as_slice(), &[b'x'; 4000], b"\r\n"].concat().repeat(10);
        assert_eq!(read(&wide).await.unwrap_err(), "the banner: a reply without end");
        let line = [b'2'; 1 << 19];
        assert_eq!(read(&line).await.unwrap_err(), "the banner: a line without end");
    }

    #[tokio::test]
    async fn nothing_that_was_read_of_an_endless_line_stays_in_memory() {
        let (mut wire, mut server) = wire();
        server.write_all(&[b'x'; 1 << 19]).await.unwrap();
        wire.reply(Step::Banner, LIMIT).await.unwrap_err();
        assert!(wire.unread.len() < LONGEST_LINE + 1024, "{}", wire.unread.len());
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_after_the_limit_also_when_it_is_broken_now_and_then() {
        let (mut wire, mut server) = wire();
        let trickle = async {
            loop {
                server.write_all(b"220-more\r\n").await.unwrap();
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let trouble = tokio::select! {
            () = trickle => unreachable!("it trickles for ever"),
            reply = wire.reply(Step::Banner, LIMIT) => reply.unwrap_err(),
        };
        assert_eq!(trouble.to_string(), "the banner: no answer within 5s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_does_not_read_is_given_up() {
        let (ours, _theirs) = tokio::io::duplex(10);
        let trouble = Wire::new(ours, Tap::nobody()).send(&[0; 100], Step::Content, LIMIT).await.unwrap_err();
        assert_eq!(trouble.to_string(), "the message: no answer within 5s");
    }

    #[tokio::test]
    async fn what_was_said_before_tls_does_not_count_as_said_under_it() {
        let (mut wire, mut server) = wire();
        server.write_all(b"220 go\r\n250 injected\r\n").await.unwrap();
        wire.reply(Step::StartTls, LIMIT).await.unwrap();
        assert!(wire.into_stream(Step::StartTls).is_err());
    }
}
