//! A payload as a form, a multipart form or a query.

use data_encoding::HEXLOWER;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Dotted names and texts, the other way round of how forms are read: `a.b`, `list[]`.
pub(super) fn pairs(payload: &Value) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    collect(String::new(), payload, &mut pairs);
    pairs
}

fn collect(name: String, value: &Value, pairs: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => {
            for (inner, value) in map {
                let joint = if name.is_empty() { "" } else { "." };
                collect(format!("{name}{joint}{inner}"), value, pairs);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(format!("{name}[]"), item, pairs)),
        Value::Null => pairs.push((name, String::new())),
        Value::String(text) => pairs.push((name, text.clone())),
        value => pairs.push((name, value.to_string())),
    }
}

/// `application/x-www-form-urlencoded`.
pub(super) fn form(payload: &Value) -> Vec<u8> {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(pairs(payload));
    form.finish().into_bytes()
}

/// `multipart/form-data` (RFC 7578), and its content type. The boundary is a hash of the content: it cannot stand in it,
/// and a retry sends the same bytes.
pub(super) fn multipart(payload: &Value) -> (String, Vec<u8>) {
    let pairs = pairs(payload);
    let mut hash = Sha256::new();
    for (name, text) in &pairs {
        hash.update(name.len().to_le_bytes());
        hash.update(name);
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    }
    let boundary = format!("waybill{}", HEXLOWER.encode(&hash.finalize()[..20]));
    let mut body = String::new();
    for (name, text) in &pairs {
        // HTML's way to write a name that would break out of its quotes.
        let name = name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
        body.push_str(&format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n"));
    }
    body.push_str(&format!("--{boundary}--\r\n"));
    (format!("multipart/form-data; boundary={boundary}"), body.into_bytes())
}
