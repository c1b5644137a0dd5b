//! What a record costs on its way from the daemon to a sink. Run: `cargo bench -p waybill-log-record`.
//!
//! Prints the mean time of each step; put the machine's name beside every number that you quote.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use waybill_log_record::{Capture, Entry, FieldsBuilder, LogRecord, PeerAddress, RecordType, RecordView};
use waybill_types::{IdMint, Response, Timestamp};

const TIMES: u32 = 200_000;

fn record() -> LogRecord {
    let now = Timestamp::from_secs(1_795_450_376);
    let response = Response::plain(250, "2.0.0 Ok: queued as 4W0jq52ZrVz2Y");
    let mut record = LogRecord::new(RecordType::Delivery, now, response, "557f3ad4-2c8c-11ee-976e-782d7e12e173");
    record.sender = "sender@bench.example".into();
    record.recipients = vec!["recipient@bench.example".into()];
    record.queue = "campaign:tenant@bench.example".into();
    record.site = "unspecified->(mx1|mx2).bench.example@smtp_client".into();
    record.size = 2048;
    record.peer_address =
        Some(PeerAddress { name: "mx1.bench.example.".into(), addr: "192.0.2.1:25".into(), is_secure: false });
    let (mut meta, mut headers) = (FieldsBuilder::default(), FieldsBuilder::default());
    meta.push("tenant", &json!("tenant"));
    headers.push("Subject", &json!("a subject of the usual length"));
    (record.meta, record.headers) = (meta.finish(), headers.finish());
    record
}

fn measure<T>(what: &str, mut step: impl FnMut() -> T) {
    let begin = Instant::now();
    for _ in 0..TIMES {
        black_box(step());
    }
    println!("{what:<44} {:>10.1} ns", begin.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES));
}

fn main() {
    let (record, mint) = (record(), IdMint::random());
    let id = mint.entry(record.event_time);
    let entry = Entry::encode(&record, id);
    let view = RecordView::new(entry.clone(), Arc::new(Capture::new(["subject"], ["tenant"])));
    println!("an entry has {} bytes, its JSON {}", entry.bytes().len(), view.json().len());
    measure("encode a record", || Entry::encode(&record, id));
    let bytes = entry.bytes().clone();
    measure("decode an entry", || Entry::decode(bytes.clone()));
    measure("its JSON for one sink", || view.json());
    measure("its JSON without nulls, as scripts encode it", || view.json_without_nulls());
    measure("the id that a hook shows", || entry.id().hook_message_id("webhook"));
}
