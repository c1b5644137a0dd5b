//! YAML to Lua values and back, by way of JSON: keys become text, tags and anchors are resolved.

use mlua::{Lua, LuaString, Value};

use super::utf8;
use crate::error::raise;
use crate::files;
use crate::json::{self, excerpt};

pub(super) fn parse(lua: &Lua, text: LuaString) -> mlua::Result<Value> {
    let text = text.as_bytes();
    parse_named(lua, &text, || excerpt(&text))
}

pub(super) fn load(lua: &Lua, path: String) -> mlua::Result<Value> {
    parse_named(lua, &files::read(lua, &path)?, || path.clone())
}

pub(super) fn encode(lua: &Lua, value: Value) -> mlua::Result<String> {
    serde_norway::to_string(&json::to_json(lua, &value)?).map_err(|error| raise(error.to_string()))
}

fn parse_named(lua: &Lua, text: &[u8], name: impl Fn() -> String) -> mlua::Result<Value> {
    let document: serde_json::Value = serde_norway::from_str(utf8(text, &name, "yaml")?)
        .map_err(|error| raise(format!("parsing {} as yaml: {error}", name())))?;
    json::from_json(lua, &document)
}
