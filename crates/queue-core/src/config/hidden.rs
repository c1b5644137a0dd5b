use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};
use std::fmt;

/// What is shown in place of a secret that stands in the policy.
const MASK: &str = "(hidden)";

/// A key source as a policy gives it: the path of a file, or a table that may hold the secret itself. Whoever uses it asks
/// for [`given`](Self::given); wherever it is shown (diagnostics, the admin API, scripts that look) the secret is masked.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(transparent)]
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
}
