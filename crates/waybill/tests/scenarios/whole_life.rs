//! One mail through its whole life, with everything that is told of it: taken over TLS from somebody who said who they
//! are, put off by the next hop, delivered, complained about; another one refused; a third one given up by somebody far
//! away, who says so by mail.

use crate::harness::{Daemon, Home, Peer, Policy, Receiver, Request, Swaks};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::Path;

/// Nobody may relay but `tim`, as `sender.example`; reports are taken from everybody.
const POLICY: &str = r#"
kumo.on('smtp_server_auth_plain', function(authz, authc, password, conn_meta)
  return authc == 'tim' and password == 'secret'
end)

kumo.on('get_listener_domain', function(domain, listener, conn_meta)
  if domain == 'sender.example' then
    return kumo.make_listener_domain { relay_from_authz = { 'tim' } }
  elseif domain == 'bounces.example' then
    return kumo.make_listener_domain { log_oob = 'LogThenDrop' }
  elseif domain == 'fbl.example' then
    return kumo.make_listener_domain { log_arf = 'LogThenDrop' }
  end
end)

kumo.on('get_egress_path_config', function(domain, source, site)
  -- One connection to the endpoint: events then arrive one after the other.
  return kumo.make_egress_path {
    prohibited_hosts = {}, enable_tls = 'OpportunisticInsecure', connection_limit = 1,
  }
end)
"#;

fn policy(next_hop: &Peer, endpoint: &Receiver) -> Policy {
    let hop = next_hop.address();
    let first = format!(
        "require('policy-extras.log_hooks'):new_json {{
           name = 'webhook', url = '{}',
           log_parameters = {{ headers = {{ 'Subject' }}, meta = {{ 'authn_id', 'received_from', 'tls_*' }} }},
         }}
         kumo.on('get_queue_config', function(domain)
           if domain == 'there.example' then
             return kumo.make_queue_config {{
               protocol = {{ smtp = {{ mx_list = {{ {{ name = 'mx.there.example', addr = '{hop}' }} }} }} }},
               retry_interval = '1s',
             }}
           end
         end)\n",
        endpoint.url()
    );
    Policy::new(POLICY).before(&first).listener("relay_hosts = {},")
}

/// The next hop is busy when it hears of ann for the first time, and knows nobody called gone.
fn next_hop() -> Peer {
    Peer::secure(|line, before| match line {
        "RCPT TO:<ann@there.example>" if before == 0 => Some("451 4.7.1 try again later".into()),
        "RCPT TO:<gone@there.example>" => Some("550 5.1.1 no such user here".into()),
        _ => None,
    })
}

#[test]
fn one_mail_through_its_whole_life() {
    let Some(swaks) = Swaks::find("one mail through its whole life") else { return };
    let (home, endpoint, next_hop) = (Home::new(), Receiver::start(), next_hop());
    let daemon = Daemon::start(&home, &policy(&next_hop, &endpoint));
    let submit = |recipient: &str| {
        let login = ["--tls", "--auth", "PLAIN", "--auth-user", "tim", "--auth-password", "secret"];
        let mail = ["--from", "news@sender.example", "--to", recipient, "--header", "Subject: News"];
        swaks.send(&daemon, &[&login[..], &mail].concat()).remove(0)
    };

    let delivered = submit("ann@there.example");
    next_hop.takes(1);
    let life = events_of(&endpoint, &delivered, 3);
    assert_eq!(kinds(&life), ["Reception", "TransientFailure", "Delivery"]);
    in_order_of_time(&life);
    taken_from_tim(&life[0]);
    put_off(&life[1]);
    arrived(&life[2]);
    for event in &life {
        assert_eq!(event["sender"], "news@sender.example");
        assert_eq!((&event["recipient"], &event["queue"]), (&json!("ann@there.example"), &json!("there.example")));
        assert_eq!(event["headers"], json!({ "Subject": "News" }));
        assert_eq!(event["created_time"], life[0]["created_time"], "the mail is as old as it is");
        assert_eq!((&event["meta"]["authn_id"], &event["reception_protocol"]), (&json!("tim"), &json!("ESMTP")));
    }

    let bounced = submit("gone@there.example");
    let life = events_of(&endpoint, &bounced, 2);
    assert_eq!(kinds(&life), ["Reception", "Bounce"]);
    in_order_of_time(&life);
    refused(&life[1]);

    let complaint = home.file("complaint.eml");
    // The first was none: a pipelined DATA without a recipient ends with a lone dot (RFC 2920 section 3.1).
    let delivered = next_hop.messages().into_iter().find(|mail| !mail.is_empty()).expect("a mail was delivered");
    write(&complaint, &complaint_about(&delivered));
    let complaint = report(&swaks, &daemon, &complaint, "fbl@fbl.example");
    let life = events_of(&endpoint, &complaint, 1);
    assert_eq!(kinds(&life), ["Feedback"]);
    complained_about(&life[0]);

    let bounce = home.file("bounce.eml");
    write(&bounce, BOUNCE);
    let bounce = report(&swaks, &daemon, &bounce, "return@bounces.example");
    let life = events_of(&endpoint, &bounce, 2);
    assert_eq!(kinds(&life), ["Reception", "OOB"]);
    given_up_elsewhere(&life[1]);

    daemon.settled("webhook", 0);
    daemon.stop();
    let requests = endpoint.requests();
    assert_eq!(requests.len(), 8, "and nothing else was told");
    let ids: HashSet<&str> = requests.iter().map(Request::webhook_id).collect();
    assert_eq!(ids.len(), 8, "each event has an id of its own");
}

/// The events about a mail, in the order in which they arrived.
fn events_of(endpoint: &Receiver, id: &str, count: usize) -> Vec<Value> {
    endpoint.wait(&format!("{count} events of {id} were told"), |requests| {
        let of = |record: &Value| record["id"] == id;
        let events: Vec<Value> = requests.iter().flat_map(Request::records).filter(of).collect();
        (events.len() >= count).then_some(events)
    })
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().expect("a type")).collect()
}

fn in_order_of_time(events: &[Value]) {
    let times: Vec<&str> = events.iter().map(|event| event["event_time"].as_str().expect("a time")).collect();
    assert!(times.is_sorted(), "they arrived in another order than they happened: {times:?}");
}

/// Somebody who said who they are, over TLS.
fn taken_from_tim(reception: &Value) {
    assert_eq!(reception["peer_address"], json!({ "name": "client.example", "addr": "127.0.0.1" }));
    assert_eq!((&reception["num_attempts"], &reception["response"]["code"]), (&json!(0), &json!(250)));
    assert!(reception["meta"]["received_from"].as_str().is_some_and(|from| from.starts_with("127.0.0.1:")));
    assert_eq!(reception["tls_protocol_version"], "TLSv1.3");
    assert_eq!(reception["tls_cipher"], reception["meta"]["tls_cipher"]);
    session(reception);
}

/// By the next hop, for now.
fn put_off(failure: &Value) {
    assert_eq!(
        failure["response"],
        json!({
            "code": 451, "enhanced_code": { "class": 4, "subject": 7, "detail": 1 }, "content": "try again later",
            "command": "RCPT TO:<ann@there.example>\r\n",
        })
    );
    assert_eq!(failure["num_attempts"], 0);
    over_tls_to_the_next_hop(failure);
}

fn arrived(delivery: &Value) {
    assert_eq!((&delivery["num_attempts"], &delivery["response"]["code"]), (&json!(1), &json!(250)));
    assert_eq!(delivery["response"]["content"], "OK ids=17");
    over_tls_to_the_next_hop(delivery);
}

fn refused(bounce: &Value) {
    assert_eq!((&bounce["recipient"], &bounce["num_attempts"]), (&json!("gone@there.example"), &json!(0)));
    assert_eq!(bounce["response"]["code"], 550);
    assert_eq!(bounce["response"]["enhanced_code"], json!({ "class": 5, "subject": 1, "detail": 1 }));
    assert_eq!(bounce["response"]["content"], "no such user here");
    over_tls_to_the_next_hop(bounce);
}

fn over_tls_to_the_next_hop(event: &Value) {
    assert_eq!(event["peer_address"], json!({ "name": "mx.there.example", "addr": "127.0.0.1" }));
    assert_eq!(event["delivery_protocol"], "ESMTP");
    assert_eq!(event["tls_protocol_version"], "TLSv1.3");
    assert!(event["tls_cipher"].as_str().is_some_and(|cipher| cipher.starts_with("TLS_")), "{event}");
    assert!(event["source_address"]["address"].as_str().is_some_and(|from| from.starts_with("127.0.0.1:")));
    session(event);
}

fn session(event: &Value) {
    assert!(event["session_id"].as_str().is_some_and(|id| id.len() == 36), "{event}");
}

/// By the recipient, as its provider tells us: the header that we gave the mail says whom it was for.
fn complained_about(feedback: &Value) {
    assert_eq!(feedback["recipient"], "fbl@fbl.example");
    let report = &feedback["feedback_report"];
    assert_eq!((&report["feedback_type"], &report["version"]), (&json!("abuse"), &json!("1")));
    assert_eq!(report["original_mail_from"], "<news@sender.example>", "as it is written");
    assert_eq!(report["supplemental_trace"]["recipient"], "ann@there.example", "{report:#}");
    assert_eq!(feedback["headers"], json!({ "Subject": "complaint" }));
}

/// By a host behind the next hop: its address for bounces says nothing about whom they are for, the report does.
fn given_up_elsewhere(oob: &Value) {
    assert_eq!(oob["recipient"], "bob@there.example", "whom we sent to, not whom that was passed on to");
    assert_eq!(oob["sender"], "return@bounces.example");
    assert_eq!(oob["response"]["code"], 552);
    assert_eq!(oob["response"]["content"], "5.2.2 mailbox full");
    assert_eq!(oob["peer_address"]["name"], "mx.far.example");
    assert_eq!(oob["headers"], json!({ "Subject": "Undelivered Mail Returned to Sender" }));
}

/// Whoever sends reports has no account here.
fn report(swaks: &Swaks, daemon: &Daemon, mail: &Path, recipient: &str) -> String {
    let data = format!("@{}", mail.display());
    swaks.send(daemon, &["--from", "<>", "--to", recipient, "--data", &data]).remove(0)
}

fn write(path: &Path, mail: &str) {
    std::fs::write(path, mail).expect("write a mail");
}

/// RFC 5965.
fn complaint_about(mail: &str) -> String {
    format!(
        "From: <fbl@provider.example>\nTo: <fbl@fbl.example>\nSubject: complaint\nMIME-Version: 1.0\n\
         Content-Type: multipart/report; report-type=feedback-report; boundary=\"part\"\n\n\
         --part\nContent-Type: text/plain\n\nA reader did not want this.\n\n\
         --part\nContent-Type: message/feedback-report\n\n\
         Feedback-Type: abuse\nUser-Agent: Provider/1.0\nVersion: 1\n\
         Original-Mail-From: <news@sender.example>\nArrival-Date: Mon, 23 Nov 2026 16:12:56 +0000\n\n\
         --part\nContent-Type: message/rfc822\n\n{}\n--part--\n",
        mail.replace("\r\n", "\n")
    )
}

/// RFC 3464.
const BOUNCE: &str = "From: MAILER-DAEMON@mx.far.example
To: <return@bounces.example>
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=\"part\"

--part
Content-Type: text/plain

I could not deliver your message.

--part
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.far.example
Arrival-Date: Mon, 23 Nov 2026 16:12:56 +0000

Final-Recipient: rfc822; bob@far.example
Original-Recipient: rfc822;bob@there.example
Action: failed
Status: 5.2.2
Remote-MTA: dns; store.far.example
Diagnostic-Code: smtp; 552 5.2.2 mailbox full

--part
Content-Type: text/rfc822-headers

From: <news@sender.example>
Subject: News

--part--
";
