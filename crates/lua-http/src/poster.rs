//! One address that is posted to again and again, without Lua.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use mlua::{IntoLua, Lua, Table, Value};
use tokio::time::Instant;
use waybill_http1::{Head, Line, Request, Start};

use crate::answer::Answer;
use crate::client::{ClientWrapper, Open};
use crate::direct::{self, Direct, Target};
use crate::raise;
use crate::request::header_map;
use crate::response::{self, ResponseWrapper};

/// Posts to one address, over the connections of the client that it was made of and within its limits. It works until
/// that client is closed.
pub struct Poster {
    open: Arc<Open>,
    direct: Arc<Direct>,
    target: Arc<Target>,
    /// What every request has.
    headers: HeaderMap,
    /// The same, as it is sent.
    start: Start,
    max_response_size: u64,
}

/// An answer.
pub enum Posted {
    /// A 2xx whose body is here: what `response:summary` gives of it.
    Taken(String),
    /// Any other: an object for a script to look at.
    Answered(Answered),
}

/// The status and the response, as `client:exchange` gives them.
pub struct Answered {
    status: u16,
    response: ResponseWrapper,
}

impl Answered {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }
}

impl IntoLua for Answered {
    fn into_lua(self, lua: &Lua) -> mlua::Result<Value> {
        lua.create_userdata(self.response).map(Value::UserData)
    }
}

impl Poster {
    /// Of a client that `build_client` made, with headers as `client:exchange` takes them. `None` where requests have to go
    /// through more hands: over a proxy, say, with a password in the URL, or by a client that the script made itself.
    ///
    /// # Errors
    /// When a header is none.
    pub fn new(client: &Value, url: &str, headers: &Table) -> mlua::Result<Option<Poster>> {
        let Some(client) = client.as_userdata().and_then(|client| client.borrow::<ClientWrapper>().ok()) else {
            return Ok(None);
        };
        let headers = header_map(headers)?;
        let Some((direct, target)) = client.straight_to(url) else { return Ok(None) };
        let headers = direct.completed(&target, headers);
        let Some(start) = Start::new(&Method::POST, target.path(), &headers) else { return Ok(None) };
        Ok(Some(Poster {
            open: client.open.clone(),
            direct,
            target,
            headers,
            start,
            max_response_size: client.max_response_size,
        }))
    }

    /// Posts a body with these headers beside those that every request has; a 2xx is told with `most` bytes of its body.
    ///
    /// # Errors
    /// Those of `client:exchange`.
    pub async fn post<const N: usize>(
        &self,
        headers: [(HeaderName, HeaderValue); N],
        body: impl Into<Bytes>,
        most: usize,
    ) -> mlua::Result<Posted> {
        if !self.open.is_open() {
            return Err(closed());
        }
        let (body, deadline) = (body.into(), self.direct.deadline(None));
        if headers.iter().any(|(name, _)| self.start.has(name)) {
            return Box::pin(self.post_otherwise(&headers, body, most, deadline)).await;
        }
        let request = Request { start: &self.start, own: &headers, body };
        match self.direct.deliver(&self.target, &request, deadline).await? {
            Some((head, line)) => Ok(self.told(&head, line, most, deadline).await),
            None => Box::pin(self.post_by_reqwest(self.with(&headers), request.body, most, deadline)).await,
        }
    }

    /// With headers that take the place of some that every request has.
    async fn post_otherwise(
        &self,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
        most: usize,
        deadline: Instant,
    ) -> mlua::Result<Posted> {
        let headers = self.with(headers);
        let Some(start) = Start::new(&Method::POST, self.target.path(), &headers) else {
            return self.post_by_reqwest(headers, body, most, deadline).await;
        };
        let request = Request { start: &start, own: &[], body };
        match self.direct.deliver(&self.target, &request, deadline).await? {
            Some((head, line)) => Ok(self.told(&head, line, most, deadline).await),
            None => self.post_by_reqwest(headers, request.body, most, deadline).await,
        }
    }

    /// Where there is no connection: reqwest also knows what to say about that.
    async fn post_by_reqwest(
        &self,
        headers: HeaderMap,
        body: Bytes,
        most: usize,
        deadline: Instant,
    ) -> mlua::Result<Posted> {
        let client = self.open.client().ok_or_else(closed)?;
        let mut request = reqwest::Request::new(Method::POST, self.target.url().clone());
        *request.headers_mut() = headers;
        *request.body_mut() = Some(body.into());
        *request.timeout_mut() = Some(deadline.saturating_duration_since(Instant::now()));
        Ok(self.answered(direct::over_reqwest(&client, request).await?, most))
    }

    fn with(&self, headers: &[(HeaderName, HeaderValue)]) -> HeaderMap {
        let mut all = self.headers.clone();
        for (name, value) in headers {
            all.insert(name, value.clone());
        }
        all
    }

    async fn told(&self, head: &Head, mut line: Box<Line>, most: usize, deadline: Instant) -> Posted {
        if head.status.is_success()
            && let Some(text) = self.quickly(head, &mut line, most)
        {
            self.direct.take_back(line, self.target.origin());
            return Posted::Taken(text);
        }
        let mut answer = Answer::direct(head, line, self.direct.home(&self.target), deadline);
        if head.status.is_success() {
            Box::pin(answer.settle()).await;
        }
        self.answered(answer, most)
    }

    /// What most answers are: a short body that came along with its head.
    fn quickly(&self, head: &Head, line: &mut Line, most: usize) -> Option<String> {
        let is_short = |body: &[u8]| body.len() as u64 <= self.max_response_size;
        line.at_hand(head, |body| is_short(body).then(|| response::summary(head.status, head.charset, body, most)))
    }

    fn answered(&self, answer: Answer, most: usize) -> Posted {
        let status = answer.status;
        let response = ResponseWrapper::new(answer, self.max_response_size);
        match response.summary(most).ok().flatten().filter(|_| status.is_success()) {
            Some(summary) => Posted::Taken(summary),
            None => Posted::Answered(Answered { status: status.as_u16(), response }),
        }
    }
}

fn closed() -> mlua::Error {
    raise("client was closed")
}
