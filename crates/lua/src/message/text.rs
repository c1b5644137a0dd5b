//! The text parts of a message, and what is appended to them.

use bytes::Bytes;
use mail_parser::{Message as Parsed, MessageParser, MessagePart, MimeHeaders, PartType};
use mlua::{Lua, Value};
use waybill_spool::Message;

use super::headers;

/// Columns of a line of quoted-printable.
const LINE: usize = 76;

/// Which text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    Html,
}

pub(super) fn append_plain(_: &Lua, message: &Message, data: &Bytes, text: String) -> mlua::Result<Value> {
    append(message, data, &text, Kind::Plain)
}

pub(super) fn append_html(_: &Lua, message: &Message, data: &Bytes, text: String) -> mlua::Result<Value> {
    append(message, data, &text, Kind::Html)
}

/// Whether there is such a part.
fn append(message: &Message, data: &Bytes, text: &str, kind: Kind) -> mlua::Result<Value> {
    let appended = appended(data, text, kind);
    let found = appended.is_some();
    appended.into_iter().for_each(|data| message.set_data(data));
    Ok(Value::Boolean(found))
}

/// The message with more text in the first part of that kind; `None` when there is none.
pub(crate) fn appended(data: &Bytes, text: &str, kind: Kind) -> Option<Bytes> {
    let parsed = MessageParser::default().parse(&data[..])?;
    let (part, whole) = find(&parsed, kind)?;
    // Text that is meant for the page goes onto the page.
    let at = match kind {
        Kind::Plain => whole.len(),
        Kind::Html => whole.to_ascii_lowercase().rfind("</body").unwrap_or(whole.len()),
    };
    let (before, behind) = whole.split_at(at);
    Some(replace(data, part, &[before, text, behind].concat(), kind))
}

/// The first part of that kind that is no attachment, decoded.
fn find<'a>(parsed: &'a Parsed<'a>, kind: Kind) -> Option<(&'a MessagePart<'a>, &'a str)> {
    let ids = match kind {
        Kind::Plain => &parsed.text_body,
        Kind::Html => &parsed.html_body,
    };
    ids.iter().filter_map(|id| parsed.parts.get(*id as usize)).find_map(|part| match &part.body {
        PartType::Text(text) if kind == Kind::Plain => Some((part, &**text)),
        PartType::Html(text) if kind == Kind::Html => Some((part, &**text)),
        _ => None,
    })
}

/// The message with all its texts as UTF-8 in quoted-printable, attachments as they are.
pub(crate) fn encode_all(data: &Bytes) -> Bytes {
    let Some(parsed) = MessageParser::default().parse(&data[..]) else { return data.clone() };
    let mut parts: Vec<&MessagePart<'_>> = parsed.parts.iter().collect();
    // From the end, so that the places of the others stay.
    parts.sort_by_key(|part| std::cmp::Reverse(part.offset_body));
    let mut out = data.clone();
    for part in parts {
        out = match &part.body {
            PartType::Text(text) if part.is_content_type("text", "plain") || part.content_type().is_none() => {
                replace(&out, part, text, Kind::Plain)
            }
            PartType::Html(text) => replace(&out, part, text, Kind::Html),
            _ => out,
        };
    }
    out
}

/// The message with another text in a part, as UTF-8 in quoted-printable.
fn replace(data: &Bytes, part: &MessagePart<'_>, text: &str, kind: Kind) -> Bytes {
    let (start, body, end) = (part.offset_header as usize, part.offset_body as usize, part.offset_end as usize);
    let section = Bytes::copy_from_slice(&data[start..body]);
    let kept = headers::without(&section, |field| {
        field.is("Content-Transfer-Encoding") || field.is("Content-Type") || field.is("MIME-Version")
    });
    let kept = kept.unwrap_or(section);
    // A name or another parameter of the part stays with it.
    let parameters = part.content_type().map(|kind| kind.attributes().unwrap_or_default()).unwrap_or_default();
    let mut new = Vec::with_capacity(data.len() + text.len());
    new.extend_from_slice(&data[..start]);
    if start == 0 {
        new.extend_from_slice(b"MIME-Version: 1.0\r\n");
    }
    let subtype = if kind == Kind::Plain { "plain" } else { "html" };
    new.extend_from_slice(format!("Content-Type: text/{subtype}; charset=\"utf-8\"").as_bytes());
    for parameter in parameters.iter().filter(|parameter| !parameter.name.eq_ignore_ascii_case("charset")) {
        let value: String = parameter.value.chars().filter(|c| !c.is_control() && !"\"\\".contains(*c)).collect();
        new.extend_from_slice(format!(";\r\n {}=\"{value}\"", parameter.name).as_bytes());
    }
    new.extend_from_slice(b"\r\nContent-Transfer-Encoding: quoted-printable\r\n");
    new.extend_from_slice(&kept);
    if !kept.ends_with(b"\r\n\r\n") && !kept.is_empty() && !kept.ends_with(b"\n\n") && &kept[..] != b"\r\n" {
        new.extend_from_slice(b"\r\n");
    }
    new.extend_from_slice(quoted_printable(text).as_bytes());
    new.extend_from_slice(&data[end..]);
    new.into()
}

/// RFC 2045, section 6.7.
fn quoted_printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let text = text.replace("\r\n", "\n");
    let mut lines = text.split('\n').peekable();
    while let Some(line) = lines.next() {
        let mut column = 0;
        let mut bytes = line.bytes().peekable();
        while let Some(byte) = bytes.next() {
            let last = bytes.peek().is_none();
            let plain = matches!(byte, b'!'..=b'<' | b'>'..=b'~') || (matches!(byte, b' ' | b'\t') && !last);
            let width = if plain { 1 } else { 3 };
            // The last column is for the `=` of a soft break.
            if column + width > LINE - 1 {
                out.push_str("=\r\n");
                column = 0;
            }
            if plain {
                out.push(char::from(byte));
            } else {
                out.push_str(&format!("={byte:02X}"));
            }
            column += width;
        }
        if lines.peek().is_some() {
            out.push_str("\r\n");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_printable_reads_back_as_it_was() {
        for text in ["", "plain\r\nlines\r\n", "é = ü \r\n", &"x".repeat(300), &"é".repeat(100), "tab\t\r\n.\r\n"] {
            let mail = format!(
                "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{}",
                quoted_printable(text)
            );
            let parsed = MessageParser::default().parse(mail.as_bytes()).unwrap();
            assert_eq!(parsed.body_text(0).unwrap_or_default(), text);
            assert!(mail.split("\r\n").all(|line| line.len() <= LINE), "{mail}");
        }
    }
}
