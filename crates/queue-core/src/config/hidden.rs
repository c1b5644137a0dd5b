use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use std::fmt;

/// What is shown in place of a secret that stands in the policy.
const MASK: &str = "(hidden)";
/// What a key source may be.
const EXPECTED: &str = "expected the path of a file or { key_data = '…' }";

/// A key source as a policy gives it: the path of a file, or a table that may hold the secret itself. Whoever uses it asks
/// for [`given`](Self::given); wherever it is shown (diagnostics, the admin API, scripts that look) the secret is masked.
#[derive(Clone, PartialEq)]
pub struct Hidden(Value);

impl Hidden {
    /// As the policy gave it, secret and all.
    pub fn given(&self) -> &Value {
        &self.0
    }

    /// With the texts of a table masked: other kinds of key source hold no secret worth less than `key_data`.
    fn shown(&self) -> Value {
        match &self.0 {
            Value::Object(table) => table.keys().map(|key| (key.clone(), json!(MASK))).collect(),
            Value::String(path) => json!(path),
            _ => json!(MASK),
        }
    }
}

impl From<Value> for Hidden {
    fn from(value: Value) -> Self {
        Hidden(value)
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        key_source(deserializer).map(Hidden)
    }
}

/// A key source of a kind that we read. No error shows what was given: it may be the secret.
fn key_source<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let wrong = match &value {
        Value::String(path) if path.is_empty() => "an empty path",
        Value::String(path) if path.chars().any(char::is_control) => "a path with control characters",
        Value::String(_) => return Ok(value),
        Value::Object(table) if table.len() == 1 && table.get("key_data").is_some_and(Value::is_string) => {
            return Ok(value);
        }
        Value::Object(_) => "a kind of key source that is not supported",
        _ => "neither a text nor a table",
    };
    Err(D::Error::custom(format_args!("{EXPECTED}, got {wrong}")))
}

/// The same for what is no secret and may be unset.
pub(super) fn open_key_source<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Ok(Option::<Hidden>::deserialize(deserializer)?.map(|source| source.0))
}

impl Serialize for Hidden {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.shown().serialize(serializer)
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{EgressPathConfig, EgressSource};

    #[test]
    fn secrets_of_sources_and_paths_are_shown_nowhere_and_files_are() {
        let secret = json!({ "key_data": "s3cret" });
        let source: EgressSource =
            serde_json::from_value(json!({ "name": "s", "socks5_proxy_password": secret })).unwrap();
        let path: EgressPathConfig =
            serde_json::from_value(json!({ "smtp_auth_plain_password": secret, "tls_private_key": secret })).unwrap();
        for shown in [
            format!("{source:?}"),
            serde_json::to_string(&source).unwrap(),
            format!("{path:?}"),
            serde_json::to_string(&path).unwrap(),
        ] {
            assert!(!shown.contains("s3cret") && shown.contains(r#"{"key_data":"(hidden)"}"#), "{shown}");
        }
        assert_eq!(source.socks5_proxy_password.unwrap().given(), &secret);
        assert_eq!(format!("{:?}", Hidden(json!("/etc/key"))), "\"/etc/key\"");
    }

    #[test]
    fn what_is_no_key_source_is_refused_without_being_shown() {
        for (source, what) in [
            (json!({ "key_dato": "s3cret" }), "a kind of key source that is not supported"),
            (json!({ "key_data": "s3cret", "more": 1 }), "a kind of key source that is not supported"),
            (json!({ "key_data": 5 }), "a kind of key source that is not supported"),
            (json!(["s3cret"]), "neither a text nor a table"),
            (json!(true), "neither a text nor a table"),
            (json!(""), "an empty path"),
            (json!("s3cret\n"), "a path with control characters"),
        ] {
            for option in ["tls_certificate", "tls_private_key", "smtp_auth_plain_password"] {
                let error =
                    serde_json::from_value::<EgressPathConfig>(json!({ option: source })).unwrap_err().to_string();
                assert_eq!(error, format!("{EXPECTED}, got {what}"));
            }
        }
    }
}
