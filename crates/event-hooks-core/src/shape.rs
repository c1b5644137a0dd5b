use crate::path::{Found, follow, steps};
use data_encoding::HEXLOWER;
use hmac::{Hmac, Mac};
use serde_json::{Map, Value};
use sha2::Sha256;
use std::fmt;

/// Which of an event's fields a target sees, and which of them only as hashes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Shape {
    keep: Option<Vec<Vec<String>>>,
    hash: Vec<Vec<String>>,
}

/// The key of hashed addresses: without it nobody can try out addresses.
#[derive(Clone)]
pub struct HashKey([u8; 32]);

impl HashKey {
    /// A key of its own for a hook, so that two targets cannot compare what they saw.
    pub fn derived(master: &[u8], hook: &str) -> Self {
        HashKey(mac(master, &[b"waybill event hook address hash", hook.as_bytes()]))
    }

    /// An address as `HASH@DOMAIN`, any other text as `HASH`: 24 hex digits over the text in lower case.
    fn hide(&self, text: &str) -> String {
        let lower = text.to_lowercase();
        let hash = HEXLOWER.encode(&mac(&self.0, &[lower.as_bytes()])[..12]);
        match lower.rsplit_once('@') {
            Some((_, domain)) => format!("{hash}@{domain}"),
            None => hash,
        }
    }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // Any length is a key.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey")
    }
}

impl Shape {
    /// `keep` and `hash` are dotted paths; without `keep` everything is seen. `Err` is the path that is none.
    pub(crate) fn new<'a>(keep: Option<&'a [String]>, hash: &'a [String]) -> Result<Self, &'a str> {
        let read = |paths: &'a [String]| -> Result<Vec<Vec<String>>, &'a str> {
            paths.iter().map(|path| steps(path).ok_or(path.as_str())).collect()
        };
        Ok(Shape { keep: keep.map(read).transpose()?, hash: read(hash)? })
    }

    /// The data as a target sees it.
    pub fn apply(&self, data: &Map<String, Value>, key: &HashKey) -> Map<String, Value> {
        let mut shown = match &self.keep {
            None => data.clone(),
            Some(keep) => {
                let root = Value::Object(data.clone());
                let mut kept = Map::new();
                for path in keep {
                    if let Found::Value(value) = follow(&root, path) {
                        insert(&mut kept, path, value.clone());
                    }
                }
                kept
            }
        };
        for path in &self.hash {
            if let Some((first, rest)) = path.split_first()
                && let Some(value) = shown.get_mut(first)
            {
                hide(value, rest, key);
            }
        }
        shown
    }
}

/// Puts a value where its path says; an item of a list stands below its number.
fn insert(map: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [name] => {
            map.insert(name.clone(), value);
        }
        [name, rest @ ..] => {
            let inner = map.entry(name.as_str()).or_insert_with(|| Value::Object(Map::new()));
            // A field that is there as a whole holds its parts already.
            if let Value::Object(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

/// Hides the texts at a path, all of those below it.
fn hide(value: &mut Value, path: &[String], key: &HashKey) {
    match (path.split_first(), value) {
        (Some((first, rest)), Value::Object(map)) => {
            if let Some(inner) = map.get_mut(first) {
                hide(inner, rest, key);
            }
        }
        (Some((first, rest)), Value::Array(items)) => {
            if let Some(item) = first.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                hide(item, rest, key);
            }
        }
        (Some(_), _) => {}
        (None, Value::String(text)) => *text = key.hide(text),
        (None, Value::Array(items)) => items.iter_mut().for_each(|item| hide(item, &[], key)),
        (None, Value::Object(map)) => map.values_mut().for_each(|inner| hide(inner, &[], key)),
        (None, _) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shaped(keep: Option<&[&str]>, hash: &[&str], data: &Value) -> Value {
        let owned = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
        let (keep, hash) = (keep.map(owned), owned(hash));
        let shape = Shape::new(keep.as_deref(), &hash).unwrap();
        Value::Object(shape.apply(data.as_object().unwrap(), &HashKey::derived(b"master", "hook")))
    }

    #[test]
    fn a_keep_list_leaves_only_what_it_names() {
        let data = json!({"a": 1, "response": {"code": 550, "content": "x"}, "list": [{"n": 1}, {"n": 2}], "b": null});
        assert_eq!(
            shaped(Some(&["a", "response.code", "nothing.x", "b"]), &[], &data),
            json!({"a": 1, "response": {"code": 550}, "b": null})
        );
        assert_eq!(shaped(Some(&["list.1.n"]), &[], &data), json!({"list": {"1": {"n": 2}}}));
        assert_eq!(shaped(Some(&["response", "response.code"]), &[], &data)["response"], data["response"]);
        assert_eq!(shaped(Some(&[]), &[], &data), json!({}));
        assert_eq!(shaped(None, &[], &data), data);
    }

    #[test]
    fn addresses_are_hashed_with_a_key_and_keep_their_domain() {
        let data = json!({"sender": "Ada@Example.COM", "recipient": ["bob@b.example", "ada@example.com"], "n": 1});
        let seen = shaped(None, &["sender", "recipient", "n", "nothing"], &data);
        let sender = seen["sender"].as_str().unwrap();
        assert!(sender.ends_with("@example.com") && sender.len() == 24 + 12, "{sender}");
        assert_eq!(seen["recipient"][1], seen["sender"], "the same address is the same hash, whatever its case");
        assert_ne!(seen["recipient"][0], seen["sender"]);
        assert_eq!(seen["n"], 1);
        assert!(!seen.to_string().to_lowercase().contains("ada@"));
    }

    #[test]
    fn two_hooks_hash_differently_and_a_text_without_a_domain_shows_none() {
        let (one, other) = (HashKey::derived(b"master", "1"), HashKey::derived(b"master", "2"));
        assert_ne!(one.hide("a@b"), other.hide("a@b"));
        assert_ne!(HashKey::derived(b"other", "1").hide("a@b"), one.hide("a@b"));
        assert_eq!(one.hide("postmaster").len(), 24);
        assert_eq!(format!("{one:?}"), "HashKey");
    }

    #[test]
    fn nested_texts_below_a_hashed_field_are_hashed_too() {
        let data = json!({"headers": {"To": ["a@b.example"], "X": {"y": "c@d.example"}}, "meta": {"a": "e@f.example"}});
        let text = shaped(None, &["headers", "meta.a"], &data).to_string();
        for address in ["a@b", "c@d", "e@f"] {
            assert!(!text.contains(address), "{text}");
        }
    }
}
