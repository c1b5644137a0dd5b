//! Our own way into CEL's values: whole numbers are `int`, whatever their sign.

use cel::Value;
use cel::objects::{Key, Map};
use std::collections::HashMap;
use std::sync::Arc;

/// Values within one event or message.
pub(crate) const MOST_VALUES: usize = 10_000;

pub(crate) fn value(json: &serde_json::Value, room: &mut usize) -> Option<Value> {
    *room = room.checked_sub(1)?;
    Some(match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(yes) => Value::Bool(*yes),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(int), ..) => Value::Int(int),
            (None, Some(uint), _) => Value::UInt(uint),
            (None, None, float) => Value::Float(float.unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => {
            let items: Option<Vec<Value>> = items.iter().map(|item| value(item, room)).collect();
            Value::List(Arc::new(items?))
        }
        serde_json::Value::Object(map) => object(map, room)?,
    })
}

pub(crate) fn object(map: &serde_json::Map<String, serde_json::Value>, room: &mut usize) -> Option<Value> {
    let fields: Option<HashMap<Key, Value>> =
        map.iter().map(|(name, inner)| Some((Key::from(name.as_str()), value(inner, room)?))).collect();
    Some(Value::Map(Map { map: Arc::new(fields?) }))
}
