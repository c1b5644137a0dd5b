//! `kumo.api`: a script does what the HTTP API does.

use crate::harness::{Daemon, Home, Mail, Policy, wait_until};
use serde_json::Value;

const POLICY: &str = "
kumo.on('smtp_server_message_received', function(msg)
  local user = msg:recipient().user
  if user == 'copy' then
    local report = kumo.api.inject.inject_v1 {
      envelope_sender = msg:sender().email,
      content = msg:get_data(),
      recipients = { { email = 'archive@example.com' } },
    }
    assert(report.success_count == 1 and #report.errors == 0)
  elseif user == 'stop' then
    kumo.api.admin.suspend.suspend { reason = 'said the script', domain = 'stopped.example.com' }
  elseif user == 'go' then
    for _, order in ipairs(kumo.api.admin.suspend.list()) do
      assert(order.reason == 'said the script' and kumo.api.admin.suspend.delete(order.id))
    end
  end
end)";

fn record(home: &Home, kind: &str, recipient: &str) -> Value {
    wait_until(&format!("a {kind} of {recipient}"), || {
        let is = |record: &Value| record["type"] == kind && record["recipient"] == recipient;
        home.records().into_iter().find(is)
    })
}

#[test]
fn a_script_injects_copies_and_gives_orders() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &Policy::new(POLICY));
    let mut smtp = daemon.connect();
    smtp.send(&Mail::to("copy@example.com").header("Subject: keep this"));
    record(&home, "Delivery", "archive@example.com");
    assert_eq!(record(&home, "Reception", "archive@example.com")["reception_protocol"], "HTTP");
    record(&home, "Delivery", "copy@example.com");
    let mails = home.maildir("example.com");
    assert_eq!(mails.iter().filter(|mail| mail.contains("Subject: keep this")).count(), 2, "{mails:?}");

    smtp.send(&Mail::to("stop@example.com"));
    smtp.send(&Mail::to("ann@stopped.example.com"));
    record(&home, "TransientFailure", "ann@stopped.example.com");
    assert!(daemon.ctl(&["suspend-list"]).contains("said the script"));
    smtp.send(&Mail::to("go@example.com"));
    smtp.send(&Mail::to("bob@stopped.example.com"));
    record(&home, "Delivery", "bob@stopped.example.com");
    daemon.stop();
}

/// The log's id stands in a file: the policy is there before the log.
const LOGGING: &str = "
kumo.on('smtp_server_message_received', function(msg)
  local log = io.open(dir .. '/log'):read 'a'
  local user = msg:recipient().user
  local ok, why = pcall(function()
    if user == 'wrong' then
      kumo.log.publish(log, { colour = 'blue' })
    elseif user == 'nowhere' then
      kumo.log.publish('log_000000000000000000000000000', { value = 'x' })
    elseif user == 'impatient' then
      kumo.log.consume(log, { poll = 'long' })
    end
  end)
  if not ok then kumo.reject(550, tostring(why):match '^[^\\n]*') end
  local next = kumo.log.publish(log, { key = user, value = 'bytes \\255', time = 5 })
  next = kumo.log.publish(log, { { key = 'one' }, { value = 'two' } })
  local found = kumo.log.consume(log, { offset = 0, len = 2 })
  local first, second = table.unpack(found.messages)
  assert(first.key == user and first.value == 'bytes \\255' and first.time == 5 and first.offset == 0)
  assert(second.key == 'one' and second.value == nil and #found.messages == 2)
  msg:append_header('X-Log', next .. ' ' .. found.next_offset)
end)";

#[test]
fn a_script_publishes_to_a_log_and_reads_it() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &Policy::new(LOGGING));
    let made = daemon.client(&["logs", "create"]).expect("make a log");
    let made: Value = serde_json::from_str(&made).expect("JSON");
    let log = made["log_id"].as_str().expect("an id");
    std::fs::write(home.file("log"), log).expect("write the id");
    let mut smtp = daemon.connect();
    smtp.send(&Mail::to("ann@example.com"));
    record(&home, "Delivery", "ann@example.com");
    let mails = home.maildir("example.com");
    assert!(mails.iter().any(|mail| mail.contains("X-Log: 3 2")), "{mails:?}");
    let read = daemon.client(&["consume", log, "--encoding", "base64"]).expect("read it");
    let read: Value = serde_json::from_str(&read).expect("JSON");
    assert_eq!(read["messages"].as_array().map(Vec::len), Some(3), "{read}");
    // "bytes " and the byte 255, in base64.
    assert_eq!(
        (&read["messages"][0]["value"], &read["messages"][2]["value"]),
        (&"Ynl0ZXMg/w==".into(), &"dHdv".into())
    );
    for (user, words) in [
        ("wrong", "kumo.log.publish: message: unknown field `colour`"),
        ("nowhere", "kumo.log.publish: log-not-found"),
        ("impatient", "kumo.log.consume: poll: "),
    ] {
        let reply = daemon.connect().offer(&Mail::to(&format!("{user}@example.com"))).expect("an answer");
        assert!(reply.code == 550 && reply.lines.concat().contains(words), "{user}: {reply:?}");
    }
    daemon.stop();
}
