//! The `kumo.http` module: HTTP for policy scripts.
//!
//! A request is awaited inside the Lua call that makes it, in the task that runs the script: when
//! that call is cancelled, so is the request. Nothing is followed, retried or read without a bound:
//! the whole exchange has a time limit, and a response body has a size limit.
//!
//! ```
//! let lua = mlua::Lua::new();
//! let kumo = lua.create_table()?;
//! waybill_lua_http::register(&lua, &kumo)?;
//! lua.globals().set("kumo", kumo)?;
//! let url: String = lua.load("return kumo.http.build_url('http://a.example/', { q = 'x y' })").eval()?;
//! assert_eq!(url, "http://a.example/?q=x+y");
//! # Ok::<(), mlua::Error>(())
//! ```

mod answer;
mod body;
mod client;
mod direct;
mod forms;
mod headers;
mod options;
mod poster;
mod provider;
mod request;
mod response;
mod sign;
mod url;
mod websocket;

pub use body::DEFAULT_MAX_RESPONSE_SIZE;
pub use options::DEFAULT_TIMEOUT;
pub use poster::{Answered, Posted, Poster};
pub use sign::Now;
/// Which servers are believed: scripts build a client for each connection object, and each would read the system's whole
/// bundle. Put one into the app data of every Lua state before [`register`] to share it between states.
pub use waybill_tls::Trust;
pub use websocket::MAX_MESSAGE_SIZE;

/// The one version that is spoken, for ALPN.
const HTTP: &[&[u8]] = &[b"http/1.1"];

/// Adds `kumo.http`.
///
/// A [`Trust`] in the state's app data is used when there is one; otherwise the state gets its own.
pub fn register(lua: &mlua::Lua, kumo: &mlua::Table) -> mlua::Result<()> {
    provider::install_crypto_provider();
    let trust = lua.app_data_ref::<Trust>().map(|trust| trust.clone()).unwrap_or_default();
    let module = lua.create_table()?;
    module.raw_set("connect_websocket", websocket::function(lua, trust.clone())?)?;
    let build_client = move |_: &mlua::Lua, options: mlua::Value| client::build(options, &trust);
    module.raw_set("build_client", lua.create_function(build_client)?)?;
    module.raw_set("build_url", lua.create_function(url::build)?)?;
    kumo.raw_set("http", module)
}

/// An error that `tostring` shows as `text` and nothing before it: scripts match on these texts.
fn raise(text: impl Into<String>) -> mlua::Error {
    mlua::Error::external(text.into())
}
