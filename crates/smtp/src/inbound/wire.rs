use super::Ends;
use super::body::{Decoder, Progress};
use super::proxy_header::{self, Header};
use super::reply::Reply;
use super::tls::Stream;
use bytes::{Buf, BytesMut};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use waybill_log_record::TlsFacts;

/// Bytes of one command line without its CRLF. RFC 5321 asks for 512, and more for each extension.
const MAX_COMMAND: usize = 2048;
/// What a record shows of a command that was too long.
const SHOWN_OF_LONG: usize = 128;
/// Bytes to ask of the socket at once while commands come in.
const COMMAND_CHUNK: usize = 4 * 1024;
/// The most that a configuration can make us ask for at once.
const MAX_CHUNK: usize = 4 * 1024 * 1024;

/// One line from the client.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Line {
    /// A line, without CRLF.
    Whole(BytesMut),
    /// Its beginning: the rest was thrown away.
    TooLong(BytesMut),
    /// The client has gone.
    Closed,
}

/// The connection: bytes in, lines out; replies in, bytes out.
///
/// Replies are held back while the client has more commands under way (PIPELINING), and go out in one piece.
#[derive(Debug)]
pub(crate) struct Wire<S> {
    stream: Stream<S>,
    input: BytesMut,
    output: BytesMut,
    /// The beginning of a line that is too long, while the rest of it comes in.
    overlong: Option<BytesMut>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(stream: S) -> Self {
        Wire { stream: Stream::Plain(stream), input: BytesMut::new(), output: BytesMut::new(), overlong: None }
    }

    /// Reads what a proxy puts before the connection; what follows it stays.
    ///
    /// # Errors
    /// `InvalidData` when something else comes.
    pub(crate) async fn read_proxy_header(&mut self) -> io::Result<Option<Ends>> {
        loop {
            match proxy_header::parse(&self.input).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))? {
                Header::Whole { len, ends } => {
                    self.input.advance(len);
                    return Ok(ends);
                }
                Header::Incomplete => self.input.reserve(COMMAND_CHUNK),
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Whether bytes have come that nobody has read yet.
    pub(crate) fn has_more(&self) -> bool {
        !self.input.is_empty()
    }

    /// Sends what is held back and negotiates TLS. After an error the connection is gone.
    pub(crate) async fn secure(&mut self, acceptor: &TlsAcceptor) -> io::Result<TlsFacts> {
        self.flush().await?;
        // Nothing that came in plain text may be taken for something that came encrypted.
        self.input.clear();
        self.overlong = None;
        self.stream.secure(acceptor).await
    }

    /// Takes a reply for later.
    pub(crate) fn queue(&mut self, reply: &Reply) {
        reply.write(&mut self.output);
    }

    /// The next line. Only CRLF ends one.
    ///
    /// Cancel safe: nothing is lost when the future is dropped.
    pub(crate) async fn read_line(&mut self) -> io::Result<Line> {
        loop {
            if let Some(line) = self.take_line() {
                return Ok(line);
            }
            // Only now: as long as whole commands are waiting, their replies can go together.
            self.flush().await?;
            self.input.reserve(COMMAND_CHUNK);
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Ok(Line::Closed);
            }
        }
    }

    fn take_line(&mut self) -> Option<Line> {
        if let Some(len) = self.input.windows(2).position(|pair| pair == b"\r\n") {
            let mut line = self.input.split_to(len + 2);
            line.truncate(len);
            return Some(match self.overlong.take() {
                Some(start) => Line::TooLong(start),
                None if len > MAX_COMMAND => Line::TooLong(beginning(&line)),
                None => Line::Whole(line),
            });
        }
        if self.input.len() > MAX_COMMAND {
            if self.overlong.is_none() {
                self.overlong = Some(beginning(&self.input));
            }
            // The last byte may be the CR of a CRLF.
            self.input.advance(self.input.len() - 1);
        }
        None
    }

    /// Reads message data until it ends or there is no point in reading on.
    ///
    /// `seen` is shown everything as it comes.
    ///
    /// # Errors
    /// `UnexpectedEof` when the client goes before the end, `TimedOut` when nothing comes for `patience`.
    pub(crate) async fn read_data(
        &mut self,
        decoder: &mut Decoder,
        chunk: usize,
        patience: std::time::Duration,
        mut seen: impl FnMut(&[u8]) + Send,
    ) -> io::Result<()> {
        loop {
            let used = decoder.feed(&self.input);
            seen(&self.input[..used]);
            self.input.advance(used);
            if decoder.progress() != Progress::More {
                self.forget_chunk();
                return Ok(());
            }
            let read = async {
                self.flush().await?;
                self.input.reserve(chunk.clamp(COMMAND_CHUNK, MAX_CHUNK));
                self.stream.read_buf(&mut self.input).await
            };
            if tokio::time::timeout(patience, read).await?? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Gives the buffer for message data back: a connection that idles shall not hold it.
    fn forget_chunk(&mut self) {
        if self.input.capacity() > 2 * COMMAND_CHUNK {
            self.input = BytesMut::from(&self.input[..]);
        }
    }

    /// Sends what is held back.
    ///
    /// Cancel safe: what was sent is not sent again.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        while self.output.has_remaining() {
            if self.stream.write_buf(&mut self.output).await? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        self.stream.flush().await
    }

    /// Sends what is held back and closes our side.
    pub(crate) async fn close(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.stream.shutdown().await
    }
}

fn beginning(line: &[u8]) -> BytesMut {
    BytesMut::from(&line[..line.len().min(SHOWN_OF_LONG)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::duplex;

    #[tokio::test]
    async fn only_crlf_ends_a_line_and_the_last_one_needs_it_too() {
        let (mut client, server) = duplex(1024);
        client.write_all(b"NOOP\nRSET\rx\r\n\r\nQUIT").await.unwrap();
        client.shutdown().await.unwrap();
        let mut wire = Wire::new(server);
        assert_eq!(wire.read_line().await.unwrap(), Line::Whole(BytesMut::from("NOOP\nRSET\rx")));
        assert_eq!(wire.read_line().await.unwrap(), Line::Whole(BytesMut::new()));
        assert_eq!(wire.read_line().await.unwrap(), Line::Closed);
    }

    #[tokio::test]
    async fn a_line_of_a_hundred_megabytes_is_thrown_away_as_it_comes() {
        let (mut client, server) = duplex(64 * 1024);
        let writer = async move {
            let chunk = vec![b'x'; 64 * 1024];
            for _ in 0..1600 {
                client.write_all(&chunk).await.unwrap();
            }
            client.write_all(b"\r\nQUIT\r\n").await.unwrap();
        };
        let mut wire = Wire::new(server);
        let (line, ()) = tokio::join!(wire.read_line(), writer);
        let line = line.unwrap();
        assert_eq!(line, Line::TooLong(BytesMut::from(&[b'x'; SHOWN_OF_LONG][..])));
        assert!(wire.input.capacity() < 64 * 1024, "{}", wire.input.capacity());
        assert_eq!(wire.read_line().await.unwrap(), Line::Whole(BytesMut::from("QUIT")));
    }

    #[tokio::test]
    async fn a_long_line_that_came_at_once_is_too_long_as_well() {
        let (mut client, server) = duplex(64 * 1024);
        for len in [MAX_COMMAND, MAX_COMMAND + 1] {
            client.write_all(format!("{}\r\n", "x".repeat(len)).as_bytes()).await.unwrap();
        }
        let mut wire = Wire::new(server);
        assert!(matches!(wire.read_line().await.unwrap(), Line::Whole(line) if line.len() == MAX_COMMAND));
        assert!(matches!(wire.read_line().await.unwrap(), Line::TooLong(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn data_that_does_not_come_is_waited_for_no_longer_than_asked() {
        let (_client, server) = duplex(64);
        let mut wire = Wire::new(server);
        let mut decoder = Decoder::new(&Default::default());
        let error = wire.read_data(&mut decoder, 0, Duration::from_secs(60), |_| ()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
