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
