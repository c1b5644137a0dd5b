use axum::Router;
use axum::body::Body;
use axum::http::header::{CONNECTION, UPGRADE};
use axum::http::{HeaderValue, Method, Request, Response, Version};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use hyper::body::{Body as _, Incoming};
use parking_lot::Mutex;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::ServiceExt;
use waybill_authorizer::Connection;
use waybill_runtime::Lull;

/// Where the requests of a connection come in. It can keep one that waits while nobody speaks HTTP on the connection, and
/// hand in its answer when somebody does again.
#[derive(Clone)]
pub(crate) struct Door(Arc<Inside>);

struct Inside {
    app: Router,
    connection: Connection,
    place: Mutex<Place>,
}

/// The request that is under way; a connection has one at a time.
#[derive(Default)]
struct Place {
    running: Option<Running>,
    /// What the next request is answered, whatever it asks.
    answer: Option<Response<Body>>,
}

/// A request that can be kept.
pub(crate) struct Running {
    lull: Lull,
    again: Again,
    answer: BoxFuture<'static, Response<Body>>,
}

/// What of a request tells how its answer is sent.
struct Again {
    method: Method,
    version: Version,
    connection: Option<HeaderValue>,
}

impl Door {
    pub(crate) fn new(app: Router, connection: Connection) -> Self {
        Door(Arc::new(Inside { app, connection, place: Mutex::default() }))
    }

    /// Answers a request.
    pub(crate) async fn ask(self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        if let Some(answer) = self.0.place.lock().answer.take() {
            return Ok(answer);
        }
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.0.connection.clone());
        match Again::of(&request) {
            None => self.0.app.clone().oneshot(request).await,
            Some(again) => {
                let lull = Lull::default();
                request.extensions_mut().insert(lull.clone());
                let answer = self.0.app.clone().oneshot(request).map(|Ok(answer)| answer).boxed();
                self.0.place.lock().running = Some(Running { lull, again, answer });
                Ok(std::future::poll_fn(|cx| self.poll_running(cx)).await)
            }
        }
    }

    fn poll_running(&self, cx: &mut Context<'_>) -> Poll<Response<Body>> {
        let mut place = self.0.place.lock();
        // Without one there is nobody left to be answered.
        let Some(running) = &mut place.running else { return Poll::Pending };
        let answer = running.answer.poll_unpin(cx);
        if answer.is_ready() {
            place.running = None;
        }
        answer
    }

    /// Whether the request that is under way has said that it waits.
    pub(crate) fn waits(&self) -> bool {
        self.0.place.lock().running.as_ref().is_some_and(|running| running.lull.has_begun())
    }

    /// Takes it out.
    pub(crate) fn take(&self) -> Option<Running> {
        self.0.place.lock().running.take()
    }

    /// Answers the next request with this.
    pub(crate) fn leave(&self, answer: Response<Body>) {
        self.0.place.lock().answer = Some(answer);
    }
}

impl Running {
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Response<Body>> {
        self.answer.poll_unpin(cx)
    }

    /// A request whose answer is sent as that of this one would be; `last` where nothing may follow.
    pub(crate) fn again(&self, last: bool) -> Bytes {
        let Again { method, version, connection } = &self.again;
        let mut head = format!("{method} / {version:?}\r\n").into_bytes();
        let close = HeaderValue::from_static("close");
        if let Some(value) = if last { Some(&close) } else { connection.as_ref() } {
            head.extend_from_slice(b"connection: ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        head.into()
    }
}

impl Again {
    /// Of a request that has come as a whole and is nothing but a question; `None` of any other.
    fn of(request: &Request<Body>) -> Option<Self> {
        let headers = request.headers();
        let asks = matches!(*request.method(), Method::GET | Method::HEAD);
        let mut connection = headers.get_all(CONNECTION).iter();
        let (first, second) = (connection.next(), connection.next());
        let whole = request.body().is_end_stream() && !headers.contains_key(UPGRADE) && second.is_none();
        // The value is cut out of the buffer that the request came in, which need not live as long.
        let copied = first.map(|value| HeaderValue::from_bytes(value.as_bytes())).transpose().ok()?;
        (asks && whole).then(|| Again {
            method: request.method().clone(),
            version: request.version(),
            connection: copied,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(request: axum::http::request::Builder, body: Body) -> Option<Again> {
        Again::of(&request.body(body).unwrap())
    }

    #[test]
    fn only_a_question_that_has_come_as_a_whole_is_kept() {
        assert!(again(Request::get("/x?y"), Body::empty()).is_some());
        assert!(again(Request::head("/x"), Body::empty()).is_some());
        assert!(again(Request::post("/x"), Body::empty()).is_none());
        assert!(again(Request::get("/x"), Body::from("more")).is_none());
        assert!(again(Request::get("/x").header(UPGRADE, "websocket"), Body::empty()).is_none());
        assert!(again(Request::get("/x").header(CONNECTION, "a").header(CONNECTION, "b"), Body::empty()).is_none());
    }

    #[test]
    fn it_is_asked_again_by_what_decides_how_its_answer_is_sent() {
        let head = |request, last| {
            let answer = std::future::pending().boxed();
            let running = Running { lull: Lull::default(), again: again(request, Body::empty()).unwrap(), answer };
            String::from_utf8(running.again(last).to_vec()).unwrap()
        };
        assert_eq!(head(Request::get("/x?y").header("host", "h"), false), "GET / HTTP/1.1\r\n\r\n");
        assert_eq!(head(Request::get("/x"), true), "GET / HTTP/1.1\r\nconnection: close\r\n\r\n");
        let old = Request::head("/x").version(Version::HTTP_10).header(CONNECTION, "keep-alive");
        assert_eq!(head(old, false), "HEAD / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
    }
}
