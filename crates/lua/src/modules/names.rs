//! The resolver that functions of the engine ask.

use std::future::Future;
use std::time::Duration;

use mlua::Lua;
use waybill_dns::SharedResolver;

use crate::error::raise;

/// The longest that one call may take, however many questions it asks.
const LIMIT: Duration = Duration::from_secs(60);

/// The daemon's own resolver, which the program puts into the state's app data. Others cannot be defined here.
pub(crate) fn resolver(lua: &Lua, what: &str, named: Option<&str>) -> mlua::Result<SharedResolver> {
    if let Some(name) = named {
        return Err(raise(format!("{what}: no resolver {name:?} is defined; leave the argument out")));
    }
    let shared = lua.app_data_ref::<SharedResolver>().map(|shared| shared.clone());
    shared.ok_or_else(|| raise(format!("{what}: this program resolves no names")))
}

/// What comes of questions within [`LIMIT`].
pub(crate) async fn within_limit<T>(what: &str, questions: impl Future<Output = T>) -> mlua::Result<T> {
    let late = |_| raise(format!("{what}: not done within {LIMIT:?}"));
    tokio::time::timeout(LIMIT, questions).await.map_err(late)
}
