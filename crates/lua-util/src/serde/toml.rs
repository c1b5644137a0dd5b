//! TOML to Lua values and back.

use ::toml::{Table, Value as Toml};
use mlua::{Lua, LuaString, Value};
use serde_json::Value as Json;

use super::{compact_toml, utf8};
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
    ::toml::to_string(&document(lua, &value)?).map_err(|error| raise(error.to_string()))
}

pub(super) fn encode_pretty(lua: &Lua, value: Value) -> mlua::Result<String> {
    ::toml::to_string_pretty(&document(lua, &value)?).map_err(|error| raise(error.to_string()))
}

pub(super) fn encode_pretty_compact(lua: &Lua, value: Value) -> mlua::Result<String> {
    Ok(compact_toml::encode(&document(lua, &value)?))
}

fn parse_named(lua: &Lua, text: &[u8], name: impl Fn() -> String) -> mlua::Result<Value> {
    let document: Table = ::toml::from_str(utf8(text, &name, "toml")?)
        .map_err(|error| raise(format!("parsing {} as toml: {error}", name())))?;
    into_lua(lua, &Toml::Table(document))
}

// Not by way of JSON: TOML has infinite floats, and dates that should come out as plain text.
// The parser itself bounds how deep a document may be nested.
fn into_lua(lua: &Lua, value: &Toml) -> mlua::Result<Value> {
    Ok(match value {
        Toml::String(text) => Value::String(lua.create_string(text)?),
        Toml::Integer(number) => Value::Integer(*number),
        Toml::Float(number) => Value::Number(*number),
        Toml::Boolean(flag) => Value::Boolean(*flag),
        Toml::Datetime(date) => Value::String(lua.create_string(date.to_string())?),
        Toml::Array(items) => {
            let table = lua.create_table_with_capacity(items.len(), 0)?;
            for item in items {
                table.raw_push(into_lua(lua, item)?)?;
            }
            Value::Table(table)
        }
        Toml::Table(members) => {
            let table = lua.create_table_with_capacity(0, members.len())?;
            for (key, member) in members {
                table.raw_set(key.as_str(), into_lua(lua, member)?)?;
            }
            Value::Table(table)
        }
    })
}

fn document(lua: &Lua, value: &Value) -> mlua::Result<Table> {
    match from_json(json::to_json(lua, value)?)? {
        Some(Toml::Table(table)) => Ok(table),
        _ => Err(raise(format!("only a table with names can be encoded as toml, not a {}", describe(value)))),
    }
}

fn describe(value: &Value) -> &'static str {
    match value {
        Value::Table(_) => "list",
        other => other.type_name(),
    }
}

/// `None` for null: TOML has no word for it, so a key with it is left out.
fn from_json(value: Json) -> mlua::Result<Option<Toml>> {
    Ok(Some(match value {
        Json::Null => return Ok(None),
        Json::Bool(flag) => Toml::Boolean(flag),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Toml::Integer(integer),
            (None, Some(float)) => Toml::Float(float),
            (None, None) => return Err(raise(format!("{number} does not fit a toml number"))),
        },
        Json::String(text) => Toml::String(text),
        Json::Array(items) => {
            let items = items.into_iter().filter_map(|item| from_json(item).transpose());
            Toml::Array(items.collect::<mlua::Result<_>>()?)
        }
        Json::Object(members) => {
            let mut table = Table::new();
            for (key, member) in members {
                if let Some(member) = from_json(member)? {
                    table.insert(key, member);
                }
            }
            Toml::Table(table)
        }
    }))
}
