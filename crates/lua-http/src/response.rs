//! The response object: its status stays readable, its body can be taken once.

use mlua::{AnyUserData, UserData, UserDataMethods};
use reqwest::{Response, StatusCode};

use crate::headers::HeaderMapWrapper;
use crate::{body, raise};

pub(crate) struct ResponseWrapper {
    // Scripts ask for the status after they have taken the body: it must outlive the response.
    status: StatusCode,
    content_length: Option<u64>,
    response: Option<Response>,
    max_size: u64,
}

impl ResponseWrapper {
    pub(crate) fn new(response: Response, max_size: u64) -> Self {
        let status = response.status();
        Self { status, content_length: response.content_length(), response: Some(response), max_size }
    }

    fn take(object: &AnyUserData) -> mlua::Result<(Response, u64)> {
        let mut this = object.borrow_mut::<Self>()?;
        let response = this.response.take().ok_or_else(broken)?;
        Ok((response, this.max_size))
    }
}

fn broken() -> mlua::Error {
    raise("broken response wrapper")
}

impl UserData for ResponseWrapper {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("status_code", |_, this, ()| Ok(this.status.as_u16()));
        methods.add_method("status_reason", |_, this, ()| Ok(this.status.canonical_reason()));
        methods.add_method("status_is_informational", |_, this, ()| Ok(this.status.is_informational()));
        methods.add_method("status_is_success", |_, this, ()| Ok(this.status.is_success()));
        methods.add_method("status_is_redirection", |_, this, ()| Ok(this.status.is_redirection()));
        methods.add_method("status_is_client_error", |_, this, ()| Ok(this.status.is_client_error()));
        methods.add_method("status_is_server_error", |_, this, ()| Ok(this.status.is_server_error()));
        methods.add_method("content_length", |_, this, ()| Ok(this.content_length));
        // Gone with the body, although nothing would stand in the way: scripts may rely on the error.
        methods.add_method("headers", |_, this, ()| {
            let response = this.response.as_ref().ok_or_else(broken)?;
            Ok(HeaderMapWrapper(response.headers().clone()))
        });
        methods.add_async_function("text", |_, this: AnyUserData| async move {
            let (response, limit) = Self::take(&this)?;
            let charset = body::charset(response.headers());
            Ok(body::decode(&body::read(response, limit).await?, charset))
        });
        methods.add_async_function("bytes", |lua, this: AnyUserData| async move {
            let (response, limit) = Self::take(&this)?;
            lua.create_string(body::read(response, limit).await?)
        });
    }
}
