//! Answers HTTP on a socket that somebody else has bound.

use crate::door::{Door, Running};
use crate::line::Line;
use crate::metrics::{ConnectionGuard, Metrics};
use crate::tls::{Stream, Tls};
use axum::Router;
use axum::body::Body;
use axum::http::Response;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;
use waybill_authorizer::{Connection, Peer};
use waybill_tls::ServerParams;

/// A client that has not sent the headers of its next request by then is let go.
const HEADER_TIMEOUT: Duration = Duration::from_secs(75);
/// So many at once, consumers of logs that wait for messages included; more of them wait in the socket's backlog.
const MAX_CONNECTIONS: usize = 16_384;
/// When the process is out of file handles, time helps and a busy loop does not.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound socket: TCP, or the admin socket.
pub struct Listener {
    socket: Socket,
    metrics: Option<Metrics>,
    tls: Option<Arc<Tls>>,
}

enum Socket {
    Tcp(TcpListener),
    Admin(UnixListener, Arc<str>),
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Listener { socket: Socket::Tcp(listener), metrics: None, tls: None }
    }
}

impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        let path =
            listener.local_addr().ok().and_then(|address| address.as_pathname().map(|path| path.display().to_string()));
        Listener { socket: Socket::Admin(listener, path.unwrap_or_default().into()), metrics: None, tls: None }
    }
}

impl Listener {
    /// Counts its connections under the service `http_listener`.
    #[must_use]
    pub fn counted(mut self, metrics: &Metrics) -> Self {
        self.metrics = Some(metrics.clone());
        self
    }

    /// Speaks TLS. `host` is the name for a certificate of our own making.
    #[must_use]
    pub fn secured(mut self, params: ServerParams, host: impl Into<Arc<str>>) -> Self {
        self.tls = Some(Arc::new(Tls::new(params, host.into())));
        self
    }

    async fn accept(&self) -> io::Result<(Box<dyn Stream>, Connection)> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // The answers are small and complete: waiting for more to send only adds delay.
                stream.set_nodelay(true)?;
                let via = stream.local_addr()?.to_string().into();
                Ok((Box::new(stream), Connection { peer: Peer::ip(peer.ip()), via }))
            }
            Socket::Admin(listener, path) => {
                let (stream, _) = listener.accept().await?;
                Ok((Box::new(stream), Connection { peer: Peer::Admin, via: path.clone() }))
            }
        }
    }
}

/// Answers requests until `shutdown` is done; then takes no more connections, lets running requests finish and returns.
///
/// While the daemon stops it keeps answering: what is refused then (503 `shutting down`) is the intake's decision.
/// `shutdown` is for the end of that. Dropping this future cuts every connection at once.
pub async fn run(listener: impl Into<Listener>, app: Router, shutdown: impl Future<Output = ()>) {
    let listener = listener.into();
    let mut shutdown = pin!(shutdown);
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, connection)) => {
                    let counted = listener.metrics.as_ref().map(Metrics::http_connection);
                    let (tls, app, stopping) = (listener.tls.clone(), app.clone(), stopping.clone());
                    connections.spawn(serve(stream, tls, connection, app, stopping, counted));
                }
                Err(error) => {
                    tracing::warn!("http listener could not accept a connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    stop.send_replace(true);
    while connections.join_next().await.is_some() {}
}

async fn serve(
    stream: Box<dyn Stream>,
    tls: Option<Arc<Tls>>,
    connection: Connection,
    app: Router,
    mut stopping: watch::Receiver<bool>,
    _counted: Option<ConnectionGuard>,
) {
    let stream = match tls {
        None => stream,
        // Here and not where connections are accepted: a client that never shakes hands keeps nobody waiting. On the heap: a
        // handshake needs some KiB that nothing behind it does.
        Some(tls) => tokio::select! {
            secured = Box::pin(tls.secure(stream)) => match secured {
                Ok(stream) => stream,
                Err(why) => {
                    tracing::debug!(peer = ?connection.peer, "no TLS with an HTTP client: {why}");
                    return;
                }
            },
            () = stopped(&mut stopping) => return,
        },
    };
    let door = Door::new(app, connection);
    let mut line = Line::new(stream);
    loop {
        // On the heap for as long as it is needed: most of the time of a consumer that waits it is not.
        let Spoken::Waits(mut kept) = Box::pin(speak(line, &door, &mut stopping)).await else { return };
        let Some(answer) = poll_fn(|cx| kept.poll(cx)).await else { return };
        let last = *stopping.borrow();
        line = kept.line;
        line.unread(kept.running.again(last));
        door.leave(answer);
    }
}

/// How it ended that HTTP was spoken on a connection.
enum Spoken {
    /// The connection has ended.
    Ended,
    /// Its request waits, and what was there to speak HTTP is put away: buffers of some sixteen KiB.
    Waits(Kept),
}

/// A connection whose request waits.
struct Kept {
    line: Line,
    running: Running,
}

impl Kept {
    /// The answer; `None` when nobody is there any more to hear it.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Response<Body>>> {
        if self.line.poll_gone(cx).is_ready() {
            return Poll::Ready(None);
        }
        self.running.poll(cx).map(Some)
    }
}

/// Answers the requests on a connection, until it ends or one of them waits.
async fn speak(line: Line, door: &Door, stopping: &mut watch::Receiver<bool>) -> Spoken {
    let unsent = line.unsent();
    let asked = door.clone();
    let mut conn = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(line), service_fn(move |request| asked.clone().ask(request)))
        // A trace is a websocket.
        .with_upgrades();
    let spoken = poll_fn(|cx| match Pin::new(&mut conn).poll(cx) {
        Poll::Ready(ended) => Poll::Ready(Some(ended)),
        Poll::Pending if door.waits() && !unsent.get() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    let ended = tokio::select! {
        // First: an answer that was left for this connection is not forgotten over a stop.
        biased;
        ended = spoken => ended,
        () = stopped(stopping) => {
            Pin::new(&mut conn).graceful_shutdown();
            Some((&mut conn).await)
        }
    };
    match ended {
        None => match (conn.into_parts(), door.take()) {
            (Some(parts), Some(running)) => {
                let mut line = parts.io.into_inner();
                line.unread(parts.read_buf);
                Spoken::Waits(Kept { line, running })
            }
            _ => Spoken::Ended,
        },
        Some(ended) => {
            if let Err(error) = ended {
                // A client that went away or sent nonsense: nothing to act on.
                tracing::debug!("http connection ended: {error}");
            }
            Spoken::Ended
        }
    }
}

/// Until the listener stops. That `run` is gone is a stop too.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    drop(stopping.wait_for(|stop| *stop).await);
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Extension;
    use axum::routing::get;
    use tokio::io::AsyncWriteExt;
    use waybill_runtime::Lull;

    fn door(app: Router) -> Door {
        Door::new(app, Connection { peer: Peer::Admin, via: "here".into() })
    }

    #[tokio::test]
    async fn a_request_that_waits_leaves_no_speaker_and_one_that_is_only_slow_keeps_it() {
        let app = Router::new()
            .route(
                "/waits",
                get(async |Extension(lull): Extension<Lull>| {
                    lull.begin();
                    std::future::pending::<()>().await;
                }),
            )
            .route("/slow", get(std::future::pending::<()>));
        for (path, waits) in [("waits", true), ("slow", false)] {
            let (mut client, stream) = tokio::io::duplex(1024);
            let (_stop, mut stopping) = watch::channel(false);
            let door = door(app.clone());
            client.write_all(format!("GET /{path} HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
            let mut spoken = Box::pin(speak(Line::new(Box::new(stream)), &door, &mut stopping));
            let spoken = futures::poll!(&mut spoken);
            assert_eq!(matches!(spoken, Poll::Ready(Spoken::Waits(_))), waits, "{path}");
        }
    }
}
