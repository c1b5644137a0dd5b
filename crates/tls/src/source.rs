use serde::de::Error;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a certificate or key comes from: a file in PEM form, or the PEM text itself.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum KeySource {
    /// A plain text is the path of a file, and never the key.
    File(PathBuf),
    /// `{ key_data = "…" }`.
    Data(Arc<str>),
}

impl KeySource {
    /// The PEM text. A file is read anew each time.
    ///
    /// # Errors
    /// A sentence naming the file.
    pub(crate) fn load(&self) -> Result<Vec<u8>, String> {
        match self {
            KeySource::File(path) => {
                std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
            }
            KeySource::Data(text) => Ok(text.as_bytes().to_vec()),
        }
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeySource::File(path) => path.display().fmt(f),
            KeySource::Data(_) => f.write_str("its `key_data`"),
        }
    }
}

// Written by hand: a key must not reach a log through `{:?}`.
impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySource({self})")
    }
}

const EXPECTED: &str = "expected the path of a file or { key_data = '…' }";

impl<'de> Deserialize<'de> for KeySource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not as a struct: to serde a list of one text would be one as well.
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected the path of a file or { key_data = '…' }")]
        enum Written {
            Path(String),
            Table(BTreeMap<String, String>),
        }
        match Written::deserialize(deserializer)? {
            Written::Path(path) if path.is_empty() => {
                Err(D::Error::custom(format_args!("{EXPECTED}, got an empty text")))
            }
            Written::Path(path) if path.contains(char::is_control) => {
                Err(D::Error::custom(format_args!("{EXPECTED}, got a path with control characters")))
            }
            Written::Path(path) => Ok(KeySource::File(path.into())),
            Written::Table(mut table) => match (table.remove("key_data"), table.is_empty()) {
                (Some(data), true) => Ok(KeySource::Data(data.into())),
                _ => Err(D::Error::custom(EXPECTED)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn a_text_is_a_path_and_a_table_is_the_key() {
        assert_eq!(from_value::<KeySource>(json!("/etc/key.pem")).unwrap(), KeySource::File("/etc/key.pem".into()));
        let data: KeySource = from_value(json!({"key_data": "SECRET"})).unwrap();
        assert_eq!(data, KeySource::Data("SECRET".into()));
        assert!(!format!("{data:?} {data}").contains("SECRET"));
        for wrong in [
            json!(5),
            json!({"key_dato": "x"}),
            json!({"vault_mount": "x"}),
            json!(["x"]),
            json!({"key_data": "x", "a": "b"}),
        ] {
            let error = from_value::<KeySource>(wrong).unwrap_err().to_string();
            assert_eq!(error, "expected the path of a file or { key_data = '…' }");
        }
    }
}
