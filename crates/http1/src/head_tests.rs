use super::*;

/// What is found, as a text: status, framing, and whether the connection is kept.
fn told(head: &str, to_head: bool) -> String {
    match parse(head.as_bytes(), to_head) {
        Err(trouble) => trouble.to_string(),
        Ok(None) => "partial".to_owned(),
        Ok(Some(Found::Interim(size))) => format!("interim {size}"),
        Ok(Some(Found::Answer(head, framing, keeps))) => {
            let framing = match framing {
                Framing::Length(length) => length.to_string(),
                Framing::Chunked(_) => "chunked".to_owned(),
                Framing::ToClose => "to the end".to_owned(),
            };
            let keeps = if keeps { "keeps" } else { "closes" };
            format!("{} {framing} {keeps}", head.status.as_u16())
        }
    }
}

fn answer(headers: &str) -> String {
    told(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n"), false)
}

#[test]
fn the_end_of_a_body_is_found_as_the_standard_says() {
    for (headers, expected) in [
        ("Content-Length: 5\r\n", "200 5 keeps"),
        ("CONTENT-LENGTH:5\r\n", "200 5 keeps"),
        ("Content-Length: 05\r\n", "200 5 keeps"),
        ("Content-Length: 5, 5\r\nContent-Length: 5\r\n", "200 5 keeps"),
        ("Content-Length: 18446744073709551615\r\n", "200 18446744073709551615 keeps"),
        ("Transfer-Encoding: chunked\r\n", "200 chunked keeps"),
        ("transfer-encoding: Chunked \r\n", "200 chunked keeps"),
        ("Transfer-Encoding: gzip, chunked\r\n", "200 chunked keeps"),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", "200 chunked keeps"),
        ("Transfer-Encoding: chunked, gzip\r\n", "200 to the end keeps"),
        ("Transfer-Encoding: chunkedx\r\n", "200 to the end keeps"),
        ("", "200 to the end keeps"),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "200 chunked closes"),
        ("Transfer-Encoding: chunked\r\nContent-Length: x\r\n", "200 chunked closes"),
        ("Content-Length: 5\r\nConnection: close\r\n", "200 5 closes"),
        ("Content-Length: 5\r\nConnection: x, CLOSE\r\nConnection: keep-alive\r\n", "200 5 closes"),
        ("Content-Length: 5\r\nConnection: keep-alive, closed\r\n", "200 5 keeps"),
    ] {
        assert_eq!(answer(headers), expected, "{headers}");
    }
}

#[test]
fn a_length_that_is_not_one_number_is_an_error() {
    for headers in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length:\r\n",
        "Content-Length: 5,\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: 5\r\nContent-Length: x\r\nContent-Length: 5\r\n",
    ] {
        assert_eq!(answer(headers), "the answer's content-length is not one number", "{headers}");
    }
}

#[test]
fn some_answers_have_no_body_whatever_they_say() {
    for (line, headers, to_head, expected) in [
        ("HTTP/1.1 204 No Content", "Content-Length: 5\r\n", false, "204 0 keeps"),
        ("HTTP/1.1 304 Not Modified", "Content-Length: 5\r\n", false, "304 0 keeps"),
        ("HTTP/1.1 200 OK", "Content-Length: 5\r\n", true, "200 0 keeps"),
        ("HTTP/1.1 200 OK", "Transfer-Encoding: chunked\r\n", true, "200 0 keeps"),
        ("HTTP/1.1 200 OK", "", true, "200 0 keeps"),
    ] {
        assert_eq!(told(&format!("{line}\r\n{headers}\r\n"), to_head), expected);
    }
}

#[test]
fn versions_and_statuses() {
    for (head, expected) in [
        ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", "200 5 closes"),
        ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n", "200 5 closes"),
        ("HTTP/1.0 200 OK\r\n\r\n", "200 to the end closes"),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "an answer of HTTP/1.0 has a transfer-encoding"),
        ("HTTP/1.1 999\r\nContent-Length: 1\r\n\r\n", "999 1 keeps"),
        ("HTTP/1.1 200 \u{e9}\r\nContent-Length: 1\r\n\r\n", "200 1 keeps"),
        ("HTTP/1.1 200\nContent-Length: 1\n\n", "200 1 keeps"),
        ("HTTP/1.1 100 Continue\r\n\r\nrest", "interim 25"),
        ("HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n", "interim 39"),
        ("HTTP/1.1 101 X\r\n\r\n", "the answer switches to a protocol that nobody asked for"),
        ("HTTP/1.1 099 X\r\n\r\n", "the answer's status is none"),
        ("HTTP/1.1 20 OK\r\n\r\n", "the answer's head is unreadable: invalid response status"),
        ("HTTP/2 200 OK\r\n\r\n", "the answer is not HTTP/1.1"),
        ("HTTP/1.2 200 OK\r\n\r\n", "the answer is not HTTP/1.1"),
        ("220 mx.example ESMTP\r\n", "the answer is not HTTP/1.1"),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", "the answer is not HTTP/1.1"),
        ("", "partial"),
        ("HTTP/1.1 200 OK\r\n", "partial"),
    ] {
        assert_eq!(told(head, false), expected, "{head}");
    }
}

#[test]
fn headers_that_other_readers_may_take_for_something_else_are_refused() {
    for (headers, expected) in [
        ("X: a\r\n b\r\n", "a header of the answer goes on in another line"),
        ("X: a\r\n\tb\r\n", "a header of the answer goes on in another line"),
        (" X: a\r\n", "a header of the answer goes on in another line"),
        ("X : a\r\n", "the answer's head is unreadable: invalid header name"),
        ("X\r\n", "the answer's head is unreadable: invalid header name"),
        (": a\r\n", "the answer's head is unreadable: invalid header name"),
        ("X: a\0b\r\n", "the answer's head is unreadable: invalid header value"),
        ("X: a\rb\r\n", "the answer's head is unreadable: invalid header value"),
    ] {
        assert_eq!(answer(headers), expected, "{headers}");
    }
}

#[test]
fn a_head_has_bounds() {
    let headers = |count: usize| "X: y\r\n".repeat(count) + "Content-Length: 1\r\n";
    assert_eq!(answer(&headers(MAX_HEADERS - 1)), "200 1 keeps");
    assert_eq!(answer(&headers(MAX_HEADERS)), "the answer has more than 100 headers");
    let long = |size: usize| {
        let (before, behind) = ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX: ", "\r\n\r\n");
        before.to_owned() + &"x".repeat(size - before.len() - behind.len()) + behind
    };
    assert_eq!(told(&long(MAX_HEAD), false), "200 1 keeps");
    assert_eq!(told(&long(MAX_HEAD + 1), false), "the answer's head is larger than 64 KiB");
}

#[test]
fn the_charset_is_that_of_the_first_content_type() {
    for (headers, expected) in [
        ("", "UTF-8"),
        ("Content-Type: text/plain\r\n", "UTF-8"),
        ("content-type: text/plain; charset=\"ISO-8859-1\"\r\nContent-Type: x; charset=utf-16\r\n", "windows-1252"),
        ("Content-Type: text/plain; charset=nothing\r\n", "UTF-8"),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\n{headers}\r\n");
        let Ok(Some(Found::Answer(head, ..))) = parse(head.as_bytes(), false) else { panic!("{headers}") };
        assert_eq!(head.charset.name(), expected, "{headers}");
    }
}

#[test]
fn fields_are_all_there_in_their_order() {
    let fields = fields(b"HTTP/1.1 200 OK\r\nX-Two: a\r\nServer: s\r\nx-two:  b \r\nX-Odd: \xff\r\nX-None:\r\n\r\n");
    let pairs: Vec<(&str, &[u8])> = fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let expected: [(&str, &[u8]); 5] =
        [("x-two", b"a"), ("x-two", b"b"), ("server", b"s"), ("x-odd", b"\xff"), ("x-none", b"")];
    assert_eq!(pairs, expected);
}

#[test]
fn an_end_is_seen_wherever_what_was_known_ended() {
    for text in ["HTTP/1.1 200 OK\r\nX: y\r\n\r\nbody", "HTTP/1.1 200 OK\nX: y\n\nbody"] {
        let end = text.len() - "body".len();
        for known in 0..end {
            for len in known..=text.len() {
                assert_eq!(may_end(&text.as_bytes()[..len], known), len >= end, "{known} {len}");
            }
        }
    }
}
