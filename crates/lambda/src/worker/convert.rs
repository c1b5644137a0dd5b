//! JSON to Lua and back. A member that is null is absent, as a table says it; an item of a list that is null is the value
//! `null`, so that the others keep their places. A list stays a list, also an empty one; another empty table is an object.

use mlua::{Lua, LuaSerdeExt, Table, Value};
use serde_json::{Map, Number, Value as Json};

/// Tables within tables; deeper ones, and those that contain themselves, are refused.
const MAX_DEPTH: usize = 64;
/// Values in all: what is shared in a table is written out each time.
const MAX_VALUES: usize = 200_000;

/// A value for a script.
pub(super) fn to_lua(lua: &Lua, json: &Json) -> mlua::Result<Value> {
    Ok(match json {
        Json::Null => Value::NULL,
        Json::Bool(flag) => Value::Boolean(*flag),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Value::Integer(number),
            None => Value::Number(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::String(lua.create_string(text)?),
        Json::Array(items) => {
            let list = lua.create_table_with_capacity(items.len(), 0)?;
            for item in items {
                list.raw_push(to_lua(lua, item)?)?;
            }
            list.set_metatable(Some(lua.array_metatable()))?;
            Value::Table(list)
        }
        Json::Object(members) => {
            let table = lua.create_table_with_capacity(0, members.len())?;
            for (name, member) in members.iter().filter(|(_, member)| !member.is_null()) {
                table.raw_set(name.as_str(), to_lua(lua, member)?)?;
            }
            Value::Table(table)
        }
    })
}

/// A value of a script.
pub(super) fn to_json(lua: &Lua, value: &Value) -> Result<Json, String> {
    Writer { lists: lua.array_metatable(), left: MAX_VALUES }.json(value, MAX_DEPTH)
}

struct Writer {
    lists: Table,
    left: usize,
}

impl Writer {
    fn json(&mut self, value: &Value, depth: usize) -> Result<Json, String> {
        self.left = self.left.checked_sub(1).ok_or_else(|| format!("has more than {MAX_VALUES} values"))?;
        match value {
            Value::Nil => Ok(Json::Null),
            value if value.is_null() => Ok(Json::Null),
            Value::Boolean(flag) => Ok(Json::Bool(*flag)),
            Value::Integer(number) => Ok(Json::from(*number)),
            Value::Number(number) => Number::from_f64(*number)
                .map(Json::Number)
                .ok_or_else(|| format!("has a number that JSON cannot say: {number}")),
            Value::String(text) => match text.to_str() {
                Ok(text) => Ok(Json::String(text.to_owned())),
                Err(_) => Err("has a string that is no UTF-8".into()),
            },
            Value::Table(table) => match depth.checked_sub(1) {
                Some(depth) => self.table(table, depth),
                None => Err(format!("has tables nested more than {MAX_DEPTH} deep, or one that contains itself")),
            },
            other => Err(format!("has a {}, which JSON cannot say", other.type_name())),
        }
    }

    fn table(&mut self, table: &Table, depth: usize) -> Result<Json, String> {
        let length = table.raw_len();
        if length > 0 || table.metatable().is_some_and(|metatable| metatable == self.lists) {
            let item = |index| table.raw_get::<Value>(index).map_err(|error| error.to_string());
            return (1..=length)
                .map(|index| self.json(&item(index)?, depth))
                .collect::<Result<_, _>>()
                .map(Json::Array);
        }
        let mut members = Map::new();
        for pair in table.pairs::<Value, Value>() {
            let (name, member) = pair.map_err(|error| error.to_string())?;
            let name = match &name {
                Value::String(name) => name.to_str().map_err(|_| "has a key that is no UTF-8")?.to_owned(),
                Value::Integer(number) => number.to_string(),
                other => return Err(format!("has a key that is a {}, not a string", other.type_name())),
            };
            members.insert(name, self.json(&member, depth)?);
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn back(json: &Json) -> Json {
        let lua = Lua::new();
        to_json(&lua, &to_lua(&lua, json).unwrap()).unwrap()
    }

    #[test]
    fn json_comes_back_but_for_members_that_are_null() {
        let json = json!({"a": [1, -2.5, "é", true, null, [], {}], "n": null, "o": {"x": 9_007_199_254_740_993_i64}});
        let mut expected = json.clone();
        expected.as_object_mut().unwrap().remove("n");
        assert_eq!(back(&json), expected);
        assert_eq!(back(&Json::Null), Json::Null);
    }

    #[test]
    fn a_null_member_is_nil_and_a_null_item_is_null() {
        let lua = Lua::new();
        lua.globals().set("data", to_lua(&lua, &json!({"n": null, "list": [1, null, 3]})).unwrap()).unwrap();
        lua.globals().set("null", Value::NULL).unwrap();
        lua.load("assert(data.n == nil and #data.list == 3 and data.list[2] == null and data.list[2] ~= nil)")
            .exec()
            .unwrap();
    }

    #[test]
    fn what_json_cannot_say_is_an_error_in_words() {
        let lua = Lua::new();
        let cases = [
            ("return print", "has a function"),
            ("return { [true] = 1 }", "a key that is a boolean"),
            ("return '\\xff'", "no UTF-8"),
            ("return 0/0", "a number that JSON cannot say"),
            ("local t = {} t.t = t return t", "contains itself"),
            ("local t = {} for i = 1, 100 do t = { t } end return t", "nested more than 64 deep"),
            ("local t = { 1 } for i = 1, 40 do t = { t, t } end return t", "more than 200000 values"),
        ];
        for (script, expected) in cases {
            let error = to_json(&lua, &lua.load(script).eval().unwrap()).unwrap_err();
            assert!(error.contains(expected), "{script}: {error}");
        }
    }
}
