//! How a hook is shown: with every default, without any secret.

use super::read::READ_ONLY;
use super::{Encoding, Hook};
use crate::Document;
use crate::handler::Handler;
use serde_json::{Map, Value, json};

/// Parts of headers' names whose values are secrets: they can be written, not read.
const SECRET_HEADERS: &[&str] =
    &["authorization", "cookie", "token", "secret", "password", "api-key", "apikey", "auth", "key", "signature"];

/// Whether a header's name says that its value is secret.
pub(super) fn is_secret_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_HEADERS.iter().any(|secret| name.contains(secret))
}

/// Secrets within a `config`: they can be written, not read.
const SECRETS: &[&[&str]] = &[
    &["secret"],
    &["signatures", "standard"],
    &["signatures", "klev"],
    &["auth", "basic", "password"],
    &["auth", "bearer", "token"],
    &["auth", "oauth2", "client_secret"],
    &["proxy", "password"],
    &["tls", "client_key"],
];
/// Maps within a `config` whose fields are settings.
const MAPS: &[&str] = &["headers", "secret_headers", "auth", "proxy", "tls", "signature_header", "signatures"];

/// Fields of a form that are no texts, so that a description is kept as if it had come as JSON.
const NUMBERS: &[&str] = &["snooze", "batch", "batch_bytes", "connections"];
const BOOLEANS: &[&str] = &["on_change", "enabled"];
const CONFIG_BOOLEANS: &[&str] = &["ssl_verify", "payload_format", "body_format", "headers_format"];
const LISTS: &[&str] = &["fields", "hash"];

/// The description as it is kept: JSON's types, without what is ours to set and without nulls.
pub(super) fn normal(document: &Document, encoding: Encoding) -> Document {
    let mut map = document.0.clone();
    for field in READ_ONLY {
        map.remove(*field);
    }
    if encoding == Encoding::Form {
        retype(&mut map, NUMBERS, |text| text.parse::<u64>().ok().map(Value::from));
        retype(&mut map, BOOLEANS, |text| text.parse::<bool>().ok().map(Value::from));
        retype(&mut map, LISTS, |text| Some(text.split(',').map(str::trim).collect()));
        if let Some(Value::Object(config)) = map.get_mut("config") {
            retype(config, CONFIG_BOOLEANS, |text| text.parse::<bool>().ok().map(Value::from));
        }
    }
    map.retain(|_, value| !value.is_null());
    if let Some(Value::Object(config)) = map.get_mut("config") {
        config.retain(|_, value| !value.is_null());
        for field in MAPS {
            config.get_mut(*field).into_iter().for_each(without_nulls);
        }
    }
    Document(map)
}

/// A null within these is something that was taken out.
fn without_nulls(value: &mut Value) {
    if let Value::Object(map) = value {
        map.retain(|_, value| !value.is_null());
        map.values_mut().for_each(without_nulls);
    }
}

/// What stands at a path of names.
fn inner<'a>(map: &'a mut Map<String, Value>, path: &[&str]) -> Option<&'a mut Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(map.get_mut(*first)?, |value, name| value.get_mut(*name))
}

fn retype(map: &mut Map<String, Value>, fields: &[&str], read: impl Fn(&str) -> Option<Value>) {
    for field in fields {
        if let Some(Value::String(text)) = map.get(*field)
            && let Some(value) = read(text)
        {
            map.insert((*field).to_owned(), value);
        }
    }
}

/// Fields that are shown as they were described; null where they were not.
pub(super) const DESCRIBED: [&str; 13] = [
    "snooze",
    "on_change",
    "filter",
    "fields",
    "hash",
    "tenant",
    "batch",
    "batch_bytes",
    "batch_wait",
    "max_age",
    "rate",
    "connections",
    "secret_overlap",
];

impl Hook {
    /// The hook as the API shows it. Secrets are null.
    pub fn to_json(&self) -> Value {
        let described = |field: &str| self.draft.document.0.get(field).cloned().unwrap_or(Value::Null);
        let mut hook = json!({
            "id": self.id,
            "created_at": self.created_at.secs(),
            "updated_at": self.updated_at.secs(),
            "source": self.draft.source,
            "event": self.draft.event,
            "handler": self.draft.handler.name(),
            "config": self.config(),
            "enabled": self.draft.enabled,
            "state": if self.draft.enabled { "active" } else { "disabled" },
            "reason": self.reason,
            "format": match self.draft.handler {
                Handler::Webhook(_) => Value::from(self.draft.format.as_str()),
                _ => Value::Null,
            },
        });
        for field in DESCRIBED {
            hook[field] = described(field);
        }
        hook
    }

    fn config(&self) -> Value {
        let described = match self.draft.document.0.get("config") {
            Some(Value::Object(config)) => config.clone(),
            _ => Map::new(),
        };
        let defaults = match self.draft.handler {
            Handler::Webhook(_) => json!({
                "url": null, "headers": {}, "secret": null, "signature_algorithm": "sha256", "ssl_verify": true,
                "timeout": 20, "secret_headers": null, "signature_header": null, "signatures": null,
                "compression": "none", "auth": null, "proxy": null, "tls": null,
            }),
            Handler::Custom(_) => json!({
                "url": null, "method": null, "payload": null, "payload_format": true, "body": null,
                "body_format": true, "headers": null, "headers_format": false, "secret": null,
                "signature_algorithm": "sha256", "ssl_verify": true, "timeout": 20, "secret_headers": null,
                "signature_header": null, "signatures": null, "compression": "none", "auth": null, "proxy": null,
                "tls": null,
            }),
            Handler::Log => json!({}),
            Handler::Lambda(_) => json!({"functions": []}),
        };
        let Value::Object(mut config) = defaults else { return Value::Null };
        config.extend(described);
        for path in SECRETS {
            if let Some(secret) = inner(&mut config, path) {
                *secret = Value::Null;
            }
        }
        if let Some(Value::Object(headers)) = config.get_mut("secret_headers") {
            headers.values_mut().for_each(|value| *value = Value::Null);
        }
        if let Some(Value::Object(headers)) = config.get_mut("headers") {
            headers.iter_mut().filter(|(name, _)| is_secret_header(name)).for_each(|(_, value)| *value = Value::Null);
        }
        Value::Object(config)
    }
}
