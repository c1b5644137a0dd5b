//! Makes a message of a text that somebody wrote as one: line ends, MIME headers, transfer encoding.

use super::trace::is_header_name;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// RFC 5321 section 4.5.3.1.6, without the line end.
const LINE_LIMIT: usize = 998;
/// Quoted-printable and base64 lines (RFC 2045 section 6.7).
const ENCODED_LINE: usize = 76;

/// The message: every line ends in CRLF, `Mime-Version` and `Content-Type` are there, and a body that needs it is
/// encoded for transfer.
///
/// # Errors
/// A sentence when what stands before the first empty line is not headers.
pub(crate) fn complete(text: &str) -> Result<Vec<u8>, String> {
    let text = normalise(text);
    // A message without headers begins with the empty line.
    let (headers, body) = match text.strip_prefix("\r\n") {
        Some(body) => ("", body),
        None => match text.find("\r\n\r\n") {
            Some(at) => (&text[..at + 2], &text[at + 4..]),
            None => (&text[..], ""),
        },
    };
    let found = Found::scan(headers)?;
    let long = body.split("\r\n").any(|line| line.len() > LINE_LIMIT);
    let encode = (long || !body.is_ascii()) && !found.is_encoded && !found.is_composite;
    let mut out = Vec::with_capacity(text.len() + 128);
    out.extend_from_slice(headers.as_bytes());
    if !found.content_type {
        let charset = if body.is_ascii() { "us-ascii" } else { "utf-8" };
        out.extend_from_slice(format!("Content-Type: text/plain;\r\n\tcharset=\"{charset}\"\r\n").as_bytes());
    }
    if !found.mime_version {
        out.extend_from_slice(b"Mime-Version: 1.0\r\n");
    }
    if encode {
        encode_body(body, &mut out);
    } else {
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(body.as_bytes());
    }
    Ok(out)
}

/// CRLF for every kind of line end, and one at the end.
fn normalise(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 32 + 2);
    let mut rest = text;
    while let Some(at) = rest.find(['\r', '\n']) {
        out.push_str(&rest[..at]);
        out.push_str("\r\n");
        rest = &rest[at..];
        rest = rest.strip_prefix("\r\n").unwrap_or_else(|| &rest[1..]);
    }
    if !rest.is_empty() {
        out.push_str(rest);
        out.push_str("\r\n");
    }
    out
}

/// Which headers are there already.
#[derive(Default)]
struct Found {
    mime_version: bool,
    content_type: bool,
    /// Several parts, or a message in a message: their bodies are not ours to encode.
    is_composite: bool,
    /// The body is encoded, or its author says that it needs no encoding but 8bit.
    is_encoded: bool,
}

impl Found {
    fn scan(headers: &str) -> Result<Self, String> {
        let mut found = Found::default();
        for (number, line) in headers.split_terminator("\r\n").enumerate() {
            if line.starts_with([' ', '\t']) && number > 0 {
                continue;
            }
            let Some((name, value)) = line.split_once(':').filter(|(name, _)| is_header_name(name.trim_end())) else {
                return Err(format!("content: line {} is no header, and no empty line came before it", number + 1));
            };
            let value = value.trim().to_ascii_lowercase();
            match name.trim_end().to_ascii_lowercase().as_str() {
                "mime-version" => found.mime_version = true,
                "content-type" => {
                    found.content_type = true;
                    found.is_composite = value.starts_with("multipart/") || value.starts_with("message/");
                }
                "content-transfer-encoding" => found.is_encoded = true,
                _ => {}
            }
        }
        Ok(found)
    }
}

/// Writes `Content-Transfer-Encoding`, the empty line, and the body in whichever encoding is shorter.
fn encode_body(body: &str, out: &mut Vec<u8>) {
    let quoted = body.bytes().filter(|byte| !byte.is_ascii() || *byte == b'=').count();
    if 2 * quoted > body.len() / 3 {
        out.extend_from_slice(b"Content-Transfer-Encoding: base64\r\n\r\n");
        // 57 bytes make one line of 76.
        for chunk in body.as_bytes().chunks(ENCODED_LINE / 4 * 3) {
            out.extend_from_slice(STANDARD.encode(chunk).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    } else {
        out.extend_from_slice(b"Content-Transfer-Encoding: quoted-printable\r\n\r\n");
        for line in body.split_terminator("\r\n") {
            quote_line(line.as_bytes(), out);
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// One line as quoted-printable, with soft line breaks.
fn quote_line(line: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut column = 0;
    for (i, &byte) in line.iter().enumerate() {
        let last = i + 1 == line.len();
        let plain = match byte {
            b' ' | b'\t' => !last,
            b'=' => false,
            _ => byte.is_ascii_graphic(),
        };
        let width = if plain { 1 } else { 3 };
        // Room for the `=` of a soft break, unless the line ends here.
        if column + width > ENCODED_LINE - usize::from(!last) {
            out.extend_from_slice(b"=\r\n");
            column = 0;
        }
        if plain {
            out.push(byte);
        } else {
            out.extend_from_slice(&[b'=', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        column += width;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_parser::MessageParser;

    fn done(text: &str) -> String {
        String::from_utf8(complete(text).unwrap()).unwrap()
    }

    #[test]
    fn a_plain_text_gets_mime_headers_and_line_ends() {
        assert_eq!(
            done("Subject: x\nTo: <a@b>\r\rHello\nthere"),
            "Subject: x\r\nTo: <a@b>\r\nContent-Type: text/plain;\r\n\tcharset=\"us-ascii\"\r\nMime-Version: 1.0\r\n\r\nHello\r\nthere\r\n"
        );
        assert!(done("Subject: only").ends_with("Mime-Version: 1.0\r\n\r\n"));
        assert!(done("\r\nbody").ends_with("Mime-Version: 1.0\r\n\r\nbody\r\n"));
    }

    #[test]
    fn what_is_there_stays() {
        let text = "MIME-version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\ncontent-transfer-encoding: 8bit\r\n\r\n<p>é</p>\r\n";
        assert_eq!(done(text), text);
        let multipart =
            "Mime-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\né\r\n--b--\r\n";
        assert_eq!(done(multipart), multipart);
    }

    #[test]
    fn bodies_that_need_it_are_encoded_and_come_out_again() {
        let mixed = format!("caf\u{e9} = good \n{}\n.\n", "word ".repeat(60));
        for body in [mixed.as_str(), &"\u{43f}\u{440}\u{438}\u{432}\u{435}\u{442}\n".repeat(20), &"x".repeat(1200)] {
            let message = done(&format!("Subject: s\n\n{body}"));
            assert!(message.is_ascii() && message.lines().all(|line| line.len() <= 76), "{message}");
            let parsed = MessageParser::new().parse(message.as_bytes()).unwrap();
            let got = parsed.body_text(0).unwrap().replace("\r\n", "\n");
            assert_eq!(got.trim_end_matches('\n'), body.trim_end_matches('\n'));
        }
    }

    #[test]
    fn a_text_that_is_no_message_is_refused() {
        let error = complete("Hello there\r\n\r\nbody").unwrap_err();
        assert_eq!(error, "content: line 1 is no header, and no empty line came before it");
        assert!(complete(" folded from nowhere: x\r\n\r\n").is_err());
        assert!(complete("A: 1\r\nB b\r\n").is_err());
    }
}
