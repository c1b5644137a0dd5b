//! Values on their way into Lua and out of it.

mod json;
mod messages;

use mlua::{Lua, MultiValue, Value as Lv};
use waybill_policy::{Args, PolicyError, Returned, Value};

use crate::error::policy_error;
use crate::message::{ConnMetaObject, MessageObject, address};
use crate::modules::ConfigObject;

pub use json::{from_json, to_json};

/// Arguments of a call, as Lua values.
pub(crate) fn args_to_lua(lua: &Lua, args: Args) -> mlua::Result<MultiValue> {
    args.into_iter().map(|value| to_lua(lua, value)).collect::<mlua::Result<Vec<Lv>>>().map(MultiValue::from_vec)
}

/// One value into Lua.
///
/// # Errors
/// When the state is out of memory.
pub fn to_lua(lua: &Lua, value: Value) -> mlua::Result<Lv> {
    Ok(match value {
        Value::Nil => Lv::Nil,
        Value::Bool(flag) => Lv::Boolean(flag),
        Value::Int(number) => Lv::Integer(number),
        Value::Number(number) => Lv::Number(number),
        Value::Bytes(bytes) => Lv::String(lua.create_string(bytes)?),
        Value::Json(json) => from_json(lua, &json)?,
        Value::Record(json) => json::from_json_with_nulls(lua, &json)?,
        Value::Message(message) => Lv::UserData(lua.create_userdata(MessageObject::new(message))?),
        Value::Messages(messages) => Lv::Table(messages::list(lua, messages)?),
        Value::Connection(meta) => Lv::UserData(lua.create_userdata(ConnMetaObject(meta))?),
        Value::Address(address) => Lv::UserData(lua.create_userdata(address::AddressObject(address))?),
        Value::List(values) => {
            let list = lua.create_table_with_capacity(values.len(), 0)?;
            for (index, value) in values.into_iter().enumerate() {
                list.raw_set(index + 1, to_lua(lua, value)?)?;
            }
            Lv::Table(list)
        }
    })
}

/// What a call returned.
///
/// # Errors
/// [`PolicyError::Unusable`] when a table holds something that has no meaning outside of Lua.
pub(crate) fn returned(lua: &Lua, values: &MultiValue) -> Result<Returned, PolicyError> {
    values.iter().map(|value| from_lua(lua, value)).collect::<Result<_, _>>().map(Returned)
}

/// One value out of Lua.
///
/// Functions and other objects of which nothing outside can make use become `true`: that is all that any event reads
/// of them.
///
/// # Errors
/// [`PolicyError::Unusable`] when a table holds something that has no meaning outside of Lua.
pub fn from_lua(lua: &Lua, value: &Lv) -> Result<Value, PolicyError> {
    Ok(match value {
        Lv::Nil => Value::Nil,
        Lv::Boolean(flag) => Value::Bool(*flag),
        Lv::Integer(number) => Value::Int(*number),
        Lv::Number(number) => Value::Number(*number),
        Lv::String(text) => Value::Bytes(text.as_bytes().to_vec()),
        Lv::Table(table) => match messages::of(table) {
            Some(messages) => Value::Messages(messages),
            None => Value::Json(to_json(lua, value).map_err(|error| unusable(&error))?),
        },
        Lv::UserData(object) => {
            if let Ok(message) = object.borrow::<MessageObject>() {
                Value::Message(message.message().clone())
            } else if let Ok(meta) = object.borrow::<ConnMetaObject>() {
                Value::Connection(meta.0.clone())
            } else if let Ok(address) = object.borrow::<address::AddressObject>() {
                Value::Address(address.0.clone())
            } else if let Ok(config) = object.borrow::<ConfigObject>() {
                Value::Json(config.given().clone())
            } else {
                Value::Bool(true)
            }
        }
        _ => Value::Bool(true),
    })
}

fn unusable(error: &mlua::Error) -> PolicyError {
    match policy_error(error) {
        PolicyError::Failed(text) => PolicyError::Unusable(text),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use waybill_policy::ConnMeta;

    fn eval(code: &str) -> Result<Value, PolicyError> {
        let lua = Lua::new();
        let value: Lv = lua.load(code).eval().unwrap();
        from_lua(&lua, &value)
    }

    #[test]
    fn tables_come_out_as_json_and_strings_as_bytes() {
        let Ok(Value::Json(json)) = eval("return { a = { 1, 2.5, 'x' }, b = {}, ok = true }") else { panic!() };
        assert_eq!(json, json!({"a": [1, 2.5, "x"], "b": {}, "ok": true}));
        assert!(matches!(eval("return '\\xff\\0'"), Ok(Value::Bytes(bytes)) if bytes == [255, 0]));
        assert!(matches!(eval("return 1"), Ok(Value::Int(1))));
        assert!(matches!(eval("return nil"), Ok(Value::Nil)));
        assert!(matches!(eval("return print"), Ok(Value::Bool(true))));
        assert!(matches!(eval("return { print }"), Err(PolicyError::Unusable(why)) if why.contains("<function>")));
    }

    #[test]
    fn objects_come_out_as_what_went_in() {
        let lua = Lua::new();
        let meta = ConnMeta::default();
        let value = to_lua(&lua, Value::Connection(meta.clone())).unwrap();
        meta.set("k", json!(1));
        let Ok(Value::Connection(again)) = from_lua(&lua, &value) else { panic!() };
        assert_eq!(again.get("k"), Some(json!(1)));
        let address = Value::Address("a@b.example".parse().unwrap());
        let value = to_lua(&lua, Value::List(vec![address, Value::Int(1)])).unwrap();
        assert!(matches!(from_lua(&lua, &value), Ok(Value::Json(json)) if json == json!(["a@b.example", 1])));
    }
}
