//! Calls of policy by policy: `invoke_get_queue_config` and its kin.

use mlua::{Lua, Table};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};
use waybill_policy::{Args, PolicyHost, Value as Argument};
use waybill_queue_core::config::{EgressPathConfig, EgressPool, EgressSource, QueueConfig};
use waybill_types::QueueName;

use super::config::ConfigObject;
use crate::engine::Engine;
use crate::error::{lua_error, raise};

/// The source and pool that need no event.
const UNSPECIFIED: &str = "unspecified";

pub(super) fn register(lua: &Lua, kumo: &Table) -> mlua::Result<()> {
    kumo.set("invoke_get_queue_config", lua.create_async_function(queue_config)?)?;
    kumo.set("invoke_get_egress_path_config", lua.create_async_function(path_config)?)?;
    kumo.set("invoke_get_egress_pool", lua.create_async_function(pool)?)?;
    kumo.set("invoke_get_egress_source", lua.create_async_function(source)?)
}

/// What an event says: the default configuration when nobody does.
async fn ask<T: Serialize + DeserializeOwned>(
    lua: Lua,
    event: &str,
    maker: &str,
    args: Args,
    default: Map<String, Json>,
) -> mlua::Result<ConfigObject> {
    let engine = Engine::of(&lua).ok_or_else(|| raise("the policy engine is shutting down"))?;
    let answer = engine.call(event, args).await.map_err(lua_error)?;
    let given = match answer.first() {
        Argument::Nil => Json::Object(default),
        Argument::Json(given) => given.clone(),
        _ => return Err(raise(format!("{event} must return what kumo.{maker} made"))),
    };
    ConfigObject::checked::<T>(given)
}

async fn queue_config(lua: Lua, queue: String) -> mlua::Result<ConfigObject> {
    let name = QueueName::new(queue);
    let parts = name.parts();
    let args = [Some(parts.domain), parts.tenant, parts.campaign, parts.routing_domain].map(Argument::from);
    ask::<QueueConfig>(lua, "get_queue_config", "make_queue_config", args.to_vec(), Map::new()).await
}

async fn path_config(lua: Lua, (domain, source, site): (String, String, String)) -> mlua::Result<ConfigObject> {
    let args = [domain, source, site].map(|text| Argument::from(text.as_str()));
    ask::<EgressPathConfig>(lua, "get_egress_path_config", "make_egress_path", args.to_vec(), Map::new()).await
}

fn named(name: &str) -> Map<String, Json> {
    Map::from_iter([("name".to_owned(), name.into())])
}

async fn pool(lua: Lua, name: String) -> mlua::Result<ConfigObject> {
    let mut default = named(&name);
    if name == UNSPECIFIED {
        default.insert("entries".into(), Json::Array(vec![Json::Object(named(UNSPECIFIED))]));
        return ConfigObject::checked::<EgressPool>(Json::Object(default));
    }
    let args = vec![Argument::from(name.as_str())];
    ask::<EgressPool>(lua, "get_egress_pool", "make_egress_pool", args, default).await
}

async fn source(lua: Lua, name: String) -> mlua::Result<ConfigObject> {
    let default = named(&name);
    if name == UNSPECIFIED {
        return ConfigObject::checked::<EgressSource>(Json::Object(default));
    }
    let args = vec![Argument::from(name.as_str())];
    ask::<EgressSource>(lua, "get_egress_source", "make_egress_source", args, default).await
}
