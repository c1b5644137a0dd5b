//! The log record as scripts see it: a table that is filled only when somebody needs it to be.
//!
//! `msg:get_meta 'log_record'` is an empty table with a metatable. Reading a field looks it up in the encoded record.
//! Whatever could tell the difference (writing, `pairs`, `next`, `rawget`, `rawset`, `rawlen`, `#`, `getmetatable`,
//! `setmetatable`) first makes it a real table; the functions among these are replaced in `prelude.lua`. Most records
//! are looked into once or not at all before they are encoded again, and then [`raw_record_json`] hands out the very
//! bytes of the journal.
//!
//! A field that is a table itself becomes an ordinary table, which is kept, so that a script may change it. From then on
//! the bytes are only used while it still says what they say.

mod scan;

use std::ffi::c_void;
use std::sync::OnceLock;

use mlua::{AnyUserData, Function, LightUserData, Lua, MetaMethod, Table, UserData, Value};
use waybill_log_record::RecordView;

use crate::convert::{from_json, to_json};
use crate::error::raise;

/// The encoded record behind a table that is not filled yet. Its user value is the table of inner tables that were
/// handed out.
struct Encoded {
    view: RecordView,
    json: OnceLock<Vec<u8>>,
}

impl UserData for Encoded {}

impl Encoded {
    fn json(&self) -> &[u8] {
        self.json.get_or_init(|| self.view.json_without_nulls())
    }
}

/// What all records of a state share.
struct Kit {
    metatable: Table,
}

/// The key under which a table that is not filled yet holds its [`Encoded`]. No script can name it.
fn hidden() -> Value {
    static KEY: u8 = 0;
    Value::LightUserData(LightUserData((&raw const KEY).cast::<c_void>().cast_mut()))
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
    lua.set_app_data(Kit { metatable: metatable.clone() });
    Ok(metatable)
}

/// A record as a table.
pub(crate) fn table(lua: &Lua, view: RecordView) -> mlua::Result<Table> {
    let Some(metatable) = lua.app_data_ref::<Kit>().map(|kit| kit.metatable.clone()) else {
        return Err(raise("this state has no log records"));
    };
    let table = lua.create_table_with_capacity(0, 1)?;
    table.raw_set(hidden(), lua.create_userdata(Encoded { view, json: OnceLock::new() })?)?;
    table.set_metatable(Some(metatable))?;
    Ok(table)
}

/// The JSON of a table that is a log record which no script has changed: the null-free bytes as they were encoded.
///
/// `None` for every other table. The binary connects this with the JSON module, whose `json_encode` then splices the
/// bytes instead of walking over the table.
pub fn raw_record_json(lua: &Lua, table: &Table) -> Option<Vec<u8>> {
    let object = encoded_of(lua, table)?;
    let unchanged = inner_tables_unchanged(lua, &object).unwrap_or(false);
    if !unchanged {
        // An error is the caller's to find, in the table itself.
        let _ = settle(lua, table);
        return None;
    }
    object.borrow::<Encoded>().ok().map(|encoded| encoded.json().to_vec())
}

/// Makes a record a real table. Does nothing to any other table.
pub(crate) fn settle(lua: &Lua, table: &Table) -> mlua::Result<()> {
    let Some(object) = encoded_of(lua, table) else { return Ok(()) };
    let encoded = object.borrow::<Encoded>()?;
    let inner: Option<Table> = object.user_value()?;
    table.set_metatable(None)?;
    table.raw_set(hidden(), Value::Nil)?;
    let json = encoded.json();
    for member in scan::members(json) {
        let name = &json[member.name.clone()];
        let kept: Option<Table> = inner.as_ref().map_or(Ok(None), |inner| inner.raw_get(lua.create_string(name)?))?;
        match kept {
            Some(kept) => table.raw_set(lua.create_string(name)?, kept)?,
            None => table.raw_set(lua.create_string(name)?, value(lua, &json[member.value])?)?,
        }
    }
    Ok(())
}

fn encoded_of(lua: &Lua, table: &Table) -> Option<AnyUserData> {
    let metatable = table.metatable()?;
    let is_record = lua.app_data_ref::<Kit>().is_some_and(|kit| kit.metatable.to_pointer() == metatable.to_pointer());
    if is_record { table.raw_get(hidden()).ok() } else { None }
}

fn index(lua: &Lua, (table, key): (Table, Value)) -> mlua::Result<Value> {
    let Value::String(key) = key else { return Ok(Value::Nil) };
    let object: AnyUserData = table.raw_get(hidden())?;
    let encoded = object.borrow::<Encoded>()?;
    let json = encoded.json();
    let wanted = key.as_bytes();
    let Some(member) = scan::members(json).find(|member| json[member.name.clone()] == *wanted) else {
        return Ok(Value::Nil);
    };
    let bytes = &json[member.value];
    if !matches!(bytes.first(), Some(b'{' | b'[')) {
        return value(lua, bytes);
    }
    let inner: Table = match object.user_value::<Option<Table>>()? {
        Some(inner) => inner,
        None => {
            let inner = lua.create_table()?;
            object.set_user_value(&inner)?;
            inner
        }
    };
    let kept: Value = inner.raw_get(&key)?;
    if !kept.is_nil() {
        return Ok(kept);
    }
    let fresh = value(lua, bytes)?;
    inner.raw_set(key, &fresh)?;
    Ok(fresh)
}

fn inner_tables_unchanged(lua: &Lua, object: &AnyUserData) -> mlua::Result<bool> {
    let Some(inner) = object.user_value::<Option<Table>>()? else { return Ok(true) };
    let encoded = object.borrow::<Encoded>()?;
    let json = encoded.json();
    for member in scan::members(json) {
        let kept: Value = inner.raw_get(lua.create_string(&json[member.name.clone()])?)?;
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
