//! Mail that another node hands over.

mod support;

use axum::body::Body;
use axum::http::{Request, header};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use std::io::Write;
use support::{Answer, Daemon};
use waybill_log_record::RecordType;
use waybill_policy::{PolicyError, Rejected, Returned, ScriptedPolicy, Value};
use waybill_spool::{Durability, IntakeState};

const BODY: &str = "Subject: Hi\r\n\r\nbody\r\n";
const PRIOR: &str = "be5ce59be75811f1aba9ee449cbbeaa0";

fn packed(meta: &serde_json::Value) -> Vec<u8> {
    let line = json!({"id": PRIOR, "sender": "a@x.example", "recipient": ["b@y.example"], "meta": meta});
    format!("{line}\n{BODY}").into_bytes()
}

fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

async fn send(daemon: &Daemon, body: Vec<u8>, encoding: Option<&str>) -> Answer {
    let mut request = Request::post("/api/xfer/inject/v1");
    if let Some(encoding) = encoding {
        request = request.header(header::CONTENT_ENCODING, encoding);
    }
    daemon.send(request.body(Body::from(body)).unwrap()).await
}

#[tokio::test]
async fn a_message_is_taken_synced_with_or_without_a_header_about_the_gzip() {
    // Weaker where mail comes in; not for what another node forgets once we have it.
    let mut daemon = Daemon::new();
    daemon.api = daemon.api.durability(Durability::Written);
    let plain = packed(&json!({"tenant": "t"}));
    for (body, encoding) in [(zipped(&plain), Some("gzip")), (zipped(&plain), None), (plain.clone(), None)] {
        let answer = send(&daemon, body, encoding).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let taken = daemon.intake.taken.lock().unwrap();
        let (incoming, durability) = taken.last().unwrap();
        assert_eq!(answer.json(), json!({"id": incoming.message.id().to_string()}));
        assert_eq!((*durability, incoming.record.kind), (Durability::Synced, RecordType::XferIn));
        assert_eq!(incoming.queue.as_str(), "t@y.example");
        assert_eq!(incoming.message.data().as_deref(), Some(BODY.as_bytes()));
        let meta = json!({"tenant": "t", "xfer_prior_id": PRIOR, "xfer_from": "127.0.0.1",
                          "xfer_via": "127.0.0.1:8000", "xfer_auth": "127.0.0.1"});
        assert_eq!(serde_json::Value::Object(incoming.message.all_meta()), meta);
    }
}

#[tokio::test]
async fn what_is_not_taken_is_told_and_nothing_is_stored() {
    let policy = ScriptedPolicy::new().on("xfer_message_received", |args| {
        let Some(Value::Message(message)) = args.first() else { panic!("{args:?}") };
        match message.meta_text("x_fate").unwrap().as_deref() {
            Some("reject") => Err(PolicyError::Rejected(Rejected::new(550, "not here"))),
            Some("fail") => Err(PolicyError::Failed("policy.lua:1: oops".into())),
            _ => Ok(Returned(Vec::new())),
        }
    });
    let daemon = Daemon::with_policy(policy);
    let node = &*daemon.services.node_id;
    for (body, status, text) in [
        (b"nonsense".to_vec(), 400, "Error: the line before the body has no end"),
        (vec![0x1f, 0x8b, 8, 0], 400, "Error: the gzip is broken"),
        (packed(&json!({"queue": 5})), 400, "Error: expected 'queue' to be a string value"),
        (packed(&json!({"x_fate": "reject"})), 403, "Error: 550 not here"),
        (packed(&json!({"x_fate": "fail"})), 500, "try again later"),
        (packed(&json!({"xfer_prior_node": node})), 409, "Error: this is the node that the message comes from"),
    ] {
        let answer = send(&daemon, body, None).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.text().starts_with(text), "{}", answer.text());
    }
    daemon.set_state(IntakeState::ShuttingDown);
    assert_eq!(send(&daemon, packed(&json!({})), None).await.parts(), (503, "shutting down"));
    assert_eq!(daemon.intake.taken.lock().unwrap().len(), 0);
    let stranger = Daemon::new().from("192.0.2.9");
    assert_eq!(send(&stranger, packed(&json!({})), None).await.status, 401);
}
