use crate::Event;
use crate::path::{Found, follow, steps};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// What tells an event from another: a hash of its source's unique fields where it declares some, else of all its data.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Digest([u8; 16]);

impl Digest {
    /// That of an event. A path of `unique` that leads nowhere counts as null.
    pub fn of(event: &Event<'_>, unique: Option<&[String]>) -> Self {
        let mut hash = Sha256::new();
        text(&mut hash, event.source);
        text(&mut hash, event.event);
        match unique {
            None => object(&mut hash, event.data),
            Some(unique) => {
                let data = Value::Object(event.data.clone());
                for field in unique {
                    text(&mut hash, field);
                    match steps(field).map(|steps| follow(&data, &steps)) {
                        Some(Found::Value(found)) => value(&mut hash, found),
                        _ => value(&mut hash, &Value::Null),
                    }
                }
            }
        }
        let mut digest = [0; 16];
        digest.copy_from_slice(&hash.finalize()[..16]);
        Digest(digest)
    }
}

/// Each value begins with a letter for its kind, each text with its length: no two values look alike.
fn value(hash: &mut Sha256, from: &Value) {
    match from {
        Value::Null => hash.update(b"z"),
        Value::Bool(yes) => hash.update(if *yes { b"y" } else { b"n" }),
        Value::Number(number) => {
            hash.update(b"#");
            text(hash, &number.to_string());
        }
        Value::String(inner) => text(hash, inner),
        Value::Array(items) => {
            hash.update(b"[");
            items.iter().for_each(|item| value(hash, item));
            hash.update(b"]");
        }
        Value::Object(map) => object(hash, map),
    }
}

/// By name, whatever order the map has.
fn object(hash: &mut Sha256, map: &serde_json::Map<String, Value>) {
    let mut fields: Vec<_> = map.iter().collect();
    fields.sort_by_key(|(name, _)| *name);
    hash.update(b"{");
    for (name, inner) in fields {
        text(hash, name);
        value(hash, inner);
    }
    hash.update(b"}");
}

fn text(hash: &mut Sha256, text: &str) {
    hash.update(b"s");
    hash.update(text.len().to_le_bytes());
    hash.update(text.as_bytes());
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&HEXLOWER.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(de::Error::custom)?;
        bytes.try_into().map(Digest).map_err(|_| de::Error::custom("a digest has 16 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use waybill_types::Timestamp;

    fn digest(event: &str, data: Value, unique: Option<&[&str]>) -> Digest {
        let unique: Option<Vec<String>> = unique.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        let Value::Object(data) = data else { panic!("data is an object") };
        let event = Event { id: "1", source: "log", event, time: Timestamp::EPOCH, tenant: None, data: &data };
        Digest::of(&event, unique.as_deref())
    }

    #[test]
    fn without_unique_fields_all_data_counts() {
        assert_eq!(digest("A", json!({"a": 1, "b": 2}), None), digest("A", json!({"b": 2, "a": 1}), None));
        assert_ne!(digest("A", json!({"a": 1}), None), digest("A", json!({"a": "1"}), None));
        assert_ne!(digest("A", json!({"a": [1, [2]]}), None), digest("A", json!({"a": [[1], 2]}), None));
        assert_ne!(digest("A", json!({}), None), digest("B", json!({}), None));
    }

    #[test]
    fn with_unique_fields_only_they_count_nested_ones_too() {
        let unique: Option<&[&str]> = Some(&["queue", "response.code"]);
        let one = json!({"queue": "q", "response": {"code": 550, "content": "x"}, "id": 1});
        let other = json!({"queue": "q", "response": {"code": 550, "content": "y"}, "id": 2});
        assert_eq!(digest("B", one.clone(), unique), digest("B", other, unique));
        assert_ne!(digest("B", one, unique), digest("B", json!({"queue": "q", "response": "550"}), unique));
        assert_eq!(digest("B", json!({}), unique), digest("B", json!({"queue": null}), unique));
    }

    #[test]
    fn a_digest_is_kept_as_text() {
        let digest = digest("A", json!({}), None);
        let text = serde_json::to_string(&digest).unwrap();
        assert_eq!(serde_json::from_str::<Digest>(&text).unwrap(), digest);
        assert!(serde_json::from_str::<Digest>("\"00\"").is_err());
    }
}
