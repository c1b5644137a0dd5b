//! A small HTTP server on a port of its own, and a Lua state that can reach it.

#![expect(clippy::disallowed_methods, reason = "a test server has no supervisor; its tasks end with the test")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mlua::{Lua, Value};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers by path; see [`answer`]. Stops with the runtime of the test.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream));
            }
        });
        Self { address, connections }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// [`ask`] with the address of this server.
    pub(crate) async fn ask(&self, code: &str) -> String {
        ask(&format!("http://{}", self.address), code).await
    }
}

/// Runs `code` in a fresh state with `url` as a global. Gives what it returns as text, or `!!` and the
/// first line of the error.
pub(crate) async fn ask(url: &str, code: &str) -> String {
    let lua = Lua::new();
    let kumo = lua.create_table().unwrap();
    waybill_lua_http::register(&lua, &kumo).unwrap();
    lua.globals().set("kumo", kumo).unwrap();
    lua.globals().set("url", url).unwrap();
    match lua.load(code).eval_async::<Value>().await {
        Ok(value) => value.to_string().unwrap(),
        Err(error) => {
            let text = error.to_string();
            format!("!! {}", text.split("\nstack traceback").next().unwrap().trim_end())
        }
    }
}

/// Answers the requests on one connection.
pub(crate) async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut buffer = Vec::new();
    loop {
        let Some((head, body)) = read_request(&mut stream, &mut buffer).await else { return };
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        if path == "/never" {
            std::future::pending::<()>().await;
        }
        if path == "/gone" {
            return;
        }
        if stream.write_all(&answer(&path, &head, &body)).await.is_err() {
            return;
        }
        match path.as_str() {
            // Less than was announced.
            "/half" | "/last" => return,
            "/stalls" => std::future::pending::<()>().await,
            "/pieces" => {
                for piece in ["one two", "three..", "end of."] {
                    // The one before is on its way by then.
                    tokio::task::yield_now().await;
                    if stream.write_all(piece.as_bytes()).await.is_err() {
                        return;
                    }
                }
            }
            _ => {}
        }
        if path == "/endless" {
            // No length announced: chunks until the client has had enough.
            while stream.write_all(&[b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat()).await.is_ok() {}
            return;
        }
    }
}

fn answer(path: &str, head: &str, body: &[u8]) -> Vec<u8> {
    let plain = |status: &str, headers: &str, body: &[u8]| {
        let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    };
    match path {
        "/moved" => plain("302 Found", "Location: /echo\r\n", b""),
        "/latin1" => plain("200 OK", "Content-Type: text/plain; charset=\"ISO-8859-1\"\r\n", b"caf\xe9"),
        "/binary" => plain("200 OK", "X-Two: a\r\nX-Two: b\r\n", b"\x00\xff"),
        "/strange" => plain("599 Whatever", "", b""),
        "/unavailable" => plain("503 Not Now", "", b"later"),
        "/half" | "/stalls" => b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc".to_vec(),
        "/last" => plain("200 OK", "", b"bye"),
        "/pieces" => b"HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n".to_vec(),
        "/long" => plain("200 OK", "", &[b'x'; 300 * 1024]),
        "/announced" => b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_vec(),
        "/endless" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
        _ => plain("200 OK", "X-Header: value\r\n", &[head.as_bytes(), body].concat()),
    }
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let total = end + length.unwrap_or(0usize);
    while buffer.len() < total {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = buffer[end..total].to_vec();
    buffer.drain(..total);
    Some((head, body))
}
