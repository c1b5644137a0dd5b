//! What is recorded.

use crate::common::{NOW, Setup, reject};
use waybill_log_record::{Capture, Entry, LogRecord, RecordType, RecordView};
use waybill_types::{IdMint, Timestamp};

/// The record as a sink with `capture` sees it.
fn json(record: &LogRecord, capture: Capture) -> String {
    let entry = Entry::encode(record, IdMint::random().entry(Timestamp::EPOCH));
    let session = record.session_id.as_deref().unwrap();
    let json = String::from_utf8(RecordView::new(entry, capture.into()).json()).unwrap();
    json.replace(session, "SESSION")
}

#[tokio::test]
async fn a_refused_command_is_recorded_like_the_sample() {
    let mut client = Setup::default().connect();
    client.reply().await;
    client.say("HELO client.example").await;
    client.say("RCPT TO:<a@example.com>").await;
    let [record] = &client.intake.rejections()[..] else { panic!() };
    assert_eq!(uuid::Uuid::parse_str(record.session_id.as_deref().unwrap()).unwrap().get_version_num(), 4);
    let expected = r#"{"type":"Rejection","id":"","sender":"","recipient":"","queue":"","site":"","size":0,"response":{"code":503,"enhanced_code":{"class":5,"subject":5,"detail":0},"content":"say MAIL FROM first","command":"RCPT TO:<a@example.com>"},"peer_address":{"name":"client.example","addr":"127.0.0.1"},"timestamp":1795450376,"event_time":"NOW","created":1795450376,"created_time":"NOW","num_attempts":0,"bounce_classification":"Uncategorized","egress_pool":null,"egress_source":null,"source_address":null,"feedback_report":null,"meta":{},"headers":{},"delivery_protocol":null,"reception_protocol":null,"nodeid":"node","session_id":"SESSION"}"#;
    assert_eq!(json(record, Capture::nothing()), expected.replace("NOW", NOW));
}

#[tokio::test]
async fn a_rejection_knows_the_transaction_that_it_happened_in() {
    let setup = Setup::default().on("smtp_server_data", reject(550, "5.6.0 bad\nsecond line"));
    let mut client = setup.with_recipient().await;
    client.say("MAIL FROM:<bad").await;
    client.say("RCPT TO:<>").await;
    client.say("RCPT TO:<c@example.com>").await;
    client.submit("x").await;
    client.say("FOO bar").await;
    let seen: Vec<_> = client
        .intake
        .rejections()
        .into_iter()
        .map(|record| {
            assert_eq!((record.kind, record.id, record.queue.as_str()), (RecordType::Rejection, None, ""));
            let command = record.response.command.clone().unwrap();
            (record.sender, record.recipients.join(","), record.response.to_string(), command)
        })
        .collect();
    let (sender, both) = ("a@example.com", "b@example.com,c@example.com");
    let expected = [
        (sender, "b@example.com", "501 5.1.7 this is no address to send from", "MAIL FROM:<bad"),
        (sender, "b@example.com", "501 5.1.3 this is no address to send to", "RCPT TO:<>"),
        (sender, both, "550 5.6.0 bad second line", "DATA"),
        ("", "", "502 5.5.1 no such command here", "FOO bar"),
    ];
    assert_eq!(seen, expected.map(|(a, b, c, d)| (a.to_owned(), b.to_owned(), c.to_owned(), d.to_owned())));
    assert_eq!(client.shared.stats.rejections(), 4);
}

#[tokio::test]
async fn odd_lines_are_recorded_without_harm() {
    let mut client = Setup::default().greeted().await;
    client.send(b"\xff\xfe\r\n").await;
    assert!(client.reply().await.starts_with("501 "));
    client.say(&"x".repeat(5000)).await;
    client.say("AUTH PLAIN AGEAYg==").await;
    let commands: Vec<_> = client.intake.rejections().into_iter().map(|r| r.response.command.unwrap()).collect();
    assert_eq!(commands, ["\u{fffd}\u{fffd}".to_owned(), "x".repeat(128), "AUTH PLAIN".to_owned()]);
}

#[tokio::test]
async fn a_rejection_shows_the_meta_that_is_asked_for() {
    let capture = Capture::new([], ["received_*", "tenant", "missing"]);
    let mut setup = Setup { capture: Some(capture.clone()), ..Setup::default() };
    setup = setup.on("smtp_server_ehlo", |args| {
        let waybill_policy::Value::Connection(meta) = &args[1] else { panic!() };
        meta.set("tenant", "t1".into());
        meta.set("secret", "s".into());
        Ok(Default::default())
    });
    let mut client = setup.greeted().await;
    client.say("FOO").await;
    let record = &client.intake.rejections()[0];
    let mut names: Vec<_> = record.meta.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    assert_eq!(names, ["received_from", "received_via", "tenant"]);
    assert!(json(record, Capture::new([], ["tenant"])).contains(r#""meta":{"tenant":"t1"}"#));
}

#[tokio::test]
async fn a_refused_connection_is_recorded_without_a_command() {
    let mut client = Setup::default().on("smtp_server_connection_accepted", reject(554, "no")).connect();
    client.rest().await;
    let record = &client.intake.rejections()[0];
    assert_eq!((record.response.code, record.response.command.as_ref()), (554, None));
    assert_eq!(record.peer_address.as_ref().unwrap().name, "");
}

#[tokio::test]
async fn a_reception_record_says_who_brought_the_message() {
    let mut client = Setup::default().with_recipient().await;
    client.submit("x").await;
    let record = &client.intake.accepted()[0].record;
    let peer = record.peer_address.as_ref().unwrap();
    assert_eq!((peer.name.as_str(), peer.addr.as_str()), ("client.example", "127.0.0.1"));
    assert_eq!((record.kind, record.response.to_string().as_str()), (RecordType::Reception, "250 "));
    assert_eq!(record.reception_protocol.as_deref(), Some("ESMTP"));
    assert_eq!((&*record.nodeid, record.event_time.to_rfc3339().as_str()), ("node", NOW));
    assert!(record.session_id.is_some() && record.delivery_protocol.is_none());
}
