//! `kumo.api`: what the HTTP API does, for scripts.

use std::str::FromStr;
use std::sync::Arc;

use futures::future::BoxFuture;
use mlua::{Lua, Table, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use uuid::Uuid;
use waybill_admin::Admin;
use waybill_policy::Value as Argument;
use waybill_spool::Message;

use crate::builder::{LuaModule, module};
use crate::convert::{from_json, to_json, to_lua};
use crate::error::raise;
use crate::location;
use crate::modules::config::named;

/// Injects mail that scripts describe as `POST /api/inject/v1` takes it.
///
/// # Contract
/// - A request that makes no sense, and mail that is not taken at all, is an error whose text is raised in the script; a
///   recipient that fails is part of the answer.
/// - `build` hands nothing over: what it gives belongs to the script.
pub trait Injection: Send + Sync + 'static {
    /// Injects; gives the answer of the endpoint.
    fn inject<'a>(&'a self, request: &'a Json) -> BoxFuture<'a, Result<Json, String>>;

    /// Makes the messages only.
    fn build<'a>(&'a self, request: &'a Json) -> BoxFuture<'a, Result<Vec<Message>, String>>;
}

/// `kumo.api`: the orders that `admin` keeps, and an injection.
pub fn api(admin: Admin, injection: Arc<dyn Injection>) -> Arc<dyn LuaModule> {
    module("api", move |lua, kumo| {
        let api = lua.create_table()?;
        api.set("inject", inject(lua, &injection)?)?;
        let orders = lua.create_table()?;
        orders.set("bounce", bounce(lua, &admin)?)?;
        orders.set("suspend", suspend(lua, &admin)?)?;
        orders.set("suspend_ready_q", suspend_ready(lua, &admin)?)?;
        api.set("admin", orders)?;
        kumo.set("api", api)
    })
}

fn inject(lua: &Lua, injection: &Arc<dyn Injection>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let ours = injection.clone();
    let inject = move |lua: Lua, request: Value| {
        let ours = ours.clone();
        async move {
            const NAME: &str = "kumo.api.inject.inject_v1";
            let (at, request) = (location::caller(&lua), to_json(&lua, &request)?);
            let report = ours.inject(&request).await.map_err(|why| wrong(&at, NAME, why))?;
            from_json(&lua, &report)
        }
    };
    table.set("inject_v1", lua.create_async_function(inject)?)?;
    let ours = injection.clone();
    let build = move |lua: Lua, request: Value| {
        let ours = ours.clone();
        async move {
            const NAME: &str = "kumo.api.inject.build_v1";
            let (at, request) = (location::caller(&lua), to_json(&lua, &request)?);
            let messages = ours.build(&request).await.map_err(|why| wrong(&at, NAME, why))?;
            to_lua(&lua, Argument::Messages(messages))
        }
    };
    table.set("build_v1", lua.create_async_function(build)?)?;
    Ok(table)
}

/// The functions of one kind of orders.
macro_rules! orders {
    ($module:literal, $verb:literal, $give:ident, $list:ident, $cancel:ident) => {
        |lua: &Lua, admin: &Admin| -> mlua::Result<Table> {
            let table = lua.create_table()?;
            let ours = admin.clone();
            let give = move |lua: Lua, request: Value| {
                let ours = ours.clone();
                async move {
                    let request = request_of(&lua, concat!("kumo.api.admin.", $module, ".", $verb), &request)?;
                    Ok(ours.$give(request).await.to_string())
                }
            };
            table.set($verb, lua.create_async_function(give)?)?;
            let ours = admin.clone();
            table.set("list", lua.create_function(move |lua, ()| shown(lua, &ours.$list()))?)?;
            let ours = admin.clone();
            let delete = move |lua: Lua, id: Value| {
                let ours = ours.clone();
                async move {
                    let id = id_of(&lua, concat!("kumo.api.admin.", $module, ".delete"), &id)?;
                    Ok(ours.$cancel(id).await)
                }
            };
            table.set("delete", lua.create_async_function(delete)?)?;
            Ok(table)
        }
    };
}

fn bounce(lua: &Lua, admin: &Admin) -> mlua::Result<Table> {
    orders!("bounce", "bounce", bounce, bounces, cancel_bounce)(lua, admin)
}

fn suspend(lua: &Lua, admin: &Admin) -> mlua::Result<Table> {
    orders!("suspend", "suspend", suspend, suspensions, cancel_suspension)(lua, admin)
}

fn suspend_ready(lua: &Lua, admin: &Admin) -> mlua::Result<Table> {
    orders!("suspend_ready_q", "suspend", suspend_ready, ready_suspensions, cancel_ready_suspension)(lua, admin)
}

/// Reads an order. An empty table stands for an empty list, where one is meant.
fn request_of<T: DeserializeOwned>(lua: &Lua, function: &str, request: &Value) -> mlua::Result<T> {
    let mut json = to_json(lua, request)?;
    if let Some(names) = json.get_mut("queue_names").filter(|names| names.as_object().is_some_and(|map| map.is_empty()))
    {
        *names = Json::Array(Vec::new());
    }
    let why = |error| wrong(&location::caller(lua), function, format!("{error}, while processing {json}"));
    named(&json).map_err(why)
}

fn id_of(lua: &Lua, function: &str, id: &Value) -> mlua::Result<Uuid> {
    let text = id.to_string()?;
    let why = |_| wrong(&location::caller(lua), function, format!("{text:?} is not the id of an order"));
    Uuid::from_str(&text).map_err(why)
}

fn shown(lua: &Lua, orders: &impl Serialize) -> mlua::Result<Value> {
    let json = serde_json::to_value(orders).map_err(|error| raise(error.to_string()))?;
    from_json(lua, &json)
}

fn wrong(at: &str, function: &str, why: impl std::fmt::Display) -> mlua::Error {
    raise(format!("{at}: {function}: {why}"))
}
