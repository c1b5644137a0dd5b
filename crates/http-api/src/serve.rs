//! Answers HTTP on a socket that somebody else has bound.

use crate::metrics::{ConnectionGuard, Metrics};
use crate::tls::{Stream, Tls};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::ServiceExt;
use waybill_authorizer::{Connection, Peer};
use waybill_tls::ServerParams;

/// A client that has not sent the headers of its next request by then is let go.
const HEADER_TIMEOUT: Duration = Duration::from_secs(75);
/// So many at once; more of them wait in the socket's backlog.
const MAX_CONNECTIONS: usize = 4096;
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
        // Here and not where connections are accepted: a client that never shakes hands keeps nobody waiting.
        Some(tls) => tokio::select! {
            secured = tls.secure(stream) => match secured {
                Ok(stream) => stream,
                Err(why) => {
                    tracing::debug!(peer = ?connection.peer, "no TLS with an HTTP client: {why}");
                    return;
                }
            },
            () = stopped(&mut stopping) => return,
        },
    };
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(connection.clone());
        app.clone().oneshot(request)
    });
    let conn = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        // A trace is a websocket.
        .with_upgrades();
    let mut conn = pin!(conn);
    let ended = tokio::select! {
        ended = conn.as_mut() => ended,
        () = stopped(&mut stopping) => {
            conn.as_mut().graceful_shutdown();
            conn.await
        }
    };
    if let Err(error) = ended {
        // A client that went away or sent nonsense: nothing to act on.
        tracing::debug!("http connection ended: {error}");
    }
}

/// Until the listener stops. That `run` is gone is a stop too.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    drop(stopping.wait_for(|stop| *stop).await);
}
