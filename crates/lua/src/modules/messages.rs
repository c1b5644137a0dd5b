//! `make_message`, `inject_message`.

use bytes::Bytes;
use mlua::{Lua, LuaString, Table, UserDataRef, Value};
use waybill_spool::Message;

use crate::engine::Engine;
use crate::error::raise;
use crate::message::{MessageObject, address, body};

pub(super) fn register(lua: &Lua, kumo: &Table) -> mlua::Result<()> {
    kumo.set("make_message", lua.create_function(make_message)?)?;
    kumo.set("inject_message", lua.create_async_function(inject_message)?)
}

fn make_message(lua: &Lua, (sender, recipients, body): (Value, Value, LuaString)) -> mlua::Result<MessageObject> {
    let sender = address::one(&sender)?;
    let recipients = address::several(&recipients)?;
    new_message(lua, sender, recipients, Bytes::copy_from_slice(&body.as_bytes()))
}

/// A message with an id of its own.
pub(super) fn new_message(
    lua: &Lua,
    sender: waybill_types::EnvelopeAddress,
    recipients: Vec<waybill_types::EnvelopeAddress>,
    data: Bytes,
) -> mlua::Result<MessageObject> {
    let engine = Engine::of(lua).ok_or_else(|| raise("the policy engine is shutting down"))?;
    let settings = &engine.inner().settings;
    let id = settings.mint.message(settings.clock.now());
    Ok(MessageObject::new(Message::new(id, sender, recipients, data)))
}

/// Stores and queues a message; it is always stored, whatever the second argument says of deferring that.
async fn inject_message(
    lua: Lua,
    (message, _deferred_spool): (UserDataRef<MessageObject>, Option<bool>),
) -> mlua::Result<()> {
    let message = message.message().clone();
    body::inject(&lua, message).await
}
