//! The client object: one connection pool, which lives and dies with it.

use mlua::{Lua, UserData, UserDataMethods, Value};
use reqwest::{Client, Method, redirect};
use waybill_tls::Trust;

use crate::options::{Options, Redirect};
use crate::request::RequestWrapper;
use crate::{HTTP, raise};

pub(crate) fn build(lua: &Lua, options: Value, trust: &Trust) -> mlua::Result<ClientWrapper> {
    let options = Options::from_lua(lua, options)?;
    let mut builder = Client::builder()
        .http1_only()
        .timeout(options.timeout)
        .connection_verbose(options.connection_verbose)
        .redirect(match options.redirect {
            Redirect::Follow => redirect::Policy::default(),
            Redirect::None => redirect::Policy::none(),
        });
    builder = if options.accept_invalid_certs {
        builder.tls_danger_accept_invalid_certs(true)
    } else {
        builder.tls_backend_preconfigured(trust.client_config(HTTP).map_err(mlua::Error::external)?)
    };
    if let Some(user_agent) = options.user_agent {
        builder = builder.user_agent(user_agent);
    }
    if let Some(idle) = options.pool_idle_timeout {
        builder = builder.pool_idle_timeout(idle);
    }
    let client = builder.build().map_err(mlua::Error::external)?;
    Ok(ClientWrapper { client: Some(client), max_response_size: options.max_response_size })
}

// The names of these wrappers are part of error texts that scripts may see.
pub(crate) struct ClientWrapper {
    client: Option<Client>,
    max_response_size: u64,
}

impl ClientWrapper {
    fn request(&self, method: Method, url: &str) -> mlua::Result<RequestWrapper> {
        let client = self.client.as_ref().ok_or_else(|| raise("client was closed"))?;
        // A URL that makes no sense is an error when the request is sent.
        Ok(RequestWrapper::new(client.request(method, url), self.max_response_size))
    }
}

impl UserData for ClientWrapper {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("get", |_, this, url: String| this.request(Method::GET, &url));
        methods.add_method("post", |_, this, url: String| this.request(Method::POST, &url));
        methods.add_method("put", |_, this, url: String| this.request(Method::PUT, &url));
        methods.add_method_mut("close", |_, this, ()| {
            // Idle connections are closed with it; requests that are on their way keep theirs.
            this.client = None;
            Ok(())
        });
    }
}
