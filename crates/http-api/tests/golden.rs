//! Answers of a live KumoMTA, word for word.

mod support;

use axum::body::Body;
use axum::http::{Request, header};
use support::Daemon;

struct Sample {
    method: String,
    path: String,
    body: String,
    status: u16,
    kind: Option<String>,
    answer: String,
}

fn samples() -> Vec<Sample> {
    let mut samples: Vec<Sample> = Vec::new();
    let mut in_answer = false;
    for line in include_str!("samples/http.txt").split('\n') {
        let mut words = line.splitn(3, ' ');
        let (first, second, rest) = (words.next().unwrap(), words.next().unwrap_or(""), words.next().unwrap_or(""));
        if matches!(first, "GET" | "POST") {
            in_answer = false;
            samples.push(Sample {
                method: first.into(),
                path: second.into(),
                body: rest.into(),
                status: 0,
                kind: None,
                answer: String::new(),
            });
            continue;
        }
        let sample = samples.last_mut().unwrap();
        if first == "->" && !in_answer {
            sample.status = second.parse().unwrap();
            sample.kind = Some(rest.to_owned()).filter(|kind| kind != "None");
            in_answer = true;
        } else if in_answer {
            sample.answer.push_str(line);
            sample.answer.push('\n');
        }
    }
    samples
}

#[tokio::test]
async fn every_sample_is_answered_as_the_live_daemon_did() {
    let samples = samples();
    assert_eq!(samples.len(), 11);
    for sample in samples {
        let daemon = Daemon::new();
        let mut request = Request::builder().method(sample.method.as_str()).uri(&sample.path);
        let mut kind = Some("application/json");
        let body = match sample.body.as_str() {
            "(5 bytes)" => r#"{"x":"#.to_owned(),
            "(3000000 bytes)" => "x".repeat(3_000_000),
            "(2 bytes)" => {
                kind = None;
                "{}".to_owned()
            }
            other => other.to_owned(),
        };
        if let Some(kind) = kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        if sample.path == "/metrics" {
            // The client showed credentials that nobody vouches for.
            request = request.header(header::AUTHORIZATION, "Basic eDp5");
        }
        let answer = daemon.send(request.body(Body::from(body)).unwrap()).await;
        let what = format!("{} {} {:.200}", sample.method, sample.path, sample.body);
        assert_eq!(answer.status.as_u16(), sample.status, "{what}: {answer:?}");
        if sample.path == "/nope" {
            // Only the status: what is at the root of our listeners answers as klev does (ARCHITECTURE section 8).
            continue;
        }
        assert_eq!(answer.kind, sample.kind, "{what}");
        // What is wrong with an address is said in our own words; what stands in front of them is the same.
        match sample.answer.split_once("Error at line 1") {
            Some((start, _)) => assert!(answer.text().starts_with(start), "{what}: {}", answer.text()),
            None => assert_eq!(answer.text(), sample.answer.trim_end(), "{what}"),
        }
    }
}

#[tokio::test]
async fn the_injected_sample_has_the_size_meta_and_record_of_the_live_daemon() {
    let daemon = Daemon::new();
    let sample = samples().into_iter().find(|sample| sample.body.contains("inj {{n}}")).unwrap();
    assert_eq!(daemon.inject(&sample.body).await.status, 200);
    let taken = daemon.intake.taken.lock().unwrap();
    let (incoming, _) = &taken[0];
    let message = &incoming.message;
    assert_eq!(message.size(), 209);
    let data = String::from_utf8(message.data().unwrap().to_vec()).unwrap();
    assert_eq!(
        data,
        "X-KumoRef: eyJfQF8iOiJcXF8vIiwicmVjaXBpZW50IjoiakBleGFtcGxlLmNvbSJ9\r\n\
         From: <api@example.com>\r\n\
         Subject: inj 1\r\n\
         To: <j@example.com>\r\n\
         Content-Type: text/plain;\r\n\tcharset=\"us-ascii\"\r\n\
         Mime-Version: 1.0\r\n\
         \r\n\
         Hello J\r\n"
    );
    assert_eq!(incoming.queue.as_str(), "example.com");
    assert_eq!(message.created().to_rfc3339(), "2026-11-23T16:12:56.274840600Z");
    assert_eq!(message.id().to_string(), "be66e3f6e75811f1abf9ef449cbbeaa0");
    let record = &incoming.record;
    let peer = record.peer_address.as_ref().unwrap();
    assert_eq!((peer.name.as_str(), peer.addr.as_str()), ("", "127.0.0.1"));
    assert_eq!(record.reception_protocol.as_deref(), Some("HTTP"));
    assert_eq!((record.response.code, record.response.content.as_str()), (250, ""));
    assert_eq!((&*record.nodeid, &record.session_id), ("1c9695c6-71e7-4e48-b54f-5531e6875160", &None));
    assert_eq!(
        serde_json::Value::Object(message.all_meta()),
        serde_json::json!({
            "http_auth": "127.0.0.1",
            "reception_protocol": "HTTP",
            "received_from": "127.0.0.1",
            "received_via": "127.0.0.1:8000",
            "hostname": "mta.example",
            "extra": {"k": "v"},
        })
    );
}
