//! What the catalogue says of records is what records are.

use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use waybill_event_hooks_core::Catalogue;
use waybill_log_record::{Capture, Entry, LogRecord, RecordType, RecordView, TlsFacts};
use waybill_types::{IdMint, Response, Timestamp};

/// The keys of a record in which everything is set.
fn keys(kind: RecordType) -> BTreeSet<String> {
    let mint = IdMint::random();
    let mut record = LogRecord::new(kind, Timestamp::EPOCH, Response::plain(250, "ok"), "node");
    record.recipients = vec!["a@b.example".to_owned()];
    record.tls = TlsFacts {
        cipher: Some("c".to_owned()),
        protocol_version: Some("TLSv1.3".to_owned()),
        peer_subject_name: Some(vec!["n".to_owned()]),
    };
    record.delivery_protocol = Some(Cow::Borrowed("ESMTP"));
    record.provider_name = Some("p".to_owned());
    record.session_id = Some("s".to_owned());
    let entry = Entry::encode(&record, mint.entry(Timestamp::EPOCH));
    let json = RecordView::new(entry, Arc::new(Capture::nothing())).json();
    let Value::Object(map) = serde_json::from_slice(&json).unwrap() else { panic!("a record is an object") };
    map.into_iter().map(|(name, _)| name).collect()
}

#[test]
fn every_record_type_is_an_event_whose_fields_are_the_record_s_keys() {
    let catalogue = Catalogue::new();
    let events = catalogue.events("log").unwrap();
    let named: BTreeSet<&str> = events.keys().map(String::as_str).collect();
    assert_eq!(named, RecordType::ALL.iter().map(|kind| kind.as_str()).collect());
    for kind in RecordType::ALL {
        let info = catalogue.event("log", kind.as_str()).unwrap();
        let fields: BTreeSet<String> = info.fields.iter().cloned().collect();
        assert_eq!(fields, keys(*kind), "{kind}");
        for unique in info.unique.iter().flatten() {
            let first = unique.split('.').next().unwrap_or_default();
            assert!(fields.contains(first), "{kind}: {unique}");
        }
    }
}
