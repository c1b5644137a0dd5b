//! Log records as hooks see them.

mod support;

use serde_json::json;
use support::{engine, text};
use waybill_log_record::{Capture, Entry, FieldsBuilder, LogRecord, RecordType, RecordView};
use waybill_policy::{PolicyHost, Value};
use waybill_spool::Message;
use waybill_types::{IdMint, Response, Timestamp};

fn hook_message() -> Message {
    let now = Timestamp::from_secs(1_700_000_000);
    let mut record = LogRecord::new(RecordType::Delivery, now, Response::plain(250, "ok"), "node");
    record.sender = "a@x.example".into();
    record.recipients = vec!["b@y.example".into()];
    let mut meta = FieldsBuilder::default();
    meta.push("tenant", &json!("t1"));
    record.meta = meta.finish();
    let entry = Entry::encode(&record, IdMint::random().entry(now));
    Message::view(RecordView::new(entry, Capture::new([], ["tenant"]).into()), "webhook", None)
}

async fn run(code: &str) -> String {
    let policy = format!("kumo.on('ev', function(msg) local rec = msg:get_meta 'log_record' {code} end)");
    text(&engine(&policy).await, "ev", vec![hook_message().into()]).await
}

#[tokio::test]
async fn a_record_is_read_without_being_built() {
    assert_eq!(run("return rec.type .. rec.response.code .. rec.meta.tenant").await, "Delivery250t1");
    assert_eq!(run("local n = #kumo.raw(rec) return rec.type .. (n > 300 and ' raw' or n)").await, "Delivery raw");
    assert_eq!(run("rec.x = 1 return tostring(kumo.raw(rec)) .. rec.x").await, "nil1");
    assert_eq!(run("return tostring(msg:get_meta 'reception_protocol') .. msg:get_meta 'tenant'").await, "LogRecordt1");
}

#[tokio::test]
async fn what_a_script_does_to_a_record_stays_in_the_script() {
    let code = "rec.type = 'Mine' return msg:get_meta('log_record').type";
    assert_eq!(run(code).await, "Delivery");
}

#[tokio::test]
async fn a_record_can_be_returned_and_put_into_meta() {
    let policy = "kumo.on('ev', function(msg)
        msg:set_meta('copy', msg:get_meta 'log_record')
        return msg:get_meta 'log_record'
      end)";
    let message = hook_message();
    let result = engine(policy).await.call("ev", vec![message.clone().into()]).await.unwrap();
    let Value::Json(record) = result.first() else { panic!() };
    let expected: serde_json::Value = serde_json::from_slice(&message.record().unwrap().json_without_nulls()).unwrap();
    assert_eq!(*record, expected);
    assert_eq!(message.overlay()["copy"], expected);
}
