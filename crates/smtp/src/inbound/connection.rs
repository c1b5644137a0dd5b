use super::auth;
use super::body::{Decoder, Progress};
use super::reply::{Reply, Then};
use super::session::Session;
use super::wire::{Line, Wire};
use super::{Ends, Shared};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tracing::Instrument as _;
use waybill_trace::{Level, Payload};

/// The longest that one message may take to come in, however steadily it trickles.
const LONGEST_DATA: Duration = Duration::from_secs(3600);

/// Talks to one client until it goes, is sent away, or the listener stops.
///
/// `stopping` turns true when the daemon stops. A session between commands then says 421 and ends; one that is in
/// DATA finishes it first. A sender that is dropped counts as stopping.
///
/// Dropping the future closes the connection. A message whose reply was not sent may then be stored or not: its
/// client sends it again.
pub async fn serve<S>(stream: S, ends: Ends, shared: Arc<Shared>, mut stopping: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let _current = shared.stats.enter();
    let mut wire = Wire::new(stream);
    let params = shared.config.params_for(ends.peer.ip(), ends.via.ip());
    let named = match params.require_proxy_protocol {
        false => None,
        true => match name_ends(&mut wire, params.client_timeout, &mut stopping).await {
            Ok(named) => named,
            Err(error) => {
                shared.stats.deny();
                tracing::warn!(peer = %ends.peer, %error, "no PROXY header came where one is required");
                return;
            }
        },
    };
    let proxy = named.map(|_| ends);
    let ends = named.unwrap_or(ends);
    let id = uuid::Uuid::new_v4().to_string();
    let span = tracing::info_span!("smtp", peer = %ends.peer, session = %id);
    let session = Session::new(shared.clone(), ends, proxy, id);
    let connection = Connection { wire, session, stopping };
    async move {
        if let Err(error) = connection.run().await {
            tracing::debug!(%error, "the connection broke");
        }
    }
    .instrument(span)
    .await;
}

/// The ends of the connection as a proxy names them, before anything is said.
fn name_ends<'a, S: AsyncRead + AsyncWrite + Unpin + Send>(
    wire: &'a mut Wire<S>,
    client_timeout: Duration,
    stopping: &'a mut watch::Receiver<bool>,
) -> Boxed<'a, io::Result<Option<Ends>>> {
    Box::pin(async move {
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => Err(io::ErrorKind::Interrupted.into()),
            header = timeout(client_timeout.min(HANDSHAKE), wire.read_proxy_header()) => header?,
        }
    })
}

/// The longest that a client may take over a TLS handshake, or a proxy over its header; `client_timeout` may be shorter.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// A future whose type is forgotten. The compiler cannot see through all of a session at once that it may change threads;
/// piece by piece it can.
type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

struct Connection<S> {
    wire: Wire<S>,
    session: Session,
    stopping: watch::Receiver<bool>,
}

enum Heard {
    Line(Line),
    /// The listener stops.
    Stop,
    /// No line within the time for one.
    Nothing,
}

enum Next {
    Continue,
    Close,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    async fn run(mut self) -> io::Result<()> {
        self.session.tell(|| Payload::Connected);
        let greeting = self.session.greet().await;
        let mut next = self.reply(greeting, None).await;
        while matches!(next, Next::Continue) {
            next = self.turn().await?;
        }
        timeout(self.session.params.client_timeout, self.wire.close()).await?
    }

    /// One command and its replies.
    async fn turn(&mut self) -> io::Result<Next> {
        let line = match self.listen().await? {
            Heard::Line(line) => line,
            Heard::Stop => return Ok(self.leave("shutting down").await),
            Heard::Nothing => return Ok(self.leave("idle for too long").await),
        };
        self.session.more_came = self.wire.has_more();
        let secret = self.session.take_challenge();
        if let Line::Whole(line) | Line::TooLong(line) = &line {
            self.session.tell_line(line, secret);
        }
        let (reply, command) = match line {
            Line::Closed => return Ok(Next::Close),
            Line::TooLong(start) => {
                let start = String::from_utf8_lossy(&start).into_owned();
                (Reply::new(500, "5.2.3 line too long"), start)
            }
            Line::Whole(line) => match std::str::from_utf8(&line) {
                Ok(line) => (self.obey(line, secret).await, line.to_owned()),
                Err(_) => (Reply::syntax(), String::from_utf8_lossy(&line).into_owned()),
            },
        };
        // Not even a part of a password reaches policy's wording of replies, or a record.
        let command = if secret { auth::COMMAND } else { &command };
        let next = self.reply(reply, Some(command)).await;
        if let Some(acceptor) = self.session.take_handshake()
            && matches!(next, Next::Continue)
        {
            return self.secure(&acceptor).await;
        }
        if self.session.expects_data() && matches!(next, Next::Continue) {
            return self.data().await;
        }
        Ok(next)
    }

    /// The reply to a line.
    fn obey<'a>(&'a mut self, line: &'a str, secret: bool) -> Boxed<'a, Reply> {
        if secret { Box::pin(self.session.respond(line)) } else { Box::pin(self.session.handle(line)) }
    }

    /// The reply to message data.
    fn deliver(&mut self, data: Vec<u8>) -> Boxed<'_, Reply> {
        Box::pin(self.session.deliver(data.into()))
    }

    /// From 220 to an encrypted connection.
    ///
    /// # Errors
    /// Also when the handshake fails or takes too long, or the listener stops: there is nobody left to talk to.
    fn secure<'a>(&'a mut self, acceptor: &'a TlsAcceptor) -> Boxed<'a, io::Result<Next>> {
        Box::pin(async move {
            let limit = self.session.params.client_timeout.min(HANDSHAKE);
            let facts = tokio::select! {
                biased;
                _ = self.stopping.wait_for(|stopping| *stopping) => return Err(io::ErrorKind::Interrupted.into()),
                facts = timeout(limit, self.wire.secure(acceptor)) => facts??,
            };
            self.session.tell(|| {
                let named = |part: &Option<_>| part.clone().unwrap_or_default();
                let (version, cipher) = (named(&facts.protocol_version), named(&facts.cipher));
                Payload::remark(Level::Info, format_args!("TLS: {version} {cipher}"))
            });
            match self.session.secured(facts).await {
                Ok(()) => Ok(Next::Continue),
                Err(refusal) => Ok(self.reply(refusal.closing(), Some("STARTTLS")).await),
            }
        })
    }

    async fn listen(&mut self) -> io::Result<Heard> {
        // Of the whole line, so that a byte now and then does not hold a connection for ever.
        let line = timeout(self.session.params.client_timeout, self.wire.read_line());
        tokio::select! {
            biased;
            // A sender that is gone cannot tell us any more: stop as well.
            _ = self.stopping.wait_for(|stopping| *stopping) => Ok(Heard::Stop),
            line = line => line.map_or(Ok(Heard::Nothing), |line| line.map(Heard::Line)),
        }
    }

    /// The last word of a session that we end.
    async fn leave(&mut self, why: &str) -> Next {
        let reply = self.session.not_now(why);
        self.reply(reply, None).await
    }

    /// From 354 to the reply to the dot. Not interrupted by a stop: the client may have sent everything already.
    async fn data(&mut self) -> io::Result<Next> {
        let mut decoder = Decoder::new(&self.session.params);
        let (chunk, patience) = (self.session.params.data_buffer_size, self.session.params.client_timeout);
        let session = &self.session;
        let reading = self.wire.read_data(&mut decoder, chunk, patience, |bytes| session.tell_content(bytes));
        let read = tokio::time::timeout(LONGEST_DATA, reading).await;
        match read.unwrap_or_else(|late| Err(late.into())) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                return Ok(self.leave("idle for too long").await);
            }
            read => read?,
        }
        let gave_up = decoder.progress() == Progress::GiveUp;
        let reply = match decoder.finish() {
            Ok(data) => self.deliver(data).await,
            Err(flaw) => flaw.reply(),
        };
        let reply = if gave_up { reply.closing() } else { reply };
        let next = self.reply(reply, Some("DATA")).await;
        // Body => Idle, behind the record: it tells of the transaction.
        self.session.reset();
        Ok(next)
    }

    /// Queues a reply. It goes out when the client has nothing more to say, or at the end.
    async fn reply(&mut self, reply: Reply, command: Option<&str>) -> Next {
        let answer: Boxed<'_, Reply> = Box::pin(self.session.answer(reply, command));
        let reply = answer.await;
        self.queue(&reply);
        match reply.then {
            Then::GoOn => return Next::Continue,
            Then::Close => {}
            // The reply before it is the refusal, and the one that is recorded.
            Then::CloseWith421 => self.queue(&self.session.not_now("closes the connection for what it just said")),
        }
        Next::Close
    }

    fn queue(&mut self, reply: &Reply) {
        self.session.tell_reply(reply);
        self.wire.queue(reply);
    }
}

impl<S> Drop for Connection<S> {
    fn drop(&mut self) {
        // However it ended, also when the daemon cuts it off.
        self.session.tell(|| Payload::Closed);
    }
}
