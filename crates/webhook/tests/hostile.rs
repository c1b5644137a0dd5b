//! Endpoints that mean harm, or are broken: `contract/security-cases.md`.

mod harness;

use futures::future::BoxFuture;
use harness::{Receiver, endpoint, open, plain, read_request, request, sender};
use serde_json::json;
use std::future::pending;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use waybill_dns::{Answer, LookupError, Mx, Resolver, Tlsa, Zones};
use waybill_webhook::{Cut, Guard};
use waybill_webhook_core::{AddressPolicy, Blocked, Outcome, Stage, Trouble};

fn timed_out(attempt: &waybill_webhook::Attempt, at: Stage) {
    assert!(matches!(attempt.trouble, Some(Trouble::TimedOut { stage, .. }) if stage == at), "{attempt}");
    assert_eq!(attempt.outcome, Outcome::Transient { retry_after: None });
}

#[tokio::test]
async fn response_8_an_endpoint_that_says_nothing_ends_with_the_time_limit() {
    let silent = Receiver::with(|stream| async move {
        let _stream = stream;
        pending::<()>().await;
    })
    .await;
    let sender = plain();
    let plain = endpoint(&sender, json!({"url": silent.url(), "timeout": "2s"}));
    timed_out(&sender.send(&plain, request()).await, Stage::Answer);
    let url = format!("https://127.0.0.1:{}/", silent.port);
    let tls = endpoint(&sender, json!({"url": url, "timeout": "2s"}));
    timed_out(&sender.send(&tls, request()).await, Stage::Tls);
}

#[tokio::test]
async fn response_8_headers_that_drip_end_with_the_time_limit_and_a_body_that_drips_is_cut() {
    let drip = |before: &'static str| {
        Receiver::with(move |mut stream| async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(before.as_bytes()).await;
            while stream.write_all(b"a").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
    };
    let sender = plain();
    let headers = drip("HTTP/1.1 200 OK\r\nX-A: ").await;
    let slow = endpoint(&sender, json!({"url": headers.url(), "timeout": "2s"}));
    timed_out(&sender.send(&slow, request()).await, Stage::Answer);
    let body = drip("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").await;
    let slow = endpoint(&sender, json!({"url": body.url(), "timeout": "2s"}));
    let attempt = sender.send(&slow, request()).await;
    assert_eq!((attempt.status(), &attempt.outcome), (Some(200), &Outcome::Delivered));
    assert_eq!(attempt.response.as_ref().unwrap().cut, Some(Cut::TimedOut));
    assert_eq!(slow.connections(), 0, "the connection is not used again");
}

#[tokio::test]
async fn response_8_many_endpoints_that_hang_do_not_hold_up_another() {
    // Nobody accepts: the kernel answers, and then nothing comes.
    let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", deaf.local_addr().unwrap());
    let healthy = Receiver::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let sender = plain();
    let hanging: Vec<_> = (0..300).map(|_| endpoint(&sender, json!({"url": url, "timeout": "250s"}))).collect();
    let mut stuck: Vec<_> = hanging.iter().map(|endpoint| Box::pin(sender.send(endpoint, request()))).collect();
    for attempt in &mut stuck {
        assert!(futures::poll!(attempt).is_pending());
    }
    let well = endpoint(&sender, json!({"url": healthy.url()}));
    assert_eq!(sender.send(&well, request()).await.status(), Some(204));
    for attempt in &mut stuck {
        assert!(futures::poll!(attempt).is_pending());
    }
}

#[tokio::test]
async fn response_6_a_body_without_end_is_read_up_to_what_is_kept() {
    let endless = Receiver::with(|mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        let chunk = format!("2000\r\n{}\r\n", "x".repeat(0x2000));
        while stream.write_all(chunk.as_bytes()).await.is_ok() {}
    })
    .await;
    let sender = plain();
    let endpoint = endpoint(&sender, json!({"url": endless.url()}));
    let attempt = sender.send(&endpoint, request()).await;
    let response = attempt.response.unwrap();
    assert_eq!((response.body.len(), response.cut), (16 * 1024, Some(Cut::TooLong)));
    assert_eq!(endpoint.connections(), 0);
}

#[tokio::test]
async fn response_6_heads_that_are_too_large_too_many_or_without_end_are_refused() {
    let floods: [(&str, String); 5] = [
        ("one line of forty KiB", format!("HTTP/1.1 200 OK\r\nX-A: {}\r\n\r\n", "a".repeat(40 << 10))),
        ("one line of a megabyte", format!("HTTP/1.1 200 OK\r\nX-A: {}\r\n\r\n", "a".repeat(1 << 20))),
        ("ten thousand headers", format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(10_000))),
        ("informational responses", "HTTP/1.1 103 Early Hints\r\nX-A: b\r\n\r\n".repeat(20_000)),
        ("no HTTP", "+OK Redis\r\n".repeat(100)),
    ];
    for (what, answer) in floods {
        let hostile = Receiver::answering(answer).await;
        let sender = plain();
        let attempt = sender.send(&endpoint(&sender, json!({"url": hostile.url()})), request()).await;
        assert!(matches!(attempt.trouble, Some(Trouble::Exchange(_))), "{what}: {attempt}");
        assert_eq!(attempt.outcome, Outcome::Transient { retry_after: None }, "{what}");
    }
}

#[tokio::test]
async fn response_6_a_body_shorter_than_it_says_is_cut_and_the_status_counts() {
    let liar = Receiver::with(|mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort").await;
    })
    .await;
    let sender = plain();
    let attempt = sender.send(&endpoint(&sender, json!({"url": liar.url()})), request()).await;
    let response = attempt.response.as_ref().unwrap();
    assert_eq!((response.cut, &response.body[..]), (Some(Cut::Broken), &b"short"[..]));
    assert_eq!(attempt.outcome, Outcome::Delivered);
}

#[tokio::test]
async fn response_6_what_comes_behind_a_body_answers_no_other_request() {
    let liar = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 299 Smuggled\r\nContent-Length: 0\r\n\r\n";
    let receiver = Receiver::answering(liar).await;
    let sender = plain();
    let endpoint = endpoint(&sender, json!({"url": receiver.url()}));
    for _ in 0..20 {
        let attempt = sender.send(&endpoint, request()).await;
        // Either the answer to it, or none because the connection was not to be used any more.
        assert!(matches!(attempt.status(), Some(200) | None), "{attempt}");
    }
}

/// A frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

#[tokio::test]
async fn response_6_floods_of_http_2_frames_end_the_connection() {
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const SETTINGS: u8 = 4;
    const PING: u8 = 6;
    const CONTINUATION: u8 = 9;
    // A header that is not indexed, with one byte of a name and one of a value (RFC 7541, section 6.2.2).
    let field = [0, 1, b'a', 1, b'b'];
    let floods: [(&str, Vec<u8>, Vec<u8>); 4] = [
        ("a head without end", frame(HEADERS, 0, 1, &field), frame(CONTINUATION, 0, 1, &field)),
        ("pings", Vec::new(), frame(PING, 0, 0, &[7; 8])),
        ("settings", Vec::new(), frame(SETTINGS, 0, 0, &[])),
        ("resets of streams that nobody opened", Vec::new(), frame(RST_STREAM, 0, 1, &[0; 4])),
    ];
    for (what, first, again) in floods {
        let hostile = Receiver::with(move |mut stream| {
            let (first, again) = (first.clone(), again.repeat(1000));
            async move {
                let _ = stream.write_all(&frame(SETTINGS, 0, 0, &[])).await;
                // The preface and what goes with it are on their way when something of it is there.
                let _ = stream.readable().await;
                let _ = stream.write_all(&first).await;
                while stream.write_all(&again).await.is_ok() {}
            }
        })
        .await;
        let sender = plain();
        let endpoint = endpoint(&sender, json!({"url": hostile.url(), "http_version": "2", "timeout": "60s"}));
        let attempt = sender.send(&endpoint, request()).await;
        assert!(matches!(attempt.trouble, Some(Trouble::Exchange(_))), "{what}: {attempt}");
        assert_eq!(endpoint.connections(), 0, "{what}");
    }
}

#[tokio::test]
async fn response_7_a_compressed_answer_is_never_decoded() {
    let bomb = vec![0_u8; 8 * 1024 * 1024];
    let bomb = {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&bomb).unwrap();
        encoder.finish().unwrap()
    };
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", bomb.len());
    let receiver = Receiver::answering([head.as_bytes(), &bomb].concat()).await;
    let sender = plain();
    let attempt = sender.send(&endpoint(&sender, json!({"url": receiver.url()})), request()).await;
    let body = attempt.response.unwrap().body;
    assert!(bomb.starts_with(&body) && !body.is_empty());
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_makes_no_second_request() {
    let elsewhere = Receiver::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    for status in [300, 301, 302, 303, 304, 307, 308] {
        for location in [format!("Location: {}\r\n", elsewhere.url()), String::new()] {
            let answer = format!("HTTP/1.1 {status} X\r\n{location}Content-Length: 0\r\n\r\n");
            let receiver = Receiver::answering(answer).await;
            let sender = plain();
            let attempt = sender.send(&endpoint(&sender, json!({"url": receiver.url()})), request()).await;
            assert_eq!((attempt.status(), attempt.outcome), (Some(status), Outcome::Permanent));
            assert_eq!(receiver.connections(), 1);
        }
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn ssrf_special_addresses_are_refused_before_anything_is_dialled() {
    let receiver = Receiver::answering("HTTP/1.1 200 OK\r\n\r\n").await;
    let zones = Zones::parse([
        "inside.example. A 127.0.0.1\nmeta.example. CNAME metadata.google.internal.\nmetadata.google.internal. A 169.254.169.254\n\
         six.example. AAAA ::1",
    ]);
    let sender = sender(Guard::default(), zones.unwrap());
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "[::ffff:7f00:1]",
        "localhost",
        "inside.example",
        "meta.example",
        "six.example",
    ] {
        let url = format!("http://{host}:{}/", receiver.port);
        let attempt = sender.send(&endpoint(&sender, json!({"url": url})), request()).await;
        assert!(matches!(attempt.outcome, Outcome::Blocked(Blocked::Target(_))), "{host}: {attempt}");
        assert!(attempt.to_string().contains("allow_targets"), "{attempt}");
    }
    assert_eq!(receiver.connections(), 0);
}

/// Answers with another address each time it is asked.
struct Rebinding(AtomicUsize, Vec<Ipv4Addr>);

macro_rules! nothing {
    ($method:ident, $record:ty) => {
        fn $method<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Answer<$record>, LookupError>> {
            Box::pin(async { Ok(Answer::empty()) })
        }
    };
}

impl Resolver for Rebinding {
    nothing!(mx, Mx);
    nothing!(ipv6, Ipv6Addr);
    nothing!(txt, Vec<u8>);
    nothing!(tlsa, Tlsa);

    fn validated(&self) -> Arc<dyn Resolver> {
        Arc::new(Zones::default())
    }

    fn ipv4<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Answer<Ipv4Addr>, LookupError>> {
        let turn = self.0.fetch_add(1, Ordering::SeqCst);
        let address = self.1[turn % self.1.len()];
        Box::pin(async move { Ok(Answer::of(vec![address])) })
    }

    fn ptr(&self, _: IpAddr) -> BoxFuture<'_, Result<Answer<String>, LookupError>> {
        Box::pin(async { Ok(Answer::empty()) })
    }
}

#[tokio::test]
async fn ssrf_4_a_name_is_looked_up_once_and_what_was_checked_is_what_is_dialled() {
    let receiver = Receiver::answering("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").await;
    // 127.0.0.1 is permitted here; a second look-up would lead to 127.0.0.2.
    let guard = Guard { targets: AddressPolicy::allowing(["127.0.0.1"]).unwrap(), ..Guard::default() };
    let addresses = vec![Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2)];
    let sender = sender(guard, Rebinding(AtomicUsize::new(0), addresses));
    let endpoint = endpoint(&sender, json!({"url": format!("http://rebind.example:{}/", receiver.port)}));
    let first = sender.send(&endpoint, request()).await;
    assert_eq!(first.status(), Some(200), "{first}");
    assert_eq!(first.address.unwrap().ip(), IpAddr::from([127, 0, 0, 1]));
    let second = sender.send(&endpoint, request()).await;
    assert!(matches!(second.outcome, Outcome::Blocked(Blocked::Target(_))), "{second}");
}

#[tokio::test]
async fn ssrf_4_of_mixed_addresses_only_the_permitted_ones_are_used() {
    let receiver = Receiver::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let zones = Zones::parse(["mixed.example. A 10.0.0.1\nmixed.example. AAAA fd00::1\nmixed.example. A 127.0.0.1"]);
    let sender = sender(open(), zones.unwrap());
    let url = format!("http://mixed.example:{}/", receiver.port);
    let attempt = sender.send(&endpoint(&sender, json!({"url": url})), request()).await;
    assert_eq!(attempt.address.unwrap().ip(), IpAddr::from([127, 0, 0, 1]), "{attempt}");
}

#[tokio::test]
async fn ssrf_4_an_open_connection_is_not_used_once_its_address_is_not_permitted_any_more() {
    let receiver = Receiver::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let sender = plain();
    let endpoint = endpoint(&sender, json!({"url": receiver.url()}));
    assert_eq!(sender.send(&endpoint, request()).await.status(), Some(200));
    assert_eq!(endpoint.connections(), 1);
    sender.set_guard(Guard::default());
    assert!(matches!(sender.send(&endpoint, request()).await.outcome, Outcome::Blocked(_)));
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_rendered_header_that_would_split_a_request_fails_the_attempt_and_nothing_is_sent() {
    let receiver = Receiver::answering("HTTP/1.1 200 OK\r\n\r\n").await;
    let sender = plain();
    let endpoint = endpoint(&sender, json!({"url": receiver.url()}));
    for (name, value) in [("X-A", "a\r\nX-Evil: 1"), ("Host", "a"), ("webhook-id", "x"), ("X A", "a"), ("X-A", "\0")] {
        let attempt = sender.send(&endpoint, request().header(name, value)).await;
        assert!(matches!(attempt.outcome, Outcome::Blocked(Blocked::Header(_))), "{name}: {attempt}");
    }
    let mut circling = request();
    circling.hops = 8;
    assert_eq!(sender.send(&endpoint, circling).await.outcome, Outcome::Blocked(Blocked::Loop(8)));
    let mut large = request();
    large.body = vec![0; 9 * 1024 * 1024].into();
    assert!(matches!(sender.send(&endpoint, large).await.outcome, Outcome::Blocked(Blocked::Body { .. })));
    assert_eq!(receiver.connections(), 0);
}
