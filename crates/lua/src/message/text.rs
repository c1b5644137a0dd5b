//! The text parts of a message, and what is appended to them.

use bytes::Bytes;
use mlua::{Lua, Value};
use waybill_mime::{Error, Part};
use waybill_spool::Message;

use crate::error::raise;

/// Which text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    Html,
}

pub(super) fn append_plain(_: &Lua, message: &Message, data: &Bytes, text: String) -> mlua::Result<Value> {
    append(message, data, &text, Kind::Plain)
}

pub(super) fn append_html(_: &Lua, message: &Message, data: &Bytes, text: String) -> mlua::Result<Value> {
    append(message, data, &text, Kind::Html)
}

/// Whether there is such a part.
fn append(message: &Message, data: &Bytes, text: &str, kind: Kind) -> mlua::Result<Value> {
    let name = if kind == Kind::Plain { "append_text_plain" } else { "append_text_html" };
    let appended = appended(data, text, kind).map_err(|error| raise(format!("msg:{name}: {error}")))?;
    let found = appended.is_some();
    appended.into_iter().for_each(|data| message.set_data(data));
    Ok(Value::Boolean(found))
}

/// The message with more text in the first part of that kind that is no attachment; `None` when there is none.
pub(crate) fn appended(data: &Bytes, text: &str, kind: Kind) -> Result<Option<Bytes>, Error> {
    let mut root = Part::parse(data.clone())?;
    let structure = root.structure();
    let Some(path) = (if kind == Kind::Plain { structure.text } else { structure.html }) else { return Ok(None) };
    let Some(part) = root.get(&path) else { return Ok(None) };
    let whole = String::from_utf8_lossy(&part.body()?).into_owned();
    // Text that is meant for the page goes onto the page.
    let at = match kind {
        Kind::Plain => whole.len(),
        Kind::Html => whole.to_ascii_lowercase().rfind("</body").unwrap_or(whole.len()),
    };
    let (before, behind) = whole.split_at(at);
    root.set_body_at(&path, [before, text, behind].concat().as_bytes(), None)?;
    root.to_bytes().map(|bytes| Some(bytes.into()))
}
