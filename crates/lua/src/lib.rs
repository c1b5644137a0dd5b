//! The policy engine: states, generations, events and the core Lua modules.
//!
//! An [`Engine`] reads a policy, keeps states that have run it, and implements [`PolicyHost`](waybill_policy::PolicyHost)
//! for everybody who calls policy. It refuses to know what an event is for: callers pass arguments and read results.
//! Other crates add namespaces to `kumo` with a [`LuaModule`]; what `pre_init` and `init` configure goes to a [`Setup`].
//!
//! Rules that keep scripts right: one call per state from entry to return, yields included; a generation is read once
//! and serves until its files change *and* their new form loads; a script that never waits is stopped.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use waybill_lua::Engine;
//! use waybill_policy::PolicyHost;
//! let policy = "kumo.on('greet', function(name) return 'hello ' .. name end)";
//! let engine = Engine::builder("init.lua").text(policy).build().await?;
//! let answer = engine.call("greet", vec!["world".into()]).await?;
//! assert_eq!(answer.text()?, "hello world");
//! # Ok::<(), waybill_policy::PolicyError>(()) }).unwrap();
//! ```

mod aside;
mod builder;
mod convert;
mod engine;
mod error;
mod events;
#[cfg(feature = "test-util")]
pub mod fuzz;
mod generation;
mod hybrid;
mod load;
mod location;
mod message;
mod mime;
mod modules;
mod native;
mod objects;
mod pool;
mod prelude;
mod record;
mod restless;
mod rule;
mod sources;
mod state;
mod watchdog;

pub use aside::beside;
pub use builder::{BodyLoader, DEFAULT_MONITOR_GLOBS, EngineBuilder, Limits, LuaModule, Observer, Setup, module};
pub use convert::{from_json, from_lua, to_json, to_lua};
pub use engine::Engine;
pub use error::{RejectError, lua_error, policy_error, raise, rejection};
pub use events::{EVENTS, KnownEvent};
pub use location::caller;
pub use modules::{Injection, KeyHook, ListenerDomain, api, read_section};
pub use native::{Answer, Native, NativeMethod, Values};
pub use record::write_raw_record;
pub use watchdog::Stuck;

use std::path::Path;

use mlua::Lua;
use state::Here;

/// Notes that the policy of this state depends on a file: a change of it makes a new generation. For modules whose
/// functions read files that scripts name.
pub fn watch_file(lua: &Lua, path: &Path) {
    if let Some(here) = lua.app_data_ref::<Here>() {
        here.generation.sources.watch(path);
    }
}
