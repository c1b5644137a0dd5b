//! The client object: one connection pool, which lives and dies with it.

use std::sync::Arc;

use mlua::{Table, UserData, UserDataMethods, Value};
use parking_lot::Mutex;
use reqwest::{Client, Method, Request, Url, redirect};
use waybill_tls::Trust;

use crate::direct::{Direct, Target};
use crate::options::{Options, Redirect};
use crate::request::{RequestWrapper, Unsent, header_map};
use crate::response::ResponseWrapper;
use crate::{HTTP, raise};

pub(crate) fn build(options: Value, trust: &Trust) -> mlua::Result<ClientWrapper> {
    let options = Options::from_lua(options)?;
    let is_plain = options.redirect == Redirect::None && !options.accept_invalid_certs && !options.connection_verbose;
    let user_agent = options.user_agent.as_deref();
    let direct = is_plain.then(|| Direct::new(trust, options.timeout, options.pool_idle_timeout, user_agent)).flatten();
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
    let open = Open { client: Mutex::new(Some(client)), direct: direct.map(Arc::new) };
    Ok(ClientWrapper { open: Arc::new(open), max_response_size: options.max_response_size })
}

/// What a client has until it is closed, by whoever may use it.
pub(crate) struct Open {
    client: Mutex<Option<Client>>,
    direct: Option<Arc<Direct>>,
}

impl Open {
    /// `None` when it was closed.
    pub(crate) fn client(&self) -> Option<Client> {
        self.client.lock().clone()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.client.lock().is_some()
    }

    /// Idle connections are closed; requests that are on their way keep theirs.
    fn close(&self) {
        *self.client.lock() = None;
        self.direct.iter().for_each(|direct| direct.close());
    }
}

// The names of these wrappers are part of error texts that scripts may see.
pub(crate) struct ClientWrapper {
    pub(crate) open: Arc<Open>,
    pub(crate) max_response_size: u64,
}

impl ClientWrapper {
    fn client(&self) -> mlua::Result<Client> {
        self.open.client().ok_or_else(|| raise("client was closed"))
    }

    /// The client's own connections and where on them a URL leads, if nothing of reqwest is needed for it.
    pub(crate) fn straight_to(&self, url: &str) -> Option<(Arc<Direct>, Arc<Target>)> {
        let direct = self.open.direct.clone()?;
        let parsed = Url::parse(url).ok().filter(is_plain)?;
        Some((direct, Target::new(url, &parsed).map(Arc::new)?))
    }

    fn request(&self, method: Method, url: &str) -> mlua::Result<RequestWrapper> {
        let client = self.client()?;
        let request = match self.parse(url) {
            Some(url) => client.request(method, url),
            // A URL that makes no sense is an error when the request is sent.
            None => client.request(method, url),
        };
        Ok(RequestWrapper::new(request, self.open.direct.clone(), self.max_response_size))
    }

    /// A POST in one go.
    fn posted(&self, url: &str, headers: &Table, body: String) -> mlua::Result<Unsent> {
        let client = self.client()?;
        let headers = header_map(headers)?;
        match self.parse(url) {
            Some(url) if is_plain(&url) => {
                let mut request = Request::new(Method::POST, url);
                *request.headers_mut() = headers;
                *request.body_mut() = Some(body.into());
                Ok(Unsent { client, request })
            }
            // The builder knows what to do with a name in a URL, and what to say of one that makes no sense.
            _ => Unsent::built(client.post(url).headers(headers).body(body)),
        }
    }

    /// The URL, if it makes sense. Most clients ask one and the same all the time.
    fn parse(&self, text: &str) -> Option<Url> {
        let Some(direct) = &self.open.direct else { return Url::parse(text).ok() };
        direct.known(text).or_else(|| {
            let url = Url::parse(text).ok()?;
            direct.learn(text, &url);
            Some(url)
        })
    }
}

impl UserData for ClientWrapper {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("get", |_, this, url: String| this.request(Method::GET, &url));
        methods.add_method("post", |_, this, url: String| this.request(Method::POST, &url));
        methods.add_method("put", |_, this, url: String| this.request(Method::PUT, &url));
        type Posted = (String, Table, String);
        methods.add_async_method("exchange", |_, this, (url, headers, body): Posted| async move {
            let request = this.posted(&url, &headers, body)?;
            let limit = this.max_response_size;
            let direct = this.open.direct.clone();
            drop(this);
            let answer = request.send(direct).await?;
            Ok((answer.status.as_u16(), ResponseWrapper::new(answer, limit)))
        });
        methods.add_method("close", |_, this, ()| {
            this.open.close();
            Ok(())
        });
    }
}

/// Whether a URL says nothing beside where to go.
fn is_plain(url: &Url) -> bool {
    url.username().is_empty() && url.password().is_none() && url.has_host()
}
