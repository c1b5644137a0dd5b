//! Disposition hooks: which records they see, and what they see of them.

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use std::sync::Arc;
use waybill_hooks::DispositionHooks;
use waybill_log_record::{Entry, LogRecord, RecordType};
use waybill_policy::{PolicyError, Returned, ScriptedPolicy, Value};
use waybill_runtime::ManualClock;
use waybill_spool::{Batch, Durability, MemoryStore, Message, Store};
use waybill_types::{EntryId, IdMint, Response, Timestamp};

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// What the script of a hook was called with: body and record.
type Seen = Arc<Mutex<Vec<(Option<Bytes>, Json)>>>;

fn hooks(config: Json, policy: ScriptedPolicy) -> DispositionHooks {
    let config = serde_json::from_value(config).unwrap();
    DispositionHooks::new(vec![config], Arc::new(policy), Arc::new(ManualClock::at(NOW)))
}

fn watching(config: Json) -> (DispositionHooks, Seen) {
    let seen: Seen = Arc::default();
    let notes = seen.clone();
    let policy = ScriptedPolicy::new().on("log_disposition_d", move |args| {
        let [Value::Message(message), Value::Record(record)] = &args[..] else { panic!("{args:?}") };
        notes.lock().push((message.data(), record.clone()));
        Ok(Returned::default())
    });
    (hooks(config, policy), seen)
}

fn message() -> Message {
    let id = IdMint::new([1; 8]).message(NOW);
    Message::new(id, "a@x.example".parse().unwrap(), vec!["b@y.example".parse().unwrap()], Bytes::from_static(b"body"))
}

fn entry(kind: RecordType, of_log_message: bool) -> Entry {
    let mut record = LogRecord::new(kind, NOW, Response::new(250, "2.0.0 ok"), "node");
    record.of_log_message = of_log_message;
    Entry::encode(&record, EntryId::from_bytes([7; 16]))
}

#[tokio::test]
async fn a_hook_sees_the_records_of_its_types_with_nulls_and_the_message() {
    let per_record = json!({"Any": {"enable": false}, "Delivery": {"enable": true}});
    let (hooks, seen) = watching(json!({"name": "d", "per_record": per_record}));
    assert!(hooks.wants(RecordType::Delivery) && !hooks.wants(RecordType::Bounce));
    for kind in [RecordType::Reception, RecordType::Delivery] {
        hooks.run(&entry(kind, false), Some(&message())).await;
    }
    let seen = seen.lock();
    assert_eq!(seen.len(), 1);
    let (body, record) = &seen[0];
    assert_eq!((body.as_deref(), &record["type"]), (Some(&b"body"[..]), &json!("Delivery")));
    assert_eq!(record.get("peer_address"), Some(&Json::Null), "{record:#}");
}

#[tokio::test]
async fn records_without_a_message_and_those_of_log_messages_are_not_shown() {
    let (hooks, seen) = watching(json!({"name": "d"}));
    assert!(!hooks.wants(RecordType::Rejection) && !hooks.wants(RecordType::OOB));
    hooks.run(&entry(RecordType::Rejection, false), None).await;
    hooks.run(&entry(RecordType::OOB, false), Some(&message())).await;
    hooks.run(&entry(RecordType::Delivery, true), Some(&message())).await;
    assert!(seen.lock().is_empty());
}

#[tokio::test]
async fn a_body_that_is_on_disk_is_shown_and_does_not_come_into_memory_for_that() {
    let (hooks, seen) = watching(json!({"name": "d"}));
    let (store, message) = (Arc::new(MemoryStore::new()), message());
    let mut batch = Batch::new();
    batch.save(&message);
    store.commit(batch, Durability::Written).await.unwrap();
    message.shrink();
    hooks.read_bodies_from(store);
    hooks.run(&entry(RecordType::TransientFailure, false), Some(&message)).await;
    assert_eq!(seen.lock()[0].0.as_deref(), Some(&b"body"[..]));
    assert_eq!(message.data(), None);
}

#[tokio::test]
async fn an_error_of_a_hook_changes_nothing() {
    let calls: Arc<Mutex<u32>> = Arc::default();
    let counted = calls.clone();
    let policy = ScriptedPolicy::new().on("log_disposition_d", move |_| {
        *counted.lock() += 1;
        Err(PolicyError::unusable(format_args!("so it was asked for")))
    });
    let hooks = hooks(json!({"name": "d"}), policy);
    for _ in 0..2 {
        hooks.run(&entry(RecordType::Delivery, false), Some(&message())).await;
    }
    assert_eq!(*calls.lock(), 2);
}
