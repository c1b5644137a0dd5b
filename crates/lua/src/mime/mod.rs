//! `kumo.mimepart` and the objects that it gives out: parts, their headers, a builder.

mod builder;
mod header;
mod headers;
mod part;
mod values;

use bytes::Bytes;
use mlua::{Lua, LuaString, Table, UserDataRef, Value};
use serde::Deserialize;
use waybill_mime::{Attachment, Error, Part};
use waybill_types::text;

use crate::error::raise;
use crate::modules::options;
use builder::BuilderObject;
pub(crate) use part::PartObject;

pub(crate) fn register(lua: &Lua, kumo: &Table) -> mlua::Result<()> {
    let module = lua.create_table()?;
    module.set("parse", lua.create_function(parse)?)?;
    module.set("new_text", lua.create_function(|_, (kind, text)| new_text("new_text", kind, &text))?)?;
    module.set(
        "new_text_plain",
        lua.create_function(|_, text| new_text("new_text_plain", "text/plain".into(), &text))?,
    )?;
    module.set("new_html", lua.create_function(|_, text| new_text("new_html", "text/html".into(), &text))?)?;
    module.set("new_binary", lua.create_function(new_binary)?)?;
    module.set("new_multipart", lua.create_function(new_multipart)?)?;
    module.set("builder", lua.create_function(|_, ()| Ok(BuilderObject::default()))?)?;
    kumo.set("mimepart", module)
}

fn told(function: &str) -> impl FnOnce(Error) -> mlua::Error {
    move |error| raise(format!("kumo.mimepart.{function}: {error}"))
}

fn parse(_: &Lua, message: LuaString) -> mlua::Result<PartObject> {
    let message = Bytes::copy_from_slice(&message.as_bytes());
    Part::parse(message).map(PartObject::new).map_err(told("parse"))
}

fn new_text(function: &str, kind: String, text: &LuaString) -> mlua::Result<PartObject> {
    Part::text(&kind, &utf8(function, text)?).map(PartObject::new).map_err(told(function))
}

/// Text as a script gives it, which may be any bytes.
fn utf8(function: &str, text: &LuaString) -> mlua::Result<String> {
    let text = text.to_str().map_err(|_| {
        raise(format!("kumo.mimepart.{function}: the content is not UTF-8; new_binary takes bytes of any kind"))
    })?;
    Ok(text.to_owned())
}

fn new_binary(lua: &Lua, (kind, bytes, how): (String, LuaString, Value)) -> mlua::Result<PartObject> {
    let how = attachment(lua, "kumo.mimepart.new_binary", &how)?;
    Part::binary(&kind, &bytes.as_bytes(), how.as_ref()).map(PartObject::new).map_err(told("new_binary"))
}

fn new_multipart(
    _: &Lua,
    (kind, parts, boundary): (String, Vec<UserDataRef<PartObject>>, Option<String>),
) -> mlua::Result<PartObject> {
    let parts = parts.iter().map(|part| part.copy()).collect::<mlua::Result<Vec<_>>>()?;
    Part::multipart(&kind, parts, boundary.as_deref()).map(PartObject::new).map_err(told("new_multipart"))
}

/// How an attachment is to be shown.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of file_name, inline, content_id")]
struct Shown {
    #[serde(default, deserialize_with = "text::name_opt")]
    file_name: Option<String>,
    #[serde(default)]
    inline: bool,
    #[serde(default, deserialize_with = "text::name_opt")]
    content_id: Option<String>,
}

fn attachment(lua: &Lua, what: &str, how: &Value) -> mlua::Result<Option<Attachment>> {
    if how.is_nil() {
        return Ok(None);
    }
    let Shown { file_name, inline, content_id } = options(lua, what, how)?;
    Ok(Some(Attachment { file_name, inline, content_id }))
}
