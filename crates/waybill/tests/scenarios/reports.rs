//! Mail that is a report: bounce messages and complaints become events.

use crate::harness::{Daemon, Home, Mail, Policy, Receiver};
use serde_json::{Value, json};

/// Bounce messages are logged and forgotten, complaints are logged and go on.
const POLICY: &str = r#"
kumo.on('get_listener_domain', function(domain, listener, conn_meta)
  if domain == 'bounces.example.com' then
    return kumo.make_listener_domain { log_oob = 'LogThenDrop' }
  elseif domain == 'fbl.example.com' then
    return kumo.make_listener_domain { log_arf = true }
  end
end)

require('policy-extras.log_hooks'):new_json {
  name = 'webhook', url = '@URL@', log_parameters = { headers = { 'Subject' }, meta = { 'ehlo_domain' } } }
"#;

fn report(kind: &str, subject: &str, to: &str, fields: &str) -> Mail {
    let body = format!(
        "--b\r\n\r\nHello.\r\n--b\r\nContent-Type: message/{kind}\r\n\r\n{fields}\r\n\
         --b\r\nContent-Type: message/rfc822\r\n\r\n\
         X-KumoRef: eyJfQF8iOiJcXF8vIiwicmVjaXBpZW50IjoidGVzdEBleGFtcGxlLmNvbSJ9\r\nSubject: orig\r\n\r\nx\r\n--b--"
    );
    let kind = format!("Content-Type: multipart/report; report-type={kind}; boundary=b");
    Mail::to(to).header(&format!("Subject: {subject}")).header(&kind).body(body)
}

fn one<'a>(records: &'a [Value], kind: &str, recipient: &str) -> &'a Value {
    let is = |record: &&Value| record["type"] == kind && record["recipient"] == recipient;
    records.iter().find(is).unwrap_or_else(|| panic!("no {kind} of {recipient} in {records:#?}"))
}

#[test]
fn bounce_messages_and_complaints_become_events() {
    let (home, receiver) = (Home::new(), Receiver::start());
    // Nobody may relay: only the reports are let in.
    let policy = Policy::new(POLICY.replace("@URL@", &receiver.url())).listener("relay_hosts = {},");
    let daemon = Daemon::start(&home, &policy);
    let mut client = daemon.connect();
    let bounce = report(
        "delivery-status",
        "Undelivered",
        "b1@bounces.example.com",
        "Reporting-MTA: dns; mx.other.example\r\n\r\n\
         Final-Recipient: rfc822; gone@other.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\
         Diagnostic-Code: smtp; 550 5.1.1 user unknown\r\n\r\n\
         Final-Recipient: rfc822; full@other.example\r\nAction: failed\r\nStatus: 5.2.2\r\n\r\n\
         Final-Recipient: rfc822; late@other.example\r\nAction: delayed\r\nStatus: 4.4.1\r\n",
    );
    let bounce_id = client.send(&bounce).remove(0);
    let fields = "Feedback-Type: abuse\r\nUser-Agent: Example/1.0\r\nVersion: 1\r\n";
    let complaint = report("feedback-report", "complaint", "fbl@fbl.example.com", fields);
    let complaint_id = client.send(&complaint).remove(0);
    let refused = client.offer(&Mail::to("fbl@fbl.example.com").body("buy!")).expect("a conversation");
    assert!(refused.text().starts_with("550 5.7.1 relaying not permitted"), "{}", refused.text());

    // Reception and two bounces; the complaint and its delivery; the refusal.
    let records = receiver.wait_for_records(6);
    assert_eq!(one(&records, "Reception", "b1@bounces.example.com")["id"], bounce_id.as_str());
    let gone = one(&records, "OOB", "gone@other.example");
    assert_eq!((&gone["id"], &gone["sender"]), (&json!(bounce_id), &json!("b1@bounces.example.com")));
    let enhanced = json!({ "class": 5, "subject": 1, "detail": 1 });
    let response = json!({ "code": 550, "enhanced_code": enhanced, "content": "5.1.1 user unknown", "command": null });
    assert_eq!(gone["response"], response);
    assert_eq!(gone["peer_address"], json!({ "name": "mx.other.example", "addr": "127.0.0.1" }));
    assert_eq!(gone["headers"], json!({ "Subject": "Undelivered" }));
    assert_eq!(one(&records, "OOB", "full@other.example")["response"]["enhanced_code"]["subject"], 2);

    let feedback = one(&records, "Feedback", "fbl@fbl.example.com");
    assert_eq!(feedback["id"], complaint_id.as_str());
    assert_eq!(feedback["feedback_report"]["feedback_type"], "abuse");
    assert_eq!(feedback["feedback_report"]["supplemental_trace"]["recipient"], "test@example.com");
    assert_eq!(one(&records, "Delivery", "fbl@fbl.example.com")["id"], complaint_id.as_str());

    let rejection = one(&records, "Rejection", "fbl@fbl.example.com");
    assert_eq!(rejection["meta"], json!({ "ehlo_domain": "client.example" }), "a refusal shows the connection's meta");

    daemon.settled("webhook", 0);
    daemon.stop();
    assert_eq!(receiver.records().len(), 6);
    assert_eq!(home.maildir("bounces.example.com").len(), 0);
    assert_eq!(home.maildir("fbl.example.com").len(), 1);
}
