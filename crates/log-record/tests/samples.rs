//! The records of a live daemon, taken apart into the model and encoded again, must come out byte for byte but for
//! the order of meta fields and headers (which upstream does not fix).

use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use std::borrow::Cow;
use waybill_log_record::{Capture, Entry, FieldsBuilder, LogRecord, PeerAddress, RecordType, RecordView, TlsFacts};
use waybill_types::{EnhancedCode, EntryId, IdMint, Response, Timestamp};

fn samples() -> Vec<String> {
    let text = include_str!("records.jsonl");
    text.lines().map(str::to_owned).collect()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn to_record(v: &Value) -> LogRecord {
    let time = |name: &str| Timestamp::parse_rfc3339(v[name].as_str().unwrap()).unwrap();
    let kind: RecordType = v["type"].as_str().unwrap().parse().unwrap();
    let response = Response {
        code: v["response"]["code"].as_u64().unwrap() as u16,
        enhanced_code: serde_json::from_value::<Option<EnhancedCode>>(v["response"]["enhanced_code"].clone()).unwrap(),
        content: text(&v["response"]["content"]).unwrap(),
        command: text(&v["response"]["command"]),
    };
    let mut record = LogRecord::new(kind, time("event_time"), response, v["nodeid"].as_str().unwrap());
    record.id = v["id"].as_str().unwrap().parse().ok();
    record.sender = text(&v["sender"]).unwrap();
    record.recipients = vec![text(&v["recipient"]).unwrap()];
    record.queue = text(&v["queue"]).unwrap();
    record.site = text(&v["site"]).unwrap();
    record.size = v["size"].as_u64().unwrap();
    record.peer_address = serde_json::from_value::<Option<PeerAddress>>(v["peer_address"].clone()).unwrap();
    record.created = time("created_time");
    record.num_attempts = v["num_attempts"].as_u64().unwrap() as u32;
    record.egress_pool = v["egress_pool"].as_str().map(Into::into);
    record.egress_source = v["egress_source"].as_str().map(Into::into);
    record.feedback_report =
        Some(&v["feedback_report"]).filter(|report| !report.is_null()).map(|report| to_raw_value(report).unwrap());
    record.delivery_protocol = text(&v["delivery_protocol"]).map(Cow::Owned);
    record.reception_protocol = text(&v["reception_protocol"]).map(Cow::Owned);
    record.tls = TlsFacts::default();
    record.session_id = text(&v["session_id"]);
    let mut meta = FieldsBuilder::default();
    for (name, value) in v["meta"].as_object().unwrap() {
        meta.push(name, value);
    }
    record.meta = meta.finish();
    let mut headers = FieldsBuilder::default();
    for (name, value) in v["headers"].as_object().unwrap() {
        headers.push(name, value);
    }
    record.headers = headers.finish();
    record
}

fn entry_id() -> EntryId {
    IdMint::random().entry(Timestamp::from_secs(1_795_450_376))
}

/// Objects of serde_json are sorted by key: equal text means equal content, and the order of all other keys is
/// compared on the raw text.
fn keys_in_order(json: &str) -> Vec<&'static str> {
    const KEYS: [&str; 26] = [
        "type",
        "id",
        "sender",
        "recipient",
        "queue",
        "site",
        "size",
        "response",
        "peer_address",
        "timestamp",
        "event_time",
        "created",
        "created_time",
        "num_attempts",
        "bounce_classification",
        "egress_pool",
        "egress_source",
        "source_address",
        "feedback_report",
        "meta",
        "headers",
        "delivery_protocol",
        "reception_protocol",
        "nodeid",
        "provider_name",
        "session_id",
    ];
    let mut found: Vec<(usize, &str)> =
        KEYS.iter().filter_map(|key| Some((json.rfind(&format!("\"{key}\":"))?, *key))).collect();
    found.sort_unstable();
    found.into_iter().map(|(_, key)| key).collect()
}

#[test]
fn every_sample_record_comes_out_as_it_went_in() {
    let samples = samples();
    assert!(samples.len() >= 15, "{} samples", samples.len());
    for sample in samples {
        let value: Value = serde_json::from_str(&sample).unwrap();
        let entry = Entry::encode(&to_record(&value), entry_id());
        let entry = Entry::decode(entry.bytes().clone()).unwrap();
        let view = RecordView::new(entry, Capture::new(["*"], ["*"]).into());
        let ours = String::from_utf8(view.json()).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&ours).unwrap(), value, "{ours}");
        if value["feedback_report"].is_null() {
            assert_eq!(keys_in_order(&ours), keys_in_order(&sample));
        }
    }
}

#[test]
fn the_members_of_a_complaint_stay_in_their_order() {
    let report = r#"{"feedback_type":"abuse","arrival_date":null,"extensions":{"z":["1"],"a":["2"]}}"#;
    let mut record =
        LogRecord::new(RecordType::Feedback, Timestamp::from_secs(1), waybill_types::Response::plain(250, ""), "node");
    record.feedback_report = Some(RawValue::from_string(report.to_owned()).unwrap());
    let view = RecordView::new(Entry::encode(&record, entry_id()), Capture::nothing().into());
    let json = String::from_utf8(view.json()).unwrap();
    assert!(json.contains(&format!(r#""feedback_report":{report},"meta""#)), "{json}");
}

fn strip(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            Value::Object(map.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, strip(v))).collect())
        }
        Value::Array(items) if items.is_empty() => Value::Object(serde_json::Map::new()),
        Value::Array(items) => Value::Array(items.into_iter().map(strip).collect()),
        other => other,
    }
}

#[test]
fn the_null_free_form_is_the_same_record_without_nulls() {
    for sample in samples() {
        let value: Value = serde_json::from_str(&sample).unwrap();
        let entry = Entry::encode(&to_record(&value), entry_id());
        let view = RecordView::new(entry, Capture::new(["*"], ["*"]).into());
        let ours: Value = serde_json::from_slice(&view.json_without_nulls()).unwrap();
        assert_eq!(ours, strip(value));
    }
}

#[test]
fn a_view_shows_only_what_its_sink_asked_for() {
    let mut record = to_record(&serde_json::from_str(&samples()[0]).unwrap());
    record.tenant = Some("t1".into());
    let entry = Entry::encode(&record, entry_id());
    let view = RecordView::new(entry.clone(), Capture::new(["subject"], ["x_*"]).into());
    let seen: Value = serde_json::from_slice(&view.json()).unwrap();
    assert_eq!(seen["headers"], serde_json::json!({"Subject": "Hello"}));
    assert_eq!(seen["meta"], serde_json::json!({"x_num": 42}));
    assert_eq!(view.meta().map(|(name, _)| name).collect::<Vec<_>>(), ["x_num"]);
    assert_eq!((entry.tenant(), entry.campaign()), (Some("t1"), None));
    assert_eq!((entry.sender(), entry.recipients()), ("sender@example.com", vec!["rcpt@example.com"]));
    assert_eq!(entry.message_id(), record.id);
}

#[test]
fn several_recipients_are_a_list() {
    let mut record = to_record(&serde_json::from_str(&samples()[0]).unwrap());
    record.recipients = vec!["a@x".into(), "b@y".into()];
    let entry = Entry::encode(&record, entry_id());
    let seen: Value =
        serde_json::from_slice(&RecordView::new(entry.clone(), Capture::nothing().into()).json()).unwrap();
    assert_eq!(seen["recipient"], serde_json::json!(["a@x", "b@y"]));
    assert_eq!(entry.recipients(), ["a@x", "b@y"]);
}

#[test]
fn damaged_bytes_are_refused_and_never_panic() {
    let good = Entry::encode(&to_record(&serde_json::from_str(&samples()[0]).unwrap()), entry_id());
    let bytes = good.bytes().to_vec();
    for len in 0..bytes.len() {
        if let Ok(entry) = Entry::decode(bytes[..len].to_vec().into()) {
            let _ = RecordView::new(entry, Capture::new(["*"], ["*"]).into()).json_without_nulls();
        }
    }
    for i in 0..bytes.len() {
        for flip in [1u8, 0x80, 0xff] {
            let mut bad = bytes.clone();
            bad[i] ^= flip;
            if let Ok(entry) = Entry::decode(bad.into()) {
                let _ = entry.recipients();
                let _ = RecordView::new(entry, Capture::new(["*"], ["*"]).into()).json_without_nulls();
            }
        }
    }
}
