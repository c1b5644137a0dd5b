//! What `log_hooks:new_json` posts with Lua on the way and without it.

use super::super::Policy;
use super::super::engine::{Parts, load};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use waybill_log_record::{Capture, Entry, LogRecord, RecordType, RecordView};
use waybill_policy::{PolicyHost, Value};
use waybill_runtime::ManualClock;
use waybill_spool::Message;
use waybill_types::{IdMint, Response, Timestamp};

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
/// Without it the helper does everything in Lua.
const IN_LUA: &str = "kumo.http.poster = nil";

fn event() -> Message {
    event_as(None)
}

/// An event with this text in the place of its JSON.
fn event_as(text: Option<&str>) -> Message {
    let mut record = LogRecord::new(RecordType::Delivery, NOW, Response::plain(250, "ok"), "node");
    record.sender = "a@x.example".into();
    record.recipients = vec!["b@y.example".into()];
    record.hops = 2;
    let entry = Entry::encode(&record, IdMint::random().entry(NOW));
    Message::view(RecordView::new(entry, Capture::nothing().into()), "h", text.map(|text| text.to_owned().into()))
}

/// Whether a request has come as a whole.
fn is_complete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

/// The lines of the request that a hook makes of a record or a batch, in order, and what it tells of the answer.
async fn posted(preamble: &str, options: &str, messages: &Value, answer: &str) -> (Vec<String>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    let policy = format!(
        "local kumo = require 'kumo' {preamble}
         local log_hooks = require 'policy-extras.log_hooks'
         log_hooks:new_json {{ name = 'h', url = 'http://{address}/log', headers = {{ ['X-A'] = '1' }}, {options} }}"
    );
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("test.lua");
    std::fs::write(&path, policy).expect("write the policy");
    let parts = Parts { clock: Arc::new(ManualClock::at(NOW)), ..Parts::alone(Arc::default(), false) };
    let engine = load(&Policy::File(path), dir.path(), parts).await.expect("the policy loads");
    let mut connection = engine.construct("make.h.log_hook", vec!["h.log_hook".into()]).await.expect("a connection");
    let method = if matches!(messages, Value::Message(_)) { "send" } else { "send_batch" };
    let serve = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut request = Vec::new();
        while !is_complete(&request) {
            assert!(stream.read_buf(&mut request).await.expect("read") > 0, "cut off");
        }
        stream.write_all(answer.as_bytes()).await.expect("answer");
        String::from_utf8(request).expect("text")
    };
    let (returned, request) = tokio::join!(connection.invoke(method, vec![messages.clone()]), serve);
    let told = match returned {
        Ok(returned) => returned.text().expect("a text"),
        Err(error) => match error.rejected() {
            Some(rejected) => format!("{} {} {:?}", rejected.code, rejected.text, rejected.retry_after),
            // Behind it stands where in Lua it was raised, if it was.
            None => error.to_string().lines().next().unwrap_or_default().replace(&address, "HOST"),
        },
    };
    connection.close().await.expect("closed");
    // The port is another one each time.
    let mut lines: Vec<String> = request.replace(&address, "HOST").lines().map(str::to_owned).collect();
    lines.sort();
    (lines, told)
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";

#[tokio::test]
async fn the_endpoint_gets_the_same_whether_lua_is_entered_or_not() {
    let one = Value::Message(event());
    let batch = Value::Messages(vec![event(), event(), event()]);
    let secret = "secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'";
    for (options, messages, lines) in [
        (String::new(), &one, 1),
        (secret.to_owned(), &one, 3),
        ("batch_size = 10".to_owned(), &batch, 1),
        (format!("batch_size = 10, {secret}"), &batch, 3),
        // Of 25 bytes, which base64 pads: the helper does without.
        (format!("secret = 'whsec_{}'", "A".repeat(34)), &one, 3),
        (format!("secret = 'whsec_{}=='", "A".repeat(34)), &one, 3),
    ] {
        let straight = posted("", &options, messages, OK).await;
        assert_eq!(straight, posted(IN_LUA, &options, messages, OK).await, "{options}");
        assert_eq!(straight.1, "200 OK: ok\n");
        assert_eq!(straight.0.iter().filter(|line| line.starts_with("webhook-")).count(), lines, "{:?}", straight.0);
        assert!(straight.0.iter().any(|line| line == "x-waybill-hops: 3"), "{:?}", straight.0);
    }
}

#[tokio::test]
async fn line_ends_of_texts_are_kept_alone_and_left_out_of_lists_whether_lua_is_entered_or_not() {
    let texts = ["1\n", "2\r\n", "3", "\"\\r\"\n", "5\n\n", "6\r", "é\r\r\n"].map(|text| event_as(Some(text)));
    let batch = Value::Messages(texts.to_vec());
    let (straight, _) = posted("", "batch_size = 10", &batch, OK).await;
    assert_eq!(straight, posted(IN_LUA, "batch_size = 10", &batch, OK).await.0);
    assert!(straight.iter().any(|line| line == "[1,2,3,\"\\r\",5"), "{straight:?}");
    for message in texts {
        let one = Value::Message(message);
        assert_eq!(posted("", "", &one, OK).await, posted(IN_LUA, "", &one, OK).await);
    }
}

#[tokio::test]
async fn what_an_answer_means_is_the_same_whether_lua_is_entered_or_not() {
    let one = Value::Message(event());
    for (answer, expected) in [
        ("HTTP/1.1 204 No Content\r\n\r\n", "204 No Content: "),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", "550 404 Not Found: no None"),
        ("HTTP/1.1 503 Later\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", "451 503 Service Unavailable:  Some(7s)"),
        ("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", "550 302 Found:  None"),
        ("HTTP/1.1 408 X\r\nContent-Length: 0\r\n\r\n", "408 408 Request Timeout:  None"),
        ("HTTP/1.1 421 X\r\nContent-Length: 0\r\n\r\n", "550 421 Misdirected Request:  None"),
        ("HTTP/1.1 429 X\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n", "429 429 Too Many Requests:  None"),
        ("HTTP/1.1 599 X\r\nContent-Length: 0\r\n\r\n", "451 599 :  None"),
        ("HTTP/1.1 299 X\r\nContent-Length: 1\r\n\r\nx", "299 : x"),
        ("HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=latin1\r\nContent-Length: 1\r\n\r\n\u{e9}", "200 OK: Ã"),
        // Less than was announced, and nothing at all.
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", "200 OK: <unreadable body>"),
        ("HTTP/1.1 503 X\r\nContent-Length: 9\r\n\r\nx", "451 503 Service Unavailable: <unreadable body> None"),
        ("", "error sending request for url (http://HOST/log): connection closed before message completed"),
    ] {
        let (_, told) = posted("", "", &one, answer).await;
        assert_eq!(told, posted(IN_LUA, "", &one, answer).await.1);
        assert_eq!(told, expected);
    }
}
