//! Lua values as a `serde_json::Value`, for those who look into them before they are written.

use std::sync::Arc;

use mlua::{Lua, Table, Value};
use serde_json::{Map, Number, Value as Json};

use super::{RawJson, raw_json_hook, shape};
use crate::error::raise;

/// `value` as JSON. Says the same as [`encode`](super::encode()).
pub fn to_json(lua: &Lua, value: &Value) -> mlua::Result<Json> {
    Reader { lua, hook: raw_json_hook(lua) }.value(value, 0)
}

struct Reader<'a> {
    lua: &'a Lua,
    hook: Option<Arc<RawJson>>,
}

impl Reader<'_> {
    fn value(&self, value: &Value, depth: usize) -> mlua::Result<Json> {
        Ok(match value {
            Value::Nil => Json::Null,
            value if value.is_null() => Json::Null,
            Value::Boolean(flag) => Json::Bool(*flag),
            Value::Integer(number) => Json::Number((*number).into()),
            Value::Number(number) => Number::from_f64(*number).map_or(Json::Null, Json::Number),
            Value::String(text) => {
                let bytes = text.as_bytes();
                match std::str::from_utf8(&bytes) {
                    Ok(text) => Json::String(text.to_owned()),
                    Err(_) => Json::Array(bytes.iter().copied().map(Json::from).collect()),
                }
            }
            Value::Table(table) => self.table(table, shape::deeper(depth)?)?,
            Value::UserData(userdata) => match shape::pairs_of(self.lua, userdata)? {
                Some(table) => self.table(&table, shape::deeper(depth)?)?,
                None => serde_json::to_value(userdata).map_err(|error| raise(error.to_string()))?,
            },
            other => return Err(shape::unsupported(other)),
        })
    }

    fn table(&self, table: &Table, depth: usize) -> mlua::Result<Json> {
        let mut bytes = Vec::new();
        if self.hook.as_ref().is_some_and(|hook| hook(self.lua, table, &mut bytes)) {
            return serde_json::from_slice(&bytes).map_err(|error| raise(error.to_string()));
        }
        match shape::list_len(table) {
            Some(len) => {
                let item = |index| self.value(&table.raw_get(index)?, depth);
                (1..=len).map(item).collect::<mlua::Result<_>>().map(Json::Array)
            }
            None => {
                let mut map = Map::new();
                table.for_each(|key: Value, value: Value| {
                    map.insert(shape::key_text(&key)?.into_owned(), self.value(&value, depth)?);
                    Ok(())
                })?;
                Ok(Json::Object(map))
            }
        }
    }
}
