//! The header that leads from a complaint back to the message: an object in base64, with a key that nobody else has.

use crate::mime::split;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// The key, and what it says.
const MARK: (&str, &str) = ("_@_", "\\_/");
/// Bytes of one such header.
const MAX_HEADER: usize = 16 * 1024;

/// What the first such header of a message says. Operators name it as they like, so every `X-` header may be it.
pub(crate) fn supplemental(message: &[u8]) -> Option<Value> {
    let mut value: Option<String> = None;
    let lines = split(message).0.split(|byte| *byte == b'\n').chain([&b""[..]]);
    for line in lines {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            if let Some(value) = value.as_mut().filter(|value| value.len() < MAX_HEADER) {
                value.push_str(String::from_utf8_lossy(line).trim());
            }
            continue;
        }
        if let Some(found) = value.take().and_then(|value| decode(&value)) {
            return Some(found);
        }
        let text = String::from_utf8_lossy(line);
        value = text
            .split_once(':')
            .filter(|(name, _)| name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("X-")))
            .map(|(_, value)| value.trim().to_owned());
    }
    None
}

fn decode(value: &str) -> Option<Value> {
    if value.len() > MAX_HEADER {
        return None;
    }
    let value: Value = serde_json::from_slice(&STANDARD.decode(value).ok()?).ok()?;
    (value.get(MARK.0)?.as_str()? == MARK.1).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_header_is_found_by_its_mark_whatever_its_name() {
        let traced = json!({"_@_": "\\_/", "recipient": "test@example.com"});
        let message = "Subject: x\r\nX-Other: eyJhIjoxfQ==\r\nx-ref: eyJfQF8iOiJcXF8vIiwicmVj\r\n\taXBpZW50IjoidGVzdEBleGFtcGxlLmNvbSJ9\r\nX-Last: y\r\n\r\nbody";
        assert_eq!(supplemental(message.as_bytes()), Some(traced.clone()));
        let last = "X-KumoRef: eyJfQF8iOiJcXF8vIiwicmVjaXBpZW50IjoidGVzdEBleGFtcGxlLmNvbSJ9";
        assert_eq!(supplemental(last.as_bytes()), Some(traced));
        for none in
            ["", "X-KumoRef:\r\n", "X-A: é\r\n", "X-KumoRef: eyJhIjoxfQ==\r\n\r\nX-KumoRef: eyJfQF8iOiJcXF8vIn0="]
        {
            assert_eq!(supplemental(none.as_bytes()), None, "{none}");
        }
    }
}
