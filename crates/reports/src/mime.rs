//! As much MIME as a report needs: one multipart, its parts one after the other, none of them opened further.
//!
//! A general parser would follow messages within messages as deep as the sender likes.

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::{ContentType, Message, MessageParser, MimeHeaders as _};
use std::borrow::Cow;

/// Bytes of a header section that are looked at. Ours add little, and a sender's trace is no novel.
const MAX_HEADERS: usize = 256 * 1024;
/// Parts that are looked at: a text, the report, the message. Some senders add one or two.
const MAX_PARTS: usize = 16;

/// A mail of type multipart/report, taken apart.
#[derive(Debug)]
pub(crate) struct Multipart<'a> {
    parts: Vec<Part<'a>>,
}

#[derive(Debug)]
struct Part<'a> {
    /// `message/delivery-status`, in lower case.
    kind: String,
    encoding: Encoding,
    body: &'a [u8],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Encoding {
    None,
    Base64,
    QuotedPrintable,
}

impl<'a> Multipart<'a> {
    /// Takes a mail apart; `None` when it is no multipart/report.
    pub(crate) fn of_report(mail: &'a [u8]) -> Option<Self> {
        let (headers, body) = split(mail);
        let parsed = parse_headers(headers)?;
        let kind = parsed.content_type().filter(|kind| is_multipart_report(kind))?;
        let boundary = kind.attribute("boundary").filter(|boundary| !boundary.is_empty())?;
        Some(Multipart { parts: parts(body, boundary) })
    }

    /// The content of the first part of this type, decoded.
    pub(crate) fn content(&self, kind: &str) -> Option<Cow<'a, [u8]>> {
        let part = self.parts.iter().find(|part| part.kind == kind)?;
        match part.encoding {
            Encoding::None => Some(part.body.into()),
            Encoding::Base64 => base64_decode(part.body).map(Cow::Owned),
            Encoding::QuotedPrintable => quoted_printable_decode(part.body).map(Cow::Owned),
        }
    }
}

/// Whether the headers say multipart/report.
pub(crate) fn is_report(mail: &[u8]) -> bool {
    parse_headers(split(mail).0).is_some_and(|mail| mail.content_type().is_some_and(is_multipart_report))
}

fn is_multipart_report(kind: &ContentType<'_>) -> bool {
    kind.ctype().eq_ignore_ascii_case("multipart")
        && kind.subtype().is_some_and(|subtype| subtype.eq_ignore_ascii_case("report"))
}

fn parse_headers(headers: &[u8]) -> Option<Message<'_>> {
    MessageParser::new().with_mime_headers().default_header_ignore().parse_headers(headers)
}

/// Headers with their empty line, and what is behind it.
pub(crate) fn split(mail: &[u8]) -> (&[u8], &[u8]) {
    let head = &mail[..mail.len().min(MAX_HEADERS)];
    let mut at = 0;
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        at += line.len();
        if matches!(line, b"\n" | b"\r\n") {
            break;
        }
    }
    mail.split_at(at)
}

/// The parts between lines of `--boundary`, up to `--boundary--` or the end.
fn parts<'a>(body: &'a [u8], boundary: &str) -> Vec<Part<'a>> {
    waybill_mime::delimited(body, boundary).take(MAX_PARTS).map(|(range, _)| part(&body[range])).collect()
}

fn part(bytes: &[u8]) -> Part<'_> {
    let (headers, body) = split(bytes);
    let parsed = parse_headers(headers);
    let kind = parsed.as_ref().and_then(|part| part.content_type());
    let kind = kind.map(|kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default()).to_ascii_lowercase());
    let encoding = parsed.as_ref().and_then(|part| part.content_transfer_encoding()).map(str::to_ascii_lowercase);
    let encoding = match encoding.as_deref() {
        Some("base64") => Encoding::Base64,
        Some("quoted-printable") => Encoding::QuotedPrintable,
        _ => Encoding::None,
    };
    Part { kind: kind.unwrap_or_else(|| "text/plain".into()), encoding, body }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(mail: &str, kind: &str) -> Option<String> {
        let content = Multipart::of_report(mail.as_bytes())?.content(kind)?;
        Some(String::from_utf8(content.into_owned()).unwrap())
    }

    const HEAD: &str = "Subject: x\r\nContent-Type: Multipart/Report;\r\n\tboundary=\"a b\"\r\n\r\n";

    #[test]
    fn parts_stand_between_their_delimiters() {
        let mail = format!(
            "{HEAD}preamble\r\n--a b\r\n\r\nfirst\r\n--a bc\r\n--a b \r\nContent-Type: A/B; x=y\r\n\r\none\r\ntwo\r\n--a b--\r\n--a b\r\n\r\nno"
        );
        assert_eq!(contents(&mail, "text/plain").unwrap(), "first\r\n--a bc");
        assert_eq!(contents(&mail, "a/b").unwrap(), "one\r\ntwo");
        assert_eq!(contents(&mail, "c/d"), None);
        assert_eq!(Multipart::of_report(mail.as_bytes()).unwrap().parts.len(), 2);
    }

    #[test]
    fn bare_line_ends_and_a_missing_end_are_survived() {
        let mail = format!("{HEAD}--a b\nContent-Type: a/b\n\none\ntwo\n").replace("\r\n", "\n");
        assert_eq!(contents(&mail, "a/b").unwrap(), "one\ntwo\n");
        assert_eq!(contents(&format!("{HEAD}--a b"), "text/plain").unwrap(), "");
    }

    #[test]
    fn contents_are_decoded() {
        for (encoding, body) in [("base64", "b25l\r\nIHR3bw==\r\n"), ("Quoted-Printable", "on=65 =\r\ntwo")] {
            let mail = format!(
                "{HEAD}--a b\r\nContent-Type: a/b\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{body}\r\n--a b--\r\n"
            );
            assert_eq!(contents(&mail, "a/b").unwrap(), "one two", "{encoding}");
        }
    }

    #[test]
    fn other_mail_is_no_report() {
        for mail in [
            "",
            "\r\n\r\n",
            "Subject: x\r\n\r\nContent-Type: multipart/report; boundary=b\r\n",
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n",
            "Content-Type: multipart/report\r\n\r\n--b\r\n",
            "Content-Type: multipart/report; boundary=\"\"\r\n\r\n--\r\n",
        ] {
            assert!(Multipart::of_report(mail.as_bytes()).is_none(), "{mail:?}");
        }
    }
}
