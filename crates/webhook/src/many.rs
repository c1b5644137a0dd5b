//! A connection of HTTP/2: many requests at once, and a task that drives it.

use crate::failure::{Failure, told};
use crate::metered::{Allowance, Metered, Wire};
use crate::progress::Peer;
use bytes::Bytes;
use futures::FutureExt;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http2};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;
use waybill_runtime::Supervisor;
use waybill_webhook_core::{Limits, Trouble};

pub(crate) type Body = Full<Bytes>;

/// A connection that takes requests. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Many {
    sender: http2::SendRequest<Body>,
    shared: Arc<Shared>,
}

struct Shared {
    peer: Peer,
    allowance: Allowance,
    usage: Arc<Usage>,
    /// Dropped with the last clone: then the connection is closed.
    _closes: oneshot::Sender<()>,
}

/// Whether anybody uses a connection, and since when not.
struct Usage(Mutex<(usize, Instant)>);

/// A request is under way on a connection.
pub(crate) struct Busy(Arc<Usage>);

impl Drop for Busy {
    fn drop(&mut self) {
        let mut usage = self.0.0.lock();
        *usage = (usage.0.saturating_sub(1), Instant::now());
    }
}

/// What came of handing a request to a connection.
pub(crate) enum Sent<T> {
    /// A head came.
    Answered(T),
    /// The connection was gone before anything was sent: the request may go over another.
    Unsent,
    /// It broke; nobody knows how much arrived.
    Broken(Trouble),
}

impl<T> Sent<T> {
    pub(crate) fn map<U>(self, answered: impl FnOnce(T) -> U) -> Sent<U> {
        match self {
            Sent::Answered(answer) => Sent::Answered(answered(answer)),
            Sent::Unsent => Sent::Unsent,
            Sent::Broken(trouble) => Sent::Broken(trouble),
        }
    }
}

impl Many {
    /// Agrees on HTTP over a wire, and starts the task that drives it.
    pub(crate) async fn open(
        wire: Box<dyn Wire>,
        peer: Peer,
        limits: &Limits,
        supervisor: &Supervisor,
    ) -> Result<Many, Failure> {
        let allowance = Allowance::default();
        // The settings come before the first request is sent.
        allowance.grant(per_request(limits), per_request(limits));
        let io = TokioIo::new(Metered::new(wire, allowance.clone()));
        let usage = Arc::new(Usage(Mutex::new((0, Instant::now()))));
        let (closes, closed) = oneshot::channel();
        let (sender, connection) = http2::Builder::new(Tasks(supervisor.clone()))
            .max_header_list_size(u32::try_from(limits.head).unwrap_or(u32::MAX))
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW * 4)
            .handshake(io)
            .await
            .map_err(|error| Failure::Trouble(Trouble::Exchange(told(&error))))?;
        drive(supervisor, connection, Arc::clone(&usage), closed, limits.idle);
        Ok(Many { sender, shared: Arc::new(Shared { peer, allowance, usage, _closes: closes }) })
    }

    pub(crate) fn peer(&self) -> Peer {
        self.shared.peer
    }

    /// Whether it can take a request, as far as anybody knows.
    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Whether both are one connection.
    pub(crate) fn is(&self, other: &Many) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Notes that a request is under way, until what it gives is dropped.
    pub(crate) fn busy(&self) -> Busy {
        self.shared.usage.0.lock().0 += 1;
        Busy(Arc::clone(&self.shared.usage))
    }

    /// Waits until it takes another request. False when it will not.
    pub(crate) async fn is_ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    /// Sends a request and waits for the head of the response. The caller limits the time.
    pub(crate) async fn send(
        &mut self,
        request: http::Request<Body>,
        limits: &Limits,
    ) -> Sent<http::Response<Incoming>> {
        let (each, busy) = (per_request(limits), self.shared.usage.0.lock().0.max(1));
        self.shared.allowance.grant(each, each.saturating_mul(busy + 1));
        match self.sender.try_send_request(request).await {
            Ok(response) => Sent::Answered(response),
            Err(error) => unsent(error),
        }
    }
}

fn unsent(mut error: TrySendError<http::Request<Body>>) -> Sent<http::Response<Incoming>> {
    match error.take_message() {
        Some(_) => Sent::Unsent,
        None => Sent::Broken(Trouble::Exchange(told(error.error()))),
    }
}

/// Bytes that a peer may send of one body before somebody reads it.
const WINDOW: u32 = 64 * 1024;
/// Bytes of frames around one answer.
const FRAMES: usize = 64 * 1024;

/// Bytes that may come for one request: the head, what is kept of the body, and what is read before we say stop.
fn per_request(limits: &Limits) -> usize {
    limits.head + limits.kept_body + FRAMES + WINDOW as usize
}

/// Drives a connection until it ends, nobody holds it any more, or nobody has used it for a while.
fn drive<C>(supervisor: &Supervisor, connection: C, usage: Arc<Usage>, closed: oneshot::Receiver<()>, idle: Duration)
where
    C: Future<Output = Result<(), hyper::Error>> + Send + 'static,
{
    supervisor.spawn("webhook connection", async move {
        let mut connection = pin!(connection);
        let mut closed = closed.fuse();
        loop {
            let (busy, since) = *usage.0.lock();
            let until = if busy == 0 { since + idle } else { Instant::now() + idle };
            if until <= Instant::now() {
                break;
            }
            tokio::select! {
                ended = &mut connection => {
                    if let Err(error) = ended {
                        // Whoever waits for an answer is told; to the others it is no news.
                        tracing::debug!("a webhook connection ended: {}", told(&error));
                    }
                    break;
                }
                _ = &mut closed => break,
                () = tokio::time::sleep_until(until) => {}
            }
        }
    });
}

/// Where HTTP/2 runs what it does beside its connection.
#[derive(Clone)]
struct Tasks(Supervisor);

impl<F: Future<Output: Send> + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, task: F) {
        self.0.spawn("webhook stream", async move {
            task.await;
        });
    }
}
