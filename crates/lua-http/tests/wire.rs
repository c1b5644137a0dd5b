//! What servers do to a connection, byte by byte.

#![expect(clippy::disallowed_methods, reason = "a test server has no supervisor; its tasks end with the test")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{HeaderName, HeaderValue};
use mlua::{Lua, Table, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use waybill_lua_http::{Posted, Poster};

/// What a server does with a connection.
#[derive(Clone, Debug)]
enum Step {
    /// Reads a request.
    Hear,
    /// Of a request only the head, and what came along with it.
    HearHead,
    Say(Vec<u8>),
    /// Says this for ever.
    Repeat(&'static str),
    /// Until the test says so.
    Wait,
    /// Does nothing any more, without hanging up.
    Hang,
}
use Step::{Hang, Hear, HearHead, Repeat, Wait};

fn say(text: &str) -> Step {
    Step::Say(text.as_bytes().to_vec())
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    /// Heads of requests.
    heard: Arc<parking_lot::Mutex<Vec<String>>>,
    go_on: Arc<Semaphore>,
    /// A connection's steps are done.
    did: Arc<Notify>,
}

impl Server {
    /// The first connection has the first steps, and so on; the last ones serve all that follow.
    async fn start(scripts: Vec<Vec<Step>>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            heard: Arc::default(),
            go_on: Arc::new(Semaphore::new(0)),
            did: Arc::default(),
        };
        let (connections, heard) = (server.connections.clone(), server.heard.clone());
        let (go_on, did) = (server.go_on.clone(), server.did.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let at = connections.fetch_add(1, Ordering::SeqCst);
                let steps = scripts[at.min(scripts.len() - 1)].clone();
                let (heard, go_on, did) = (heard.clone(), go_on.clone(), did.clone());
                tokio::spawn(async move {
                    let mut buffer = Vec::new();
                    for step in steps {
                        if !take(&mut stream, step, &mut buffer, &heard, &go_on).await {
                            break;
                        }
                    }
                    drop(stream);
                    did.notify_one();
                });
            }
        });
        server
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn requests(&self) -> usize {
        self.heard.lock().len()
    }
}

async fn take(
    stream: &mut TcpStream,
    step: Step,
    buffer: &mut Vec<u8>,
    heard: &parking_lot::Mutex<Vec<String>>,
    go_on: &Semaphore,
) -> bool {
    match step {
        Step::Hear | Step::HearHead => {
            let end = loop {
                if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                    break end + 4;
                }
                if stream.read_buf(buffer).await.unwrap_or_default() == 0 {
                    return false;
                }
            };
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            heard.lock().push(head);
            if matches!(step, Step::HearHead) {
                return true;
            }
            let end = end + length.unwrap_or_default();
            while buffer.len() < end {
                if stream.read_buf(buffer).await.unwrap_or_default() == 0 {
                    return false;
                }
            }
            buffer.drain(..end);
            true
        }
        Step::Say(bytes) => stream.write_all(&bytes).await.is_ok(),
        Step::Repeat(text) => {
            while stream.write_all(text.as_bytes()).await.is_ok() {}
            false
        }
        Step::Wait => {
            go_on.acquire().await.unwrap().forget();
            true
        }
        Step::Hang => std::future::pending().await,
    }
}

/// Posts to a server.
struct Client {
    poster: Poster,
    lua: Lua,
}

impl Client {
    fn new(server: &Server, timeout: &str) -> Client {
        let lua = Lua::new();
        let kumo = lua.create_table().unwrap();
        waybill_lua_http::register(&lua, &kumo).unwrap();
        lua.globals().set("kumo", kumo).unwrap();
        let code = format!("return kumo.http.build_client {{ redirect = 'none', timeout = '{timeout}' }}");
        let client: Value = lua.load(code).eval().unwrap();
        let headers: Table = lua.load("return { ['X-A'] = '1' }").eval().unwrap();
        let poster = Poster::new(&client, &format!("http://{}/log", server.address), &headers).unwrap().unwrap();
        Client { poster, lua }
    }

    /// What is told of it: the summary, the status and the body, or why there is none.
    async fn post(&self, body: impl Into<bytes::Bytes>) -> String {
        let id = (HeaderName::from_static("webhook-id"), HeaderValue::from_static("7"));
        match self.poster.post([id], body, 100).await {
            Ok(Posted::Taken(text)) => text,
            Ok(Posted::Answered(answered)) => {
                let status = answered.status();
                let read = self.lua.load("return (...):text()").call_async::<String>(answered).await;
                format!("{status} and {}", read.unwrap_or_else(|error| causes(&error)))
            }
            Err(error) => causes(&error),
        }
    }
}

/// The innermost of them.
fn causes(error: &mlua::Error) -> String {
    let mut error = error.chain().last().unwrap();
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

/// What was sent to us before is with us: a round over another connection of this runtime comes behind it.
async fn round() {
    let other = Server::start(vec![vec![Hear, say(OK), Hang]]).await;
    assert_eq!(Client::new(&other, "20s").post("{}").await, "200 OK: ok");
}

/// What comes of one post to a server that does this.
async fn told(steps: Vec<Step>) -> String {
    let server = Server::start(vec![steps]).await;
    Client::new(&server, "20s").post("{}").await
}

#[tokio::test]
async fn an_answer_that_keeps_to_the_standard_is_taken() {
    for (answer, expected) in [
        (OK, "200 OK: ok"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nA: b\r\n\r\n", "200 OK: ok"),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 X\r\nA: b\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
            "204 No Content: ",
        ),
        ("HTTP/1.1 503 Later\r\nContent-Length: 5\r\n\r\nlater", "503 and later"),
    ] {
        assert_eq!(told(vec![Hear, say(answer), Hang]).await, expected);
        // A byte at a time.
        let bytes = answer.bytes().map(|byte| Step::Say(vec![byte]));
        assert_eq!(told([Hear].into_iter().chain(bytes).chain([Hang]).collect()).await, expected);
    }
    // These end with the connection.
    for answer in ["HTTP/1.1 200 OK\r\n\r\nok", "HTTP/1.0 200 OK\r\n\r\nok"] {
        assert_eq!(told(vec![Hear, say(answer)]).await, "200 OK: ok");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_is_refused_and_says_why() {
    for (answer, expected) in [
        ("220 mx.example ESMTP\r\n", "the answer is not HTTP/1.1"),
        ("HTTP/1.1 101 Switching\r\n\r\n", "the answer switches to a protocol that nobody asked for"),
        ("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", "a header of the answer goes on in another line"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
            "the answer's content-length is not one number",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok", "the answer's content-length is not one number"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nok",
            "200 and a chunk of the answer has a size that is no number",
        ),
    ] {
        assert_eq!(told(vec![Hear, say(answer), Hang]).await, expected, "{answer}");
    }
    assert_eq!(told(vec![Hear]).await, "connection closed before message completed");
    assert_eq!(
        told(vec![Hear, say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok")]).await,
        "200 and the connection was closed 7 bytes before the end of the answer's body"
    );
}

#[tokio::test]
async fn nothing_is_read_without_end() {
    for (first, then, expected) in [
        ("", "HTTP/1.1 102 Processing\r\n\r\n", "more than 100 answers of 1xx came ahead of the answer"),
        ("HTTP/1.1 200 OK\r\nX: ", "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy", "the answer's head is larger than 64 KiB"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;",
            "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy",
            "200 and the extensions and trailers of the answer's chunks are larger than 16 KiB",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            "X-Trailer: x\r\n",
            "200 and the extensions and trailers of the answer's chunks are larger than 16 KiB",
        ),
        ("HTTP/1.1 200 OK\r\n\r\n", "yyyyyyyyyyyyyyyyyyyyy", "200 and response body is larger than 16777216 bytes"),
    ] {
        assert_eq!(told(vec![Hear, say(first), Repeat(then)]).await, expected, "{first}");
    }
    // Lines that end bound themselves.
    let endless = told(vec![Hear, say("HTTP/1.1 200 OK\r\n"), Repeat("X: y\r\n")]).await;
    assert!(endless.starts_with("the answer"), "{endless}");
}

#[tokio::test]
async fn an_answer_that_is_short_is_waited_for_until_its_time_is_up() {
    let server = Server::start(vec![vec![
        Hear,
        say("HTTP/1.1 200 OK\r\nContent-Le"),
        Wait,
        say("ngth: 2\r\n\r\no"),
        Wait,
        say("k"),
        Hang,
    ]])
    .await;
    let client = Client::new(&server, "20s");
    let slowly = async {
        for _ in 0..2 {
            round().await;
            server.go_on.add_permits(1);
        }
    };
    let (told, ()) = tokio::join!(client.post("{}"), slowly);
    assert_eq!(told, "200 OK: ok");

    let over = async |steps| {
        let server = Server::start(vec![steps]).await;
        Client::new(&server, "100ms").post("{}").await
    };
    assert_eq!(over(vec![Hear, say("HTTP/1.1 200 OK\r\nContent-Le"), Hang]).await, "operation timed out");
    assert_eq!(over(vec![Hear, say(&OK[..OK.len() - 1]), Hang]).await, "200 and operation timed out");
}

#[tokio::test]
async fn an_answer_ahead_of_the_whole_request_counts() {
    let refused = "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 9\r\n\r\ntoo large";
    // Nobody reads on, and the connection is reset behind the answer.
    let server = Server::start(vec![vec![HearHead, say(refused)]]).await;
    let client = Client::new(&server, "20s");
    assert_eq!(client.post(vec![b'x'; 20_000_000]).await, "413 and too large");
}

#[tokio::test]
async fn a_large_body_arrives_as_a_whole() {
    let server = Server::start(vec![vec![Hear, say(OK), Hear, say(OK), Hang]]).await;
    let client = Client::new(&server, "20s");
    for size in [3_000_000, 20_000] {
        assert_eq!(client.post(vec![b'x'; size]).await, "200 OK: ok");
        let head = server.heard.lock().last().unwrap().clone();
        assert!(head.ends_with(&format!("content-length: {size}\r\n\r\n")), "{head}");
    }
    assert_eq!(server.connections(), 1);
}

/// How many connections two posts take when the first is answered so.
async fn connections_after(first: &str, more: Vec<Step>) -> usize {
    let steps = [Hear, say(first)].into_iter().chain(more).chain([Hear, say(OK), Hang]).collect();
    let server = Server::start(vec![steps, vec![Hear, say(OK), Hang]]).await;
    let client = Client::new(&server, "20s");
    client.post("{}").await;
    assert_eq!(client.post("{}").await, "200 OK: ok");
    assert_eq!(server.requests(), 2);
    server.connections()
}

#[tokio::test]
async fn a_connection_is_used_again_where_nobody_can_mistake_the_next_answer() {
    for (first, expected) in [
        (OK, 1),
        ("HTTP/1.1 204 No Content\r\n\r\n", 1),
        ("HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n", 1),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 1),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", 2),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok", 2),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 2),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfake", 2),
    ] {
        assert_eq!(connections_after(first, Vec::new()).await, expected, "{first}");
    }
}

#[tokio::test]
async fn a_connection_that_ended_or_spoke_while_it_was_idle_costs_no_request() {
    for more in [Vec::new(), vec![say("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")]] {
        let ends = more.is_empty();
        let first = [Hear, say(OK), Wait].into_iter().chain(more).chain((!ends).then_some(Hang)).collect();
        let server = Server::start(vec![first, vec![Hear, say(OK), Hang]]).await;
        let client = Client::new(&server, "20s");
        assert_eq!(client.post("{}").await, "200 OK: ok");
        server.go_on.add_permits(1);
        if ends {
            server.did.notified().await;
        }
        round().await;
        assert_eq!(client.post("{}").await, "200 OK: ok");
        assert_eq!((server.connections(), server.requests()), (2, 2));
    }
}

#[tokio::test]
async fn a_request_that_may_have_arrived_is_not_sent_again() {
    let server = Server::start(vec![vec![Hear, say(OK), Hear], vec![Hear, say(OK), Hang]]).await;
    let client = Client::new(&server, "20s");
    assert_eq!(client.post("{}").await, "200 OK: ok");
    assert_eq!(client.post("{}").await, "connection closed before message completed");
    assert_eq!((server.connections(), server.requests()), (1, 2));
}

#[tokio::test]
async fn headers_of_one_request_take_the_place_of_those_of_all() {
    let server = Server::start(vec![vec![Hear, say(OK), Hear, say(OK), Hang]]).await;
    let client = Client::new(&server, "20s");
    let own = [(HeaderName::from_static("x-a"), HeaderValue::from_static("2"))];
    assert!(matches!(client.poster.post(own, "{}", 10).await.unwrap(), Posted::Taken(_)));
    assert_eq!(client.post("{}").await, "200 OK: ok");
    let [first, second] = <[String; 2]>::try_from(server.heard.lock().clone()).unwrap();
    assert!(first.contains("\r\nx-a: 2\r\n") && !first.contains("x-a: 1"), "{first}");
    let expected = format!(
        "POST /log HTTP/1.1\r\nx-a: 1\r\naccept: */*\r\nhost: {}\r\nwebhook-id: 7\r\ncontent-length: 2\r\n\r\n",
        server.address
    );
    assert_eq!(second, expected);
}
