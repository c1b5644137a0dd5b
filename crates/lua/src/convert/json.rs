//! Lua tables to JSON and back, by the rules that scripts rely on: a table with a border above 0 is the list up to that
//! border, any other table (an empty one too) is an object, null is nil, and integers stay integers.

use mlua::{AnyUserData, Function, Lua, Table, Value};
use serde_json::{Map, Number, Value as Json};

use crate::error::raise;
use crate::message::address::AddressObject;
use crate::modules::ConfigObject;
use crate::record;

/// A table that contains itself ends here.
const MAX_DEPTH: usize = 128;

/// `value` as JSON.
///
/// # Errors
/// When it holds something that JSON cannot say, or is nested without end.
pub fn to_json(lua: &Lua, value: &Value) -> mlua::Result<Json> {
    value_to_json(lua, value, 0)
}

fn value_to_json(lua: &Lua, value: &Value, depth: usize) -> mlua::Result<Json> {
    Ok(match value {
        Value::Nil => Json::Null,
        value if value.is_null() => Json::Null,
        Value::Boolean(flag) => Json::Bool(*flag),
        Value::Integer(number) => Json::Number((*number).into()),
        Value::Number(number) => Number::from_f64(*number).map_or(Json::Null, Json::Number),
        Value::String(text) => match std::str::from_utf8(&text.as_bytes()) {
            Ok(text) => Json::String(text.to_owned()),
            Err(_) => Json::Array(text.as_bytes().iter().copied().map(Json::from).collect()),
        },
        Value::Table(table) => table_to_json(lua, table, depth)?,
        Value::UserData(object) => object_to_json(lua, object, depth)?,
        other => return Err(raise(format!("cannot serialize <{}>", other.type_name()))),
    })
}

fn table_to_json(lua: &Lua, table: &Table, depth: usize) -> mlua::Result<Json> {
    if depth >= MAX_DEPTH {
        return Err(raise(format!("cannot serialize tables that are nested more than {MAX_DEPTH} levels deep")));
    }
    let mut bytes = Vec::new();
    if record::write_raw_record(lua, table, &mut bytes) {
        return serde_json::from_slice(&bytes).map_err(|error| raise(error.to_string()));
    }
    let len = table.raw_len();
    if len > 0 {
        let item = |index| value_to_json(lua, &table.raw_get(index)?, depth + 1);
        return (1..=len).map(item).collect::<mlua::Result<_>>().map(Json::Array);
    }
    let mut map = Map::new();
    table.for_each(|key: Value, value: Value| {
        map.insert(key_text(&key)?, value_to_json(lua, &value, depth + 1)?);
        Ok(())
    })?;
    Ok(Json::Object(map))
}

fn key_text(key: &Value) -> mlua::Result<String> {
    match key {
        Value::String(text) => Ok(text.to_str().map_err(|_| raise("key must be a string"))?.to_owned()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Number(number) => Ok(Json::from(*number).to_string()),
        Value::Boolean(flag) => Ok(flag.to_string()),
        _ => Err(raise("key must be a string")),
    }
}

fn object_to_json(lua: &Lua, object: &AnyUserData, depth: usize) -> mlua::Result<Json> {
    if let Ok(config) = object.borrow::<ConfigObject>() {
        return Ok(config.given().clone());
    }
    if let Ok(address) = object.borrow::<AddressObject>() {
        return Ok(Json::String(address.0.as_str().to_owned()));
    }
    match pairs_of(lua, object)? {
        Some(table) => table_to_json(lua, &table, depth + 1),
        None => serde_json::to_value(object).map_err(|_| raise("cannot serialize <userdata>")),
    }
}

/// The pairs of an object that has `__pairs`.
fn pairs_of(lua: &Lua, object: &AnyUserData) -> mlua::Result<Option<Table>> {
    let Ok(metatable) = object.metatable() else { return Ok(None) };
    let Ok(pairs) = metatable.get::<Function>("__pairs") else { return Ok(None) };
    let (next, state, mut control): (Function, Value, Value) = pairs.call(object)?;
    let table = lua.create_table()?;
    loop {
        let (key, value): (Value, Value) = next.call((&state, &control))?;
        if key.is_nil() {
            return Ok(Some(table));
        }
        table.raw_set(&key, value)?;
        control = key;
    }
}

/// JSON as a Lua value: members that are null are left out.
///
/// # Errors
/// When the state is out of memory.
pub fn from_json(lua: &Lua, json: &Json) -> mlua::Result<Value> {
    value_of(lua, json, &Value::Nil)
}

/// JSON as a Lua value: null is the null that `kumo.serde` knows, which is true.
pub(crate) fn from_json_with_nulls(lua: &Lua, json: &Json) -> mlua::Result<Value> {
    value_of(lua, json, &Value::NULL)
}

fn value_of(lua: &Lua, json: &Json, null: &Value) -> mlua::Result<Value> {
    Ok(match json {
        Json::Null => null.clone(),
        Json::Bool(flag) => Value::Boolean(*flag),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Value::Integer(number),
            None => Value::Number(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::String(lua.create_string(text)?),
        Json::Array(items) => {
            let table = lua.create_table_with_capacity(items.len(), 0)?;
            for (index, item) in items.iter().enumerate() {
                table.raw_set(index + 1, value_of(lua, item, null)?)?;
            }
            Value::Table(table)
        }
        Json::Object(map) => {
            let table = lua.create_table_with_capacity(0, map.len())?;
            // A nil that is set is a member that is absent.
            for (key, value) in map {
                table.raw_set(key.as_str(), value_of(lua, value, null)?)?;
            }
            Value::Table(table)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nulls_can_be_kept_as_a_value_that_is_true() {
        let lua = Lua::new();
        let value = from_json_with_nulls(&lua, &json!({"gone": null, "list": [null], "s": "x"})).unwrap();
        lua.globals().set("value", value).unwrap();
        let kept = "return value.gone and type(value.gone) == 'userdata' and value.list[1] == value.gone";
        assert!(lua.load(kept).eval::<bool>().unwrap());
        let again = to_json(&lua, &lua.globals().get("value").unwrap()).unwrap();
        assert_eq!(again, json!({"gone": null, "list": [null], "s": "x"}));
    }

    #[test]
    fn json_survives_a_round_trip_but_for_nulls_and_empty_lists() {
        let lua = Lua::new();
        let value = from_json(&lua, &json!({"a": [1, {"b": 1.5}], "gone": null, "e": [], "s": "é"})).unwrap();
        assert_eq!(to_json(&lua, &value).unwrap(), json!({"a": [1, {"b": 1.5}], "e": {}, "s": "é"}));
    }

    #[test]
    fn tables_become_what_scripts_expect() {
        let lua = Lua::new();
        for (code, expected) in [
            ("{1, 2, x = 3}", json!([1, 2])),
            ("{[1] = 1, [3] = 3}", json!([1])),
            ("{[5] = 'x', [true] = 1}", json!({"5": "x", "true": 1})),
            ("{s = '\\xff'}", json!({"s": [255]})),
            ("1.0", json!(1.0)),
        ] {
            let value: Value = lua.load(format!("return {code}")).eval().unwrap();
            assert_eq!(to_json(&lua, &value).unwrap(), expected, "{code}");
        }
    }

    #[test]
    fn a_table_that_contains_itself_is_an_error() {
        let lua = Lua::new();
        let value: Value = lua.load("local t = {} t.t = t return t").eval().unwrap();
        assert!(to_json(&lua, &value).unwrap_err().to_string().contains("nested"));
    }
}
