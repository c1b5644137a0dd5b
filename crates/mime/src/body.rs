//! Bodies: transfer encodings (RFC 2045 section 6) and character sets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use encoding_rs::Encoding as Charset;
use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use std::borrow::Cow;

/// Columns of a line of quoted-printable or base64.
const LINE: usize = 76;
/// The most bytes of a line that is not encoded (RFC 5322 section 2.1.1).
const LONGEST_LINE: usize = 998;

/// Bytes that a text may be longer for being readable as it is coded.
const READABLE: usize = 16;

/// How a body is coded for its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Transfer {
    /// As it is: 7bit, 8bit, binary, and whatever we do not know.
    Identity,
    Base64,
    QuotedPrintable,
}

impl Transfer {
    /// By the value of Content-Transfer-Encoding, in lower case.
    pub(crate) fn named(name: &str) -> Transfer {
        match name {
            "base64" => Transfer::Base64,
            "quoted-printable" => Transfer::QuotedPrintable,
            _ => Transfer::Identity,
        }
    }

    /// What was coded. Whatever is broken in it is left out of base64 and stays in quoted-printable, as RFC 2045 has it in
    /// sections 6.8 and 6.7.
    pub(crate) fn decode(self, body: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Transfer::Identity => body.into(),
            Transfer::Base64 => match base64_decode(body) {
                Some(decoded) => decoded.into(),
                None => base64_decode(&alphabet_only(body)).unwrap_or_default().into(),
            },
            Transfer::QuotedPrintable => match quoted_printable_decode(body) {
                Some(decoded) => decoded.into(),
                None => quoted_printable_decode(&with_signs_coded(body)).map_or(Cow::Borrowed(body), Cow::Owned),
            },
        }
    }
}

fn alphabet_only(body: &[u8]) -> Vec<u8> {
    let known = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    body.iter().copied().filter(known).collect()
}

/// Quoted-printable whose `=` all mean something: one that does not is coded itself.
fn with_signs_coded(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 64);
    for (at, &byte) in body.iter().enumerate() {
        out.push(byte);
        if byte != b'=' {
            continue;
        }
        let behind = &body[at + 1..];
        let is_coded = matches!(behind, [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
        let blank = behind.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(behind.len());
        let is_break = matches!(&behind[blank..], [] | [b'\n', ..] | [b'\r', b'\n', ..]);
        if !is_coded && !is_break {
            out.extend_from_slice(b"3D");
        }
    }
    out
}

/// Text in UTF-8. Bytes of an unknown character set, and those that are none of a known one, stay as they are.
pub(crate) fn to_utf8<'a>(bytes: Cow<'a, [u8]>, charset: Option<&str>) -> Cow<'a, [u8]> {
    let Some(charset) = charset.and_then(|label| Charset::for_label(label.trim().as_bytes())) else { return bytes };
    if charset == encoding_rs::UTF_8 || (bytes.is_ascii() && charset.is_ascii_compatible()) {
        return bytes;
    }
    match charset.decode_without_bom_handling_and_without_replacement(&bytes) {
        Some(text) => Cow::Owned(text.into_owned().into_bytes()),
        None => bytes,
    }
}

/// Whether ASCII is the same in a character set that a part names.
pub(crate) fn keeps_ascii(charset: Option<&str>) -> bool {
    match charset.map(|label| Charset::for_label(label.trim().as_bytes())) {
        None => true,
        // ISO-2022-JP and UTF-16 begin with what is not ASCII, or may.
        Some(Some(charset)) => charset.is_ascii_compatible(),
        Some(None) => false,
    }
}

/// A body ready for its way.
pub(crate) struct Coded {
    /// What Content-Transfer-Encoding is to say.
    pub(crate) name: &'static str,
    pub(crate) body: Vec<u8>,
}

/// Text, with CRLF for each line end: as it is where that is possible, otherwise in whichever encoding is shorter.
pub(crate) fn code_text(text: &str) -> Coded {
    let text = crlf(text);
    if text.bytes().any(|byte| byte.is_ascii_control() && !matches!(byte, b'\r' | b'\n' | b'\t')) {
        return code_bytes(text.as_bytes());
    }
    // A line with two dashes might be the boundary of the multipart around it, and so the end of this part.
    let is_plain = |line: &str| line.is_ascii() && line.len() <= LONGEST_LINE && !is_delimiter(line);
    if text.split("\r\n").all(is_plain) {
        return Coded { name: "7bit", body: text.into_owned().into_bytes() };
    }
    let coded = text.bytes().filter(|byte| !byte.is_ascii() || *byte == b'=').count();
    if 2 * coded > text.len() / 3 + READABLE {
        return code_bytes(text.as_bytes());
    }
    Coded { name: "quoted-printable", body: quoted_printable(&text).into_bytes() }
}

/// `-- ` above a signature is none.
fn is_delimiter(line: &str) -> bool {
    line.starts_with("--") && line.trim_end() != "--"
}

/// CRLF for every kind of line end.
fn crlf(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let bare = |at: usize| match bytes[at] {
        b'\n' => at == 0 || bytes[at - 1] != b'\r',
        b'\r' => bytes.get(at + 1) != Some(&b'\n'),
        _ => false,
    };
    if !(0..bytes.len()).any(bare) {
        return text.into();
    }
    text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n").into()
}

/// Bytes that are not to be coded.
pub(crate) fn as_it_is(bytes: &[u8]) -> Coded {
    Coded { name: if bytes.is_ascii() { "7bit" } else { "8bit" }, body: bytes.to_vec() }
}

/// Bytes of any kind.
pub(crate) fn code_bytes(bytes: &[u8]) -> Coded {
    let mut body = Vec::with_capacity(bytes.len() / 57 * 78 + 80);
    for chunk in bytes.chunks(LINE / 4 * 3) {
        body.extend_from_slice(STANDARD.encode(chunk).as_bytes());
        body.extend_from_slice(b"\r\n");
    }
    Coded { name: "base64", body }
}

/// Text as RFC 2045 section 6.7 has it, lines of 76 columns at most. No line of it is a delimiter of a multipart.
fn quoted_printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let text = text.replace("\r\n", "\n");
    let mut lines = text.split('\n').peekable();
    while let Some(line) = lines.next() {
        quote(line, &mut out);
        if lines.peek().is_some() {
            out.push_str("\r\n");
        }
    }
    out
}

fn quote(line: &str, out: &mut String) {
    let is_signature = line.trim_end() == "--";
    let mut column = 0;
    let mut bytes = line.bytes().peekable();
    while let Some(byte) = bytes.next() {
        let next = bytes.peek().copied();
        let is_plain = match byte {
            b' ' | b'\t' => next.is_some(),
            b'=' => false,
            byte => byte.is_ascii_graphic(),
        };
        // The last column is for the `=` of a soft break.
        if column + if is_plain { 1 } else { 3 } > LINE - 1 {
            out.push_str("=\r\n");
            column = 0;
        }
        let begins_delimiter = column == 0 && byte == b'-' && next == Some(b'-') && !is_signature;
        if is_plain && !begins_delimiter {
            out.push(char::from(byte));
            column += 1;
        } else {
            out.push_str(&format!("={byte:02X}"));
            column += 3;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(coded: &Coded) -> String {
        String::from_utf8(Transfer::named(coded.name).decode(&coded.body).into_owned()).unwrap()
    }

    #[test]
    fn text_comes_out_as_it_went_in() {
        for (text, name) in [
            ("", "7bit"),
            ("plain\r\nlines\r\n", "7bit"),
            ("flowed \r\nand \r\n-- \r\nsignature", "7bit"),
            ("é = ü \r\nand some more that is plain enough\r\n", "quoted-printable"),
            ("привет привет", "base64"),
            ("bell\x07", "base64"),
            ("--b\r\nmine\r\n", "quoted-printable"),
            (&"x".repeat(1200), "quoted-printable"),
            (&format!("{}--b--", "x".repeat(75)), "7bit"),
            (&format!("é{}", "-".repeat(300)), "quoted-printable"),
        ] {
            let coded = code_text(text);
            assert_eq!(coded.name, name, "{text:?}");
            assert_eq!(decoded(&coded), text);
            let lines: Vec<&[u8]> = coded.body.split(|byte| *byte == b'\n').collect();
            assert!(lines.iter().all(|line| !line.starts_with(b"--") || line.trim_ascii() == b"--"), "{text:?}");
            assert!(name == "7bit" || lines.iter().all(|line| line.len() <= LINE + 1), "{text:?}");
        }
        assert_eq!(decoded(&code_text("a\nb\rc\r\n")), "a\r\nb\r\nc\r\n");
    }

    #[test]
    fn what_is_broken_costs_itself_and_no_more() {
        let base64 = Transfer::Base64.decode(b"aGVs*bG8*=\r\n");
        assert_eq!(&*base64, b"hello");
        let quoted = Transfer::QuotedPrintable.decode(b"50=% of =C3=A9 = x=\r\ny =Z=");
        assert_eq!(&*quoted, "50=% of é = xy =Z".as_bytes());
        assert_eq!(&*Transfer::named("x-unknown").decode(b"=41"), b"=41");
    }

    #[test]
    fn text_of_a_known_character_set_becomes_utf8() {
        let utf8 = |bytes: &'static [u8], charset| to_utf8(Cow::Borrowed(bytes), Some(charset)).into_owned();
        assert_eq!(utf8(b"caf\xe9", "ISO-8859-1"), "café".as_bytes());
        assert_eq!(utf8(b"\x1b$B%O\x1b(B", "iso-2022-jp"), "ハ".as_bytes());
        assert_eq!(utf8(b"caf\xe9", "utf-8"), b"caf\xe9");
        assert_eq!(utf8(b"caf\xe9", "klingon"), b"caf\xe9");
        assert_eq!(utf8(b"\x80\xff", "euc-jp"), b"\x80\xff");
    }
}
