//! Mail that is a report about other mail.

use crate::common::{Client, PEER, Setup, fail};
use serde_json::{Value as Json, json};
use waybill_log_record::{Capture, Entry, LogRecord, RecordType, RecordView};
use waybill_policy::{Args, PolicyError, Returned, Value};
use waybill_spool::Keep;
use waybill_types::{IdMint, Timestamp};

const STRANGER: &str = "192.0.2.7:4000";
const EVENT: &str = "get_listener_domain";

/// contract/samples: one recipient that is gone; one that is only late.
const BOUNCE: &str = "Subject: Undelivered\r\n\
Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n\
--b\r\n\r\nSorry.\r\n\
--b\r\nContent-Type: message/delivery-status\r\n\r\n\
Reporting-MTA: dns; mx.other.example\r\n\r\n\
Final-Recipient: rfc822; gone@other.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\
Diagnostic-Code: smtp; 550 5.1.1 user unknown\r\n\r\n\
Final-Recipient: rfc822; late@other.example\r\nAction: delayed\r\nStatus: 4.4.1\r\n\r\n\
--b--\r\n";

const COMPLAINT: &str = "Subject: complaint\r\n\
Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n\
--b\r\n\r\nhi\r\n\
--b\r\nContent-Type: message/feedback-report\r\n\r\n\
Feedback-Type: abuse\r\nUser-Agent: Example/1.0\r\nVersion: 1\r\n\
Original-Mail-From: sender@example.com\r\nOriginal-Rcpt-To: u@other.example\r\n\
Source-IP: 192.0.2.9\r\nReported-Domain: example.com\r\n\r\n\
--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: <sender@example.com>\r\nSubject: orig\r\n\r\nx\r\n\r\n\
--b--\r\n";

/// `log.example` is as `table` says.
fn domain(table: Json) -> impl Fn(Args) -> Result<Returned, PolicyError> + Send + Sync {
    move |args| match &args[0] {
        Value::Bytes(asked) if asked == b"log.example" => Ok(Returned(vec![Value::Json(table.clone())])),
        _ => Ok(Returned::default()),
    }
}

async fn offering(setup: Setup, recipients: &[&str]) -> Client {
    let mut client = setup.greeted().await;
    client.say("MAIL FROM:<>").await;
    for recipient in recipients {
        let reply = client.say(&format!("RCPT TO:<{recipient}>")).await;
        assert!(reply.starts_with("250 "), "{reply}");
    }
    client
}

#[tokio::test]
async fn mail_let_in_only_to_be_logged_must_be_such_a_report() {
    for (table, mail, taken) in [
        (json!({"log_oob": true}), BOUNCE, true),
        (json!({"log_oob": "LogThenDrop"}), BOUNCE, true),
        (json!({"log_arf": true}), COMPLAINT, true),
        (json!({"log_arf": true}), BOUNCE, false),
        (json!({"log_oob": true}), COMPLAINT, false),
        (json!({"log_oob": true, "log_arf": true}), "Subject: buy!\r\n", false),
        (
            json!({"log_oob": true, "log_arf": true}),
            "Content-Type: multipart/report; boundary=b\r\n\r\n--b--\r\n",
            false,
        ),
    ] {
        let setup = Setup::default().from(STRANGER).on(EVENT, domain(table.clone()));
        let mut client = offering(setup, &["b@log.example"]).await;
        let reply = client.submit(mail).await;
        assert_eq!(reply.starts_with("250 OK ids="), taken, "{table} {reply}");
        assert!(taken || reply == format!("550 5.7.1 relaying not permitted for {STRANGER}\r\n"), "{reply}");
        assert_eq!(client.intake.accepted().len(), usize::from(taken), "{table}");
        assert_eq!(client.say("NOOP").await, "250 OK\r\n");
    }
}

#[tokio::test]
async fn one_recipient_who_may_have_reports_only_speaks_for_the_transaction() {
    let handler = |args: Args| match &args[0] {
        Value::Bytes(asked) if asked == b"log.example" => {
            Ok(Returned(vec![Value::Json(json!({"log_oob": "LogThenDrop"}))]))
        }
        Value::Bytes(asked) if asked == b"mail.example" => Ok(Returned(vec![Value::Json(json!({"relay_to": true}))])),
        _ => Ok(Returned::default()),
    };
    let both = ["a@mail.example", "b@log.example"];
    let mut client = offering(Setup::default().from(STRANGER).on(EVENT, handler), &both).await;
    assert!(client.submit("Subject: x\r\n").await.starts_with("550 "), "no reply could say that one of two is refused");
    let mut client = offering(Setup::default().from(STRANGER).on(EVENT, handler), &both).await;
    assert!(client.submit(BOUNCE).await.starts_with("250 "));
    let kept: Vec<_> =
        client.intake.accepted().into_iter().map(|m| (m.recipients.join(","), m.keep, m.reports.len())).collect();
    assert_eq!(kept, [("a@mail.example".into(), Keep::Stored, 0), ("b@log.example".into(), Keep::RecordsOnly, 1)]);
}

#[tokio::test]
async fn what_becomes_of_a_report_is_what_its_domain_says() {
    for (mail, key, kind) in [(BOUNCE, "log_oob", RecordType::Reception), (COMPLAINT, "log_arf", RecordType::Feedback)]
    {
        for (handling, keep) in [
            (json!(true), Some(Keep::Stored)),
            (json!("LogThenRelay"), Some(Keep::Stored)),
            (json!("LogThenDrop"), Some(Keep::RecordsOnly)),
            (json!("Ignore"), None),
            (json!(false), None),
        ] {
            // From a client that may send anything: it is the domain that counts.
            let mut client =
                offering(Setup::default().on(EVENT, domain(json!({key: handling}))), &["b@log.example"]).await;
            let reply = client.submit(mail).await;
            let [message] = &client.intake.accepted()[..] else { panic!() };
            assert_eq!(reply, format!("250 OK ids={}\r\n", message.id));
            assert_eq!(message.keep, keep.unwrap_or_default(), "{key} {handling}");
            let logged = keep.is_some();
            assert_eq!(message.record.kind, if logged { kind } else { RecordType::Reception }, "{key} {handling}");
            let reports = usize::from(logged && key == "log_oob");
            assert_eq!(message.reports.len(), reports, "{key} {handling}");
        }
    }
}

/// The record as a file shows it, without what only the intake knows.
fn json(record: &LogRecord) -> Json {
    let entry = Entry::encode(record, IdMint::random().entry(Timestamp::EPOCH));
    serde_json::from_slice(&RecordView::new(entry, Capture::nothing().into()).json()).unwrap()
}

#[tokio::test]
async fn records_of_reports_are_those_of_a_live_daemon() {
    let setup = || Setup::default().on(EVENT, domain(json!({"log_oob": true, "log_arf": true})));
    let mut client = offering(setup(), &["bounces@log.example"]).await;
    client.submit(BOUNCE).await;
    let record = json(&client.intake.accepted()[0].reports[0]);
    assert_eq!(record["type"], "OOB");
    assert_eq!(
        (&record["sender"], &record["recipient"]),
        (&json!("bounces@log.example"), &json!("gone@other.example"))
    );
    assert_eq!(record["size"], 0);
    let response = json!({
        "code": 550, "enhanced_code": {"class": 5, "subject": 1, "detail": 1},
        "content": "5.1.1 user unknown", "command": null,
    });
    assert_eq!(record["response"], response);
    assert_eq!(record["peer_address"], json!({"name": "mx.other.example", "addr": "127.0.0.1"}));
    assert!(record["session_id"].is_string());

    let mut client = offering(setup(), &["fbl@log.example"]).await;
    client.submit(COMPLAINT).await;
    let record = json(&client.intake.accepted()[0].record);
    assert_eq!(record["type"], "Feedback");
    assert_eq!(record["response"]["code"], 250);
    let report = &record["feedback_report"];
    assert_eq!(report["feedback_type"], "abuse");
    assert_eq!(report["original_rcpto_to"], json!(["u@other.example"]));
    assert_eq!(report["original_message"], "From: <sender@example.com>\nSubject: orig\n\nx\n");
}

#[tokio::test]
async fn a_record_of_a_bounce_has_the_time_of_the_last_attempt() {
    let mail = BOUNCE.replace("Status: 5.1.1", "Status: 5.1.1\r\nLast-Attempt-Date: Thu, 7 Jul 1994 17:15:49 -0400");
    let mut client = offering(Setup::default().on(EVENT, domain(json!({"log_oob": true}))), &["b@log.example"]).await;
    client.submit(&mail).await;
    assert_eq!(client.intake.accepted()[0].reports[0].event_time.to_rfc3339(), "1994-07-07T21:15:49Z");
}

#[tokio::test]
async fn policy_is_asked_about_a_domain_once_for_a_report_and_never_for_other_mail() {
    let recipients: Vec<String> = (0..50).map(|number| format!("r{number}@Log.Example")).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    for (mail, asked) in [(BOUNCE, 1), ("Subject: x\r\n", 0)] {
        let mut client = offering(Setup::default().on(EVENT, domain(json!({"log_oob": true}))), &recipients).await;
        assert!(client.submit(mail).await.starts_with("250"));
        assert_eq!(client.policy.calls().len(), asked);
        let reports: usize = client.intake.accepted().iter().map(|message| message.reports.len()).sum();
        assert_eq!(reports, 50 * asked);
    }
}

#[tokio::test]
async fn one_transaction_causes_a_bounded_number_of_records() {
    let recipients: Vec<String> = (0..50).map(|number| format!("r{number}@log.example")).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let one = "Final-Recipient: rfc822; gone@other.example\r\nAction: failed\r\n\r\n";
    let mail =
        BOUNCE.replace("Final-Recipient: rfc822; late", &format!("{}Final-Recipient: rfc822; late", one.repeat(500)));
    let mut client = offering(Setup::default().on(EVENT, domain(json!({"log_oob": true}))), &recipients).await;
    assert!(client.submit(&mail).await.starts_with("250"));
    let accepted = client.intake.accepted();
    assert_eq!(accepted.len(), 50);
    assert_eq!(accepted.iter().map(|message| message.reports.len()).sum::<usize>(), 1000);
}

#[tokio::test]
async fn what_policy_cannot_say_about_a_report_is_not_guessed() {
    let mut client = offering(Setup::default().from(PEER).on(EVENT, fail), &["b@log.example"]).await;
    assert_eq!(client.submit(BOUNCE).await, "421 4.3.0 mta.example technical difficulties\r\n");
    assert_eq!(client.intake.accepted().len(), 0);
}
