//! Every kind of record that was taken from a live KumoMTA (contract/samples/records.jsonl) is written by this daemon for
//! the same cause, with the same members of the same types.

use crate::harness::record::shape;
use crate::harness::{Answer, Daemon, Home, Mail, Policy, Receiver, http, wait_until};
use serde_json::{Value, json};

const SAMPLES: &str = include_str!("../../../log-record/tests/records.jsonl");

/// Domains by what becomes of their mail. All but what is injected has a tenant and a campaign.
const POLICY: &str = r#"
kumo.on('smtp_server_message_received', function(msg)
  msg:set_meta('tenant', 't1')
  msg:set_meta('campaign', 'c1')
  msg:set_meta('x_num', 42)
end)

kumo.on('get_listener_domain', function(domain, listener, conn_meta)
  if domain == 'reports.example.com' then
    return kumo.make_listener_domain { log_oob = 'LogThenDrop', log_arf = 'LogThenDrop' }
  end
end)

local OUTCOMES = {
  perm = function() kumo.reject(550, '5.1.1 no such user') end,
  temp = function() kumo.reject(451, '4.3.0 later') end,
  brief = function() kumo.reject(451, '4.3.0 later') end,
  err = function() error 'so it was asked for' end,
}

kumo.on('make.outcome', function(domain, tenant, campaign)
  local connection = {}
  function connection:send(message)
    return OUTCOMES[domain:match '^[^.]+']()
  end
  return connection
end)
"#;

/// Before the harness's own, which would give all mail to the maildir.
const QUEUES: &str = r#"
kumo.on('get_queue_config', function(domain)
  local name = domain:match '^(%w+)%.example%.com$'
  if name == 'perm' or name == 'temp' or name == 'err' or name == 'brief' then
    return kumo.make_queue_config {
      protocol = { custom_lua = { constructor = 'make.outcome' } },
      retry_interval = '1h', max_age = name == 'brief' and '10m' or nil,
    }
  end
end)
"#;

fn hooks(webhook: &Receiver, flaky: &Receiver) -> String {
    format!(
        "local log_hooks = require 'policy-extras.log_hooks'
         log_hooks:new_json {{ name = 'webhook', url = '{}' }}
         log_hooks:new_json {{
           name = 'flaky', url = '{}', queue_config = {{ retry_interval = '1h', max_age = '10m' }},
           log_parameters = {{ per_record = {{ Reception = {{ enable = true }}, Any = {{ enable = false }} }} }},
         }}\n",
        webhook.url(),
        flaky.url()
    )
}

/// The record of ours that has the sample's cause.
fn like<'a>(records: &'a [Value], sample: &Value) -> Vec<&'a Value> {
    let cause = |record: &Value| {
        let response = &record["response"];
        let keys = ["type", "reception_protocol", "delivery_protocol"].map(|key| record[key].clone());
        // An upstream error in Lua may be one of several codes below 500; whether there was a session tells them apart.
        (keys, response["code"].clone(), response["enhanced_code"].clone(), record.get("session_id").is_some())
    };
    records.iter().filter(|record| cause(record) == cause(sample)).collect()
}

fn report(kind: &str, fields: &str) -> Mail {
    let body = format!(
        "--b\r\n\r\nHello.\r\n--b\r\nContent-Type: message/{kind}\r\n\r\n{fields}\r\n\
         --b\r\nContent-Type: message/rfc822\r\n\r\nFrom: <sender@example.com>\r\nSubject: orig\r\n\r\nx\r\n--b--"
    );
    let kind = format!("Content-Type: multipart/report; report-type={kind}; boundary=b");
    Mail::to("r@reports.example.com").header("Subject: report").header(&kind).body(body)
}

#[test]
fn every_record_of_a_live_daemon_is_written_here_in_the_same_shape() {
    let (home, webhook, flaky) = (Home::new(), Receiver::start(), Receiver::start());
    flaky.answer(|_, _| Answer::status(429).body("slow down"));
    let policy = Policy::new(POLICY).before(QUEUES).before(&hooks(&webhook, &flaky));
    let daemon = Daemon::start(&home, &policy);

    daemon.ctl(&["suspend", "--domain", "held.example.com", "--reason", "test"]);
    let mut smtp = daemon.connect();
    for user in ["rcpt@example.com", "u@perm.example.com", "u@temp.example.com", "u@err.example.com"] {
        smtp.send(&Mail::to(user).header("Subject: Hello").header("X-Customer-ID: 7"));
    }
    for user in ["u@held.example.com", "u@brief.example.com"] {
        smtp.send(&Mail::to(user));
    }
    smtp.send(&report(
        "delivery-status",
        "Reporting-MTA: dns; mx.other.example\r\n\r\nFinal-Recipient: rfc822; gone@other.example\r\n\
         Action: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 user unknown\r\n",
    ));
    smtp.send(&report(
        "feedback-report",
        "Feedback-Type: abuse\r\nUser-Agent: Example/1.0\r\nVersion: 1\r\nOriginal-Mail-From: sender@example.com\r\n\
         Original-Rcpt-To: u@other.example\r\nSource-IP: 192.0.2.9\r\nReported-Domain: example.com\r\n",
    ));
    for (line, code) in
        [("RCPT TO:<a@example.com>", 503), ("FOO bar", 502), ("VRFY a@example.com", 501), ("MAIL FROM:<bad", 501)]
    {
        smtp.ask(line, code).expect("a refusal");
    }
    let mail = json!({ "envelope_sender": "api@example.com", "content": "Subject: hi\r\n\r\nhello",
        "recipients": [{ "email": "j@example.com" }] });
    let (status, answer) = http::ask(daemon.http(), "POST", "/api/inject/v1", &mail.to_string()).expect("an answer");
    assert_eq!(status, 200, "{answer}");

    let has = |kind: &str, domain: &str| {
        wait_until(&format!("{domain} has a {kind}"), || {
            let is = |record: &Value| record["type"] == kind && record["recipient"].to_string().contains(domain);
            home.records().iter().any(is).then_some(())
        });
    };
    has("TransientFailure", "@held.");
    daemon.ctl(&["rebind", "--domain", "held.example.com", "--set", "queue=moved.example.com", "--reason", "move"]);
    has("TransientFailure", "@temp.");
    daemon.ctl(&["bounce", "--domain", "temp.example.com", "--reason", "purge"]);
    let samples: Vec<Value> = SAMPLES.lines().map(|line| serde_json::from_str(line).expect("a record")).collect();
    assert_eq!(samples.len(), 20);
    wait_until("all causes have their records", || {
        let records = home.records();
        samples.iter().all(|sample| !like(&records, sample).is_empty()).then_some(())
    });
    daemon.stop();

    let records = home.records();
    for sample in &samples {
        let shapes: Vec<_> = like(&records, sample).into_iter().map(shape).collect();
        assert!(shapes.contains(&shape(sample)), "{sample:#}\nhas the shape\n{:#?}\nours:\n{shapes:#?}", shape(sample));
    }
}
