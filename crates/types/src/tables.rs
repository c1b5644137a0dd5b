//! A section of a policy, read so that a table is a table: to serde a list is a struct as well, whose fields have no names,
//! and `{ 5 }` would set the first option that there is.

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error as _, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Value};

/// JSON that a Lua table has become. A list is none of what has named fields, unless it is empty: an empty Lua table may
/// be either. What is read through an untagged enum is not looked at.
#[derive(Clone, Copy, Debug)]
pub struct Tables<'a>(pub &'a Value);

impl<'de> IntoDeserializer<'de, Error> for Tables<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Tables<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(items) => {
                let mut items = SeqDeserializer::<_, Error>::new(items.iter().map(Tables));
                let value = visitor.visit_seq(&mut items)?;
                items.end()?;
                Ok(value)
            }
            Value::Object(fields) => {
                let mut fields =
                    MapDeserializer::<_, Error>::new(fields.iter().map(|(name, value)| (name.as_str(), Tables(value))));
                let value = visitor.visit_map(&mut fields)?;
                fields.end()?;
                Ok(value)
            }
            other => other.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(items) if items.is_empty() => {
                visitor.visit_map(MapDeserializer::new(std::iter::empty::<(&str, Tables<'_>)>()))
            }
            Value::Array(_) => Err(Error::invalid_type(Unexpected::Seq, &"a table with names")),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[derive(Deserialize, PartialEq, Debug, Default)]
    #[serde(deny_unknown_fields, default)]
    struct Outer {
        inner: Option<Inner>,
        list: Vec<Inner>,
        map: BTreeMap<String, Inner>,
        any: Value,
    }

    #[derive(Deserialize, PartialEq, Debug, Default)]
    #[serde(deny_unknown_fields, default)]
    struct Inner {
        number: u32,
        text: Option<String>,
    }

    fn read(value: &Value) -> Result<Outer, String> {
        Outer::deserialize(Tables(value)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_list_is_no_table_however_deep_it_stands_and_an_empty_one_is() {
        let inner = Inner { number: 1, text: Some("x".into()) };
        let value = json!({"inner": {"number": 1, "text": "x"}, "list": [[], {"text": null}], "any": [1, {"a": [2]}]});
        let read_back = read(&value).unwrap();
        assert_eq!((read_back.inner, read_back.list.len()), (Some(inner), 2));
        assert_eq!(read_back.any, value["any"]);
        assert_eq!(read(&json!([])).unwrap(), Outer::default());
        for wrong in
            [json!([{"number": 1}]), json!({"inner": [1]}), json!({"list": [[1, "x"]]}), json!({"map": {"a": [1]}})]
        {
            let error = read(&wrong).unwrap_err();
            assert!(error.contains("expected a table with names"), "{wrong}: {error}");
        }
        for wrong in [json!({"inner": {"colour": 1}}), json!({"inner": {"number": -1}}), json!({"list": {}}), json!(1)]
        {
            assert!(read(&wrong).unwrap_err().contains("expected"), "{wrong}");
        }
    }
}
