//! The functions of `kumo` itself. One file is one subject.

mod api;
mod config;
mod control;
pub(crate) mod counter_series;
pub(crate) mod dkim;
mod invoke;
mod logging;
pub(crate) mod memoize;
mod messages;
pub(crate) mod mpsc;
mod names;
mod report;
mod sections;
mod setup;
mod spf;
mod system;
mod tasks;
pub(crate) mod throttle;
mod trace;

use mlua::{Lua, Table};

use crate::engine::Inner;
use crate::mime;

pub use api::{Injection, api};
pub use config::read_section;
pub(crate) use config::{ConfigObject, options};
pub use dkim::KeyHook;
pub(crate) use dkim::SignerObject;
pub(crate) use names::{resolver, within_limit};
pub use sections::ListenerDomain;

/// Adds everything to `kumo`.
pub(crate) fn register(engine: &Inner, lua: &Lua, kumo: &Table) -> mlua::Result<()> {
    control::register(lua, kumo)?;
    logging::register(lua, kumo)?;
    config::register(lua, kumo)?;
    messages::register(lua, kumo)?;
    report::register(lua, kumo)?;
    trace::register(lua, kumo)?;
    memoize::register(lua, kumo)?;
    tasks::register(lua, kumo)?;
    invoke::register(lua, kumo)?;
    throttle::register(lua, kumo)?;
    mpsc::register(lua, kumo)?;
    dkim::register(lua, kumo)?;
    spf::register(lua, kumo)?;
    counter_series::register(lua, kumo)?;
    mime::register(lua, kumo)?;
    system::register(engine, lua, kumo)?;
    setup::register(engine, lua, kumo)
}
