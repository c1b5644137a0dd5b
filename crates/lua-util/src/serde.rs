//! `kumo.serde`: JSON, TOML and YAML for scripts, and the older names `kumo.json_*`, `kumo.toml_*`.

mod compact_toml;
mod toml;
mod yaml;

use mlua::{Function, Lua, LuaString, Table, Value};

use crate::error::raise;
use crate::files;
use crate::json;

/// Adds `kumo.serde` and the aliases that older policies use.
pub fn register(lua: &Lua, kumo: &Table) -> mlua::Result<()> {
    let module = lua.create_table()?;
    let parse_json = |lua: &Lua, text: LuaString| json::parse(lua, &text.as_bytes());
    let load_json = |lua: &Lua, path: String| json::parse_named(lua, &files::read(lua, &path)?, || path.clone());
    let functions: [(&str, Function); 12] = [
        ("json_parse", lua.create_function(parse_json)?),
        ("json_load", lua.create_function(load_json)?),
        ("json_encode", lua.create_function(json_encode)?),
        ("json_encode_pretty", lua.create_function(json_encode_pretty)?),
        ("toml_parse", lua.create_function(toml::parse)?),
        ("toml_load", lua.create_function(toml::load)?),
        ("toml_encode", lua.create_function(toml::encode)?),
        ("toml_encode_pretty", lua.create_function(toml::encode_pretty)?),
        ("toml_encode_pretty_compact", lua.create_function(toml::encode_pretty_compact)?),
        ("yaml_parse", lua.create_function(yaml::parse)?),
        ("yaml_load", lua.create_function(yaml::load)?),
        ("yaml_encode", lua.create_function(yaml::encode)?),
    ];
    for (name, function) in functions {
        // YAML came after the functions had moved into `kumo.serde`: it never had an alias.
        if !name.starts_with("yaml") {
            kumo.raw_set(name, &function)?;
        }
        module.raw_set(name, function)?;
    }
    kumo.raw_set("serde", module)
}

fn json_encode(lua: &Lua, value: Value) -> mlua::Result<LuaString> {
    lua.create_string(json::encode(lua, &value)?)
}

fn json_encode_pretty(lua: &Lua, value: Value) -> mlua::Result<String> {
    let mut value = json::to_json(lua, &value)?;
    // Sorted whatever features other crates switch on in serde_json.
    value.sort_all_objects();
    serde_json::to_string_pretty(&value).map_err(|error| raise(error.to_string()))
}

/// The text of a file or argument, which must be UTF-8.
fn utf8<'a>(text: &'a [u8], name: impl FnOnce() -> String, format: &str) -> mlua::Result<&'a str> {
    std::str::from_utf8(text).map_err(|error| raise(format!("parsing {} as {format}: {error}", name())))
}

#[cfg(test)]
mod tests;
