//! `make_message`.

use bytes::Bytes;
use mlua::{Lua, LuaString, Table, Value};
use waybill_spool::Message;

use crate::engine::Engine;
use crate::error::raise;
use crate::message::{MessageObject, address};

pub(super) fn register(lua: &Lua, kumo: &Table) -> mlua::Result<()> {
    kumo.set("make_message", lua.create_function(make_message)?)
}

fn make_message(lua: &Lua, (sender, recipients, body): (Value, Value, LuaString)) -> mlua::Result<MessageObject> {
    let engine = Engine::of(lua).ok_or_else(|| raise("the policy engine is shutting down"))?;
    let settings = &engine.inner().settings;
    let id = settings.mint.message(settings.clock.now());
    let sender = address::one(&sender)?;
    let recipients = address::several(&recipients)?;
    let data = Bytes::copy_from_slice(&body.as_bytes());
    Ok(MessageObject::new(Message::new(id, sender, recipients, data)))
}
