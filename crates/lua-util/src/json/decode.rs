//! JSON to Lua values.

use std::borrow::Cow;

use mlua::{Lua, Value};
use serde_json::Value as Json;

use super::MAX_DEPTH;
use crate::error::raise;

/// A document to a value. Comments (`//`, `/* */`, `#`) count as blanks.
pub fn parse(lua: &Lua, text: &[u8]) -> mlua::Result<Value> {
    parse_named(lua, text, || excerpt(text))
}

/// [`parse`], with the name that an error gives the document.
pub(crate) fn parse_named(lua: &Lua, text: &[u8], name: impl FnOnce() -> String) -> mlua::Result<Value> {
    let document: Json = serde_json::from_slice(&without_comments(text))
        .map_err(|error| raise(format!("parsing {} as json: {error}", name())))?;
    from_json(lua, &document)
}

/// JSON to a Lua value: `null` is `nil`, so a key with `null` disappears.
pub fn from_json(lua: &Lua, value: &Json) -> mlua::Result<Value> {
    convert(lua, value, 0)
}

fn convert(lua: &Lua, value: &Json, depth: usize) -> mlua::Result<Value> {
    if depth > MAX_DEPTH {
        return Err(raise(format!("cannot convert a document nested more than {MAX_DEPTH} levels deep")));
    }
    Ok(match value {
        Json::Null => Value::Nil,
        Json::Bool(flag) => Value::Boolean(*flag),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => Value::Integer(integer),
            None => Value::Number(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::String(lua.create_string(text)?),
        Json::Array(items) => {
            let table = lua.create_table_with_capacity(items.len(), 0)?;
            for (index, item) in items.iter().enumerate() {
                table.raw_set(index + 1, convert(lua, item, depth + 1)?)?;
            }
            Value::Table(table)
        }
        Json::Object(members) => {
            let table = lua.create_table_with_capacity(0, members.len())?;
            for (key, member) in members {
                if !member.is_null() {
                    table.raw_set(key.as_str(), convert(lua, member, depth + 1)?)?;
                }
            }
            Value::Table(table)
        }
    })
}

/// How an error quotes the text it could not parse: whole when short, else the beginning.
pub(crate) fn excerpt(text: &[u8]) -> String {
    const LIMIT: usize = 1000;
    let text = String::from_utf8_lossy(text);
    match text.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.into_owned(),
    }
}

/// The text with every comment blanked out. Line breaks stay, so that positions in errors are true.
fn without_comments(text: &[u8]) -> Cow<'_, [u8]> {
    let mut out = Cow::Borrowed(text);
    let mut at = 0;
    while at < text.len() {
        let end = match &text[at..] {
            [b'"', ..] => {
                at = after_string(text, at);
                continue;
            }
            [b'#', ..] | [b'/', b'/', ..] => position(text, at, b"\n").unwrap_or(text.len()),
            [b'/', b'*', ..] => position(text, at + 2, b"*/").map_or(text.len(), |end| end + 2),
            _ => {
                at += 1;
                continue;
            }
        };
        for byte in &mut out.to_mut()[at..end] {
            if !matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
        at = end;
    }
    out
}

/// Where the string that opens at `at` is over.
fn after_string(text: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while at < text.len() {
        match text[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

fn position(text: &[u8], from: usize, wanted: &[u8]) -> Option<usize> {
    let rest = text.get(from..)?;
    rest.windows(wanted.len()).position(|window| window == wanted).map(|found| from + found)
}
