//! Lists as scripts write them.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// A list. Nothing tells an empty Lua table from an empty map, so that is an empty list too.
pub(super) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct List<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
        type Value = Vec<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a sequence")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = seq.next_element()? {
                items.push(item);
            }
            Ok(items)
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<T>, A::Error> {
            match map.next_key::<String>()? {
                None => Ok(Vec::new()),
                Some(key) => {
                    Err(Error::custom(format_args!("invalid type: map with the key `{key}`, expected a sequence")))
                }
            }
        }
    }
    deserializer.deserialize_any(List(PhantomData))
}

#[cfg(test)]
mod tests {
    use crate::config::{EgressPathConfig, QueueConfig};
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    fn read<T: DeserializeOwned>(json: Value) -> Result<T, String> {
        serde_json::from_value(json).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_lua_table_is_an_empty_list() {
        let config: QueueConfig = read(json!({"shrink_policy": {}, "protocol": {"smtp": {"mx_list": {}}}})).unwrap();
        assert!(config.shrink_policy.is_empty());
        let path: EgressPathConfig =
            read(json!({"prohibited_hosts": {}, "skip_hosts": {}, "rustls_cipher_suites": {}})).unwrap();
        assert!(path.rustls_cipher_suites.is_empty());
        let path: EgressPathConfig = read(json!({"rustls_cipher_suites": ["A"]})).unwrap();
        assert_eq!(path.rustls_cipher_suites, ["A"]);
        let error = read::<QueueConfig>(json!({"shrink_policy": {"a": 1}})).unwrap_err();
        assert_eq!(error, "invalid type: map with the key `a`, expected a sequence");
        assert!(read::<QueueConfig>(json!({"shrink_policy": "A"})).unwrap_err().contains("a sequence"));
    }
}
