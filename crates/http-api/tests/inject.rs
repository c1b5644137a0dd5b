//! What injection does beyond the samples.

mod support;

use axum::body::Body;
use axum::http::{Request, header};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Value, json};
use std::io::{Read, Write};
use support::{Daemon, inject_request};
use waybill_policy::{PolicyError, Rejected, Returned, ScriptedPolicy, Value as PolicyValue};
use waybill_spool::{Durability, IntakeError, IntakeState};

fn request(recipients: &[&str]) -> Value {
    json!({
        "envelope_sender": "a@example.com",
        "recipients": recipients.iter().map(|email| json!({"email": email})).collect::<Vec<_>>(),
        "content": "Subject: x\r\n\r\nhi",
    })
}

#[tokio::test]
async fn a_hundred_recipients_get_a_message_each_in_order() {
    let daemon = Daemon::new();
    let emails: Vec<String> = (0..100).map(|i| format!("r{i}@example.com")).collect();
    let answer = daemon.inject(request(&emails.iter().map(String::as_str).collect::<Vec<_>>())).await;
    assert_eq!(answer.text(), r#"{"success_count":100,"fail_count":0,"failed_recipients":[],"errors":[]}"#);
    let taken = daemon.intake.taken.lock().unwrap();
    let ids: std::collections::HashSet<_> = taken.iter().map(|(one, _)| one.message.id()).collect();
    let mut got: Vec<_> = taken.iter().map(|(one, _)| one.message.recipients()[0].to_string()).collect();
    let mut wanted = emails.clone();
    got.sort();
    wanted.sort();
    assert_eq!((ids.len(), got), (100, wanted));
    assert!(taken.iter().all(|(_, durability)| *durability == Durability::Synced));
    let metrics = daemon.metrics.text("", "total_messages_received");
    assert!(metrics.contains("{service=\"http_listener\"} 100\n"), "{metrics}");
    assert!(metrics.contains("{service=\"http_listener:127.0.0.1:8000\"} 100\n"), "{metrics}");
}

#[tokio::test]
async fn policy_sees_each_message_and_may_refuse_one() {
    let policy = ScriptedPolicy::new().on("http_message_generated", |args| {
        let [PolicyValue::Message(message), PolicyValue::Json(auth)] = &args[..] else { panic!("{args:?}") };
        assert_eq!(auth["groups"], json!(["kumomta:http-listener-trusted-ip"]));
        assert_eq!(auth["peer_address"], "127.0.0.1");
        match message.recipients()[0].user() {
            "no" => Err(PolicyError::Rejected(Rejected::new(550, "5.7.1 not you"))),
            "oops" => Err(PolicyError::Failed("policy.lua:3: attempt to index nil".into())),
            "meta" => {
                message.set_meta("tenant", json!(7));
                Ok(Returned::default())
            }
            _ => {
                message.set_meta("tenant", json!("t1"));
                Ok(Returned::default())
            }
        }
    });
    let daemon = Daemon::with_policy(policy);
    let mut body = request(&["yes@example.com", "no@example.com", "oops@example.com", "meta@example.com"]);
    body["trace_headers"] = json!({"include_meta_names": ["tenant"]});
    let report = daemon.inject(body).await.json();
    assert_eq!((&report["success_count"], &report["fail_count"]), (&json!(1), &json!(3)));
    assert_eq!(report["failed_recipients"], json!(["no@example.com", "oops@example.com", "meta@example.com"]));
    assert_eq!(report["errors"][0], "no@example.com: 550 5.7.1 not you");
    assert_eq!(report["errors"][1], "oops@example.com: policy.lua:3: attempt to index nil");
    assert!(report["errors"][2].as_str().unwrap().contains("expected 'tenant' to be a string value, got 7"));
    let taken = daemon.intake.taken.lock().unwrap();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].0.queue.as_str(), "t1@example.com", "the queue is asked for after policy has spoken");
    drop(taken);
    // {"_@_":"\\_/","recipient":"yes@example.com","tenant":"t1"}
    assert!(daemon.messages()[0].starts_with(
        "X-KumoRef: eyJfQF8iOiJcXF8vIiwicmVjaXBpZW50IjoieWVzQGV4YW1wbGUuY29tIiwidGVu\r\n\tYW50IjoidDEifQ==\r\nSubject: x\r\n"
    ));
}

#[tokio::test]
async fn a_recipient_that_the_intake_refuses_does_not_stop_the_others() {
    let daemon = Daemon::refusing(|incoming| {
        (incoming.queue.as_str() == "bad.example")
            .then(|| IntakeError::Queue { queue: incoming.queue.clone(), why: "get_queue_config failed".into() })
    });
    let report = daemon.inject(request(&["a@good.example", "b@bad.example", "c@good.example"])).await.json();
    assert_eq!(
        report,
        json!({"success_count": 2, "fail_count": 1, "failed_recipients": ["b@bad.example"],
               "errors": ["b@bad.example: queue bad.example: get_queue_config failed"]})
    );
}

#[tokio::test]
async fn addresses_without_a_domain_are_no_recipients() {
    let daemon = Daemon::new();
    let report = daemon.inject(request(&["", "postmaster", "x@y@z", "ok@example.com"])).await.json();
    assert_eq!((&report["success_count"], &report["fail_count"]), (&json!(1), &json!(3)));
}

#[tokio::test]
async fn substitutions_come_from_the_request_the_recipient_and_its_own_in_that_order() {
    let daemon = Daemon::new();
    let body = json!({
        "envelope_sender": "",
        "recipients": [
            {"email": "a@example.com", "name": "Ann \"A\"\r\nBcc: x"},
            {"email": "b@example.com", "substitutions": {"email": "shown@example.com", "what": {"deep": [1]}}},
        ],
        "substitutions": {"what": "all", "name": "nobody", "email": "ignored"},
        "content": "To: {{ to_header }}\nSubject: {{ what }}\n\n{{ email }} {{ name }} {{ missing }}",
        "trace_headers": {"supplemental_header": false},
    });
    assert_eq!(daemon.inject(body).await.json()["success_count"], 2);
    let messages = daemon.messages();
    assert!(
        messages[0].starts_with("To: \"Ann \\\"A\\\"  Bcc: x\" <a@example.com>\r\nSubject: all\r\n"),
        "{}",
        messages[0]
    );
    assert!(messages[0].ends_with("\r\n\r\na@example.com Ann \"A\"\r\nBcc: x \r\n"), "{}", messages[0]);
    assert!(messages[1].starts_with("To: <b@example.com>\r\nSubject: {\"deep\": [1]}\r\n"), "{}", messages[1]);
    assert!(messages[1].ends_with("\r\n\r\nshown@example.com nobody \r\n"), "{}", messages[1]);
}

#[tokio::test]
async fn trace_headers_and_dialect_are_taken_as_asked() {
    let daemon = Daemon::new();
    let mut body = request(&["j@example.com"]);
    body["content"] = json!("Subject: {{ raw\r\n\r\nhi");
    body["template_dialect"] = json!("Static");
    body["deferred_spool"] = json!(true);
    body["trace_headers"] = json!({"received_header": true, "header_name": "X-Ref"});
    assert_eq!(daemon.inject(body).await.json()["success_count"], 1);
    let message = &daemon.messages()[0];
    assert!(message.starts_with("X-Ref: eyJf"), "{message}");
    let id = daemon.intake.taken.lock().unwrap()[0].0.message.id();
    let received = format!(
        "\r\nReceived: from [127.0.0.1] (127.0.0.1)\r\n  by mta.example (Waybill)\r\n  with HTTP id {id} for \
         <j@example.com>;\r\n  Mon, 23 Nov 2026 16:12:56 +0000\r\nSubject: {{{{ raw\r\n"
    );
    assert!(message.contains(&received), "{message}");
    assert_eq!(daemon.intake.taken.lock().unwrap()[0].1, Durability::Written);
}

#[tokio::test]
async fn what_makes_no_sense_is_422_with_the_place() {
    let base = request(&["j@example.com"]);
    let with = |key: &str, value: Value| {
        let mut body = base.clone();
        body[key] = value;
        body
    };
    for (body, says) in [
        (
            with("recipients", json!([{"email": "j@x.example", "colour": 1}])),
            "recipients[0].colour: unknown field `colour`, expected one of `email`, `name`, `substitutions`, `metadata`",
        ),
        (
            with("content", json!({"text_body": "x", "colour": 1})),
            "content.colour: unknown field `colour`, expected one of `text_body`",
        ),
        (with("content", json!({"text_body": "x", "from": {"email": "a@b", "x": 1}})), "content.from.x: unknown field"),
        (with("trace_headers", json!({"x": 1})), "trace_headers.x: unknown field `x`"),
        (
            with("template_dialect", json!("Perl")),
            "template_dialect: unknown variant `Perl`, expected one of `Jinja`, `Static`, `Handlebars`",
        ),
        (with("content", json!(5)), "content: invalid type: integer `5`, expected a message as a string, or an object"),
        (
            with("recipients", json!([{"email": "j@x.example", "metadata": "x"}])),
            "recipients[0].metadata: invalid type: string",
        ),
        (json!({"recipients": [], "content": ""}), "missing field `envelope_sender`"),
        (with("content", json!({"subject": "s"})), "Error: content: at least one of text_body and html_body is needed"),
        (with("content", json!("{% if %}")), "Error: failed parsing field 'content' as template: syntax error"),
        (
            with("trace_headers", json!({"header_name": "a\r\nb"})),
            "Error: trace_headers.header_name: \"a\\r\\nb\" is no header name",
        ),
        (
            with(
                "content",
                json!({"text_body": "x", "attachments": [{"data": "!", "content_type": "a/b", "base64": true}]}),
            ),
            "Error: content.attachments[0].data: this is not base64",
        ),
    ] {
        let daemon = Daemon::new();
        let answer = daemon.inject(&body).await;
        assert_eq!(answer.status, 422, "{body}: {}", answer.text());
        assert!(answer.text().contains(says), "{}", answer.text());
        assert!(daemon.intake.taken.lock().unwrap().is_empty());
    }
    let answer = Daemon::new().inject("{").await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().starts_with("Failed to parse the request body as JSON"), "{}", answer.text());
}

#[tokio::test]
async fn rendering_errors_fail_their_recipient_only() {
    let daemon = Daemon::new();
    let mut body = request(&[]);
    body["recipients"] = json!([
        {"email": "bad@example.com", "substitutions": {"items": 5}},
        {"email": "long@example.com", "substitutions": {"items": ["x\r\nBcc: <evil@example.com>"]}},
        {"email": "good@example.com", "substitutions": {"items": ["a", "b"]}},
    ]);
    body["content"] = json!({"text_body": "x", "headers": {"X-Items": "{% for i in items %}{{ i }};{% endfor %}"}});
    let report = daemon.inject(body).await.json();
    assert_eq!(report["failed_recipients"], json!(["bad@example.com", "long@example.com"]));
    let errors = report["errors"].as_array().unwrap();
    assert!(
        errors[0].as_str().unwrap().starts_with("bad@example.com: failed rendering field 'content.headers['X-Items']'"),
        "{errors:?}"
    );
    assert_eq!(errors[1], "long@example.com: header X-Items: its value has a line break in it");
    assert!(daemon.messages()[0].contains("\r\nX-Items: a;b;\r\n"));
}

#[tokio::test]
async fn mail_is_refused_while_the_intake_is_not_open() {
    let daemon = Daemon::new();
    for (state, text) in [
        (IntakeState::ShuttingDown, "shutting down"),
        (IntakeState::WaitingForSpool, "waiting for spool startup"),
        (IntakeState::LoadShedding, "load shedding"),
        (IntakeState::DiskFull("1% left".into()), "storage is too full"),
        (IntakeState::SpoolFailing("store: write failed".into()), "store: write failed"),
    ] {
        daemon.set_state(state);
        assert_eq!(daemon.inject(request(&["a@example.com"])).await.parts(), (503, text));
        assert_eq!(daemon.get("/api/check-liveness/v1").await.parts(), (503, text));
        assert_eq!(daemon.get("/metrics").await.status, 200);
    }
    daemon.set_state(IntakeState::Open);
    assert_eq!(daemon.get("/api/check-liveness/v1").await.parts(), (200, "OK"));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn encoded(encoding: &str, body: Vec<u8>) -> Request<Body> {
    let mut request = inject_request(body);
    request.headers_mut().insert(header::CONTENT_ENCODING, encoding.parse().unwrap());
    request
}

#[tokio::test]
async fn bodies_may_be_compressed_both_ways() {
    let daemon = Daemon::new();
    let json = request(&["a@example.com", "nodomain"]).to_string();
    let mut request = encoded("gzip", gzip(json.as_bytes()));
    request.headers_mut().insert(header::ACCEPT_ENCODING, "gzip".parse().unwrap());
    let answer = daemon.send(request).await;
    assert_eq!(answer.headers[header::CONTENT_ENCODING], "gzip");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&answer.bytes[..]).read_to_string(&mut text).unwrap();
    assert!(text.starts_with(r#"{"success_count":1,"fail_count":1,"#), "{text}");

    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(json.as_bytes()).unwrap();
    assert_eq!(daemon.send(encoded("deflate", encoder.finish().unwrap())).await.status, 200);
    assert_eq!(daemon.send(encoded("gzip", b"no gzip at all".to_vec())).await.status, 400);
    assert_eq!(daemon.send(encoded("br", b"x".to_vec())).await.status, 415);
}

#[tokio::test]
async fn a_bomb_ends_at_the_limit() {
    let daemon = Daemon::new();
    // 200 MB of spaces in front of an object: 200 KB on the wire.
    let bomb = gzip(&vec![b' '; 200_000_000]);
    assert!(bomb.len() < 500_000);
    let answer = daemon.send(encoded("gzip", bomb)).await;
    assert_eq!(answer.parts(), (413, "Failed to buffer the request body: length limit exceeded"));
}

#[tokio::test]
async fn the_body_limit_is_the_listeners() {
    let daemon = Daemon::new().configured(r#"{"request_body_limit": 200}"#);
    assert_eq!(daemon.inject(request(&["a@example.com"])).await.status, 200);
    assert_eq!(daemon.inject(request(&["a@example.com"; 20])).await.status, 413);
}

#[tokio::test]
async fn the_type_of_the_body_must_be_json() {
    let daemon = Daemon::new();
    for (kind, status) in
        [("application/json; charset=utf-8", 200), ("application/x+json", 200), ("text/plain", 415), ("", 415)]
    {
        let mut request = inject_request(request(&["a@example.com"]).to_string());
        request.headers_mut().insert(header::CONTENT_TYPE, kind.parse().unwrap());
        assert_eq!(daemon.send(request).await.status, status, "{kind}");
    }
}

/// A request that has come through webhooks, as one of them says.
fn through(hops: &str) -> Request<Body> {
    let mut request = inject_request(request(&["r@example.com"]).to_string());
    request.headers_mut().insert("x-waybill-hops", hops.parse().unwrap());
    request
}

#[tokio::test]
async fn how_far_a_request_has_come_stays_with_its_messages_and_a_circle_is_refused() {
    let daemon = Daemon::new();
    for hops in ["1", "7"] {
        assert_eq!(daemon.send(through(hops)).await.status, 200, "{hops}");
    }
    assert_eq!(daemon.inject(request(&["r@example.com"])).await.status, 200);
    let hops = |daemon: &Daemon| -> Vec<u8> {
        daemon.intake.taken.lock().unwrap().iter().map(|(one, _)| one.message.hops()).collect()
    };
    assert_eq!(hops(&daemon), [1, 7, 0]);
    for (incoming, _) in &*daemon.intake.taken.lock().unwrap() {
        let shown = serde_json::to_string(&incoming.message.all_meta()).unwrap();
        assert!(!shown.contains("hops"), "no script sees or changes it: {shown}");
    }
    let refused = daemon.send(through("8")).await;
    let circle = "Error: it has come through 8 webhooks (x-waybill-hops): it goes in a circle. A hook injects mail that it is told \
                  of again: have its filter leave that out";
    assert_eq!(refused.parts(), (400, circle));
    let nonsense = daemon.send(through("many")).await;
    let number = "Error: x-waybill-hops: expected one number, of the webhooks that it has come through";
    assert_eq!(nonsense.parts(), (400, number));
    assert_eq!(hops(&daemon).len(), 3);
}
