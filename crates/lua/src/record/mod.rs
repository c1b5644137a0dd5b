//! The log record as scripts see it: a table that is filled only when somebody needs it to be.
//!
//! `msg:get_meta 'log_record'` is an empty table with a metatable, which holds on to its message. Reading a field looks it
//! up in the encoded record. Whatever could tell the difference (writing, `pairs`, `next`, `rawget`, `rawset`, `rawlen`,
//! `#`, `getmetatable`, `setmetatable`) first makes it a real table; the functions among these are replaced in
//! `prelude.lua`. Most records are looked into once or not at all before they are encoded again, and then
//! [`write_raw_record`] gives the very bytes of the journal.
//!
//! A field that is a table itself becomes an ordinary table, which is kept, so that a script may change it. From then on
//! the bytes are only used while it still says what they say.

mod scan;

use std::ffi::c_void;

use mlua::{Function, LightUserData, Lua, MetaMethod, Table, UserDataRef, Value};

use crate::convert::{from_json, to_json};
use crate::error::raise;
use crate::message::MessageObject;

/// What all records of a state share.
struct Kit {
    metatable: Table,
    /// As Lua has it: scripts get another one.
    setmetatable: Function,
}

/// The key under which a table that is not filled yet holds its message. No script can name it, and of a message it says
/// that the record is meant.
fn source() -> Value {
    static KEY: u8 = 0;
    hidden(&KEY)
}

/// The key under which it holds the inner tables that were handed out, by their names.
fn inner() -> Value {
    static KEY: u8 = 1;
    hidden(&KEY)
}

fn hidden(key: &'static u8) -> Value {
    Value::LightUserData(LightUserData((&raw const *key).cast::<c_void>().cast_mut()))
}

/// Prepares a state. Returns the metatable by which `prelude.lua` knows a record.
pub(crate) fn install(lua: &Lua) -> mlua::Result<Table> {
    let next: Function = lua.globals().get("next")?;
    let metatable = lua.create_table()?;
    metatable.raw_set(MetaMethod::Index.name(), lua.create_function(index)?)?;
    let assign = |lua: &Lua, (table, key, value): (Table, Value, Value)| {
        settle(lua, &table)?;
        table.raw_set(key, value)
    };
    metatable.raw_set(MetaMethod::NewIndex.name(), lua.create_function(assign)?)?;
    let len = |lua: &Lua, table: Table| settle(lua, &table).map(|()| table.raw_len());
    metatable.raw_set(MetaMethod::Len.name(), lua.create_function(len)?)?;
    let pairs = move |lua: &Lua, table: Table| settle(lua, &table).map(|()| (next.clone(), table, Value::Nil));
    metatable.raw_set(MetaMethod::Pairs.name(), lua.create_function(pairs)?)?;
    lua.set_app_data(Kit { metatable: metatable.clone(), setmetatable: lua.globals().get("setmetatable")? });
    Ok(metatable)
}

/// What a message object's getter answers with in the place of the record.
pub(crate) fn meant() -> Value {
    source()
}

/// The method of a message object that calls `get` and gives the record as a table where that is [`meant`]. Lua makes
/// such a table in a fraction of the time that it takes from outside.
pub(crate) fn getter(lua: &Lua, get: Function) -> mlua::Result<Function> {
    let kit = lua.app_data_ref::<Kit>().map(|kit| (kit.metatable.clone(), kit.setmetatable.clone()));
    let Some((metatable, setmetatable)) = kit else { return Err(raise("this state has no log records")) };
    let code = "local get, source, metatable, setmetatable = ...
        return function(message, name)
          local value = get(message, name)
          if value == source then
            return setmetatable({ [source] = message }, metatable)
          end
          return value
        end";
    lua.load(code).set_name("=[policy]").call((get, source(), metatable, setmetatable))
}

/// Appends the JSON of a table that is a log record which no script has changed: the null-free bytes as they were encoded.
///
/// False for every other table. The binary connects this with the JSON module, whose `json_encode` then splices the bytes
/// instead of walking over the table.
pub fn write_raw_record(lua: &Lua, table: &Table, out: &mut Vec<u8>) -> bool {
    let Some(message) = message_of(table) else { return false };
    // Whoever has looked into a record may have changed what it found.
    if message.is_record_read() && !inner_tables_unchanged(lua, table, &message).unwrap_or(false) {
        // An error is the caller's to find, in the table itself.
        let _ = settle(lua, table);
        return false;
    }
    message.write_record(out)
}

/// Makes a record a real table. Does nothing to any other table.
pub(crate) fn settle(lua: &Lua, table: &Table) -> mlua::Result<()> {
    let Some(message) = message_of(table) else { return Ok(()) };
    let inner_tables: Option<Table> = table.raw_get(inner())?;
    table.set_metatable(None)?;
    table.raw_set(source(), Value::Nil)?;
    table.raw_set(inner(), Value::Nil)?;
    let json = message.record_json();
    for member in scan::members(json) {
        let name = lua.create_string(&json[member.name])?;
        let kept: Option<Table> = inner_tables.as_ref().map_or(Ok(None), |inner| inner.raw_get(&name))?;
        match kept {
            Some(kept) => table.raw_set(name, kept)?,
            None => table.raw_set(name, value(lua, &json[member.value])?)?,
        }
    }
    Ok(())
}

/// The message of a record that is not filled yet: only such a table has the key.
fn message_of(table: &Table) -> Option<UserDataRef<MessageObject>> {
    table.raw_get(source()).ok()?
}

fn index(lua: &Lua, (table, key): (Table, Value)) -> mlua::Result<Value> {
    let Value::String(key) = key else { return Ok(Value::Nil) };
    let message: UserDataRef<MessageObject> = table.raw_get(source())?;
    let json = message.record_json();
    let wanted = key.as_bytes();
    let Some(member) = scan::members(json).find(|member| json[member.name.clone()] == *wanted) else {
        return Ok(Value::Nil);
    };
    let bytes = &json[member.value];
    if !matches!(bytes.first(), Some(b'{' | b'[')) {
        return value(lua, bytes);
    }
    let inner_tables: Table = match table.raw_get::<Option<Table>>(inner())? {
        Some(inner_tables) => inner_tables,
        None => {
            let fresh = lua.create_table()?;
            table.raw_set(inner(), &fresh)?;
            fresh
        }
    };
    let kept: Value = inner_tables.raw_get(&key)?;
    if !kept.is_nil() {
        return Ok(kept);
    }
    let fresh = value(lua, bytes)?;
    inner_tables.raw_set(key, &fresh)?;
    Ok(fresh)
}

fn inner_tables_unchanged(lua: &Lua, table: &Table, message: &MessageObject) -> mlua::Result<bool> {
    let Some(inner_tables) = table.raw_get::<Option<Table>>(inner())? else { return Ok(true) };
    let json = message.record_json();
    for member in scan::members(json) {
        let kept: Value = inner_tables.raw_get(lua.create_string(&json[member.name])?)?;
        if kept.is_nil() {
            continue;
        }
        let original: serde_json::Value = parse(&json[member.value])?;
        if to_json(lua, &kept)? != original {
            return Ok(false);
        }
    }
    Ok(true)
}

fn value(lua: &Lua, json: &[u8]) -> mlua::Result<Value> {
    match json {
        // Most values are short strings without escapes: no need for a parser.
        [b'"', text @ .., b'"'] if !text.contains(&b'\\') => lua.create_string(text).map(Value::String),
        _ => from_json(lua, &parse(json)?),
    }
}

fn parse(json: &[u8]) -> mlua::Result<serde_json::Value> {
    serde_json::from_slice(json).map_err(|error| raise(format!("the log record is damaged: {error}")))
}

#[cfg(test)]
mod tests;
