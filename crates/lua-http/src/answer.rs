//! An answer whose body may still be on its way, however it came.

use std::error::Error as StdError;
use std::fmt;

use futures::future::poll_fn;
use hyper::body::{Body as _, Incoming};
use parking_lot::Mutex;
use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode, Url};
use std::task::{Context, Poll, ready};
use tokio::time::{Instant, timeout_at};

use crate::direct::Home;
use crate::line::Line;
use crate::raise;

/// The head of an answer, and where its body comes from.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_length: Option<u64>,
    body: Body,
}

enum Body {
    Reqwest(Response),
    Direct(Box<Direct>),
}

/// An answer over a connection of our own.
struct Direct {
    headers: HeaderMap,
    /// Never waited for: an answer is somebody's alone, but has to look as if several might share it.
    rest: Mutex<Rest>,
}

/// The body.
struct Rest {
    incoming: Incoming,
    /// What was read so far.
    read: Vec<u8>,
    /// Gone when there is nothing more to read: then the connection is free for the next request.
    line: Option<Line>,
    home: Home,
    deadline: Instant,
    /// How reading ahead ended, where that was badly.
    broken: Option<hyper::Error>,
}

/// So much of a body is taken with the head if it is there: whether the script wants it or not, the connection is then
/// free for the next request.
const AHEAD: u64 = 64 * 1024;

impl Answer {
    /// Of reqwest.
    pub(crate) fn of_reqwest(response: Response) -> Answer {
        let (status, content_length) = (response.status(), response.content_length());
        Answer { status, content_length, body: Body::Reqwest(response) }
    }

    /// Over a connection of our own, which goes home when the body is read.
    pub(crate) async fn direct(
        response: http::Response<Incoming>,
        line: Line,
        home: Home,
        deadline: Instant,
    ) -> Answer {
        let (head, incoming) = response.into_parts();
        let (status, content_length) = (head.status, incoming.size_hint().exact());
        let mut rest = Rest { incoming, read: Vec::new(), line: Some(line), home, deadline, broken: None };
        if content_length.is_none_or(|length| length <= AHEAD) {
            poll_fn(|cx| {
                if let Poll::Ready(Err(error)) = rest.poll_read(AHEAD, cx) {
                    rest.broken = Some(error);
                }
                Poll::Ready(())
            })
            .await;
        }
        let direct = Direct { headers: head.headers, rest: Mutex::new(rest) };
        Answer { status, content_length, body: Body::Direct(Box::new(direct)) }
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        match &self.body {
            Body::Reqwest(response) => response.headers(),
            Body::Direct(direct) => &direct.headers,
        }
    }

    /// The whole body, if it is there already; it stays.
    pub(crate) fn at_hand<T>(&self, look: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let Body::Direct(direct) = &self.body else { return None };
        let rest = direct.rest.lock();
        (rest.line.is_none() && rest.broken.is_none()).then(|| look(&rest.read))
    }

    /// The whole body, or an error as soon as it is known to be larger than `limit`.
    pub(crate) async fn read(mut self, limit: u64) -> mlua::Result<Vec<u8>> {
        let too_large = || raise(format!("response body is larger than {limit} bytes"));
        // An early answer for those who announce the size; the count below is what protects.
        if self.content_length.is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        match &mut self.body {
            Body::Reqwest(response) => {
                let mut body = Vec::new();
                while let Some(chunk) = response.chunk().await.map_err(mlua::Error::external)? {
                    if (body.len() + chunk.len()) as u64 > limit {
                        return Err(too_large());
                    }
                    body.extend_from_slice(&chunk);
                }
                Ok(body)
            }
            Body::Direct(direct) => {
                let rest = direct.rest.get_mut();
                if let Some(error) = rest.broken.take() {
                    return Err(mlua::Error::external(Failure::reading(error)));
                }
                let read = timeout_at(rest.deadline, poll_fn(|cx| rest.poll_read(limit, cx))).await;
                match read {
                    Err(_) => Err(mlua::Error::external(Failure::reading("operation timed out"))),
                    Ok(Err(error)) => Err(mlua::Error::external(Failure::reading(error))),
                    Ok(Ok(false)) => Err(too_large()),
                    Ok(Ok(true)) => Ok(std::mem::take(&mut rest.read)),
                }
            }
        }
    }
}

impl Rest {
    /// Reads to the end: true, or false as soon as that is beyond the limit.
    fn poll_read(&mut self, limit: u64, cx: &mut Context<'_>) -> Poll<hyper::Result<bool>> {
        while self.read.len() as u64 <= limit {
            let Some(line) = &mut self.line else { return Poll::Ready(Ok(true)) };
            match ready!(line.poll_piece(&mut self.incoming, cx)) {
                Some(piece) => self.read.extend_from_slice(&piece?),
                None => self.line.take().into_iter().for_each(|line| self.home.take_back(line)),
            }
        }
        Poll::Ready(Ok(false))
    }
}

/// What went wrong on the way, in the words that reqwest has for it.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    why: Box<dyn StdError + Send + Sync>,
}

impl Failure {
    /// No answer came.
    pub(crate) fn sending(url: &Url, why: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Failure { what: format!("error sending request for url ({url})"), why: why.into() }
    }

    /// The body of an answer broke off.
    fn reading(why: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Failure { what: "error decoding response body".to_owned(), why: why.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.why)
    }
}
