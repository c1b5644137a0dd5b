//! Headers that lead back from a message to its injection.

use super::request::TraceHeaders;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use waybill_spool::{Message, MetaValue};
use waybill_types::{EnvelopeAddress, MessageId, Timestamp};

/// No line of the supplemental header is longer.
const COLUMNS: usize = 75;

/// The `Received` header (RFC 5321 section 4.4).
pub(crate) fn received(peer: IpAddr, hostname: &str, id: MessageId, to: &EnvelopeAddress, now: Timestamp) -> String {
    let date = now.to_utc().to_rfc2822();
    format!(
        "Received: from [{peer}] ({peer})\r\n  by {hostname} (Waybill)\r\n  with HTTP id {id} for <{to}>;\r\n  {date}\r\n"
    )
}

/// The supplemental header: base64 of a JSON object with the recipients and the chosen meta, folded. Readers know it
/// by the odd first member.
pub(crate) fn supplemental(message: &Message, options: &TraceHeaders) -> String {
    let recipients: Vec<Value> = message.recipients().iter().map(|to| to.as_str().into()).collect();
    let recipient = match <[Value; 1]>::try_from(recipients) {
        Ok([one]) => one,
        Err(several) => Value::Array(several),
    };
    let mut object = BTreeMap::from([("_@_", "\\_/".into()), ("recipient", recipient)]);
    for name in &options.include_meta_names {
        if let Some(MetaValue::Json(value)) = message.meta(name) {
            object.insert(name, value);
        }
    }
    // Writing a map with text keys cannot fail.
    let encoded = STANDARD.encode(serde_json::to_vec(&object).unwrap_or_default());
    let mut header = format!("{}: ", options.header_name);
    let mut room = COLUMNS.saturating_sub(header.len()).max(1);
    let mut rest = encoded.as_str();
    while rest.len() > room {
        let (line, behind) = rest.split_at(room);
        header.push_str(line);
        header.push_str("\r\n\t");
        rest = behind;
        room = COLUMNS - 1;
    }
    header.push_str(rest);
    header.push_str("\r\n");
    header
}

/// Whether a text can stand before the colon of a header (RFC 5322 section 2.2).
pub(crate) fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 128 && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':')
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use serde_json::json;
    use waybill_types::IdMint;

    fn message(recipients: &[&str]) -> Message {
        let recipients = recipients.iter().map(|to| to.parse().unwrap()).collect();
        let id = IdMint::random().message(Timestamp::from_secs(1_700_000_000));
        Message::new(id, "a@x.example".parse().unwrap(), recipients, Bytes::new())
    }

    #[test]
    fn the_header_of_the_sample_comes_out() {
        let header = supplemental(&message(&["j@example.com"]), &TraceHeaders::default());
        assert_eq!(header, "X-KumoRef: eyJfQF8iOiJcXF8vIiwicmVjaXBpZW50IjoiakBleGFtcGxlLmNvbSJ9\r\n");
    }

    #[test]
    fn long_values_are_folded_and_carry_meta() {
        let message = message(&["j@example.com", "k@example.com"]);
        message.set_meta("tenant", json!("t".repeat(100)));
        let options =
            TraceHeaders { include_meta_names: vec!["tenant".into(), "none".into()], ..TraceHeaders::default() };
        let header = supplemental(&message, &options);
        let lines: Vec<_> = header.trim_end().split("\r\n").collect();
        assert!(lines.len() > 2 && lines.iter().all(|line| line.len() <= 75), "{header}");
        assert!(lines[1..].iter().all(|line| line.starts_with('\t')), "{header}");
        let value: String = header.trim_start_matches("X-KumoRef:").split_whitespace().collect();
        let json: Value = serde_json::from_slice(&STANDARD.decode(value).unwrap()).unwrap();
        assert_eq!(json["recipient"], json!(["j@example.com", "k@example.com"]));
        assert_eq!(json["tenant"], "t".repeat(100));
    }

    #[test]
    fn names_that_would_break_a_header_are_none() {
        assert!(is_header_name("X-KumoRef"));
        for name in ["", "a b", "a:b", "a\r\nb", "é", "a\0"] {
            assert!(!is_header_name(name), "{name:?}");
        }
    }
}
