use http::{HeaderMap, StatusCode, Version};
use std::fmt::Write as _;

/// Bytes of a body that a status shows.
const BODY: usize = 4 * 1024;

/// A response as it would stand on the wire, with header names in canonical case (`Content-Length`) and the beginning
/// of its body. Control characters other than line ends and tabs are escaped: it is shown on terminals.
pub fn raw_response(version: Version, status: u16, headers: &HeaderMap, body: &[u8]) -> String {
    let version = if version == Version::HTTP_2 { "HTTP/2.0" } else { "HTTP/1.1" };
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Unknown");
    let mut text = String::with_capacity(64 * (1 + headers.len()) + body.len().min(BODY));
    // Writing to a String cannot fail.
    let _ = write!(text, "{version} {status} {reason}\r\n");
    for (name, value) in headers {
        push_canonical(&mut text, name.as_str());
        text.push_str(": ");
        push_shown(&mut text, &String::from_utf8_lossy(value.as_bytes()));
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    push_shown(&mut text, &String::from_utf8_lossy(body.get(..BODY).unwrap_or(body)));
    text
}

fn push_shown(text: &mut String, part: &str) {
    let harmless = |byte: &u8| matches!(byte, b' '..=b'~' | b'\r' | b'\n' | b'\t');
    if part.as_bytes().iter().all(harmless) {
        return text.push_str(part);
    }
    for c in part.chars() {
        if c.is_control() && !matches!(c, '\r' | '\n' | '\t') {
            text.extend(c.escape_default());
        } else {
            text.push(c);
        }
    }
}

fn push_canonical(text: &mut String, name: &str) {
    let mut start = true;
    for c in name.chars() {
        text.push(if start { c.to_ascii_uppercase() } else { c });
        start = c == '-';
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderValue, header};

    #[test]
    fn a_response_is_shown_as_the_seed_shows_it() {
        let headers = HeaderMap::from_iter([
            (header::CONTENT_LENGTH, HeaderValue::from_static("0")),
            (header::DATE, HeaderValue::from_static("Sat, 23 Sep 2023 17:42:12 GMT")),
        ]);
        assert_eq!(
            raw_response(Version::HTTP_11, 200, &headers, b""),
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: Sat, 23 Sep 2023 17:42:12 GMT\r\n\r\n"
        );
    }

    #[test]
    fn what_a_hostile_endpoint_says_is_cut_and_escaped() {
        let shown = raw_response(Version::HTTP_11, 599, &HeaderMap::new(), b"\x1b[2J\xff\0ok");
        assert_eq!(shown, "HTTP/1.1 599 Unknown\r\n\r\n\\u{1b}[2J\u{fffd}\\u{0}ok");
        let long = raw_response(Version::HTTP_11, 200, &HeaderMap::new(), &[b'x'; 100_000]);
        assert_eq!(long.len(), "HTTP/1.1 200 OK\r\n\r\n".len() + BODY);
    }
}
