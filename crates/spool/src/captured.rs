use waybill_log_record::{Capture, Fields, FieldsBuilder};
use waybill_mime::headers;

/// The headers of a message that a capture asks for, decoded (RFC 2047) and unfolded, in order of appearance.
///
/// Only the header section is parsed.
pub fn capture_headers(data: &[u8], capture: &Capture) -> Fields {
    let mut fields = FieldsBuilder::default();
    if !capture.wants_headers() {
        return fields.finish();
    }
    let wanted: Vec<(String, String)> = headers::fields(data)
        .map(|field| (field.name(), field))
        .filter(|(name, _)| capture.wants_header(name))
        .map(|(name, field)| (name, field.value()))
        .collect();
    fields.push_headers(wanted.iter().map(|(name, value)| (name.as_str(), value.clone())));
    fields.finish()
}

/// Up to and including the empty line.
pub(crate) fn header_section(data: &[u8]) -> &[u8] {
    let mut start = 0;
    while let Some(len) = data[start..].iter().position(|byte| *byte == b'\n') {
        let line = &data[start..start + len];
        start += len + 1;
        if line.is_empty() || line == b"\r" {
            return &data[..start];
        }
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(data: &str, names: &[&str]) -> Vec<(String, String)> {
        capture_headers(data.as_bytes(), &Capture::new(names.iter().copied(), []))
            .iter()
            .map(|(name, json)| (name.to_owned(), String::from_utf8(json.to_vec()).unwrap()))
            .collect()
    }

    #[test]
    fn names_keep_their_spelling_and_values_are_decoded() {
        let data =
            "From: <a@x>\r\nsubJect: =?utf-8?q?H=C3=A9llo?=\r\n there\r\nX-A: 1\r\nx-a: 2\r\n\r\nSubject: body\r\n";
        assert_eq!(
            captured(data, &["subject", "X-*"]),
            [("subJect".into(), "\"Héllo there\"".into()), ("X-A".into(), "[\"1\",\"2\"]".into()),]
        );
        assert_eq!(captured(data, &["from"]), [("From".into(), "\"<a@x>\"".into())]);
    }

    #[test]
    fn a_message_without_headers_or_without_end_has_nothing_to_show() {
        assert!(captured("\r\nbody", &["*"]).is_empty());
        assert_eq!(captured("Subject: x", &["*"]), [("Subject".into(), "\"x\"".into())]);
        assert!(captured("", &["*"]).is_empty());
    }
}
