//! The header section of a message or a part: finding and editing header fields (RFC 5322 section 2.2).
//!
//! Nothing here changes a byte that it was not asked to change.

use bytes::Bytes;
use memchr::memchr;
use std::ops::Range;

use crate::decode::decode;
use crate::error::Error;

/// One header field: its name, the place of its value, and the place of the whole field with its line ends.
#[derive(Clone, Debug)]
pub struct Field<'a> {
    name: &'a [u8],
    value: &'a [u8],
    whole: Range<usize>,
}

impl<'a> Field<'a> {
    /// Whether it has this name, in any case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// Its name as it is spelled there.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(self.name).into_owned()
    }

    /// Its name as it is spelled there.
    pub fn name_bytes(&self) -> &'a [u8] {
        self.name
    }

    /// What stands behind the colon, with white space and line ends.
    pub fn raw(&self) -> &'a [u8] {
        self.value
    }

    /// Unfolded, encoded words decoded.
    pub fn value(&self) -> String {
        decode(self.value)
    }

    /// The place of the field in its section, line ends included.
    pub fn whole(&self) -> Range<usize> {
        self.whole.clone()
    }
}

/// The fields of the header section at the beginning of `data`, in order. They are found as they are asked for.
pub fn fields(data: &[u8]) -> Fields<'_> {
    Fields { data, at: 0 }
}

/// See [`fields`].
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        loop {
            let first = line(self.data, self.at)?;
            let text = &self.data[first.clone()];
            if is_blank(text) {
                return None;
            }
            if is_folded(text) {
                // Folded from nowhere.
                self.at = first.end;
                continue;
            }
            // Not a header at all: whatever this is, the section ends here.
            let colon = first.start + memchr(b':', text)?;
            let mut end = first.end;
            while let Some(more) = line(self.data, end).filter(|more| is_folded(&self.data[more.clone()])) {
                end = more.end;
            }
            self.at = end;
            let name = self.data[first.start..colon].trim_ascii();
            return Some(Field { name, value: &self.data[colon + 1..end], whole: first.start..end });
        }
    }
}

/// The first field of this name.
pub fn first<'a>(data: &'a [u8], name: &str) -> Option<Field<'a>> {
    fields(data).find(|field| field.is(name))
}

/// Where the fields end: at the empty line, or at something that is no field; 0 when there are none.
pub(crate) fn end_of_fields(data: &[u8]) -> usize {
    let mut all = fields(data);
    match all.by_ref().count() {
        0 => 0,
        _ => all.at,
    }
}

fn line(data: &[u8], start: usize) -> Option<Range<usize>> {
    let rest = data.get(start..).filter(|rest| !rest.is_empty())?;
    let len = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
    Some(start..start + len)
}

fn is_blank(line: &[u8]) -> bool {
    matches!(line, b"\n" | b"\r\n")
}

fn is_folded(line: &[u8]) -> bool {
    matches!(line, [b' ' | b'\t', ..])
}

/// Where the empty line behind the header section is; `None` when there is none.
pub fn end_of_section(data: &[u8]) -> Option<Range<usize>> {
    let mut start = 0;
    while let Some(line) = line(data, start) {
        if is_blank(&data[line.clone()]) {
            return Some(line);
        }
        start = line.end;
    }
    None
}

/// The header section with the line ends of its last field, without the empty line.
pub fn section(data: &[u8]) -> &[u8] {
    end_of_section(data).map_or(data, |end| &data[..end.start])
}

/// With a field before all others.
pub fn prepend(data: &[u8], name: &str, value: &str) -> Bytes {
    [name.as_bytes(), b": ", value.as_bytes(), b"\r\n", data].concat().into()
}

/// With a field behind all others; `None` when no empty line ends the header section.
pub fn append(data: &[u8], name: &str, value: &str) -> Option<Bytes> {
    let (section, rest) = data.split_at(end_of_section(data)?.start);
    Some([section, name.as_bytes(), b": ", value.as_bytes(), b"\r\n", rest].concat().into())
}

/// A header section, without its empty line, with a field behind all others.
pub fn behind(section: &[u8], name: &str, value: &str) -> Bytes {
    let mut out = section.to_vec();
    end_line(&mut out);
    write(&mut out, name.as_bytes(), value);
    out.into()
}

/// Without the fields that `unwanted` names; `None` when there is none of them.
pub fn without(data: &[u8], unwanted: impl Fn(&Field<'_>) -> bool) -> Option<Bytes> {
    let gone: Vec<Range<usize>> = fields(data).filter(|field| unwanted(field)).map(|field| field.whole).collect();
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

/// A header section, without its empty line, that has a field of this name once: in the place and spelling of the first
/// that is there, or behind all others.
pub(crate) fn set(section: &[u8], name: &str, value: &str) -> Bytes {
    let mut out = Vec::with_capacity(section.len() + name.len() + value.len() + 4);
    let (mut from, mut done) = (0, false);
    for field in fields(section).filter(|field| field.is(name)) {
        out.extend_from_slice(&section[from..field.whole.start]);
        if !done {
            write(&mut out, field.name, value);
        }
        (from, done) = (field.whole.end, true);
    }
    out.extend_from_slice(&section[from..]);
    if !done {
        end_line(&mut out);
        write(&mut out, name.as_bytes(), value);
    }
    out.into()
}

fn write(out: &mut Vec<u8>, name: &[u8], value: &str) {
    for piece in [name, b": ", value.as_bytes(), b"\r\n"] {
        out.extend_from_slice(piece);
    }
}

/// What is added begins a line of its own.
pub(crate) fn end_line(out: &mut Vec<u8>) {
    if !out.is_empty() && !out.ends_with(b"\n") {
        out.extend_from_slice(b"\r\n");
    }
}

/// Whether a field may have this name (RFC 5322 section 2.2).
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':')
}

/// Whether a field with this value is one field: each line end in it is folding, followed by white space and something
/// to read.
pub fn is_one_field(value: &str) -> bool {
    let mut rest = value;
    while let Some(at) = rest.find(['\r', '\n']) {
        let Some(line) = rest[at..].strip_prefix("\r\n") else { return false };
        let text = line.split(['\r', '\n']).next().unwrap_or(line);
        if !text.starts_with([' ', '\t']) || text.trim_ascii().is_empty() {
            return false;
        }
        rest = line;
    }
    !value.contains('\0')
}

/// A value in one line, from one that may be folded.
///
/// # Errors
/// When a line end in it would end the header, and what follows be a header or a body of its own.
pub fn unfolded(name: &str, value: &str) -> Result<String, Error> {
    if !is_name(name) {
        return Err(Error::value(format!("'{}' is not a header name", name.escape_debug())));
    }
    if !is_one_field(value) {
        return Err(Error::value(format!(
            "the value of {name} has a line end in it that is no folding, so that what follows would be a header of its own; take out \\r and \\n"
        )));
    }
    Ok(value.replace("\r\n", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &[u8] =
        b"From: a@x\r\nSubject: =?utf-8?q?H=C3=A9llo?=\r\n there\r\nX-A: 1\r\nx-a:2\r\n\r\nX-A: body\r\n";

    fn named(name: &str) -> Vec<String> {
        fields(MAIL).filter(|field| field.is(name)).map(|field| field.value()).collect()
    }

    fn text(bytes: Bytes) -> String {
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn values_are_unfolded_and_decoded() {
        assert_eq!(named("subject"), ["Héllo there"]);
        assert_eq!(named("X-A"), ["1", "2"]);
        assert_eq!(named("none"), Vec::<String>::new());
        let names: Vec<_> = fields(MAIL).map(|field| field.name()).collect();
        assert_eq!(names, ["From", "Subject", "X-A", "x-a"]);
    }

    #[test]
    fn edits_touch_nothing_else() {
        assert_eq!(text(prepend(b"A: 1\r\n\r\nb", "X", "y")), "X: y\r\nA: 1\r\n\r\nb");
        assert_eq!(text(append(b"A: 1\r\n\r\nb", "X", "y").unwrap()), "A: 1\r\nX: y\r\n\r\nb");
        assert_eq!(append(b"A: 1\r\n", "X", "y"), None);
        let rest = text(without(MAIL, |field| field.is("subject")).unwrap());
        assert_eq!(rest, "From: a@x\r\nX-A: 1\r\nx-a:2\r\n\r\nX-A: body\r\n");
        assert_eq!(without(MAIL, |field| field.is("none")), None);
    }

    #[test]
    fn a_field_is_set_where_the_first_of_its_name_is() {
        assert_eq!(text(set(b"A: 1\r\nx-a: 1\r\n 2\r\nB: 3\r\nX-A: 4\r\n", "X-A", "y")), "A: 1\r\nx-a: y\r\nB: 3\r\n");
        assert_eq!(text(set(b"A: 1\r\n", "X", "y")), "A: 1\r\nX: y\r\n");
        assert_eq!(text(set(b"A: 1", "X", "y")), "A: 1\r\nX: y\r\n");
        assert_eq!(text(set(b"", "X", "y")), "X: y\r\n");
    }

    #[test]
    fn odd_messages_have_no_headers_or_some() {
        for (mail, count) in [
            ("", 0),
            ("\r\nbody: x\r\n", 0),
            ("no colon\r\nA: 1\r\n", 0),
            (" folded: what\r\nA: 1\n\nx: y", 1),
            ("A: 1", 1),
        ] {
            assert_eq!(fields(mail.as_bytes()).count(), count, "{mail:?}");
        }
    }

    #[test]
    fn a_value_with_line_ends_of_its_own_is_refused() {
        for value in ["a\r\nBcc: x@y", "a\nb", "a\rb", "a\r\n", "a\r\n\r\nbody", "a\r\n \r\n b", "a\n b", "nul\0"] {
            assert!(unfolded("X", value).is_err(), "{value:?}");
        }
        assert_eq!(unfolded("X", "a\r\n b\r\n\tc").unwrap(), "a b\tc");
        for name in ["", "a b", "a:", "é", "a\r\nb"] {
            assert!(unfolded(name, "x").is_err(), "{name:?}");
        }
    }
}
