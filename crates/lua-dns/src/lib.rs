//! The `kumo.dns` module: questions to the DNS for policy scripts, and a resolver for tests.
//!
//! All questions go to the [`SharedResolver`] in the state's app data, the one by which mail finds its way too: what
//! `configure_test_resolver` puts there, the whole daemon goes by. This crate refuses to know a DNS library, and to wait
//! for longer than [`LIMIT`].
//!
//! ```
//! use waybill_dns::{SharedResolver, Zones};
//! let lua = mlua::Lua::new();
//! lua.set_app_data(SharedResolver::new(Zones::default()));
//! let kumo = lua.create_table()?;
//! waybill_lua_dns::register(&lua, &kumo)?;
//! lua.globals().set("kumo", kumo)?;
//! let name: String = lua.load("return kumo.dns.ptr_host '127.0.0.1'").eval()?;
//! assert_eq!(name, "1.0.0.127.in-addr.arpa");
//! # Ok::<(), mlua::Error>(())
//! ```

mod address;
mod exchange;
mod lookup;
mod zones;

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;
use waybill_dns::SharedResolver;

/// The longest that one call may take, however many questions it asks.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Adds `kumo.dns`.
///
/// # Errors
/// When the interpreter has no memory left.
pub fn register(lua: &mlua::Lua, kumo: &mlua::Table) -> mlua::Result<()> {
    let module = lua.create_table()?;
    module.raw_set("configure_test_resolver", lua.create_function(zones::configure)?)?;
    module.raw_set("lookup_mx", lua.create_async_function(exchange::lookup_mx)?)?;
    module.raw_set("lookup_addr", lua.create_async_function(lookup::addr)?)?;
    module.raw_set("lookup_txt", lua.create_async_function(lookup::txt)?)?;
    module.raw_set("lookup_ptr", lua.create_async_function(lookup::ptr)?)?;
    module.raw_set("rbl_lookup", lua.create_async_function(lookup::rbl)?)?;
    module.raw_set("reverse_ip", lua.create_function(|_, ip: String| address::reversed("reverse_ip", &ip))?)?;
    module.raw_set("ptr_host", lua.create_function(|_, ip: String| address::ptr_host(&ip))?)?;
    kumo.raw_set("dns", module)
}

/// An error that says which function raised it.
fn raise(function: &str, why: impl Display) -> mlua::Error {
    mlua::Error::external(format!("kumo.dns.{function}: {why}"))
}

/// The resolver of the daemon.
fn resolver(lua: &mlua::Lua, function: &str) -> mlua::Result<SharedResolver> {
    let shared = lua.app_data_ref::<SharedResolver>().map(|shared| shared.clone());
    shared.ok_or_else(|| raise(function, "this program resolves no names"))
}

/// The resolver that a call asks. Others than the daemon's own cannot be defined here.
fn asked(lua: &mlua::Lua, function: &str, name: Option<&str>) -> mlua::Result<SharedResolver> {
    match name {
        None => resolver(lua, function),
        Some(name) => Err(raise(function, format_args!("no resolver {name:?} is defined; leave the argument out"))),
    }
}

/// What comes of a question within [`LIMIT`].
async fn within_limit<T>(function: &str, question: impl Future<Output = mlua::Result<T>>) -> mlua::Result<T> {
    let late = |_| raise(function, format_args!("not done within {LIMIT:?}"));
    tokio::time::timeout(LIMIT, question).await.map_err(late)?
}
