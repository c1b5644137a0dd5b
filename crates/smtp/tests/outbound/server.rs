//! A server that does as it is told, and remembers what it heard.

use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What a server does at one step.
#[derive(Clone, Debug)]
pub(crate) enum Do {
    /// Says this; line ends are added.
    Say(String),
    /// Says exactly this.
    Raw(Vec<u8>),
    /// Closes the connection.
    Close,
    /// Says this, then closes.
    SayAndClose(String),
    /// Says nothing, for ever.
    Nothing,
    /// The usual.
    Usual,
}

pub(crate) fn say(text: &str) -> Do {
    Do::Say(text.into())
}

/// One step: what was heard, in which connection, and how often a line that begins like it was heard there before.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// The command; empty for the banner, `.` for the end of a message.
    pub(crate) line: String,
    /// Counted from 0.
    pub(crate) connection: usize,
    /// Of this verb in this connection.
    pub(crate) before: usize,
}

impl Step {
    /// Whether it is this verb; `banner` and `.` are verbs here.
    pub(crate) fn is(&self, verb: &str) -> bool {
        verb_of(&self.line) == verb
    }
}

fn verb_of(line: &str) -> &str {
    match line {
        "" => "banner",
        "." => ".",
        line => line.split([' ', ':']).next().unwrap_or(""),
    }
}

type Script = Arc<dyn Fn(&Step) -> Do + Send + Sync>;

/// What was heard in one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    /// Commands, without what came between DATA and its end; `.` stands for the end.
    pub(crate) lines: Vec<String>,
    /// What came between, as it was on the wire.
    pub(crate) messages: Vec<String>,
    /// The address of the client.
    pub(crate) client: Option<SocketAddr>,
}

/// A server on a port of its own, gone with the test's runtime.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
}

/// What a server usually offers.
pub(crate) const OFFERS: &str = "mx.test greets you\nPIPELINING\n8BITMIME\nSMTPUTF8\nENHANCEDSTATUSCODES";

impl Server {
    /// Takes everything.
    pub(crate) async fn start() -> Server {
        Server::scripted(|_| Do::Usual).await
    }

    pub(crate) async fn scripted(script: impl Fn(&Step) -> Do + Send + Sync + 'static) -> Server {
        Server::with("127.0.0.1:0", script, None).await
    }

    /// Listens at this address.
    pub(crate) async fn at(address: &str, script: impl Fn(&Step) -> Do + Send + Sync + 'static) -> Server {
        Server::with(address, script, None).await
    }

    /// One that can do TLS behind STARTTLS, which it offers where its script does.
    pub(crate) async fn with_tls(
        acceptor: TlsAcceptor,
        script: impl Fn(&Step) -> Do + Send + Sync + 'static,
    ) -> Server {
        Server::with("127.0.0.1:0", script, Some(acceptor)).await
    }

    /// One that speaks TLS from the first byte and takes everything.
    pub(crate) async fn secure(acceptor: TlsAcceptor) -> Server {
        Server::listening("127.0.0.1:0", |_| Do::Usual, Some(acceptor), Begin::Secure).await
    }

    pub(crate) async fn with(
        address: &str,
        script: impl Fn(&Step) -> Do + Send + Sync + 'static,
        acceptor: Option<TlsAcceptor>,
    ) -> Server {
        Server::listening(address, script, acceptor, Begin::Plain).await
    }

    async fn listening(
        address: &str,
        script: impl Fn(&Step) -> Do + Send + Sync + 'static,
        acceptor: Option<TlsAcceptor>,
        begin: Begin,
    ) -> Server {
        let listener = TcpListener::bind(address).await.unwrap();
        let server = Server { address: listener.local_addr().unwrap(), heard: Arc::default() };
        let (heard, script): (_, Script) = (server.heard.clone(), Arc::new(script));
        spawn(async move {
            while let Ok((stream, client)) = listener.accept().await {
                let connection = {
                    let mut heard = heard.lock();
                    heard.push(Heard { client: Some(client), ..Heard::default() });
                    heard.len() - 1
                };
                let talk = Talk {
                    script: script.clone(),
                    heard: heard.clone(),
                    connection,
                    acceptor: acceptor.clone(),
                    begin,
                };
                spawn(async move {
                    let _ = talk.run(stream).await;
                });
            }
        });
        server
    }

    /// What was heard in each connection so far.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().clone()
    }

    /// The commands of all connections.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.heard().into_iter().flat_map(|heard| heard.lines).collect()
    }

    /// The messages of all connections.
    pub(crate) fn messages(&self) -> Vec<String> {
        self.heard().into_iter().flat_map(|heard| heard.messages).collect()
    }

    /// Waits until a connection has heard this.
    pub(crate) async fn hears(&self, line: &str) {
        let wait = async {
            while !self.lines().iter().any(|heard| heard == line) {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(300), wait).await.expect("it is never heard");
    }
}

fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    #[expect(clippy::disallowed_methods, reason = "a peer of the test, gone with its runtime")]
    tokio::spawn(work);
}

struct Talk {
    script: Script,
    heard: Arc<Mutex<Vec<Heard>>>,
    connection: usize,
    acceptor: Option<TlsAcceptor>,
    begin: Begin,
}

/// How a connection begins.
#[derive(Clone, Copy)]
enum Begin {
    Plain,
    Secure,
}

/// What becomes of a conversation.
enum Next {
    GoesOn,
    Ends,
    Secure,
    Message,
}

impl Talk {
    async fn run(&self, stream: TcpStream) -> std::io::Result<()> {
        if let (Begin::Secure, Some(acceptor)) = (self.begin, &self.acceptor) {
            let mut secure = BufStream::new(acceptor.accept(stream).await?);
            if let Next::GoesOn = self.step(&mut secure, "").await? {
                self.talk(&mut secure).await?;
            }
            return Ok(());
        }
        let mut stream = BufStream::new(stream);
        if let Next::Ends = self.step(&mut stream, "").await? {
            return Ok(());
        }
        if let Next::Secure = self.talk(&mut stream).await? {
            // One without a certificate has nothing more to say.
            let Some(acceptor) = &self.acceptor else { return std::future::pending().await };
            let mut secure = BufStream::new(acceptor.accept(stream.into_inner()).await?);
            self.talk(&mut secure).await?;
        }
        Ok(())
    }

    async fn talk<S: AsyncRead + AsyncWrite + AsyncBufRead + Unpin>(&self, stream: &mut S) -> std::io::Result<Next> {
        let mut line = Vec::new();
        loop {
            line.clear();
            if stream.read_until(b'\n', &mut line).await? == 0 {
                return Ok(Next::Ends);
            }
            let command = String::from_utf8_lossy(&line).trim_end().to_owned();
            match self.step(stream, &command).await? {
                Next::GoesOn => {}
                Next::Message => {
                    self.message(stream).await?;
                    if let Next::Ends = self.step(stream, ".").await? {
                        return Ok(Next::Ends);
                    }
                }
                ended => return Ok(ended),
            }
        }
    }

    async fn message<S: AsyncBufRead + Unpin>(&self, stream: &mut S) -> std::io::Result<()> {
        let mut message = Vec::new();
        while !(message == b".\r\n" || message.ends_with(b"\r\n.\r\n")) {
            if stream.read_until(b'\n', &mut message).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        message.truncate(message.len() - 3);
        let text = String::from_utf8_lossy(&message).into_owned();
        self.heard.lock()[self.connection].messages.push(text);
        Ok(())
    }

    async fn step<S: AsyncWrite + Unpin>(&self, stream: &mut S, line: &str) -> std::io::Result<Next> {
        let before = {
            let lines = &mut self.heard.lock()[self.connection].lines;
            let before = lines.iter().filter(|heard| verb_of(heard) == verb_of(line)).count();
            if !line.is_empty() {
                lines.push(line.to_owned());
            }
            before
        };
        let step = Step { line: line.to_owned(), connection: self.connection, before };
        let mut done = (self.script)(&step);
        if let Do::Usual = done {
            done = say(match verb_of(line) {
                "banner" => "220 mx.test ESMTP",
                "EHLO" | "LHLO" => "",
                "DATA" => "354 go ahead",
                "QUIT" => "221 bye",
                "." => "250 2.0.0 OK id=1",
                _ => "250 2.1.0 fine",
            });
            if matches!(verb_of(line), "EHLO" | "LHLO") {
                done = Do::Say(reply(250, OFFERS));
            }
        }
        let (bytes, ends) = match done {
            Do::Say(text) => (format!("{text}\r\n").into_bytes(), false),
            Do::SayAndClose(text) => (format!("{text}\r\n").into_bytes(), true),
            Do::Raw(bytes) => (bytes, false),
            Do::Close => return Ok(Next::Ends),
            Do::Nothing => std::future::pending().await,
            Do::Usual => unreachable!("it was replaced"),
        };
        stream.write_all(&bytes).await?;
        stream.flush().await?;
        Ok(match verb_of(line) {
            _ if ends => Next::Ends,
            "QUIT" => Next::Ends,
            "DATA" if bytes.starts_with(b"354") => Next::Message,
            "STARTTLS" if bytes.starts_with(b"220") => Next::Secure,
            _ => Next::GoesOn,
        })
    }
}

/// A reply of several lines, `\n` between them.
pub(crate) fn reply(code: u16, text: &str) -> String {
    let lines: Vec<&str> = text.split('\n').collect();
    let line =
        |(index, line): (usize, &&str)| format!("{code}{}{line}", if index + 1 == lines.len() { ' ' } else { '-' });
    lines.iter().enumerate().map(line).collect::<Vec<_>>().join("\r\n")
}
