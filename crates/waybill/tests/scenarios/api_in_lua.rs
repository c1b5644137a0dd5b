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
  assert(kumo.log.publish(log, {}) == next, 'a list of none stores nothing')
  local found = kumo.log.consume(log, { offset = 0, len = 2 })
  local first, second = table.unpack(found.messages)
  assert(first.key == user and first.value == 'bytes \\255' and first.time == 5 and first.offset == 0)
  assert(second.key == 'one' and second.value == nil and #found.messages == 2)
  msg:append_header('X-Log', next .. ' ' .. found.next_offset)
end)";

/// A hook whose `send` puts the record into a log instead of a request.
const HOOK: &str = "
require('policy-extras.log_hooks'):new {
  name = 'tolog',
  log_parameters = { per_record = { Reception = { enable = true }, Any = { enable = false } } },
  queue_config = { retry_interval = '1s', max_retry_interval = '1s' },
  constructor = function(domain, tenant, campaign)
    local connection = {}
    function connection:send(message)
      local file = io.open(dir .. '/log')
      if not file then kumo.reject(451, 'there is no log yet') end
      local log = file:read 'a'
      file:close()
      local next = kumo.log.publish(log, { key = message:get_meta('log_record').id, value = message:get_data() })
      return 'stored below ' .. next
    end
    return connection
  end,
}";

#[test]
fn a_hook_publishes_its_records_into_a_log_and_none_is_lost_by_kill_9() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &Policy::new(HOOK));
    let made = daemon.client(&["logs", "create"]).expect("make a log");
    let made: Value = serde_json::from_str(&made).expect("JSON");
    let log = made["log_id"].as_str().expect("an id").to_owned();
    let send = |daemon: &Daemon| daemon.connect().send(&Mail::to("ann@example.com")).remove(0);
    let mut wanted: Vec<String> = (0..3).map(|_| send(&daemon)).collect();
    // The hook finds it whole or not at all.
    std::fs::write(home.file("log.new"), &log).expect("write the id");
    std::fs::rename(home.file("log.new"), home.file("log")).expect("put it in place");
    let keys = |daemon: &Daemon| -> Vec<String> {
        let read = daemon.client(&["consume", &log, "--size", "1000"]).expect("read it");
        let read: Value = serde_json::from_str(&read).expect("JSON");
        let messages = read["messages"].as_array().expect("messages").clone();
        for message in &messages {
            let record: Value = serde_json::from_str(message["value"].as_str().expect("a value")).expect("a record");
            assert_eq!((&record["type"], &record["id"]), (&"Reception".into(), &message["key"]));
        }
        messages.iter().map(|message| message["key"].as_str().expect("a key").to_owned()).collect()
    };
    let all_there = |daemon: &Daemon, wanted: &[String]| {
        wait_until("every record is in the log", || {
            let found = keys(daemon);
            wanted.iter().all(|id| found.contains(id)).then_some(())
        });
    };
    all_there(&daemon, &wanted);
    wanted.push(send(&daemon));
    daemon.kill9();
    let daemon = Daemon::start_again(&home);
    wanted.push(send(&daemon));
    all_there(&daemon, &wanted);
    assert!(keys(&daemon).iter().all(|id| wanted.contains(id)), "nothing else came");
    daemon.stop();
}

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
