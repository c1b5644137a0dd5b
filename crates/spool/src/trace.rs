use crate::{Message, MetaValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;
use waybill_types::EnvelopeAddress;

/// No line of the header is longer.
const FOLD_AT: usize = 75;

/// The header that leads from a complaint back to the message: an object in base64 with a key that nobody else has,
/// the recipient, and the meta fields that the operator wants to see. Folded, and ended by CRLF.
pub fn supplemental_trace(header_name: &str, include_meta: &[String], message: &Message) -> String {
    let mut json = r#"{"_@_":"\\_/","recipient":"#.to_owned();
    json.push_str(&recipient(&message.recipients()).to_string());
    for name in include_meta {
        if let Some(MetaValue::Json(value)) = message.meta(name) {
            json.push_str(&format!(",{}:{value}", Json::from(name.as_str())));
        }
    }
    json.push('}');
    let mut line = format!("{header_name}: ");
    let mut out = String::new();
    for digit in STANDARD.encode(json).chars() {
        if line.len() == FOLD_AT {
            out.push_str(&line);
            out.push_str("\r\n");
            line = "\t".to_owned();
        }
        line.push(digit);
    }
    out.push_str(&line);
    out.push_str("\r\n");
    out
}

/// An address, or a list when it is not exactly one.
fn recipient(recipients: &[EnvelopeAddress]) -> Json {
    match recipients {
        [only] => only.as_str().into(),
        many => many.iter().map(EnvelopeAddress::as_str).collect::<Vec<_>>().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use serde_json::json;
    use waybill_types::{IdMint, Timestamp};

    fn message(recipients: &[&str]) -> Message {
        let id = IdMint::random().message(Timestamp::from_secs(1_700_000_000));
        let recipients = recipients.iter().map(|text| text.parse().unwrap()).collect();
        Message::new(id, "a@x.example".parse().unwrap(), recipients, Bytes::new())
    }

    fn decoded(header: &str) -> String {
        let value: String = header.split_once(':').unwrap().1.split_whitespace().collect();
        String::from_utf8(STANDARD.decode(value).unwrap()).unwrap()
    }

    #[test]
    fn the_supplemental_header_is_the_one_that_others_know() {
        assert_eq!(
            supplemental_trace("X-KumoRef", &[], &message(&["u@held.example.com"])),
            "X-KumoRef: eyJfQF8iOiJcXF8vIiwicmVjaXBpZW50IjoidUBoZWxkLmV4YW1wbGUuY29tIn0=\r\n"
        );
    }

    #[test]
    fn meta_fields_are_shown_in_the_order_asked_for_and_long_values_are_folded() {
        let include = ["tenant".to_owned(), "missing".to_owned(), "list".to_owned()];
        let message = message(&["a@x.example", "\"b c\"@y.example"]);
        message.set_meta("list", json!([1, null]));
        message.set_meta("tenant", json!("t\r\n1"));
        let header = supplemental_trace("X-Ref", &include, &message);
        assert!(header.starts_with("X-Ref: ") && header.ends_with("\r\n"));
        assert!(header.lines().count() > 1);
        assert!(header.lines().all(|line| line.len() <= FOLD_AT), "{header}");
        assert!(header.lines().skip(1).all(|line| line.starts_with('\t') && line.len() > 1));
        assert_eq!(
            decoded(&header),
            r#"{"_@_":"\\_/","recipient":["a@x.example","\"b c\"@y.example"],"tenant":"t\r\n1","list":[1,null]}"#
        );
    }
}
