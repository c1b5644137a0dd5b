//! Bounce messages and complaints: whoever can send us mail can send us these.

use waybill_reports::{DeliveryReport, FeedbackReport, Report, claims_to_be_one, parse};

pub(crate) const WORDS: &[&str] = &[
    "\r\n",
    "\r\n\r\n",
    "--b\r\n",
    "--b--\r\n",
    "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n",
    "Content-Type: message/delivery-status\r\n",
    "Content-Type: message/feedback-report\r\n",
    "Content-Type: message/rfc822\r\n",
    "Content-Transfer-Encoding: base64\r\n",
    "Content-Transfer-Encoding: quoted-printable\r\n",
    "Final-Recipient: rfc822; a@b\r\n",
    "Action: failed\r\n",
    "Status: 5.1.1\r\n",
    "Diagnostic-Code: smtp; 550-5.1.1 no\r\n",
    "Arrival-Date: Thu, 7 Jul 1994 17:15:49 -0400\r\n",
    "Feedback-Type: abuse\r\n",
    "Incidents: 4294967296\r\n",
    "X-KumoRef: eyJfQF8iOiJcXF8vIn0=\r\n",
    ";",
    "<",
    "é",
];

/// Groups of a report that are read: one of them may be about the message as a whole.
const MOST_RECIPIENTS: usize = 1001;
/// Of the message that a complaint is about.
const MOST_OF_ORIGINAL: usize = 64 * 1024;

/// A report is one that claims to be; it never yields more than it may, and its JSON stays in proportion.
pub(crate) fn reports(data: &[u8]) {
    let claims = claims_to_be_one(data);
    let Some(report) = parse(data) else { return };
    assert!(claims, "a report that does not claim to be one");
    assert_eq!(parse(data).as_ref(), Some(&report), "read twice, it says something else");
    let json = match &report {
        Report::Delivery(report) => delivery(report),
        Report::Feedback(report) => feedback(report),
    };
    assert!(json.len() < 20 * data.len() + 4096, "{} bytes became {}", data.len(), json.len());
}

fn delivery(report: &DeliveryReport) -> String {
    assert!(report.per_recipient.len() <= MOST_RECIPIENTS);
    assert!(report.failed().count() <= report.per_recipient.len());
    for recipient in &report.per_recipient {
        assert!(!recipient.address().is_empty() && !recipient.action.is_empty());
        let response = recipient.response();
        assert!((400..600).contains(&response.code), "{response:?}");
        assert!(!response.content.contains(['\r', '\n']), "{response:?}");
    }
    serde_json::to_string(report).expect("a report is JSON")
}

fn feedback(report: &FeedbackReport) -> String {
    assert!(!report.feedback_type.is_empty());
    assert!(report.original_message.as_ref().is_none_or(|message| message.len() <= MOST_OF_ORIGINAL));
    let json = serde_json::to_string(report).expect("a report is JSON");
    // Every member is there, whatever was said.
    let members: serde_json::Map<_, _> = serde_json::from_str(&json).expect("an object");
    assert_eq!(members.len(), 16, "{json}");
    json
}
