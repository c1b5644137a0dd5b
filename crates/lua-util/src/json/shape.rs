//! What both directions of encoding agree on: is it a list, what is a key, what has no JSON form.

use std::borrow::Cow;

use mlua::{AnyUserData, Function, Table, Value};

use super::MAX_DEPTH;
use crate::error::raise;

/// The length when the table is a list. An empty table is an object: nothing tells it from a list.
pub(super) fn list_len(table: &Table) -> Option<usize> {
    match table.raw_len() {
        0 => None,
        len => Some(len),
    }
}

/// A step deeper, or the error for nesting without end.
pub(super) fn deeper(depth: usize) -> mlua::Result<usize> {
    if depth >= MAX_DEPTH {
        return Err(raise(format!(
            "cannot serialize a table nested more than {MAX_DEPTH} levels deep (does it contain itself?)"
        )));
    }
    Ok(depth + 1)
}

/// An object's key as text.
pub(super) fn key_text(key: &Value) -> mlua::Result<Cow<'static, str>> {
    match key {
        Value::String(text) => match text.to_str() {
            Ok(text) => Ok(Cow::Owned(text.to_owned())),
            Err(_) => Err(raise("key must be a string")),
        },
        Value::Integer(number) => Ok(Cow::Owned(number.to_string())),
        Value::Number(number) => Ok(Cow::Owned(serde_json::Value::from(*number).to_string())),
        Value::Boolean(true) => Ok(Cow::Borrowed("true")),
        Value::Boolean(false) => Ok(Cow::Borrowed("false")),
        _ => Err(raise("key must be a string")),
    }
}

/// The error for a value that JSON cannot say.
pub(super) fn unsupported(value: &Value) -> mlua::Error {
    raise(format!("cannot serialize <{}>", value.type_name()))
}

/// The userdata's pairs as a plain table, when it has `__pairs`.
pub(super) fn pairs_of(lua: &mlua::Lua, userdata: &AnyUserData) -> mlua::Result<Option<Table>> {
    let Ok(metatable) = userdata.metatable() else { return Ok(None) };
    let Ok(pairs) = metatable.get::<Function>("__pairs") else { return Ok(None) };
    let (next, state, mut control): (Function, Value, Value) = pairs.call(userdata)?;
    let table = lua.create_table()?;
    loop {
        let (key, value): (Value, Value) = next.call((&state, &control))?;
        if key.is_nil() {
            return Ok(Some(table));
        }
        table.raw_set(&key, value)?;
        control = key;
    }
}
