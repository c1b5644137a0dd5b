//! Log files as an operator finds them: names, lines, permissions, and what becomes of records when the disk refuses.

#[path = "files/support.rs"]
mod support;

use futures::future::join_all;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use support::{Logs, entry, lines, mode, read, start, until};
use waybill_log_record::RecordType;
use waybill_policy::{PolicyError, Returned, ScriptedPolicy};
use waybill_runtime::ManualClock;
use waybill_spool::Message;
use waybill_types::{IdMint, Timestamp};

#[tokio::test]
async fn a_record_is_a_line_with_what_was_asked_for() {
    let logs = Logs::new(json!({"meta": ["ten*"], "headers": ["subject"]}));
    assert!(logs.names().is_empty(), "files are created when there is something to write");
    logs.write(RecordType::Delivery, "a@x.example").await;
    logs.files.flush().await;
    let golden = concat!(
        r#"{"type":"Delivery","id":"","sender":"a@x.example","recipient":"b@y.example","queue":"","site":"","size":0,"#,
        r#""response":{"code":250,"enhanced_code":{"class":2,"subject":0,"detail":0},"content":"ok","command":null},"#,
        r#""peer_address":null,"timestamp":1678069691,"event_time":"2023-03-06T02:28:11.123456789Z","#,
        r#""created":1678069691,"created_time":"2023-03-06T02:28:11.123456789Z","num_attempts":0,"#,
        r#""bounce_classification":"Uncategorized","egress_pool":null,"egress_source":null,"source_address":null,"#,
        r#""feedback_report":null,"meta":{"tenant":"t1"},"headers":{"Subject":"Hi"},"delivery_protocol":null,"#,
        r#""reception_protocol":null,"nodeid":"node"}"#,
    );
    assert_eq!(logs.names(), ["20230306-022811.123456789"]);
    assert_eq!(logs.lines("20230306-022811.123456789"), [golden]);
    assert_eq!(read(&logs.files.metrics().bytes), golden.len() as u64 + 1);
    assert_eq!(logs.files.name(), format!("dir-{}", logs.dir.path().display()));
}

#[tokio::test]
async fn a_file_is_done_once_it_is_finished() {
    let logs = Logs::new(json!({}));
    logs.write(RecordType::Delivery, "a@x.example").await;
    logs.files.flush().await;
    let path = logs.path("20230306-022811.123456789");
    assert_ne!(mode(&path) & 0o200, 0, "a file that grows is writable");
    logs.files.finish().await;
    assert_eq!(mode(&path) & 0o222, 0);
    zstd::decode_all(File::open(&path).unwrap()).unwrap();

    logs.write(RecordType::Delivery, "late@x.example").await;
    logs.files.flush().await;
    logs.files.finish().await;
    assert_eq!((read(&logs.files.metrics().refused), logs.lines("20230306-022811.123456789").len()), (1, 1));
}

#[tokio::test]
async fn a_file_ends_when_it_is_large() {
    let logs = Logs::new(json!({"max_file_size": 1000, "per_record": {"Any": {"suffix": ".log"}}}));
    for sender in ["1", "2", "3"] {
        logs.write(RecordType::Delivery, sender).await;
    }
    logs.files.flush().await;
    let names = ["20230306-022811.123456789.log", "20230306-022811.123456790.log"];
    assert_eq!(logs.names(), names);
    assert_eq!(logs.lines(names[0]).len(), 2);
    assert_eq!((mode(&logs.path(names[0])) & 0o222, mode(&logs.path(names[1])) & 0o200), (0, 0o200));
}

#[tokio::test]
async fn a_file_ends_when_it_is_old_though_nothing_is_written() {
    let logs = Logs::new(json!({"max_segment_duration": "1 min"}));
    logs.write(RecordType::Delivery, "1").await;
    logs.files.flush().await;
    let path = logs.path("20230306-022811.123456789");
    logs.clock.advance(Duration::from_secs(59));
    logs.write(RecordType::Delivery, "2").await;
    logs.files.flush().await;
    assert_ne!(mode(&path) & 0o200, 0);
    logs.clock.advance(Duration::from_secs(1));
    until("the file is done", || mode(&path) & 0o222 == 0).await;
    assert_eq!(logs.lines("20230306-022811.123456789").len(), 2);
    logs.write(RecordType::Delivery, "3").await;
    logs.files.flush().await;
    assert_eq!(logs.names()[1], "20230306-022911.123456789");
}

#[tokio::test]
async fn types_have_files_headers_and_texts_of_their_own() {
    let elsewhere = tempfile::tempdir().unwrap();
    let logs = Logs::new(json!({"per_record": {
        "Reception": {"suffix": "_recv", "template": "in {{ sender }}", "segment_header": "# receptions"},
        "Bounce": {"log_dir": elsewhere.path().join("deep")},
        "Delayed": {"enable": false},
        "Any": {"template": "{{ sender }} {{ log_record.type }}\n"},
    }}));
    for kind in [RecordType::Reception, RecordType::Bounce, RecordType::Delayed, RecordType::Expiration] {
        logs.write(kind, "a").await;
    }
    logs.files.finish().await;
    assert!(!logs.files.wants(RecordType::Delayed));
    assert_eq!(logs.names(), ["20230306-022811.123456789", "20230306-022811.123456789_recv"]);
    assert_eq!(logs.lines("20230306-022811.123456789"), ["a Expiration"]);
    assert_eq!(logs.lines("20230306-022811.123456789_recv"), ["# receptions", "in a"]);
    let bounces = lines(&elsewhere.path().join("deep/20230306-022811.123456789"));
    assert!(bounces.len() == 1 && bounces[0].starts_with(r#"{"type":"Bounce""#), "{bounces:?}");
}

#[tokio::test]
async fn a_template_that_cannot_be_filled_in_loses_no_record() {
    let logs = Logs::new(json!({"per_record": {"Any": {"template": "{{ sender.oops.oops }}"}}}));
    logs.write(RecordType::Delivery, "a").await;
    logs.files.flush().await;
    assert!(logs.lines("20230306-022811.123456789")[0].starts_with(r#"{"type":"Delivery""#));
    assert_eq!(read(&logs.files.metrics().template_failures), 1);
}

#[tokio::test]
async fn what_an_earlier_run_left_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let other = dir.path().join("other");
    fs::create_dir(&other).unwrap();
    for path in [dir.path().join("20230101-000000.1"), other.join("old")] {
        fs::write(&path, "torn").unwrap();
    }
    let clock = ManualClock::at(Timestamp::EPOCH);
    let config = json!({"per_record": {"Bounce": {"log_dir": other, "enable": false}}});
    let _files = start(dir.path(), config, ScriptedPolicy::new(), &clock).unwrap();
    assert_eq!(mode(&dir.path().join("20230101-000000.1")) & 0o222, 0);
    assert_eq!(mode(&other.join("old")) & 0o222, 0);
}

#[tokio::test]
async fn what_cannot_work_is_refused_at_once_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(Timestamp::EPOCH);
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = start(&file, json!({}), ScriptedPolicy::new(), &clock).unwrap_err().to_string();
    assert!(error.starts_with(&format!("use log directory {}: ", file.display())), "{error}");
    let config = json!({"per_record": {"Bounce": {"template": "{% if"}}});
    let error = start(dir.path(), config, ScriptedPolicy::new(), &clock).unwrap_err().to_string();
    let expected = format!("use the template of Bounce in log files in {}: syntax error", dir.path().display());
    assert!(error.starts_with(&expected), "{error}");
}

#[tokio::test]
async fn the_filter_event_decides_about_records_of_messages() {
    let policy = ScriptedPolicy::new().on("keep", |args| match &args[..] {
        [waybill_policy::Value::Message(message)] if message.sender().to_string() == "bad@x.example" => {
            Err(PolicyError::Failed("boom".into()))
        }
        [waybill_policy::Value::Message(message)] => {
            Ok(Returned(vec![waybill_policy::Value::Bool(message.sender().to_string() == "yes@x.example")]))
        }
        other => panic!("{other:?}"),
    });
    let logs = Logs::with_policy(json!({"filter_event": "keep"}), policy);
    let message = |sender: &str| {
        let id = IdMint::random().message(Timestamp::EPOCH);
        Message::new(id, sender.parse().unwrap(), vec!["b@y.example".parse().unwrap()], "".into())
    };
    for sender in ["yes@x.example", "no@x.example", "bad@x.example"] {
        logs.files.write(&entry(RecordType::Delivery, sender), Some(&message(sender))).await;
    }
    logs.files.write(&entry(RecordType::Rejection, "rejected"), Some(&message("no@x.example"))).await;
    logs.write(RecordType::OOB, "no message").await;
    logs.files.flush().await;
    let lines = logs.lines("20230306-022811.123456789");
    let senders: Vec<_> =
        lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["sender"].clone()).collect();
    assert_eq!(senders, ["yes@x.example", "rejected", "no message"]);
    assert_eq!(read(&logs.files.metrics().filter_failures), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_many_callers_are_whole_lines_each_once() {
    let logs = Logs::new(json!({"back_pressure": 16, "max_file_size": 20_000}));
    join_all((0..20).map(|caller| {
        let logs = &logs;
        async move {
            for i in 0..50 {
                logs.write(RecordType::Delivery, &format!("{caller}-{i}")).await;
            }
        }
    }))
    .await;
    logs.files.finish().await;
    let names = logs.names();
    assert!(names.len() > 10, "{names:?}");
    let mut seen: Vec<String> = names.iter().flat_map(|name| logs.lines(name)).collect();
    seen = seen.iter().map(|l| serde_json::from_str::<Value>(l).unwrap()["sender"].to_string()).collect();
    seen.sort();
    let mut expected: Vec<_> = (0..20).flat_map(|c| (0..50).map(move |i| format!("\"{c}-{i}\""))).collect();
    expected.sort();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_disk_that_refuses_makes_callers_wait_and_loses_nothing_even_when_the_daemon_stops() {
    let logs = Logs::new(json!({"back_pressure": 2}));
    // The directory goes, and something that is none takes its place: that stops even root.
    fs::remove_dir(logs.dir.path()).unwrap();
    fs::write(logs.dir.path(), "").unwrap();
    let taken = AtomicU64::new(0);
    let writes = join_all((0..20).map(|i| {
        let (logs, taken) = (&logs, &taken);
        async move {
            logs.write(RecordType::Delivery, &i.to_string()).await;
            taken.fetch_add(1, Ordering::Relaxed);
        }
    }));
    let metrics = logs.files.metrics();
    let repair = async {
        until("the disk refused and callers wait", || {
            read(&metrics.disk_failures) >= 1 && read(&metrics.submit_full) >= 16
        })
        .await;
        assert!(read(&taken) <= 4, "two in the backlog, two with the writer: {}", read(&taken));
        assert_eq!((read(&metrics.records), logs.files.backlog()), (0, 2));
        fs::remove_file(logs.dir.path()).unwrap();
        until("all are taken", || {
            logs.clock.advance(Duration::from_secs(10));
            read(&taken) == 20
        })
        .await;
    };
    tokio::join!(writes, logs.files.finish(), repair);
    assert_eq!(read(&metrics.refused), 0);
    let lines: usize = logs.names().iter().map(|name| logs.lines(name).len()).sum();
    assert_eq!((lines, logs.names().len()), (20, 1));
}
