//! An answer whose body may still be on its way, however it came.

use std::error::Error as StdError;
use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker, ready};

use encoding_rs::Encoding;
use parking_lot::Mutex;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Response, StatusCode, Url};
use tokio::time::{Instant, timeout_at};
use waybill_http1::{Head, Line, Trouble, fields};

use crate::direct::Home;
use crate::{body, raise};

/// The head of an answer, and where its body comes from.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_length: Option<u64>,
    /// What its text is written in.
    pub(crate) charset: &'static Encoding,
    body: Body,
}

enum Body {
    Reqwest(Response),
    Direct(Box<Direct>),
}

/// An answer over a connection of our own.
struct Direct {
    /// As it came: hardly anybody looks into it.
    head: Box<[u8]>,
    /// Never waited for: an answer is somebody's alone, but has to look as if several might share it.
    rest: Mutex<Rest>,
}

/// The body.
struct Rest {
    /// What was read so far.
    read: Vec<u8>,
    /// Gone when there is nothing more to read: then the connection is free for the next request.
    line: Option<Box<Line>>,
    home: Home,
    deadline: Instant,
    /// How reading ahead ended, where that was badly.
    broken: Option<Trouble>,
}

/// So much of a body is taken with the head if it is there: whether the script wants it or not, the connection is then
/// free for the next request.
const AHEAD: u64 = 64 * 1024;

impl Answer {
    /// Of reqwest.
    pub(crate) fn of_reqwest(response: Response) -> Answer {
        let (status, content_length) = (response.status(), response.content_length());
        let content_type = response.headers().get(CONTENT_TYPE);
        let charset = body::charset(content_type.map(|value| value.as_bytes()));
        Answer { status, content_length, charset, body: Body::Reqwest(response) }
    }

    /// Over a connection of our own, which goes home when the body is read.
    pub(crate) fn direct(head: &Head, mut line: Box<Line>, home: Home, deadline: Instant) -> Answer {
        let text = line.open_body(head);
        let mut rest = Rest { read: Vec::new(), line: Some(line), home, deadline, broken: None };
        if head.length.is_none_or(|length| length <= AHEAD) {
            // Who wants what is not there yet asks again, and is woken then.
            let _ = rest.read_ahead(&mut Context::from_waker(Waker::noop()));
        }
        let direct = Direct { head: text, rest: Mutex::new(rest) };
        let Head { status, length, charset, .. } = *head;
        Answer { status, content_length: length, charset, body: Body::Direct(Box::new(direct)) }
    }

    pub(crate) fn headers(&self) -> HeaderMap {
        match &self.body {
            Body::Reqwest(response) => response.headers().clone(),
            Body::Direct(direct) => fields(&direct.head),
        }
    }

    /// Waits for a body that is short and still on its way. Trouble with it is told to whoever reads it.
    pub(crate) async fn settle(&mut self) {
        let Body::Direct(direct) = &mut self.body else { return };
        if self.content_length.is_some_and(|length| length > AHEAD) {
            return;
        }
        let rest = direct.rest.get_mut();
        // Too late is too late for its reader, too.
        let _ = timeout_at(rest.deadline, poll_fn(|cx| rest.read_ahead(cx))).await;
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
                if let Some(trouble) = rest.broken.take() {
                    return Err(mlua::Error::external(Failure::reading(trouble)));
                }
                let read = timeout_at(rest.deadline, poll_fn(|cx| rest.poll_read(limit, cx))).await;
                match read {
                    Err(_) => Err(mlua::Error::external(Failure::reading("operation timed out"))),
                    Ok(Err(trouble)) => Err(mlua::Error::external(Failure::reading(trouble))),
                    Ok(Ok(false)) => Err(too_large()),
                    Ok(Ok(true)) => Ok(std::mem::take(&mut rest.read)),
                }
            }
        }
    }
}

impl Rest {
    /// Reads to the end: true, or false as soon as that is beyond the limit.
    fn poll_read(&mut self, limit: u64, cx: &mut Context<'_>) -> Poll<Result<bool, Trouble>> {
        while self.read.len() as u64 <= limit {
            let Some(line) = &mut self.line else { return Poll::Ready(Ok(true)) };
            if !ready!(line.poll_body(&mut self.read, cx))? {
                self.line.take().into_iter().for_each(|line| self.home.take_back(line));
            }
        }
        Poll::Ready(Ok(false))
    }

    /// Reads a bit, and remembers what was wrong with it.
    fn read_ahead(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.broken.is_none() {
            self.broken = ready!(self.poll_read(AHEAD, cx)).err();
        }
        Poll::Ready(())
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
