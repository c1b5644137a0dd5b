//! The header section of a message: finding, decoding and editing header fields.
//!
//! Nothing here changes a byte that it was not asked to change.

use std::ops::Range;

use bytes::Bytes;
use mail_parser::{HeaderForm, MessageParser};

/// One header field: its name, the place of its value, and the place of the whole field with its line ends.
pub(crate) struct Field<'a> {
    pub(crate) name: &'a [u8],
    value: &'a [u8],
    whole: Range<usize>,
}

impl Field<'_> {
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    pub(crate) fn name(&self) -> String {
        String::from_utf8_lossy(self.name).into_owned()
    }

    /// As it stands there.
    pub(crate) fn raw(&self) -> &[u8] {
        self.value
    }

    /// Unfolded, encoded words decoded.
    pub(crate) fn value(&self) -> String {
        decode(self.value)
    }
}

/// The fields of the header section, in order.
pub(crate) fn fields(data: &[u8]) -> Vec<Field<'_>> {
    let mut fields: Vec<Field<'_>> = Vec::new();
    let mut start = 0;
    while let Some(line) = line(data, start) {
        let text = &data[line.clone()];
        start = line.end;
        if is_blank(text) {
            break;
        }
        if matches!(text[0], b' ' | b'\t') {
            // Folded: belongs to the field before.
            if let Some(field) = fields.last_mut() {
                field.whole.end = line.end;
                let value = field.whole.start + field.name_len(data) + 1;
                field.value = &data[value..line.end];
            }
            continue;
        }
        let Some(colon) = text.iter().position(|byte| *byte == b':') else {
            // Not a header at all: whatever this is, the section ends here.
            break;
        };
        fields.push(Field { name: text[..colon].trim_ascii(), value: &text[colon + 1..], whole: line });
    }
    fields
}

impl Field<'_> {
    /// Bytes before the colon.
    fn name_len(&self, data: &[u8]) -> usize {
        data[self.whole.clone()].iter().position(|byte| *byte == b':').unwrap_or(0)
    }
}

fn line(data: &[u8], start: usize) -> Option<Range<usize>> {
    let rest = data.get(start..).filter(|rest| !rest.is_empty())?;
    let len = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
    Some(start..start + len)
}

fn is_blank(line: &[u8]) -> bool {
    matches!(line, b"\n" | b"\r\n")
}

/// Where the empty line behind the header section begins; `None` when there is none.
fn end_of_section(data: &[u8]) -> Option<usize> {
    let mut start = 0;
    while let Some(line) = line(data, start) {
        if is_blank(&data[line.clone()]) {
            return Some(start);
        }
        start = line.end;
    }
    None
}

/// The header section with the line ends of its last field, without the empty line.
pub(crate) fn section(data: &[u8]) -> &[u8] {
    end_of_section(data).map_or(data, |end| &data[..end])
}

fn decode(raw: &[u8]) -> String {
    let mut section = b"X: ".to_vec();
    section.extend_from_slice(raw.trim_ascii());
    section.extend_from_slice(b"\r\n\r\n");
    let parsed = MessageParser::new().header_text("X").default_header_text().parse_headers(&section[..]);
    let text = parsed.as_ref().and_then(|m| m.header_as("X", HeaderForm::Text).into_iter().next());
    match text.and_then(|value| value.into_text()) {
        Some(text) => text.into_owned(),
        None => String::from_utf8_lossy(raw.trim_ascii()).into_owned(),
    }
}

/// With a field before all others.
pub(crate) fn prepend(data: &[u8], name: &str, value: &str) -> Bytes {
    [name.as_bytes(), b": ", value.as_bytes(), b"\r\n", data].concat().into()
}

/// With a field behind all others; `None` when no empty line ends the header section.
pub(crate) fn append(data: &[u8], name: &str, value: &str) -> Option<Bytes> {
    let (section, rest) = data.split_at(end_of_section(data)?);
    Some([section, name.as_bytes(), b": ", value.as_bytes(), b"\r\n", rest].concat().into())
}

/// Without the fields that `unwanted` names; `None` when there is none of them.
pub(crate) fn without(data: &[u8], unwanted: impl Fn(&Field<'_>) -> bool) -> Option<Bytes> {
    let gone: Vec<Range<usize>> = fields(data).into_iter().filter(|field| unwanted(field)).map(|f| f.whole).collect();
    if gone.is_empty() {
        return None;
    }
    let mut kept = Vec::with_capacity(data.len());
    let mut from = 0;
    for range in gone {
        kept.extend_from_slice(&data[from..range.start]);
        from = range.end;
    }
    kept.extend_from_slice(&data[from..]);
    Some(kept.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &[u8] =
        b"From: a@x\r\nSubject: =?utf-8?q?H=C3=A9llo?=\r\n there\r\nX-A: 1\r\nx-a:2\r\n\r\nX-A: body\r\n";

    fn named(name: &str) -> Vec<String> {
        fields(MAIL).iter().filter(|field| field.is(name)).map(Field::value).collect()
    }

    #[test]
    fn values_are_unfolded_and_decoded() {
        assert_eq!(named("subject"), ["Héllo there"]);
        assert_eq!(named("X-A"), ["1", "2"]);
        assert_eq!(named("none"), Vec::<String>::new());
        let names: Vec<_> = fields(MAIL).iter().map(Field::name).collect();
        assert_eq!(names, ["From", "Subject", "X-A", "x-a"]);
    }

    #[test]
    fn edits_touch_nothing_else() {
        let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        assert_eq!(text(prepend(b"A: 1\r\n\r\nb", "X", "y")), "X: y\r\nA: 1\r\n\r\nb");
        assert_eq!(text(append(b"A: 1\r\n\r\nb", "X", "y").unwrap()), "A: 1\r\nX: y\r\n\r\nb");
        assert_eq!(append(b"A: 1\r\n", "X", "y"), None);
        let rest = text(without(MAIL, |field| field.is("subject")).unwrap());
        assert_eq!(rest, "From: a@x\r\nX-A: 1\r\nx-a:2\r\n\r\nX-A: body\r\n");
        assert_eq!(without(MAIL, |field| field.is("none")), None);
    }

    #[test]
    fn odd_messages_have_no_headers_or_some() {
        assert_eq!(fields(b"").len(), 0);
        assert_eq!(fields(b"\r\nbody: x\r\n").len(), 0);
        assert_eq!(fields(b"no colon\r\nA: 1\r\n").len(), 0);
        assert_eq!(fields(b" folded: what\r\nA: 1\n\nx: y").len(), 1);
        assert_eq!(fields(b"A: 1").len(), 1);
    }
}
