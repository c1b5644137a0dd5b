//! Bodies that may have to be loaded first.

use bytes::Bytes;
use mlua::Lua;
use waybill_spool::Message;

use crate::engine::Engine;
use crate::error::raise;

/// Headers and body, from the spool where they are not in memory.
pub(crate) async fn load(lua: &Lua, message: &Message) -> mlua::Result<Bytes> {
    if let Some(data) = message.data() {
        return Ok(data);
    }
    let loader = Engine::of(lua).and_then(|engine| engine.inner().settings.loader.clone());
    let loader = loader.ok_or_else(|| raise(format!("the body of {} is not in memory", message.id())))?;
    loader.load(message).await.map_err(|why| raise(format!("loading the body of {}: {why}", message.id())))?;
    message.data().ok_or_else(|| raise(format!("the body of {} is gone", message.id())))
}

/// Stores and queues a message that policy made.
pub(crate) async fn inject(lua: &Lua, message: Message) -> mlua::Result<()> {
    if message.data().is_some_and(|data| data.is_empty()) {
        return Err(raise("a message without a body cannot be injected"));
    }
    let loader = Engine::of(lua).and_then(|engine| engine.inner().settings.loader.clone());
    let loader = loader.ok_or_else(|| raise("there is no queue to inject a message into"))?;
    let id = message.id();
    loader.inject(message).await.map_err(|why| raise(format!("injecting {id}: {why}")))
}

/// Stores a message.
pub(super) async fn save(lua: &Lua, message: &Message, synced: bool) -> mlua::Result<()> {
    if message.data().is_some_and(|data| data.is_empty()) {
        return Err(raise("a message without a body cannot be saved"));
    }
    let loader = Engine::of(lua).and_then(|engine| engine.inner().settings.loader.clone());
    let loader = loader.ok_or_else(|| raise("there is no spool to save a message to"))?;
    loader.save(message, synced).await.map_err(|why| raise(format!("saving {}: {why}", message.id())))
}
