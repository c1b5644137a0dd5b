//! Signatures of a message: made, checked, and told.

use std::sync::Arc;

use bytes::Bytes;
use mlua::{Lua, UserDataRef, Value};
use serde_json::Value as Json;
use waybill_mail_auth::arc::Chain;
use waybill_mail_auth::dkim::Verification;
use waybill_mail_auth::{AuthenticationResult, Signer, authentication_results};
use waybill_spool::Message;
use waybill_types::Timestamp;

use super::{MessageObject, body};
use crate::aside::beside;
use crate::convert::from_json;
use crate::engine::Engine;
use crate::error::raise;
use crate::location;
use crate::modules::{SignerObject, options, resolver, within_limit};

/// A call of one of these methods that failed, and where in the script.
fn wrong(lua: &Lua, what: &str, why: impl std::fmt::Display) -> mlua::Error {
    raise(format!("{}: {what}: {why}", location::caller(lua)))
}

/// Seconds since 1970.
fn now(lua: &Lua) -> mlua::Result<u64> {
    let engine = Engine::of(lua).ok_or_else(|| raise("the policy engine is shutting down"))?;
    Ok(engine.inner().settings.clock.now().since(Timestamp::EPOCH).as_secs())
}

fn signer(lua: &Lua, what: &str, given: &Value) -> mlua::Result<Arc<Signer>> {
    let object = given.as_userdata().and_then(|object| object.borrow::<SignerObject>().ok());
    object.map(|object| object.signer.clone()).ok_or_else(|| {
        let expected = "expected what kumo.dkim.rsa_sha256_signer or kumo.dkim.ed25519_signer makes";
        wrong(lua, what, format!("{expected}, got {}", given.type_name()))
    })
}

fn results(lua: &Lua, what: &str, given: &Value) -> mlua::Result<Vec<AuthenticationResult>> {
    // An empty table reads as one with names.
    let none = given.is_nil() || given.as_table().is_some_and(mlua::Table::is_empty);
    if none { Ok(Vec::new()) } else { options(lua, what, given) }
}

/// With fields before all others.
fn prepended(fields: &str, data: &[u8]) -> Bytes {
    [fields.as_bytes(), data].concat().into()
}

fn shown(lua: &Lua, results: serde_json::Result<Json>) -> mlua::Result<Value> {
    from_json(lua, &results.map_err(mlua::Error::external)?)
}

/// `dkim_sign(signer)`
pub(super) fn dkim_sign(lua: &Lua, message: &Message, data: &Bytes, given: Value) -> mlua::Result<Value> {
    const WHAT: &str = "msg:dkim_sign";
    let (signer, now) = (signer(lua, WHAT, &given)?, now(lua)?);
    let field = beside(|| signer.dkim_signature(data, now)).map_err(|error| wrong(lua, WHAT, error))?;
    message.set_data(prepended(&field, data));
    Ok(Value::Nil)
}

/// `add_authentication_results(server_id, results)`
pub(super) fn add_results(
    lua: &Lua,
    message: &Message,
    data: &Bytes,
    (server_id, given): (String, Value),
) -> mlua::Result<Value> {
    const WHAT: &str = "msg:add_authentication_results";
    let results = results(lua, WHAT, &given)?;
    let field = authentication_results(&server_id, &results).map_err(|error| wrong(lua, WHAT, error))?;
    message.set_data(prepended(&field, data));
    Ok(Value::Nil)
}

/// `dkim_verify()`: a list of results.
pub(super) async fn dkim_verify(
    lua: Lua,
    this: UserDataRef<MessageObject>,
    named: Option<String>,
) -> mlua::Result<Value> {
    const WHAT: &str = "msg:dkim_verify";
    let message = this.message().clone();
    drop(this);
    let (resolver, now) = (resolver(&lua, WHAT, named.as_deref())?, now(&lua)?);
    let data = body::load(&lua, &message).await?;
    let begun = beside(|| Verification::begin(&data, now));
    let results = within_limit(WHAT, begun.finish(&resolver)).await?;
    shown(&lua, serde_json::to_value(results))
}

/// `arc_verify()`: one result.
pub(super) async fn arc_verify(
    lua: Lua,
    this: UserDataRef<MessageObject>,
    named: Option<String>,
) -> mlua::Result<Value> {
    const WHAT: &str = "msg:arc_verify";
    let message = this.message().clone();
    drop(this);
    let (resolver, now) = (resolver(&lua, WHAT, named.as_deref())?, now(&lua)?);
    let data = body::load(&lua, &message).await?;
    let begun = beside(|| Chain::begin(&data, now));
    let chain = within_limit(WHAT, begun.finish(&resolver)).await?;
    shown(&lua, serde_json::to_value(chain.result()))
}

/// `arc_seal(signer, server_id [, results])`: nothing happens to a message whose chain does not hold.
pub(super) async fn arc_seal(
    lua: Lua,
    this: UserDataRef<MessageObject>,
    (given, server_id, told, named): (Value, String, Value, Option<String>),
) -> mlua::Result<()> {
    const WHAT: &str = "msg:arc_seal";
    let message = this.message().clone();
    drop(this);
    let signer = signer(&lua, WHAT, &given)?;
    let results = results(&lua, WHAT, &told)?;
    let (resolver, now) = (resolver(&lua, WHAT, named.as_deref())?, now(&lua)?);
    let data = body::load(&lua, &message).await?;
    let begun = beside(|| Chain::begin(&data, now));
    let chain = within_limit(WHAT, begun.finish(&resolver)).await?;
    let sealed = beside(|| chain.seal(&signer, &server_id, &results, now));
    if let Some(fields) = sealed.map_err(|error| wrong(&lua, WHAT, error))? {
        message.set_data(prepended(&fields, &data));
    }
    Ok(())
}
