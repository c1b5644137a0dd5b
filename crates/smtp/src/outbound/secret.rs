//! Passwords as a policy gives them.

use serde_json::Value;
use std::fmt;

/// A text that is shown nowhere: a file that holds it, or the text itself.
#[derive(Clone)]
pub(super) enum Secret {
    /// `{key_data = …}`.
    Text(String),
    /// A file, read when the secret is needed.
    File(String),
}

impl Secret {
    /// From what stands under an option: a path, or `{key_data=..}`.
    pub(super) fn new(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(path) => Ok(Secret::File(path.clone())),
            Value::Object(table) => match table.get("key_data") {
                Some(Value::String(text)) if table.len() == 1 => Ok(Secret::Text(text.clone())),
                _ => Err("this kind of key source is not supported: use a file path or {key_data=...}".into()),
            },
            _ => Err("expected a file path or {key_data=...}".into()),
        }
    }

    /// The text, without the line end of its file.
    pub(super) async fn load(&self) -> Result<String, String> {
        match self {
            Secret::Text(text) => Ok(text.clone()),
            Secret::File(path) => {
                let text = tokio::fs::read_to_string(path).await.map_err(|error| format!("{path}: {error}"))?;
                Ok(text.trim_end_matches(['\r', '\n']).to_owned())
            }
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn other_key_sources_are_refused_and_none_is_shown() {
        assert!(Secret::new(&json!({"vault_mount": "x"})).unwrap_err().contains("not supported"));
        assert!(Secret::new(&json!(5)).is_err());
        assert_eq!(format!("{:?}", Secret::new(&json!({"key_data": "s3cret"})).unwrap()), "Secret");
    }
}
