//! The builder object.

use mlua::{Lua, LuaString, UserData, UserDataMethods, UserDataRef, Value};
use waybill_mime::{Builder, Error, Origin};

use super::{PartObject, attachment, utf8};
use crate::engine::Engine;
use crate::error::raise;

/// A message that is being built; nothing once it is.
pub(super) struct BuilderObject(Option<Builder>);

impl Default for BuilderObject {
    fn default() -> Self {
        BuilderObject(Some(Builder::default()))
    }
}

fn told(error: Error) -> mlua::Error {
    raise(format!("kumo.mimepart.builder: {error}"))
}

impl BuilderObject {
    fn builder(&mut self) -> mlua::Result<&mut Builder> {
        self.0.as_mut().ok_or_else(spent)
    }
}

fn spent() -> mlua::Error {
    raise("kumo.mimepart.builder: its message is built; begin another with kumo.mimepart.builder()")
}

/// What a message says of its making; the same each time for a stable one.
fn origin(lua: &Lua, stable: bool) -> mlua::Result<Origin> {
    if stable {
        return Ok(Origin { date: "Thu, 1 Jan 1970 00:00:00 +0000".into(), message_id: "stable@localhost".into() });
    }
    let engine = Engine::of(lua).ok_or_else(|| raise("the policy engine is shutting down"))?;
    let settings = &engine.inner().settings;
    let now = settings.clock.now();
    Ok(Origin { date: now.to_utc().to_rfc2822(), message_id: format!("{}@localhost", settings.mint.message(now)) })
}

impl UserData for BuilderObject {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method_mut("text_plain", |_, this, text: LuaString| {
            this.builder()?.text_plain(&utf8("builder", &text)?).map_err(told)
        });
        methods.add_method_mut("text_html", |_, this, html: LuaString| {
            this.builder()?.text_html(&utf8("builder", &html)?).map_err(told)
        });
        methods.add_method_mut("attach", |lua, this, (kind, bytes, how): (String, LuaString, Value)| {
            let how = attachment(lua, "builder:attach", &how)?;
            this.builder()?.attach(&kind, &bytes.as_bytes(), how.as_ref()).map_err(told)
        });
        methods.add_method_mut("attach_part", |_, this, part: UserDataRef<PartObject>| {
            this.builder()?.attach_part(part.copy()?);
            Ok(())
        });
        methods.add_method_mut("set_stable_content", |_, this, stable: bool| {
            this.builder()?.set_stable_content(stable);
            Ok(())
        });
        methods.add_method_mut("build", |lua, this, ()| {
            let builder = this.0.take().ok_or_else(spent)?;
            let origin = origin(lua, builder.is_stable())?;
            builder.build(&origin).map(PartObject::new).map_err(told)
        });
    }
}
