//! Whole reports, and whatever else may come.

use proptest::prelude::*;
use serde_json::{Value, json};
use waybill_reports::{Report, claims_to_be_one, parse};

/// RFC 3464, appendix E.1, with a second recipient that is only late.
const DELIVERY: &str = "From: Mail Delivery Subsystem <MAILER-DAEMON@CS.UTK.EDU>\r\n\
Subject: Returned mail: Cannot send message for 5 days\r\n\
MIME-Version: 1.0\r\n\
Content-Type: multipart/report; report-type=delivery-status;\r\n\
\x20     boundary=\"RAA14128.773615765/CS.UTK.EDU\"\r\n\
\r\n\
--RAA14128.773615765/CS.UTK.EDU\r\n\
\r\n\
The original message was received at Sat, 2 Jul 1994 17:10:28 -0400\r\n\
\r\n\
--RAA14128.773615765/CS.UTK.EDU\r\n\
content-type: message/delivery-status\r\n\
\r\n\
Reporting-MTA: dns; cs.utk.edu\r\n\
Arrival-Date: Sat, 2 Jul 1994 17:10:28 -0400\r\n\
\r\n\
Original-Recipient: rfc822;louisl@larry.slip.umd.edu\r\n\
Final-Recipient: rfc822;<louisl@larry.slip.umd.edu>\r\n\
Action: failed\r\n\
Status: 4.0.0\r\n\
Diagnostic-Code: smtp; 426 connection timed out\r\n\
Last-Attempt-Date: Thu, 7 Jul 1994 17:15:49 -0400\r\n\
\r\n\
Final-Recipient: rfc822;late@larry.slip.umd.edu\r\n\
Action: Delayed (for now)\r\n\
Status: 4.4.7\r\n\
\r\n\
--RAA14128.773615765/CS.UTK.EDU\r\n\
content-type: message/rfc822\r\n\
\r\n\
[original message goes here]\r\n\
\r\n\
--RAA14128.773615765/CS.UTK.EDU--\r\n";

/// RFC 5965, appendix B.2, with our trace header.
const FEEDBACK: &str = "From: <abusedesk@example.com>\r\n\
Subject: FW: Earn money\r\n\
MIME-Version: 1.0\r\n\
Content-Type: multipart/report; report-type=feedback-report;\r\n\
\x20    boundary=\"part1_13d.2e68ed54_boundary\"\r\n\
\r\n\
--part1_13d.2e68ed54_boundary\r\n\
Content-Type: text/plain; charset=\"US-ASCII\"\r\n\
Content-Transfer-Encoding: 7bit\r\n\
\r\n\
This is an email abuse report.\r\n\
\r\n\
--part1_13d.2e68ed54_boundary\r\n\
Content-Type: message/feedback-report\r\n\
\r\n\
Feedback-Type: abuse\r\n\
User-Agent: SomeGenerator/1.0\r\n\
Version: 1\r\n\
Original-Mail-From: <somesender@example.net>\r\n\
Original-Rcpt-To: <user@example.com>\r\n\
Arrival-Date: Thu, 8 Mar 2005 14:00:00 EDT\r\n\
Reporting-MTA: dns; mail.example.com\r\n\
Source-IP: 192.0.2.1\r\n\
Authentication-Results: mail.example.com;\r\n\
\x20             spf=fail smtp.mail=somesender@example.com\r\n\
Reported-Domain: example.net\r\n\
Reported-Uri: http://example.net/earn_money.html\r\n\
Reported-Uri: mailto:user@example.com\r\n\
Removal-Recipient: user@example.com\r\n\
Incidents: 2\r\n\
\r\n\
--part1_13d.2e68ed54_boundary\r\n\
Content-Type: message/rfc822\r\n\
Content-Disposition: inline\r\n\
\r\n\
X-KumoRef: eyJfQF8iOiJcXF8vIiwicmVjaXBpZW50IjoidGVzdEBleGFtcGxlLmNvbSJ9\r\n\
From: <somesender@example.net>\r\n\
Subject: Earn money\r\n\
\r\n\
Spam Spam Spam\r\n\
--part1_13d.2e68ed54_boundary--\r\n";

#[test]
fn a_bounce_message_says_what_became_of_each_recipient() {
    let Some(Report::Delivery(report)) = parse(DELIVERY.as_bytes()) else { panic!() };
    let expected = json!({
        "per_message": {
            "reporting_mta": {"mta_type": "dns", "name": "cs.utk.edu"},
            "arrival_date": "1994-07-02T21:10:28Z",
        },
        "per_recipient": [
            {
                "original_recipient": {"recipient_type": "rfc822", "recipient": "louisl@larry.slip.umd.edu"},
                "final_recipient": {"recipient_type": "rfc822", "recipient": "louisl@larry.slip.umd.edu"},
                "action": "failed",
                "status": {"class": 4, "subject": 0, "detail": 0},
                "diagnostic_code": {"diagnostic_type": "smtp", "diagnostic": "426 connection timed out"},
                "last_attempt_date": "1994-07-07T21:15:49Z",
            },
            {
                "final_recipient": {"recipient_type": "rfc822", "recipient": "late@larry.slip.umd.edu"},
                "action": "delayed",
                "status": {"class": 4, "subject": 4, "detail": 7},
            },
        ],
    });
    assert_eq!(serde_json::to_value(&report).unwrap(), expected);
    let failed: Vec<_> = report.failed().collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].address(), "louisl@larry.slip.umd.edu");
    assert_eq!((failed[0].response().code, failed[0].response().content.as_str()), (426, "connection timed out"));
}

#[test]
fn a_complaint_is_read_with_every_member_in_its_place() {
    let Some(Report::Feedback(report)) = parse(FEEDBACK.as_bytes()) else { panic!() };
    let expected = r#"{"feedback_type":"abuse","user_agent":"SomeGenerator/1.0","version":"1","arrival_date":"2005-03-08T18:00:00Z","incidents":2,"original_envelope_id":null,"original_mail_from":"<somesender@example.net>","reporting_mta":{"mta_type":"dns","name":"mail.example.com"},"source_ip":"192.0.2.1","authentication_results":["mail.example.com; spf=fail smtp.mail=somesender@example.com"],"original_rcpto_to":["<user@example.com>"],"reported_domain":["example.net"],"reported_uri":["http://example.net/earn_money.html","mailto:user@example.com"],"extensions":{"removal-recipient":["user@example.com"]},"original_message":"X-KumoRef: eyJfQF8iOiJcXF8vIiwicmVjaXBpZW50IjoidGVzdEBleGFtcGxlLmNvbSJ9\nFrom: <somesender@example.net>\nSubject: Earn money\n\nSpam Spam Spam","supplemental_trace":{"_@_":"\\_/","recipient":"test@example.com"}}"#;
    assert_eq!(serde_json::to_string(&report).unwrap(), expected);
}

#[test]
fn what_a_live_daemon_made_of_a_complaint_is_what_we_make_of_it() {
    let mail = "Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n\
        --b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: Example/1.0\r\n\
        Version: 1\r\nOriginal-Mail-From: sender@example.com\r\nOriginal-Rcpt-To: u@other.example\r\n\
        Source-IP: 192.0.2.9\r\nReported-Domain: example.com\r\n\r\n\
        --b\r\nContent-Type: message/rfc822\r\n\r\nFrom: <sender@example.com>\r\nSubject: orig\r\n\r\nx\r\n\r\n--b--\r\n";
    let Some(Report::Feedback(report)) = parse(mail.as_bytes()) else { panic!() };
    // contract/samples/records.jsonl
    let sample = r#"{"feedback_type":"abuse","user_agent":"Example/1.0","version":"1","arrival_date":null,"incidents":null,"original_envelope_id":null,"original_mail_from":"sender@example.com","reporting_mta":null,"source_ip":"192.0.2.9","authentication_results":[],"original_rcpto_to":["u@other.example"],"reported_domain":["example.com"],"reported_uri":[],"extensions":{},"original_message":"From: <sender@example.com>\nSubject: orig\n\nx\n","supplemental_trace":null}"#;
    assert_eq!(serde_json::to_string(&report).unwrap(), sample);
}

#[test]
fn a_report_may_come_without_the_message() {
    let start = DELIVERY.find("--RAA14128.773615765/CS.UTK.EDU\r\ncontent-type: message/rfc822").unwrap();
    assert!(matches!(parse(&DELIVERY.as_bytes()[..start]), Some(Report::Delivery(_))));
    let headers = FEEDBACK.replace("message/rfc822", "text/rfc822-headers");
    let Some(Report::Feedback(report)) = parse(headers.as_bytes()) else { panic!() };
    assert!(report.supplemental_trace.is_some());
}

#[test]
fn half_a_report_is_none() {
    for (what, mail) in [
        ("no type", FEEDBACK.replace("Feedback-Type", "X-Type")),
        ("no report in it", FEEDBACK.replace("message/feedback-report", "text/plain")),
        ("no fields", DELIVERY.replace(": ", " ")),
        ("another multipart", DELIVERY.replace("multipart/report", "multipart/mixed")),
    ] {
        assert_eq!(parse(mail.as_bytes()), None, "{what}");
    }
    assert!(claims_to_be_one(DELIVERY.as_bytes()) && claims_to_be_one(FEEDBACK.as_bytes()));
    assert!(!claims_to_be_one(b"Subject: Content-Type: multipart/report\r\n\r\nContent-Type: multipart/report\r\n"));
}

#[test]
fn messages_within_messages_are_not_followed() {
    let nested = "Content-Type: message/rfc822\r\n\r\n".repeat(200_000);
    let mail = FEEDBACK.replace("Spam Spam Spam", &nested);
    let Some(Report::Feedback(report)) = parse(mail.as_bytes()) else { panic!() };
    assert!(report.original_message.unwrap().len() <= 64 * 1024);
    assert_eq!(parse(nested.as_bytes()), None);
}

#[test]
fn a_report_about_a_hundred_thousand_recipients_is_cut() {
    let one = "Final-Recipient: rfc822;a@example.com\r\nAction: failed\r\n\r\n";
    let mail = DELIVERY.replace("Original-Recipient", &format!("{}Original-Recipient", one.repeat(100_000)));
    let Some(Report::Delivery(report)) = parse(mail.as_bytes()) else { panic!() };
    assert_eq!(report.per_recipient.len(), 1000);
}

proptest! {
    #[test]
    fn whatever_comes_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = parse(&bytes);
    }

    /// A real report, damaged: bytes replaced, pieces repeated, its end cut off.
    #[test]
    fn a_damaged_report_is_survived_and_its_json_stays_small(
        complaint in any::<bool>(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
        copied in any::<(prop::sample::Index, prop::sample::Index)>(),
        end in any::<prop::sample::Index>(),
    ) {
        let mut mail = if complaint { FEEDBACK } else { DELIVERY }.as_bytes().to_vec();
        for (at, byte) in damage {
            let at = at.index(mail.len());
            mail[at] = byte;
        }
        let (from, to) = (copied.0.index(mail.len()), copied.1.index(mail.len()));
        let piece = mail[from.min(to)..from.max(to)].to_vec();
        mail.extend(piece);
        mail.truncate(end.index(mail.len()) + 1);
        let size = match parse(&mail) {
            Some(Report::Delivery(report)) => serde_json::to_value(report).unwrap().to_string().len(),
            Some(Report::Feedback(report)) => serde_json::to_value(report).unwrap_or(Value::Null).to_string().len(),
            None => 0,
        };
        prop_assert!(size < 20 * mail.len() + 2000);
    }
}
