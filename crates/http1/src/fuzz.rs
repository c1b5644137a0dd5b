//! Answers of servers, as a function that may be fed anything: whoever runs an endpoint sends us what they like.

use futures::FutureExt;
use http::{HeaderMap, Method, StatusCode};
use std::future::poll_fn;

use crate::script::Script;
use crate::{Asked, Line, Request, Start, Trouble, fields};

/// Words that an answer is likely to hold.
pub const WORDS: &[&str] = &[
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.0 200\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\n",
    "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 5, 6\r\n",
    "content-length: 18446744073709551616\r\n",
    "Transfer-Encoding: chunked\r\n",
    "transfer-encoding: chunked, gzip\r\n",
    "Connection: close\r\n",
    "Content-Type: text/plain; charset=\"utf-16\"\r\n",
    "\r\n\r\n",
    "\r\n ",
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "0\r\nX: y\r\n\r\n",
    "ffffffffffffffff\r\n",
    "5;a=b\r\n",
];

/// What was read of an answer.
#[derive(Debug, PartialEq)]
struct Read {
    status: StatusCode,
    length: Option<u64>,
    charset: &'static str,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// An answer is the same in whatever pieces it comes, its body is as long as it says, and one that is of no use is so
/// however it comes. The first byte says what was asked: `H` is a HEAD.
pub fn answer(data: &[u8]) {
    let Some((first, data)) = data.split_first() else { return };
    let method = if *first == b'H' { Method::HEAD } else { Method::GET };
    let whole = read(&method, [data.to_vec()]).ok();
    if let Some(Read { length: Some(length), body, .. }) = &whole {
        assert_eq!(*length, body.len() as u64);
    }
    for size in [1, 2, 3, 7, 64] {
        let pieces = read(&method, data.chunks(size).map(<[u8]>::to_vec)).ok();
        assert_eq!(whole, pieces, "in pieces of {size} bytes");
    }
}

fn read(method: &Method, pieces: impl IntoIterator<Item = Vec<u8>>) -> Result<Read, Trouble> {
    let start = Start::new(method, &http::uri::PathAndQuery::from_static("/"), &HeaderMap::new()).expect("a GET");
    let request = Request { start: &start, own: &[], body: bytes::Bytes::new() };
    let mut line = Line::new(Box::new(Script::new(pieces, true)));
    let reading = async {
        let head = match line.ask(&request).await {
            Asked::Answered(head) => head,
            Asked::Unsent(trouble) | Asked::Broken(trouble) => return Err(trouble),
        };
        let headers = fields(&line.open_body(&head));
        let mut body = Vec::new();
        while poll_fn(|cx| line.poll_body(&mut body, cx)).await? {}
        Ok(Read { status: head.status, length: head.length, charset: head.charset.name(), headers, body })
    };
    reading.now_or_never().expect("a server that is never slow")
}
