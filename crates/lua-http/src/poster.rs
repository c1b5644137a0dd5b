//! One address that is posted to again and again, without Lua.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use mlua::{IntoLua, Lua, Table, Value};
use reqwest::Body;

use crate::answer::Answer;
use crate::client::{ClientWrapper, Open};
use crate::direct::{Direct, Target};
use crate::raise;
use crate::request::header_map;
use crate::response::ResponseWrapper;

/// Posts to one address, over the connections of the client that it was made of and within its limits. It works until
/// that client is closed.
pub struct Poster {
    open: Arc<Open>,
    direct: Arc<Direct>,
    target: Arc<Target>,
    /// What every request has.
    headers: HeaderMap,
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
        Ok(Some(Poster {
            open: client.open.clone(),
            direct,
            target,
            headers,
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
        body: impl Into<Body>,
        most: usize,
    ) -> mlua::Result<Posted> {
        let client = self.open.client().ok_or_else(|| raise("client was closed"))?;
        let mut request = Request::new(body.into());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.path().clone();
        *request.headers_mut() = self.headers.clone();
        for (name, value) in headers {
            request.headers_mut().insert(name, value);
        }
        let answer = self.direct.deliver(&client, &self.target, request, None).await?;
        Ok(self.told(answer, most))
    }

    fn told(&self, answer: Answer, most: usize) -> Posted {
        let status = answer.status;
        let response = ResponseWrapper::new(answer, self.max_response_size);
        match response.summary(most).ok().flatten().filter(|_| status.is_success()) {
            Some(summary) => Posted::Taken(summary),
            None => Posted::Answered(Answered { status: status.as_u16(), response }),
        }
    }
}
