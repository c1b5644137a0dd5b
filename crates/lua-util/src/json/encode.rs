//! Lua values straight to JSON bytes: the path that every webhook body takes.

use std::io::Write;
use std::sync::Arc;

use mlua::{AnyUserData, Lua, Table, Value};

use super::{RawJson, raw_json_hook, shape};
use crate::error::raise;

/// The compact JSON of `value`. The order of an object's keys is unspecified.
pub fn encode(lua: &Lua, value: &Value) -> mlua::Result<Vec<u8>> {
    let mut writer = Writer { lua, hook: raw_json_hook(lua), out: Vec::with_capacity(128) };
    writer.value(value, 0)?;
    Ok(writer.out)
}

struct Writer<'a> {
    lua: &'a Lua,
    hook: Option<Arc<RawJson>>,
    out: Vec<u8>,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> mlua::Result<()> {
        match value {
            Value::Nil => self.out.extend_from_slice(b"null"),
            value if value.is_null() => self.out.extend_from_slice(b"null"),
            Value::Boolean(flag) => self.out.extend_from_slice(if *flag { b"true" } else { b"false" }),
            // serde_json decides how numbers and strings look: shortest float, 1.0 stays 1.0, NaN is null.
            Value::Integer(number) => self.scalar(number)?,
            Value::Number(number) => self.scalar(number)?,
            Value::String(text) => {
                let bytes = text.as_bytes();
                match std::str::from_utf8(&bytes) {
                    Ok(text) => self.scalar(text)?,
                    Err(_) => self.scalar::<[u8]>(&bytes)?,
                }
            }
            Value::Table(table) => self.table(table, shape::deeper(depth)?)?,
            Value::UserData(userdata) => self.userdata(userdata, depth)?,
            other => return Err(shape::unsupported(other)),
        }
        Ok(())
    }

    fn table(&mut self, table: &Table, depth: usize) -> mlua::Result<()> {
        if self.hook.as_ref().is_some_and(|hook| hook(self.lua, table, &mut self.out)) {
            return Ok(());
        }
        match shape::list_len(table) {
            Some(len) => self.list(table, len, depth),
            None => self.object(table, depth),
        }
    }

    fn list(&mut self, table: &Table, len: usize, depth: usize) -> mlua::Result<()> {
        self.out.push(b'[');
        for index in 1..=len {
            if index > 1 {
                self.out.push(b',');
            }
            self.value(&table.raw_get(index)?, depth)?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn object(&mut self, table: &Table, depth: usize) -> mlua::Result<()> {
        self.out.push(b'{');
        let mut first = true;
        table.for_each(|key: Value, value: Value| {
            if !std::mem::take(&mut first) {
                self.out.push(b',');
            }
            self.key(&key)?;
            self.out.push(b':');
            self.value(&value, depth)
        })?;
        self.out.push(b'}');
        Ok(())
    }

    fn key(&mut self, key: &Value) -> mlua::Result<()> {
        // The common case without a copy of the key.
        if let Value::String(text) = key
            && let Ok(text) = text.to_str()
        {
            return self.scalar::<str>(&text);
        }
        self.scalar::<str>(&shape::key_text(key)?)
    }

    fn userdata(&mut self, userdata: &AnyUserData, depth: usize) -> mlua::Result<()> {
        match shape::pairs_of(self.lua, userdata)? {
            Some(table) => self.table(&table, shape::deeper(depth)?),
            // Either Rust made it serializable, or this is the error for what JSON cannot say.
            None => self.scalar(userdata),
        }
    }

    fn scalar<T: ::serde::Serialize + ?Sized>(&mut self, value: &T) -> mlua::Result<()> {
        serde_json::to_writer(self.out.by_ref(), value).map_err(|error| raise(error.to_string()))
    }
}
