//! Scripts that listen to a real websocket server on the loopback interface.

#![expect(clippy::disallowed_methods, reason = "a test server has no supervisor; its tasks end with the test")]

#[expect(dead_code, reason = "shared with the other tests, which use all of it")]
mod support;

use std::net::SocketAddr;

use futures::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};

/// A server that does `serve` with the first connection.
async fn server<F>(serve: impl FnOnce(WebSocketStream<TcpStream>) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve(accept_async(stream).await.unwrap()).await;
    });
    address
}

async fn ask(address: SocketAddr, code: &str) -> String {
    support::ask(&format!("ws://{address}/topic"), code).await
}

#[tokio::test]
async fn messages_come_one_by_one_until_the_server_closes() {
    let address = server(|mut socket| async move {
        for message in [Message::text("one"), Message::Ping("are you there".into()), Message::binary(vec![0, 255])] {
            socket.send(message).await.unwrap();
        }
        assert!(matches!(socket.next().await, Some(Ok(Message::Pong(_)))), "pings are answered");
        socket.close(None).await.unwrap();
        while socket.next().await.is_some() {}
    })
    .await;
    let code = "local stream, response = kumo.http.connect_websocket(url)
        assert(response:status_code() == 101 and response:headers().upgrade == 'websocket')
        assert(stream:recv() == 'one' and stream:recv() == '\\0\\xff')
        return tostring(stream:recv()) .. tostring(stream:recv())";
    assert_eq!(ask(address, code).await, "nilnil");
}

#[tokio::test]
async fn a_batch_is_what_came_in_time_and_a_closed_socket_raises_after_the_last() {
    let address = server(|mut socket| async move {
        for message in ["a", "b", "c"] {
            socket.send(Message::text(message)).await.unwrap();
        }
        socket.close(None).await.unwrap();
        while socket.next().await.is_some() {}
    })
    .await;
    let code = "local stream = kumo.http.connect_websocket(url)
        local seen = {}
        while true do
          local ok, batch = pcall(stream.recv_batch, stream, '5s')
          if not ok then return table.concat(seen, ',') .. ': ' .. tostring(batch):match '^%C*' end
          for _, message in ipairs(batch) do seen[#seen + 1] = message end
        end";
    assert_eq!(ask(address, code).await, "a,b,c: websocket closed");
}

#[tokio::test]
async fn a_batch_without_messages_is_empty() {
    let address = server(|mut socket| async move { while socket.next().await.is_some() {} }).await;
    let code = "return #kumo.http.connect_websocket(url):recv_batch(0.05)";
    assert_eq!(ask(address, code).await, "0");
}

#[tokio::test]
async fn a_message_that_is_too_large_is_an_error() {
    let address = server(|mut socket| async move {
        let large = vec![b'x'; waybill_lua_http::MAX_MESSAGE_SIZE + 1];
        let _ = socket.send(Message::binary(large)).await;
    })
    .await;
    let answer = ask(address, "return kumo.http.connect_websocket(url):recv()").await;
    assert!(answer.starts_with("!! websocket: Space limit exceeded: Message too long"), "{answer}");
}

#[tokio::test]
async fn what_is_no_websocket_is_refused_with_its_address() {
    let http = support::Server::start().await;
    for (url, expected) in [
        (format!("http://{}/", http.address), "expected ws:// or wss://, got http://"),
        (format!("ws://{}/unavailable", http.address), "HTTP error: 503 Service Unavailable"),
        ("ws://127.0.0.1:1/".to_owned(), "Connection refused (os error 111)"),
    ] {
        let answer = support::ask(&url, "return kumo.http.connect_websocket(url)").await;
        assert_eq!(answer, format!("!! connecting to {url}: {expected}"));
    }
    let answer = support::ask("ws://127.0.0.1:1/", "return kumo.http.connect_websocket(url):recv_batch({})").await;
    assert!(answer.starts_with("!! connecting to"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_shakes_hands_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = ask(address, "return kumo.http.connect_websocket(url)").await;
    assert_eq!(answer, format!("!! connecting to ws://{address}/topic: not done within 60s"));
}
