use std::task::Waker;

use bytes::Bytes;
use futures::FutureExt;
use http::header::CONNECTION;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method};
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::script::Script;
use crate::{Start, fields};

fn start(method: &Method) -> Start {
    Start::new(method, &PathAndQuery::from_static("/log"), &HeaderMap::new()).unwrap()
}

/// The status, the body and whether the connection is free; or the error.
async fn exchange(line: &mut Line, start: &Start, body: impl Into<Bytes>) -> Result<(u16, Vec<u8>, bool), String> {
    let head = match line.ask(&Request { start, own: &[], body: body.into() }).await {
        Asked::Answered(head) => head,
        Asked::Unsent(trouble) => return Err(format!("unsent: {trouble}")),
        Asked::Broken(trouble) => return Err(trouble.to_string()),
    };
    line.open_body(&head);
    let mut body = Vec::new();
    while poll_fn(|cx| line.poll_body(&mut body, cx)).await.map_err(|trouble| trouble.to_string())? {}
    Ok((head.status.as_u16(), body, line.is_free()))
}

/// Of an answer in these pieces, behind which the server waits.
fn read(pieces: impl IntoIterator<Item = Vec<u8>>) -> Result<(u16, Vec<u8>, bool), String> {
    let mut line = Line::new(Box::new(Script::new(pieces, false)));
    exchange(&mut line, &start(&Method::POST), "{}").now_or_never().unwrap_or_else(|| Err("waits".to_owned()))
}

fn told(answer: &str) -> String {
    match read([answer.as_bytes().to_vec()]) {
        Ok((status, body, is_free)) => {
            let free = if is_free { "free" } else { "used up" };
            format!("{status} {:?} {free}", String::from_utf8(body).unwrap())
        }
        Err(trouble) => trouble,
    }
}

#[test]
fn a_connection_is_free_when_its_answer_ended_where_it_said() {
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 \"ok\" free"),
        ("HTTP/1.1 204 No Content\r\n\r\n", "204 \"\" free"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "200 \"ok\" free"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", "200 \"ok\" used up"),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 \"ok\" used up"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokay", "200 \"ok\" used up"),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", "204 \"\" used up"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "200 \"ok\" used up",
        ),
        ("HTTP/1.1 200 OK\r\n\r\nok", "waits"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", "waits"),
        ("HTTP/1.1 100 Continue\r\n\r\n", "waits"),
    ] {
        assert_eq!(told(answer), expected, "{answer}");
    }
}

#[test]
fn a_request_that_asks_for_the_end_gets_it() {
    let headers = HeaderMap::from_iter([(CONNECTION, HeaderValue::from_static("close"))]);
    let start = Start::new(&Method::GET, &PathAndQuery::from_static("/"), &headers).unwrap();
    let answer = b"HTTP/1.1 204 No Content\r\n\r\n".to_vec();
    let mut line = Line::new(Box::new(Script::new([answer], false)));
    let (_, _, is_free) = exchange(&mut line, &start, "").now_or_never().unwrap().unwrap();
    assert!(!is_free);
}

#[test]
fn answers_ahead_of_the_answer_are_passed_over_but_not_for_ever() {
    let ahead = |count| "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(count) + "HTTP/1.1 204 X\r\n\r\n";
    assert_eq!(told(&ahead(1)), "204 \"\" free");
    assert_eq!(told(&ahead(100)), "204 \"\" free");
    assert_eq!(told(&ahead(101)), "more than 100 answers of 1xx came ahead of the answer");
    let bytes = ahead(100).into_bytes();
    assert_eq!(read(bytes.chunks(1).map(<[u8]>::to_vec)), Ok((204, Vec::new(), true)));
}

#[test]
fn a_head_without_end_is_given_up_however_it_comes() {
    for header in ["X: y\r\n", "X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"] {
        let endless = "HTTP/1.1 200 OK\r\n".to_owned() + &header.repeat(20_000);
        for size in [7, 1000, 100_000] {
            let read = read(endless.as_bytes().chunks(size).map(<[u8]>::to_vec));
            assert!(
                matches!(
                    read.as_ref().map_err(String::as_str),
                    Err("the answer's head is larger than 64 KiB" | "the answer has more than 100 headers")
                ),
                "{read:?}"
            );
        }
    }
}

#[test]
fn a_connection_that_ends_says_how_much_of_the_answer_was_missing() {
    for (answer, expected) in [
        ("", "connection closed before message completed"),
        ("HTTP/1.1 200 OK\r\n", "connection closed before message completed"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
            "the connection was closed 3 bytes before the end of the answer's body",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
            "the connection was closed before the answer's last chunk",
        ),
    ] {
        let mut line = Line::new(Box::new(Script::new([answer.as_bytes().to_vec()], true)));
        let told = exchange(&mut line, &start(&Method::POST), "{}").now_or_never().unwrap();
        assert_eq!(told, Err(expected.to_owned()), "{answer}");
    }
    let answer = b"HTTP/1.1 200 OK\r\n\r\nab".to_vec();
    let mut line = Line::new(Box::new(Script::new([answer], true)));
    let told = exchange(&mut line, &start(&Method::POST), "{}").now_or_never().unwrap();
    assert_eq!(told, Ok((200, b"ab".to_vec(), false)));
}

#[test]
fn nothing_is_sent_over_a_connection_that_spoke_or_ended_unasked() {
    for (answer, expected) in [
        ("", "unsent: connection closed before message completed"),
        ("HTTP", "unsent: the server spoke before it was asked"),
    ] {
        let mut script = Script::new([answer.as_bytes().to_vec()], true);
        // As if it had been asked before.
        script.is_asked = true;
        let told = exchange(&mut Line::new(Box::new(script)), &start(&Method::POST), "{}").now_or_never().unwrap();
        assert_eq!(told, Err(expected.to_owned()));
    }
}

#[test]
fn an_answer_that_came_along_with_its_head_is_looked_at_in_place() {
    let start = start(&Method::POST);
    let request = Request { start: &start, own: &[], body: Bytes::new() };
    let look = |answer: &str| {
        let mut line = Line::new(Box::new(Script::new([answer.as_bytes().to_vec()], false)));
        let Some(Asked::Answered(head)) = line.ask(&request).now_or_never() else { panic!("{answer}") };
        assert_eq!(line.at_hand(&head, |_| None::<()>), None);
        let body = line.at_hand(&head, |body| Some(body.to_vec()));
        (body, line.is_free())
    };
    assert_eq!(look("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), (Some(b"ok".to_vec()), true));
    assert_eq!(look("HTTP/1.1 204 X\r\n\r\n"), (Some(Vec::new()), true));
    assert_eq!(look("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok!"), (Some(b"ok".to_vec()), false));
    assert_eq!(look("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok"), (None, false));
    assert_eq!(look("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), (None, false));
}

/// Reads a request's head and so much of its body.
async fn heard(server: &mut DuplexStream, body: usize) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        assert_ne!(server.read_buf(&mut bytes).await.unwrap(), 0);
    };
    while bytes.len() < end + body {
        assert_ne!(server.read_buf(&mut bytes).await.unwrap(), 0);
    }
    let body = bytes.split_off(end);
    (String::from_utf8(bytes).unwrap(), body)
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn bodies_arrive_as_they_are_whatever_the_stream_takes_at_once() {
    for (size, room) in [(0, 7), (10, 7), (16 * 1024, 1000), (16 * 1024 + 1, 1000), (300_000, 100), (300_000, 1 << 20)]
    {
        let (client, mut server) = duplex(room);
        let body: Vec<u8> = (0..=250).cycle().take(size).collect();
        let mut line = Line::new(Box::new(client));
        let serve = async {
            let (head, heard) = heard(&mut server, size).await;
            assert!(head.contains(&format!("content-length: {size}\r\n")), "{head}");
            assert_eq!(heard, body);
            server.write_all(OK).await.unwrap();
        };
        let start = start(&Method::POST);
        let (told, ()) = tokio::join!(exchange(&mut line, &start, body.clone()), serve);
        assert_eq!(told, Ok((200, b"ok".to_vec(), true)));
    }
}

#[tokio::test]
async fn an_answer_ahead_of_the_body_is_heard_and_the_connection_not_used_again() {
    let (client, mut server) = duplex(1000);
    let mut line = Line::new(Box::new(client));
    let refused = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno";
    let serve = async {
        heard(&mut server, 0).await;
        server.write_all(refused).await.unwrap();
        // It reads nothing more, and does not hang up either.
        server
    };
    let start = start(&Method::POST);
    let (told, _server) = tokio::join!(exchange(&mut line, &start, vec![b'x'; 1_000_000]), serve);
    assert_eq!(told, Ok((413, b"no".to_vec(), false)));
}

#[tokio::test]
async fn an_answer_counts_also_when_the_rest_of_the_request_cannot_be_sent() {
    let (client, mut server) = duplex(1000);
    let mut line = Line::new(Box::new(client));
    let serve = async {
        heard(&mut server, 0).await;
        server.write_all(b"HTTP/1.1 413 Content Too Large\r\n\r\nno").await.unwrap();
        drop(server);
    };
    let start = start(&Method::POST);
    let (told, ()) = tokio::join!(exchange(&mut line, &start, vec![b'x'; 1_000_000]), serve);
    assert_eq!(told, Ok((413, b"no".to_vec(), false)));
}

#[tokio::test]
async fn a_request_that_cannot_be_sent_is_an_error_of_the_way() {
    let (client, mut server) = duplex(1000);
    let mut line = Line::new(Box::new(client));
    let serve = async {
        heard(&mut server, 0).await;
        drop(server);
    };
    let start = start(&Method::POST);
    let (told, ()) = tokio::join!(exchange(&mut line, &start, vec![b'x'; 1_000_000]), serve);
    assert_eq!(told, Err("broken pipe".to_owned()));
}

#[tokio::test]
async fn a_server_that_answers_what_it_reads_gets_all_of_it() {
    let (client, mut server) = duplex(1000);
    let mut line = Line::new(Box::new(client));
    let size = 200_000;
    let serve = async {
        heard(&mut server, 0).await;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
        server.write_all(head.as_bytes()).await.unwrap();
        let mut left = size;
        // What came along with the head is not sent back.
        let mut piece = vec![0; 500];
        while left > 0 {
            let read = server.read(&mut piece).now_or_never();
            let echoed = match read {
                Some(read) => read.unwrap().min(left),
                // All of it was read.
                None => left.min(piece.len()),
            };
            server.write_all(&piece[..echoed]).await.unwrap();
            left -= echoed;
            tokio::task::yield_now().await;
        }
    };
    let start = start(&Method::POST);
    let (told, ()) = tokio::join!(exchange(&mut line, &start, vec![b'x'; size]), serve);
    let (status, body, _) = told.unwrap();
    assert_eq!((status, body.len()), (200, size));
}

#[tokio::test]
async fn one_connection_carries_one_exchange_after_the_other() {
    let (client, mut server) = duplex(1000);
    let mut line = Line::new(Box::new(client));
    let serve = async {
        for round in 0..50 {
            let (_, body) = heard(&mut server, round).await;
            let chunked = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{round:x}\r\n");
            let plain = format!("HTTP/1.1 200 OK\r\nContent-Length: {round}\r\n\r\n");
            let (head, end) = if round % 2 == 1 { (chunked, "\r\n0\r\n\r\n") } else { (plain, "") };
            server.write_all(&[head.as_bytes(), &body, end.as_bytes()].concat()).await.unwrap();
        }
        server
    };
    let start = start(&Method::POST);
    let ask = async {
        for round in 0..50 {
            let body = vec![b'x'; round];
            assert_eq!(exchange(&mut line, &start, body.clone()).await, Ok((200, body, true)));
        }
    };
    tokio::join!(ask, serve);
    assert_eq!(exchange(&mut line, &start, "").await, Err("unsent: connection closed before message completed".into()));
}

/// An answer, and what it says.
#[derive(Clone, Debug)]
struct Said {
    bytes: Vec<u8>,
    status: u16,
    headers: Vec<Vec<u8>>,
    body: Vec<u8>,
}

fn answers() -> impl Strategy<Value = Said> {
    let header = vec(prop_oneof![0x21u8..0x7f, 0x80u8..=0xff], 0..20);
    let chunk = vec(any::<u8>(), 1..40);
    (0..3usize, 200..600u16, vec(header, 0..6), vec(chunk, 0..6), any::<bool>(), vec(any::<bool>(), 6)).prop_map(
        |(ahead, status, headers, chunks, is_chunked, odd)| {
            let mut bytes = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(ahead);
            bytes.extend_from_slice(format!("HTTP/1.1 {status} Whatever\r\n").as_bytes());
            for value in &headers {
                bytes.extend_from_slice(&[b"X-Value: ", &value[..], b"\r\n"].concat());
            }
            let has_body = ![204, 304].contains(&status);
            let body = if has_body { chunks.concat() } else { Vec::new() };
            if is_chunked && has_body {
                bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                for (chunk, is_odd) in chunks.iter().zip(odd) {
                    let extension = if is_odd { " ; name=\"value\"" } else { "" };
                    let size = format!("{:x}{extension}\r\n", chunk.len());
                    bytes.extend_from_slice(&[size.as_bytes(), chunk, b"\r\n"].concat());
                }
                bytes.extend_from_slice(b"0\r\nX-Trailer: x\r\n\r\n");
            } else {
                bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
                bytes.extend_from_slice(&body);
            }
            Said { bytes, status, headers, body }
        },
    )
}

proptest! {
    #[test]
    fn an_answer_reads_the_same_in_whatever_pieces_it_comes(
        said in answers(),
        cuts in vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(said.bytes.len())).collect();
        cuts.extend([0, said.bytes.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|ends| said.bytes[ends[0]..ends[1]].to_vec());
        let mut line = Line::new(Box::new(Script::new(pieces, false)));
        let start = start(&Method::POST);
        let request = Request { start: &start, own: &[], body: Bytes::from_static(b"{}") };
        let Some(Asked::Answered(head)) = line.ask(&request).now_or_never() else { panic!("no head") };
        prop_assert_eq!(head.status.as_u16(), said.status);
        let headers = fields(&line.open_body(&head));
        let values: Vec<&[u8]> = headers.get_all("x-value").iter().map(HeaderValue::as_bytes).collect();
        prop_assert_eq!(values, said.headers.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let (mut body, mut cx) = (Vec::new(), Context::from_waker(Waker::noop()));
        while let Poll::Ready(Ok(true)) = line.poll_body(&mut body, &mut cx) {}
        prop_assert_eq!(body, said.body);
        prop_assert!(line.is_free());
    }
}
