//! One connection of HTTP/1.1, polled by whoever waits for its answer.
//!
//! There is no task for it: while nobody asks for anything over it nothing happens, and that the server closed it
//! meanwhile is found by the next one who wants to use it.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use futures::future::poll_fn;
use http::{Request, Response};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::client::conn::{TrySendError, http1};
use hyper_util::rt::TokioIo;
use reqwest::Body;
use tokio::io::{AsyncRead, AsyncWrite};

/// A stream that HTTP is spoken over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

type Io = TokioIo<Box<dyn Stream>>;

/// A connection.
pub(crate) struct Line {
    sender: http1::SendRequest<Body>,
    /// Gone when it has ended. In a place of its own: it is large, and goes from hand to hand with each request.
    connection: Option<Box<http1::Connection<Io, Body>>>,
}

impl Line {
    /// Speaks HTTP over a stream.
    pub(crate) async fn open(stream: Box<dyn Stream>) -> hyper::Result<Line> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Line { sender, connection: Some(Box::new(connection)) })
    }

    /// Lets the connection read and write. What it hands to the sender's futures is there when this returns, so that
    /// those are asked behind it and need not wake anybody.
    fn work(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = &mut self.connection
            && Pin::new(connection).poll(cx).is_ready()
        {
            // Whoever waits for an answer is told by the drop. Errors are told there too.
            self.connection = None;
        }
    }

    /// Whether it takes a request. Where it was ready behind the last answer the socket is not looked at: that it was closed
    /// meanwhile is seen before anything is sent.
    pub(crate) async fn is_ready(&mut self) -> bool {
        if self.is_open() && self.sender.is_ready() {
            return true;
        }
        poll_fn(|cx| {
            self.work(cx);
            match &self.connection {
                Some(_) => self.sender.poll_ready(&mut unheard()).map(|ready| ready.is_ok()),
                None => Poll::Ready(false),
            }
        })
        .await
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Body>>> {
        let mut answer = pin!(self.sender.try_send_request(request));
        poll_fn(|cx| {
            self.work(cx);
            answer.as_mut().poll(&mut unheard())
        })
        .await
    }

    /// The next piece of the body of its answer.
    pub(crate) fn poll_piece(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Bytes>>> {
        let mut worked = false;
        loop {
            match Pin::new(&mut *body).poll_frame(&mut unheard()) {
                // What was taken out makes room for more.
                Poll::Pending if !worked => {
                    self.work(cx);
                    worked = true;
                }
                polled => match ready!(polled) {
                    None => return Poll::Ready(None),
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    // Trailers are nobody's business.
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(piece) => return Poll::Ready(Some(Ok(piece))),
                        Err(_) => worked = false,
                    },
                },
            }
        }
    }

    /// Whether it may be used again, as far as anybody knows.
    pub(crate) fn is_open(&self) -> bool {
        self.connection.is_some() && !self.sender.is_closed()
    }
}

/// For what only [`Line::work`] can make go on.
fn unheard() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
