use crate::Message;
use serde::Deserialize;
use std::borrow::Cow;

/// What nothing follows: the types of log records with which a mail's life ends.
const FINAL: [&str; 4] = ["Delivery", "Bounce", "Expiration", "AdminBounce"];

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

/// Whether a message is a log record with which a mail's life ends. What is no log record ends nothing.
pub fn is_final(message: &Message) -> bool {
    let record = message.value.as_ref().and_then(|value| serde_json::from_slice::<Record<'_>>(value).ok());
    record.is_some_and(|record| FINAL.contains(&&*record.kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_ends_with_four_types_of_records_and_with_nothing_else() {
        let ends =
            |value: &str| is_final(&Message { time: 0, key: None, value: Some(value.to_owned().into()), hops: 0 });
        for kind in FINAL {
            assert!(ends(&format!(r#"{{"id":"x","type":"{kind}","meta":{{}}}}"#)), "{kind}");
        }
        for kind in ["Reception", "TransientFailure", "Delayed", "AdminRebind", "XferOut", "XferIn", "delivery", ""] {
            assert!(!ends(&format!(r#"{{"type":"{kind}"}}"#)), "{kind}");
        }
        for value in ["", "{}", "[]", r#"{"type":3}"#, r#"{"meta":{"type":"Bounce"}}"#, "Bounce"] {
            assert!(!ends(value), "{value}");
        }
        assert!(!is_final(&Message { time: 0, key: None, value: None, hops: 0 }));
    }
}
