//! One request and its response over one road.

use crate::attempt::{Cut, Response};
use crate::connect::Ground;
use crate::endpoint::Road;
use crate::failure::Failure;
use crate::link::{Body, Busy, Link, Sent};
use crate::progress::Progress;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};
use waybill_webhook_core::{Limits, Scheme, Stage, Trouble};

/// What is sent.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A connection with a request under way. Dropped before the response has come to its end, be it by an error or
/// because the time was up, it takes the connection with it: who knows what would come next on it.
struct Held<'a> {
    road: &'a Road,
    link: Option<Link>,
    /// A head came over it.
    answered: bool,
    _busy: Busy,
}

impl<'a> Held<'a> {
    fn new(road: &'a Road, link: Link) -> Self {
        let busy = link.busy();
        Held { road, link: Some(link), answered: false, _busy: busy }
    }

    /// The response has come to its end: others may use the connection.
    async fn give_back(mut self) {
        if let Some(mut link) = self.link.take() {
            if link.is_ready().await {
                self.road.pool.give(link);
            } else {
                self.road.pool.retire(&link);
            }
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(link) = self.link.take() {
            match self.answered {
                true => self.road.pool.retire(&link),
                false => self.road.pool.abandon(link.peer()),
            }
        }
    }
}

/// A head that came; its body may still be on its way.
pub(crate) struct Head<'a> {
    response: http::Response<Incoming>,
    held: Held<'a>,
}

/// Sends a request and waits for the head of its response. The caller limits the time.
pub(crate) async fn call<'a>(
    ground: &Ground<'_>,
    road: &'a Road,
    call: Call,
    progress: &Progress,
) -> Result<Head<'a>, Failure> {
    let mut request = request(road, call)?;
    let (mut link, reused) = ground.link(road, progress).await?;
    // A connection that was open may turn out to be closed when it is used. Only what was not sent goes again.
    let mut chances = if reused { 2 } else { 1 };
    loop {
        chances -= 1;
        progress.peer(link.peer());
        progress.enter(Stage::Answer);
        let mut held = Held::new(road, link);
        let Some(sending) = held.link.as_mut() else { break };
        match sending.send(request, ground.limits).await {
            Sent::Response(response) => {
                held.answered = true;
                return Ok(Head { response, held });
            }
            Sent::Broken(trouble) => return Err(trouble.into()),
            Sent::Unsent(unsent) if chances > 0 => request = unsent,
            Sent::Unsent(_) => break,
        }
        drop(held);
        link = ground.open(road, progress).await?;
        link.share().into_iter().for_each(|shared| road.pool.give(shared));
    }
    Err(Trouble::Exchange("the connection was closed".to_owned()).into())
}

fn request(road: &Road, call: Call) -> Result<http::Request<Body>, Failure> {
    let Call { method, path, mut headers, body } = call;
    let authority = road.target.authority();
    let host = HeaderValue::from_str(&authority).map_err(|error| Trouble::Exchange(error.to_string()))?;
    headers.insert(header::HOST, host);
    let scheme = if road.target.scheme() == Scheme::Https { "https" } else { "http" };
    let mut request = http::Request::builder()
        .method(method)
        .uri(format!("{scheme}://{authority}{path}"))
        .body(Full::new(body))
        .map_err(|error| Trouble::Exchange(error.to_string()))?;
    *request.headers_mut() = headers;
    Ok(request)
}

impl Head<'_> {
    pub(crate) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// Reads what is kept of the body. The connection can be used again if that was all of it.
    pub(crate) async fn read(self, limits: &Limits, deadline: Instant, progress: &Progress) -> Response {
        progress.enter(Stage::Body);
        let Head { response, held } = self;
        let (parts, mut body) = response.into_parts();
        let mut kept = BytesMut::new();
        let cut = match timeout_at(deadline, keep(&mut body, &mut kept, limits.kept_body)).await {
            Ok(cut) => cut,
            Err(_) => Some(Cut::TimedOut),
        };
        drop(body);
        let response = Response {
            status: parts.status.as_u16(),
            version: parts.version,
            headers: parts.headers,
            body: kept.freeze(),
            cut,
        };
        if cut.is_none() {
            // It is ready at once, or it will not be: nobody waits for it longer than for an answer.
            let _ = timeout_at(deadline, held.give_back()).await;
        }
        response
    }
}

async fn keep(body: &mut Incoming, kept: &mut BytesMut, most: usize) -> Option<Cut> {
    while let Some(frame) = body.frame().await {
        match frame.map(hyper::body::Frame::into_data) {
            Ok(Ok(data)) => {
                let room = most.saturating_sub(kept.len());
                kept.extend_from_slice(data.get(..room).unwrap_or(&data));
                if data.len() > room {
                    return Some(Cut::TooLong);
                }
            }
            // Trailers are of no interest.
            Ok(Err(_)) => {}
            Err(_) => return Some(Cut::Broken),
        }
    }
    None
}
