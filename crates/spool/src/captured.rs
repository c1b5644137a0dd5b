use mail_parser::{HeaderForm, MessageParser};
use waybill_log_record::{Capture, Fields, FieldsBuilder};

/// The headers of a message that a capture asks for, decoded (RFC 2047) and unfolded, in order of appearance.
///
/// Only the header section is parsed.
pub fn capture_headers(data: &[u8], capture: &Capture) -> Fields {
    let mut fields = FieldsBuilder::default();
    if !capture.wants_headers() {
        return fields.finish();
    }
    let section = header_section(data);
    let Some(parsed) = MessageParser::new().with_minimal_headers().default_header_text().parse_headers(section) else {
        return fields.finish();
    };
    let wanted: Vec<(&str, String)> = parsed
        .headers()
        .iter()
        .filter(|header| capture.wants_header(header.name.as_str()))
        .map(|header| {
            let raw = section.get(header.offset_start as usize..header.offset_end as usize).unwrap_or_default();
            let name = section
                .get(header.offset_field as usize..)
                .and_then(|from| from.split(|byte| *byte == b':').next())
                .and_then(|name| std::str::from_utf8(name).ok())
                .map_or_else(|| header.name.as_str(), str::trim);
            (name, decode(raw))
        })
        .collect();
    fields.push_headers(wanted);
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

/// Unfolds and decodes one header value.
fn decode(raw: &[u8]) -> String {
    let mut line = b"X: ".to_vec();
    line.extend_from_slice(raw);
    if !line.ends_with(b"\n") {
        line.extend_from_slice(b"\r\n");
    }
    line.extend_from_slice(b"\r\n");
    let parsed = MessageParser::new().header_text("X").default_header_text().parse_headers(&line[..]);
    let text = parsed.as_ref().and_then(|message| message.header_raw("X").map(str::to_owned));
    let decoded =
        parsed.as_ref().and_then(|m| m.header_as("X", HeaderForm::Text).into_iter().next()).and_then(|v| v.into_text());
    match decoded {
        Some(text) => text.into_owned(),
        None => text.unwrap_or_default().trim().to_owned(),
    }
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
