//! The request object: every method changes it and returns it, until `send` uses it up.

use std::sync::Arc;
use std::time::Duration;

use mlua::{AnyUserData, LuaString, Table, UserData, UserDataMethods, Value};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Request, RequestBuilder};

use crate::answer::Answer;
use crate::direct::{self, Direct};
use crate::response::ResponseWrapper;
use crate::sign::{self, Signing};
use crate::{forms, raise};

pub(crate) struct RequestWrapper {
    builder: Option<RequestBuilder>,
    signing: Option<Signing>,
    /// The client's own connections, where it may use them.
    direct: Option<Arc<Direct>>,
    max_response_size: u64,
}

impl RequestWrapper {
    pub(crate) fn new(builder: RequestBuilder, direct: Option<Arc<Direct>>, max_response_size: u64) -> Self {
        Self { builder: Some(builder), signing: None, direct, max_response_size }
    }

    fn take(&mut self) -> mlua::Result<RequestBuilder> {
        self.builder.take().ok_or_else(|| raise("broken request builder"))
    }

    /// Replaces the builder inside `object` by what `change` makes of it, and returns the object.
    fn change(object: AnyUserData, change: impl FnOnce(RequestBuilder) -> RequestBuilder) -> mlua::Result<AnyUserData> {
        {
            let mut this = object.borrow_mut::<Self>()?;
            let builder = this.take()?;
            this.builder = Some(change(builder));
        }
        Ok(object)
    }
}

impl UserData for RequestWrapper {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_function("header", |_, (this, name, value): (AnyUserData, String, LuaString)| {
            let value = value.as_bytes().to_vec();
            Self::change(this, |request| request.header(name, value))
        });
        methods.add_function("headers", |_, (this, headers): (AnyUserData, Table)| {
            let headers = header_map(&headers)?;
            Self::change(this, |request| request.headers(headers))
        });
        methods.add_function("timeout", |_, (this, timeout): (AnyUserData, Value)| {
            let timeout = timeout_from(&timeout).ok_or_else(|| raise("invalid timeout duration"))?;
            Self::change(this, |request| request.timeout(timeout))
        });
        methods.add_function("basic_auth", |_, (this, user, password): (AnyUserData, String, Option<String>)| {
            Self::change(this, |request| request.basic_auth(user, password))
        });
        methods.add_function("bearer_auth", |_, (this, token): (AnyUserData, String)| {
            Self::change(this, |request| request.bearer_auth(token))
        });
        // A String and not bytes: a body that is not UTF-8 is an error, as scripts know it.
        methods.add_function("body", |_, (this, body): (AnyUserData, String)| {
            Self::change(this, |request| request.body(body))
        });
        methods.add_function("form_url_encoded", |_, (this, fields): (AnyUserData, Table)| {
            let fields = forms::fields(&fields)?;
            Self::change(this, |request| request.form(&fields))
        });
        methods.add_function("form_multipart_data", |_, (this, parts): (AnyUserData, Table)| {
            let form = forms::multipart(&parts)?;
            Self::change(this, |request| request.multipart(form))
        });
        methods.add_function("aws_sign_v4", |_, (this, options): (AnyUserData, Value)| {
            let signing = Signing::from_lua(options)?;
            this.borrow_mut::<Self>()?.signing = Some(signing);
            Ok(this)
        });
        methods.add_async_function("send", |lua, this: AnyUserData| async move {
            let (builder, signing, direct, limit) = {
                let mut this = this.borrow_mut::<Self>()?;
                (this.take()?, this.signing.take(), this.direct.take(), this.max_response_size)
            };
            let mut unsent = Unsent::built(builder)?;
            if let Some(signing) = signing {
                signing.apply(&mut unsent.request, sign::now(&lua))?;
            }
            let answer = unsent.send(direct).await?;
            Ok(ResponseWrapper::new(answer, limit))
        });
    }
}

/// A request that is complete.
pub(crate) struct Unsent {
    pub(crate) client: Client,
    pub(crate) request: Request,
}

impl Unsent {
    pub(crate) fn built(builder: RequestBuilder) -> mlua::Result<Unsent> {
        let (client, request) = builder.build_split();
        Ok(Unsent { client, request: request.map_err(mlua::Error::external)? })
    }

    /// Sends it, over the client's own connections where it may use them.
    pub(crate) async fn send(self, direct: Option<Arc<Direct>>) -> mlua::Result<Answer> {
        match direct {
            Some(direct) => direct.send(&self.client, self.request).await,
            None => Box::pin(direct::over_reqwest(&self.client, self.request)).await,
        }
    }
}

/// Text or a float. An integer is refused, which scripts rely on as little as they can pass one.
fn timeout_from(value: &Value) -> Option<Duration> {
    match value {
        Value::String(text) => humantime::parse_duration(&text.to_str().ok()?).ok(),
        Value::Number(seconds) => Duration::try_from_secs_f64(*seconds).ok(),
        _ => None,
    }
}

pub(crate) fn header_map(table: &Table) -> mlua::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    table.for_each(|name: LuaString, value: LuaString| {
        let name = HeaderName::from_bytes(&name.as_bytes()).map_err(mlua::Error::external)?;
        let value = HeaderValue::from_bytes(&value.as_bytes()).map_err(mlua::Error::external)?;
        headers.insert(name, value);
        Ok(())
    })?;
    Ok(headers)
}
