//! One request and its response over one road.

use crate::attempt::{Cut, Response};
use crate::connect::Ground;
use crate::endpoint::Road;
use crate::failure::Failure;
use crate::link::Link;
use crate::many::{Busy, Many, Sent};
use crate::one;
use crate::opening::Opening;
use crate::progress::{Peer, Progress};
use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};
use waybill_webhook_core::{Limits, Stage, Trouble};

/// What is sent.
pub(crate) struct Call<'a> {
    pub(crate) opening: &'a Opening,
    /// Headers of this request: they take the place of those of the opening with the same names.
    pub(crate) own: &'a [(HeaderName, HeaderValue)],
    pub(crate) body: Bytes,
}

/// A connection of HTTP/2 with a request under way. Dropped before the response has come to its end, be it by an error or
/// because the time was up, it takes the connection with it: who knows what would come next on it.
struct Held<'a> {
    road: &'a Road,
    many: Option<Many>,
    _busy: Busy,
}

impl<'a> Held<'a> {
    fn new(road: &'a Road, many: Many) -> Self {
        let busy = many.busy();
        Held { road, many: Some(many), _busy: busy }
    }

    /// The response has come to its end: others may use the connection.
    async fn give_back(mut self) {
        if let Some(mut many) = self.many.take() {
            if many.is_ready().await {
                self.road.pool.share(&many);
            } else {
                self.road.pool.retire(&many);
            }
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(many) = self.many.take() {
            self.road.pool.retire(&many);
        }
    }
}

/// An answer is waited for. Dropped before it came, be it because the time was up, no connection to its peer is kept.
struct Awaited<'a> {
    road: &'a Road,
    peer: Peer,
    /// The head is there.
    came: bool,
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        if !self.came {
            self.road.pool.abandon(self.peer);
        }
    }
}

/// A head that came; its body may still be on its way.
pub(crate) struct Head<'a> {
    road: &'a Road,
    answer: Answer<'a>,
}

enum Answer<'a> {
    One(one::Answer),
    Many(http::Response<Incoming>, Held<'a>),
}

/// Sends a request and waits for the head of its response. The caller limits the time.
pub(crate) async fn call<'a>(
    ground: &Ground<'_>,
    road: &'a Road,
    call: Call<'_>,
    progress: &Progress,
) -> Result<Head<'a>, Failure> {
    let (mut link, mut reused) = ground.link(road, progress).await?;
    loop {
        progress.peer(link.peer());
        progress.enter(Stage::Answer);
        let mut awaited = Awaited { road, peer: link.peer(), came: false };
        match send(ground.limits, road, link, &call).await? {
            Sent::Answered(answer) => {
                awaited.came = true;
                return Ok(Head { road, answer });
            }
            Sent::Broken(trouble) => return Err(trouble.into()),
            // A connection that was open may turn out to be closed when it is used. Only what was not sent goes again.
            Sent::Unsent if reused => {}
            Sent::Unsent => return Err(Trouble::Exchange("the connection was closed".to_owned()).into()),
        }
        link = ground.open(road, progress).await?;
        reused = false;
        if let Link::Many(many) = &link {
            road.pool.share(many);
        }
    }
}

async fn send<'a>(limits: &Limits, road: &'a Road, link: Link, call: &Call<'_>) -> Result<Sent<Answer<'a>>, Failure> {
    let wrong = |why: String| Failure::Trouble(Trouble::Exchange(why));
    let Call { opening, own, body } = call;
    Ok(match link {
        Link::One(one) => {
            let sent = match opening.replacing(own) {
                None => one.send(opening, own, body.clone(), limits).await,
                Some(replaced) => one.send(&replaced.map_err(wrong)?, &[], body.clone(), limits).await,
            };
            sent.map(Answer::One)
        }
        Link::Many(mut many) => {
            let held = Held::new(road, many.clone());
            let request = opening.request(&road.target, own, Full::new(body.clone()));
            let request = request.map_err(|error| wrong(error.to_string()))?;
            many.send(request, limits).await.map(|response| Answer::Many(response, held))
        }
    })
}

impl Head<'_> {
    pub(crate) fn status(&self) -> u16 {
        match &self.answer {
            Answer::One(answer) => answer.status(),
            Answer::Many(response, _) => response.status().as_u16(),
        }
    }

    /// Reads what is kept of the body. The connection can be used again if that was all of it.
    pub(crate) async fn read(self, limits: &Limits, deadline: Instant, progress: &Progress) -> Response {
        progress.enter(Stage::Body);
        match self.answer {
            Answer::One(answer) => {
                let (response, free) = answer.read(limits, deadline).await;
                free.into_iter().for_each(|one| self.road.pool.give(one));
                response
            }
            Answer::Many(response, held) => read_frames(response, held, limits, deadline).await,
        }
    }
}

async fn read_frames(
    response: http::Response<Incoming>,
    held: Held<'_>,
    limits: &Limits,
    deadline: Instant,
) -> Response {
    let (parts, mut body) = response.into_parts();
    let mut kept = BytesMut::new();
    let cut = match timeout_at(deadline, keep(&mut body, &mut kept, limits.kept_body)).await {
        Ok(cut) => cut,
        Err(_) => Some(Cut::TimedOut),
    };
    drop(body);
    if cut.is_none() {
        // It is ready at once, or it will not be: nobody waits for it longer than for an answer.
        let _ = timeout_at(deadline, held.give_back()).await;
    }
    let (status, version, headers) = (parts.status.as_u16(), parts.version, parts.headers);
    Response { status, version, headers, body: kept.freeze(), cut }
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
