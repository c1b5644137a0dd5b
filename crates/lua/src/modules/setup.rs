//! Functions that configure the daemon: each hands its argument to the binary's `Setup`.

use mlua::{Lua, MultiValue, Table, Value, Variadic};
use serde_json::Value as Json;

use super::control::current_event;
use crate::convert::{from_json, to_json};
use crate::engine::Inner;
use crate::error::raise;
use crate::location;

pub(super) fn register(engine: &Inner, lua: &Lua, kumo: &Table) -> mlua::Result<()> {
    let Some((setup, names)) = &engine.settings.setup else { return Ok(()) };
    for name in names {
        let (setup, what) = (setup.clone(), name.clone());
        let only_check = engine.settings.validating && opens_something(name);
        let configure = move |lua: &Lua, args: Variadic<Value>| {
            let current = current_event(lua);
            if !matches!(current.as_str(), "pre_init" | "init") {
                let place = match current.as_str() {
                    "" => "at the top level of the policy".to_owned(),
                    event => format!("within the handler of '{event}'"),
                };
                return Err(raise(format!(
                    "kumo.{what} is called {place}: it is for the handlers of 'pre_init' and 'init'"
                )));
            }
            let at = location::caller(lua);
            let section = section(lua, &args)?;
            let result = if only_check {
                setup.check(&what, section, &at).map(|()| Json::Null)
            } else {
                setup.configure(&what, section, &at)
            };
            let answer = result.map_err(|text| raise(format!("{at}: {text}")))?;
            // No value rather than nil: a handler that ends in `return kumo.define_spool {..}` must not decide the round.
            Ok(match answer {
                Json::Null => MultiValue::new(),
                answer => MultiValue::from_iter([from_json(lua, &answer)?]),
            })
        };
        let (table, short) = place(lua, kumo, name)?;
        table.set(short, lua.create_function(configure)?)?;
    }
    Ok(())
}

/// The table that a name with a dot belongs to, and its name there.
fn place<'a>(lua: &Lua, kumo: &Table, name: &'a str) -> mlua::Result<(Table, &'a str)> {
    let Some((namespace, short)) = name.split_once('.') else { return Ok((kumo.clone(), name)) };
    let table = match kumo.get(namespace)? {
        Some(table) => table,
        None => {
            let table = lua.create_table()?;
            kumo.set(namespace, &table)?;
            table
        }
    };
    Ok((table, short))
}

/// What must not happen while a policy is only validated.
fn opens_something(name: &str) -> bool {
    name == "define_spool" || (name.starts_with("start_") && name.ends_with("_listener"))
}

fn section(lua: &Lua, args: &[Value]) -> mlua::Result<Json> {
    match args {
        [] => Ok(Json::Null),
        [one] => to_json(lua, one),
        several => several.iter().map(|value| to_json(lua, value)).collect::<mlua::Result<_>>().map(Json::Array),
    }
}
