//! What is read so that an object is an object: to serde a list is a struct as well, whose fields have no names, and `[5]`
//! would set the first field that there is.

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IgnoredAny, MapAccess, SeqAccess, Unexpected, VariantAccess,
    Visitor, value::MapDeserializer,
};
use serde_json::Value;
use std::fmt;

/// A deserializer in which a list is none of what has named fields, however deep it stands. What serde keeps a copy of
/// before it reads it (an untagged enum, a flattened field) is not looked at.
///
/// ```
/// # use serde::Deserialize;
/// # use waybill_types::Objects;
/// #[derive(Deserialize, Debug)]
/// struct Order { reason: String }
/// let read = |json: &str| Order::deserialize(Objects::new(&mut serde_json::Deserializer::from_str(json)));
/// assert_eq!(read(r#"{"reason": "x"}"#).unwrap().reason, "x");
/// assert!(read(r#"["x"]"#).unwrap_err().to_string().contains("a list, expected an object"));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Objects<T> {
    inner: T,
    source: Source,
}

/// What wrote it.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// Somebody who can write an empty object.
    Json,
    /// Lua, whose empty table may be a list or not.
    Table,
}

impl<T> Objects<T> {
    /// Of a format that tells objects from lists.
    pub fn new(inner: T) -> Self {
        Objects { inner, source: Source::Json }
    }

    fn within<U>(&self, inner: U) -> Objects<U> {
        Objects { inner, source: self.source }
    }
}

impl<'a> Objects<&'a Value> {
    /// Of what a Lua table has become: an empty list is a table with nothing in it.
    pub fn of_table(table: &'a Value) -> Self {
        Objects { inner: table, source: Source::Table }
    }
}

/// Whoever reads named fields.
struct Named<V>(Objects<V>);

impl<'de, V: Visitor<'de>> Visitor<'de> for Named<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.inner.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<V::Value, A::Error> {
        match self.0.source {
            Source::Json => Err(A::Error::invalid_type(Unexpected::Other("a list"), &"an object")),
            Source::Table if list.next_element::<IgnoredAny>()?.is_none() => {
                self.0.inner.visit_map(MapDeserializer::new(std::iter::empty::<((), ())>()))
            }
            Source::Table => Err(A::Error::invalid_type(Unexpected::Seq, &"a table with names")),
        }
    }
}

/// Calls that go on to what is within, with whoever is to be told of what is found there wrapped as well.
macro_rules! wrapped {
    ($($method:ident($($name:ident: $type:ty),*))*) => {
        $(fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, Self::Error> {
            let visitor = self.within(visitor);
            self.inner.$method($($name,)* visitor)
        })*
    };
}

/// Calls that find one value.
macro_rules! plain {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
            self.inner.$method(visitor)
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Objects<D> {
    type Error = D::Error;

    plain! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128 deserialize_u8
        deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64
        deserialize_char deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf deserialize_unit
        deserialize_identifier deserialize_ignored_any
    }

    wrapped! {
        deserialize_any()
        deserialize_option()
        deserialize_unit_struct(name: &'static str)
        deserialize_newtype_struct(name: &'static str)
        deserialize_seq()
        deserialize_tuple(length: usize)
        deserialize_tuple_struct(name: &'static str, length: usize)
        deserialize_map()
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = Named(self.within(visitor));
        self.inner.deserialize_struct(name, fields, visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// Values that have nothing within them.
macro_rules! told {
    ($($method:ident($type:ty))*) => {
        $(fn $method<E: serde::de::Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Objects<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    told! {
        visit_bool(bool) visit_i8(i8) visit_i16(i16) visit_i32(i32) visit_i64(i64) visit_i128(i128) visit_u8(u8)
        visit_u16(u16) visit_u32(u32) visit_u64(u64) visit_u128(u128) visit_f32(f32) visit_f64(f64) visit_char(char)
        visit_str(&str) visit_borrowed_str(&'de str) visit_string(String) visit_bytes(&[u8])
        visit_borrowed_bytes(&'de [u8]) visit_byte_buf(Vec<u8>)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        let deserializer = self.within(deserializer);
        self.inner.visit_some(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        let deserializer = self.within(deserializer);
        self.inner.visit_newtype_struct(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<V::Value, A::Error> {
        let list = self.within(list);
        self.inner.visit_seq(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        let map = self.within(map);
        self.inner.visit_map(map)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<V::Value, A::Error> {
        let data = self.within(data);
        self.inner.visit_enum(data)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Objects<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        let deserializer = self.within(deserializer);
        self.inner.deserialize(deserializer)
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Objects<A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        let seed = self.within(seed);
        self.inner.next_element_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Objects<A> {
    type Error = A::Error;

    // A key is never a struct.
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        self.inner.next_key_seed(seed)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        let seed = self.within(seed);
        self.inner.next_value_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Objects<A> {
    type Error = A::Error;
    type Variant = Objects<A::Variant>;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self::Variant), A::Error> {
        let source = self.source;
        let (value, inner) = self.inner.variant_seed(seed)?;
        Ok((value, Objects { inner, source }))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Objects<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, A::Error> {
        let seed = self.within(seed);
        self.inner.newtype_variant_seed(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, A::Error> {
        let visitor = self.within(visitor);
        self.inner.tuple_variant(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let visitor = Named(self.within(visitor));
        self.inner.struct_variant(fields, visitor)
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
        pair: Option<(u8, u8)>,
        choice: Option<Choice>,
        any: Value,
    }

    #[derive(Deserialize, PartialEq, Debug, Default)]
    #[serde(deny_unknown_fields, default)]
    struct Inner {
        number: u32,
        text: Option<String>,
    }

    #[derive(Deserialize, PartialEq, Debug)]
    enum Choice {
        None,
        Whole(Inner),
        Fields { number: u32 },
    }

    fn table(value: &Value) -> Result<Outer, String> {
        Outer::deserialize(Objects::of_table(value)).map_err(|error| error.to_string())
    }

    fn json(value: &Value) -> Result<Outer, String> {
        let text = value.to_string();
        Outer::deserialize(Objects::new(&mut serde_json::Deserializer::from_str(&text)))
            .map_err(|error| error.to_string())
    }

    /// Where a list stands in place of an object.
    fn lists() -> Vec<Value> {
        vec![
            json!([{"number": 1}]),
            json!({"inner": [1]}),
            json!({"list": [[1, "x"]]}),
            json!({"map": {"a": [1]}}),
            json!({"choice": {"Whole": [1]}}),
            json!({"choice": {"Fields": [1]}}),
        ]
    }

    #[test]
    fn a_list_is_no_object_however_deep_it_stands() {
        for wrong in lists() {
            let error = table(&wrong).unwrap_err();
            // serde_json has a word of its own for the variant of an enum.
            let words = ["expected a table with names", "expected struct variant"];
            assert!(words.iter().any(|words| error.contains(words)), "{wrong}: {error}");
            let error = json(&wrong).unwrap_err();
            assert!(error.contains("invalid type: a list, expected an object at line 1"), "{wrong}: {error}");
        }
        for wrong in [json!({"inner": {"colour": 1}}), json!({"inner": {"number": -1}}), json!({"list": {}}), json!(1)]
        {
            assert!(table(&wrong).unwrap_err().contains("expected"), "{wrong}");
            assert!(json(&wrong).unwrap_err().contains("expected"), "{wrong}");
        }
    }

    #[test]
    fn an_empty_list_is_a_table_of_lua_and_no_object_of_json() {
        assert_eq!(table(&json!([])).unwrap(), Outer::default());
        assert_eq!(table(&json!({"list": [[]]})).unwrap().list, [Inner::default()]);
        assert!(json(&json!([])).unwrap_err().contains("expected an object"));
        assert!(json(&json!({"list": [[]]})).unwrap_err().contains("expected an object"));
    }

    #[test]
    fn what_is_right_is_read_as_without_it() {
        let value = json!({
            "inner": {"number": 1, "text": "x"},
            "list": [{"text": null}],
            "map": {"a": {"number": 4}},
            "pair": [1, 2],
            "choice": {"Fields": {"number": 3}},
            "any": [1, {"a": [2]}, -1, 0.5, true],
        });
        let expected: Outer = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(table(&value).unwrap(), expected);
        assert_eq!(json(&value).unwrap(), expected);
        assert_eq!(json(&json!({"choice": "None"})).unwrap().choice, Some(Choice::None));
        assert_eq!(json(&json!({"choice": {"Whole": {}}})).unwrap().choice, Some(Choice::Whole(Inner::default())));
    }
}
