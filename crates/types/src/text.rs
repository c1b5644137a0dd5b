//! Texts as a policy writes them: names and paths, which are shown in records, logs and file systems.

use serde::de::{Deserialize, Deserializer, Error};
use std::path::PathBuf;

/// Reads a name. An empty one, or one with control characters (a line end that slipped in), is refused.
///
/// # Errors
/// A sentence that shows the text.
pub fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    checked("text", String::deserialize(deserializer)?)
}

/// [`name`] for a field that may be unset.
///
/// # Errors
/// As [`name`].
pub fn name_opt<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::<String>::deserialize(deserializer)?.map(|text| checked("text", text)).transpose()
}

/// A list of names; an empty Lua table is an empty list.
///
/// # Errors
/// As [`name`].
pub fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let texts: Vec<String> = crate::list(deserializer)?;
    texts.into_iter().map(|text| checked("text", text)).collect()
}

/// Reads a path in the same way.
///
/// # Errors
/// A sentence that shows the text.
pub fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    checked("path", String::deserialize(deserializer)?).map(PathBuf::from)
}

/// [`path`] for a field that may be unset.
///
/// # Errors
/// As [`path`].
pub fn path_opt<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| checked("path", text).map(PathBuf::from)).transpose()
}

fn checked<E: Error>(what: &str, text: String) -> Result<String, E> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(E::custom(format_args!("expected a {what} without control characters, got {text:?}")));
    }
    Ok(text)
}

/// Whether a text is ADDRESS:PORT, as sockets are bound to: the address may be a name, an IPv6 address is in brackets.
pub fn is_address_and_port(text: &str) -> bool {
    let Some((address, port)) = text.rsplit_once(':') else { return false };
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let fits = match bare {
        Some(inside) => inside.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
        }
    };
    fits && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    #[derive(serde::Deserialize, Debug)]
    #[serde(default)]
    struct Fields {
        #[serde(deserialize_with = "name")]
        name: String,
        #[serde(deserialize_with = "name_opt")]
        other: Option<String>,
        #[serde(deserialize_with = "names")]
        names: Vec<String>,
        #[serde(deserialize_with = "path")]
        path: PathBuf,
        #[serde(deserialize_with = "path_opt")]
        folder: Option<PathBuf>,
    }

    impl Default for Fields {
        fn default() -> Self {
            Fields { name: "a".into(), other: None, names: Vec::new(), path: "/a".into(), folder: None }
        }
    }

    fn read(value: Value) -> Result<Fields, String> {
        from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn names_and_paths_are_there_and_have_no_control_characters() {
        let good = read(json!({"name": "größe 1", "other": "x", "path": "/var/a b", "folder": "logs"})).unwrap();
        assert_eq!((good.name.as_str(), good.other.as_deref()), ("größe 1", Some("x")));
        assert_eq!((good.path, good.folder), ("/var/a b".into(), Some("logs".into())));
        assert!(read(json!({"other": null, "folder": null})).unwrap().other.is_none());
        for (field, what) in [("name", "text"), ("other", "text"), ("path", "path"), ("folder", "path")] {
            for wrong in ["", "a\nb", "a\u{0}"] {
                let error = read(json!({ field: wrong })).unwrap_err();
                assert_eq!(error, format!("expected a {what} without control characters, got {wrong:?}"));
            }
            assert!(read(json!({ field: 1 })).unwrap_err().contains("expected a string"));
        }
        assert_eq!(read(json!({"names": ["a", "b"]})).unwrap().names, ["a", "b"]);
        assert!(read(json!({"names": {}})).unwrap().names.is_empty());
        let error = read(json!({"names": ["a", "b\n"]})).unwrap_err();
        assert_eq!(error, "expected a text without control characters, got \"b\\n\"");
    }

    #[test]
    fn an_address_has_a_port() {
        for good in ["127.0.0.1:25", "[::1]:0", "0:2026", "localhost:25", "mta_1.example-a.com:65535"] {
            assert!(is_address_and_port(good), "{good}");
        }
        for wrong in
            ["", ":25", "a b:25", "127.0.0.1", "::1:x", "[::1:25", "[x]:25", "a\n:25", "a:65536", "a:-1", "::1:25"]
        {
            assert!(!is_address_and_port(wrong), "{wrong}");
        }
    }
}
