//! A request as bytes.
//!
//! A line's end cannot get into one: paths, names and values come in types of `http`, which hold none.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method};

use super::head::names;

/// What requests begin with: the start line, and headers that are known before there is a body.
pub struct Start {
    text: Vec<u8>,
    names: Vec<HeaderName>,
    /// Answers to it have no body, whatever they say.
    pub(crate) is_head: bool,
    /// The other side is asked to close the connection.
    pub(crate) closes: bool,
    tells_no_body: bool,
}

impl Start {
    /// `None` for what is not spoken here: a body in a coding, and tunnels. How long the body is says [`Request`].
    pub fn new(method: &Method, path: &PathAndQuery, headers: &HeaderMap) -> Option<Start> {
        if headers.contains_key(TRANSFER_ENCODING) || method == Method::CONNECT {
            return None;
        }
        let mut text = Vec::with_capacity(256);
        for part in [method.as_str(), " ", path.as_str(), " HTTP/1.1\r\n"] {
            text.extend_from_slice(part.as_bytes());
        }
        for (name, value) in headers.iter().filter(|(name, _)| *name != CONTENT_LENGTH) {
            write_header(&mut text, name, value);
        }
        Some(Start {
            text,
            names: headers.keys().cloned().collect(),
            is_head: method == Method::HEAD,
            closes: headers.get_all(CONNECTION).iter().any(|value| names(value.as_bytes(), "close")),
            // Of these it is expected that they have one (RFC 9110, section 8.6).
            tells_no_body: [Method::POST, Method::PUT, Method::PATCH].contains(method),
        })
    }

    /// Whether a header of that name would say something a second time.
    pub fn has(&self, name: &HeaderName) -> bool {
        [CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION].contains(name) || self.names.contains(name)
    }
}

/// A request.
pub struct Request<'a> {
    /// What it begins with.
    pub start: &'a Start,
    /// Headers of this one alone, none of which the start [has](Start::has).
    pub own: &'a [(HeaderName, HeaderValue)],
    /// Its body.
    pub body: Bytes,
}

impl Request<'_> {
    /// Writes all that stands ahead of the body.
    pub(crate) fn write_head(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.start.text);
        for (name, value) in self.own {
            write_header(to, name, value);
        }
        if !self.body.is_empty() || self.start.tells_no_body {
            to.extend_from_slice(b"content-length: ");
            write_decimal(to, self.body.len());
            to.extend_from_slice(b"\r\n");
        }
        to.extend_from_slice(b"\r\n");
    }
}

fn write_header(to: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    to.extend_from_slice(name.as_str().as_bytes());
    to.extend_from_slice(b": ");
    to.extend_from_slice(value.as_bytes());
    to.extend_from_slice(b"\r\n");
}

/// Without the detour of `fmt`: it is written for each event of a hook.
fn write_decimal(to: &mut Vec<u8>, mut number: usize) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        #[expect(clippy::cast_possible_truncation, reason = "a digit")]
        let digit = (number % 10) as u8;
        digits[at] = b'0' + digit;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    to.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn headers(of: &[(&'static str, &'static str)]) -> HeaderMap {
        let entry = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        of.iter().map(entry).collect()
    }

    fn start(method: &Method, path: &str, of: &[(&'static str, &'static str)]) -> Option<Start> {
        Start::new(method, &path.parse().unwrap(), &headers(of))
    }

    fn written(start: &Start, own: &[(HeaderName, HeaderValue)], body: &'static str) -> String {
        let mut to = Vec::new();
        Request { start, own, body: body.into() }.write_head(&mut to);
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn headers_stand_in_their_order_and_the_length_behind_them() {
        let of = [("content-type", "text/plain"), ("x-a", "1"), ("accept", "*/*"), ("x-a", "2")];
        let start = start(&Method::POST, "/log?x=y", &of).unwrap();
        let own = [(HeaderName::from_static("webhook-id"), HeaderValue::from_static("7"))];
        assert_eq!(
            written(&start, &own, "0123456789"),
            "POST /log?x=y HTTP/1.1\r\ncontent-type: text/plain\r\nx-a: 1\r\nx-a: 2\r\naccept: */*\r\nwebhook-id: 7\r\n\
             content-length: 10\r\n\r\n"
        );
    }

    #[test]
    fn no_body_is_told_where_one_is_expected() {
        for (method, told) in [(Method::GET, false), (Method::HEAD, false), (Method::POST, true), (Method::PUT, true)] {
            let text = written(&start(&method, "/", &[]).unwrap(), &[], "");
            assert_eq!(text.contains("content-length: 0\r\n"), told, "{text}");
            assert!(text.ends_with("\r\n\r\n"), "{text}");
        }
    }

    #[test]
    fn a_length_that_somebody_claims_is_not_believed() {
        let text = written(&start(&Method::POST, "/", &[("content-length", "999")]).unwrap(), &[], "abc");
        assert_eq!(text, "POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\n");
    }

    #[test]
    fn codings_and_tunnels_are_not_spoken() {
        assert!(start(&Method::POST, "/", &[("transfer-encoding", "chunked")]).is_none());
        assert!(start(&Method::CONNECT, "/", &[]).is_none());
    }

    #[test]
    fn it_knows_what_would_be_said_twice_and_who_closes() {
        let one = start(&Method::GET, "/", &[("x-a", "1"), ("connection", "x, Close")]).unwrap();
        assert!(one.closes);
        for (name, has) in [("x-a", true), ("content-length", true), ("transfer-encoding", true), ("x-b", false)] {
            assert_eq!(one.has(&HeaderName::from_static(name)), has, "{name}");
        }
        assert!(!start(&Method::GET, "/", &[("connection", "closed")]).unwrap().closes);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_it_was_meant(
            values in vec(vec(any::<u8>(), 0..40), 0..6),
            length in prop_oneof![0usize..2000, Just(99_999), Just(100_000)],
        ) {
            let values = values.iter().filter_map(|value| HeaderValue::from_bytes(value).ok());
            let headers: HeaderMap = values.map(|value| (HeaderName::from_static("x-v"), value)).collect();
            let start = Start::new(&Method::POST, &PathAndQuery::from_static("/p?q"), &headers).unwrap();
            let mut to = Vec::new();
            Request { start: &start, own: &[], body: vec![b'x'; length].into() }.write_head(&mut to);
            let mut room = [httparse::EMPTY_HEADER; 16];
            let mut read = httparse::Request::new(&mut room);
            prop_assert_eq!(read.parse(&to).unwrap(), httparse::Status::Complete(to.len()));
            prop_assert_eq!((read.method, read.path), (Some("POST"), Some("/p?q")));
            let (last, others) = read.headers.split_last().unwrap();
            let length = length.to_string();
            prop_assert_eq!((last.name, last.value), ("content-length", length.as_bytes()));
            prop_assert_eq!(others.len(), headers.len());
            for (header, value) in others.iter().zip(headers.values()) {
                prop_assert_eq!(header.value, value.as_bytes().trim_ascii());
            }
        }
    }
}
