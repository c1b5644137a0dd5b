//! Lua modules that know nothing of mail: serde, string, encode, digest, time, uuid, regex, maps, crypto, files.
//!
//! One file is one namespace of the `kumo` table and has one function,
//! `register(lua, kumo)`. Nothing here opens a socket or knows what a message is. The only I/O is
//! [`fs`], and reading a file that a script names (`json_load` and its kin, a key in a file), all of
//! which goes through [`files::read`], so that the policy engine can learn which files a policy
//! depends on.
//!
//! What other crates use from Rust: [`json`] (values to and from JSON), [`duration`] (durations as
//! scripts write them) and [`key_source`] (keys as scripts name them).
//!
//! ```
//! let lua = mlua::Lua::new();
//! let kumo = lua.create_table()?;
//! waybill_lua_util::register_all(&lua, &kumo)?;
//! lua.globals().set("kumo", kumo)?;
//! let text: String = lua.load("return kumo.serde.json_encode { 1, 2 }").eval()?;
//! assert_eq!(text, "[1,2]");
//! # Ok::<(), mlua::Error>(())
//! ```

mod beside;
pub mod crypto;
pub mod digest;
pub mod duration;
pub mod encode;
mod error;
pub mod files;
pub mod fs;
pub mod json;
pub mod key_source;
pub mod maps;
pub mod regex;
pub mod serde;
pub mod string;
#[cfg(test)]
mod testing;
pub mod time;
pub mod uuid;

pub use beside::Beside;

/// Adds every namespace of this crate to `kumo`.
pub fn register_all(lua: &mlua::Lua, kumo: &mlua::Table) -> mlua::Result<()> {
    serde::register(lua, kumo)?;
    string::register(lua, kumo)?;
    encode::register(lua, kumo)?;
    digest::register(lua, kumo)?;
    time::register(lua, kumo)?;
    uuid::register(lua, kumo)?;
    regex::register(lua, kumo)?;
    maps::register(lua, kumo)?;
    crypto::register(lua, kumo)?;
    fs::register(lua, kumo)
}
