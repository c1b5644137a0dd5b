//! `make_queue_config` and its kin: tables that are checked where they are made.

use mlua::{Lua, MetaMethod, Table, UserData, UserDataMethods, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use waybill_queue_core::config::{EgressPathConfig, EgressPool, EgressSource, QueueConfig};
use waybill_types::Objects;

use super::sections::ListenerDomain;
use crate::convert::{from_json, to_json};
use crate::error::raise;
use crate::location;

pub(super) fn register(lua: &Lua, kumo: &Table) -> mlua::Result<()> {
    maker::<QueueConfig>(lua, kumo, "make_queue_config")?;
    maker::<EgressPathConfig>(lua, kumo, "make_egress_path")?;
    maker::<EgressSource>(lua, kumo, "make_egress_source")?;
    maker::<EgressPool>(lua, kumo, "make_egress_pool")?;
    maker::<ListenerDomain>(lua, kumo, "make_listener_domain")
}

fn maker<T>(lua: &Lua, kumo: &Table, name: &str) -> mlua::Result<()>
where
    T: Serialize + DeserializeOwned + 'static,
{
    let make = |lua: &Lua, section: Value| ConfigObject::checked::<T>(to_json(lua, &section)?);
    kumo.set(name, lua.create_function(make)?)
}

/// Reads a section.
///
/// # Errors
/// In the form that scripts know; the `typing` helper matches its tail.
pub(super) fn deserialize<T: DeserializeOwned>(section: &Json) -> mlua::Result<T> {
    read_section(section).map_err(|error| raise(format!("{error}, while processing {}", masked(section))))
}

/// Reads a section of a policy. An error begins as scripts know it, `deserialize error: `, and then names the field unless
/// its text does: helpers look for `unknown field` right behind the colon.
///
/// # Errors
/// What is wrong, and with which field.
pub fn read_section<T: DeserializeOwned>(section: &Json) -> Result<T, String> {
    named(section).map_err(|error| format!("deserialize error: {error}"))
}

/// Reads a section; what is wrong names the field.
pub(crate) fn named<T: DeserializeOwned>(section: &Json) -> Result<T, String> {
    serde_path_to_error::deserialize(Objects::of_table(section)).map_err(|error| {
        let field = error.path().to_string();
        let error = error.into_inner().to_string();
        let named = field == "." || error.contains(&format!("`{field}`")) || error.starts_with(&format!("{field}: "));
        if named { error } else { format!("field `{field}`: {error}") }
    })
}

/// Reads the options of a function of ours.
///
/// # Errors
/// With file and line of the call, the function, what is wrong and what is accepted.
pub(crate) fn options<T: DeserializeOwned>(lua: &Lua, what: &str, section: &Value) -> mlua::Result<T> {
    let json = to_json(lua, section)?;
    named(&json).map_err(|error| {
        let at = location::caller(lua);
        raise(format!("{at}: {what}: {error}, while processing {}", masked(&json)))
    })
}

/// A section as an error shows it: what stands under `key_data` is a secret.
fn masked(section: &Json) -> Json {
    match section {
        Json::Object(table) => {
            let entry = |(key, value): (&String, &Json)| {
                let shown = if key == "key_data" { Json::from("(hidden)") } else { masked(value) };
                (key.clone(), shown)
            };
            table.iter().map(entry).collect()
        }
        Json::Array(list) => list.iter().map(masked).collect(),
        other => other.clone(),
    }
}

/// A checked section. Scripts see it with its defaults; the daemon gets what was given, so that it can tell a choice
/// from a default.
#[derive(Clone, Debug)]
pub(crate) struct ConfigObject {
    given: Json,
    shown: Json,
}

impl ConfigObject {
    /// Checks a section of type `T`.
    pub(super) fn checked<T: Serialize + DeserializeOwned>(given: Json) -> mlua::Result<Self> {
        // A list would be read as values in the order of the names.
        if !given.is_object() {
            return Err(raise(format!("deserialize error: expected one table of options, while processing {given}")));
        }
        let parsed: T = deserialize(&given)?;
        let shown = serde_json::to_value(&parsed).map_err(|error| raise(error.to_string()))?;
        Ok(ConfigObject { given, shown })
    }

    /// The section as the script wrote it.
    pub(crate) fn given(&self) -> &Json {
        &self.given
    }
}

impl UserData for ConfigObject {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::Index, |lua, this, key: Value| match key {
            Value::String(key) => from_json(lua, this.shown.get(&*key.to_str()?).unwrap_or(&Json::Null)),
            _ => Ok(Value::Nil),
        });
        methods.add_meta_method(MetaMethod::Pairs, |lua, this, ()| {
            let next: Value = lua.globals().get("next")?;
            Ok((next, from_json(lua, &this.shown)?, Value::Nil))
        });
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(this.shown.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> Lua {
        let lua = Lua::new();
        let kumo = lua.create_table().unwrap();
        register(&lua, &kumo).unwrap();
        lua.globals().set("kumo", kumo).unwrap();
        lua
    }

    fn complaint(code: &str) -> String {
        let error = state().load(code).exec().unwrap_err().to_string();
        error.split("\nstack traceback").next().unwrap().to_owned()
    }

    #[test]
    fn complaints_read_as_scripts_know_them() {
        for (code, expected) in [
            (
                "kumo.make_queue_config { colour = 1 }",
                "deserialize error: unknown field `colour`, expected one of `retry_interval`, `max_retry_interval`, `max_age`, `egress_pool`, `max_message_rate`, `protocol`, `reap_interval`, `refresh_interval`, `timerwheel_tick_interval`, `strategy`, `refresh_strategy`, `provider_name`, `shrink_policy`, while processing {\"colour\":1}",
            ),
            (
                "kumo.make_queue_config { retry_interval = 'soon' }",
                "deserialize error: field `retry_interval`: invalid value: string \"soon\", expected a duration, while processing {\"retry_interval\":\"soon\"}",
            ),
            (
                "kumo.make_queue_config { protocol = { custom_lua = { constructor = 'x', batch = 1 } } }",
                "deserialize error: field `protocol`: data did not match any variant of untagged enum DeliveryProto: custom_lua.batch: unknown field `batch`, expected one of `constructor`, `batch_size`, `min_batch_size`, `max_batch_latency`, while processing {\"protocol\":{\"custom_lua\":{\"batch\":1,\"constructor\":\"x\"}}}",
            ),
            (
                "kumo.make_egress_path { max_message_rate = 'lots' }",
                "deserialize error: field `max_message_rate`: expected 'limit/period', got lots, while processing {\"max_message_rate\":\"lots\"}",
            ),
        ] {
            assert_eq!(complaint(code), expected);
        }
        let colour = complaint("kumo.make_egress_path { colour = 1 }");
        assert!(colour.starts_with("deserialize error: unknown field `colour`"), "{colour}");
        assert!(colour.ends_with(", while processing {\"colour\":1}"), "{colour}");
        assert_eq!(
            complaint("kumo.make_egress_source { 'name', '192.0.2.1' }"),
            "deserialize error: expected one table of options, while processing [\"name\",\"192.0.2.1\"]"
        );
        for code in [
            "kumo.make_egress_source { nome = 'x' }",
            "kumo.make_egress_pool { name = 'p', entries = { { name = 'a', wait = 1 } } }",
            "kumo.make_listener_domain { log_oob = 'Sometimes' }",
        ] {
            assert!(complaint(code).starts_with("deserialize error: "), "{code}");
        }
    }

    #[test]
    fn what_was_made_can_be_read_and_walked() {
        let lua = state();
        lua.load(
            "local c = kumo.make_queue_config { retry_interval = '5m', protocol = { custom_lua = { constructor = 'x' } } }
             assert(type(c) == 'userdata' and c.retry_interval == '5m' and c.max_age == '7days')
             assert(c.protocol.custom_lua.constructor == 'x' and c.egress_pool == nil and c[1] == nil)
             local seen = {} for k, v in pairs(c) do seen[k] = v end
             assert(seen.retry_interval == '5m' and seen.reap_interval == '10m')
             local p = kumo.make_egress_pool { name = 'p', entries = { { name = 'a' }, { name = 'b', weight = 2 } } }
             assert(p.entries[1].weight == 1 and p.entries[2].weight == 2)
             assert(kumo.make_egress_source { name = 's', source_address = '10.0.0.1' }.source_address == '10.0.0.1')
             assert(kumo.make_listener_domain { relay_to = true, log_oob = 'Ignore', log_arf = true }.relay_to)",
        )
        .exec()
        .unwrap();
    }

    #[test]
    fn a_mistake_beside_a_secret_does_not_show_it() {
        let text = complaint(
            "kumo.make_egress_source { name = 's', socks5_proxy_password = { key_data = 's3cret' }, colour = 1 }",
        );
        assert!(text.contains("unknown field `colour`") && text.contains("while processing"), "{text}");
        assert!(!text.contains("s3cret"), "{text}");
    }
}
