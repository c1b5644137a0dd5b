//! Disposition hooks: a script that hears of every record of mail, inline.

use crate::harness::{Daemon, Home, Mail, Policy, Receiver};

/// One hook tells an endpoint what it sees, the other one fails; a log hook makes log messages beside them.
const POLICY: &str = r"
local log_hooks = require 'policy-extras.log_hooks'
log_hooks:new_json { name = 'webhook', url = '@WEBHOOK@' }

log_hooks:new_disposition_hook {
  name = 'teller',
  hook = function(msg, record)
    local seen = string.format('%s %s %s %s %d', record.type, record.id == tostring(msg:id()), type(record.egress_pool),
      record.no_such_member == nil, #msg:get_data())
    kumo.http.build_client({}):post('@TELLER@'):body(seen):send()
  end,
}

log_hooks:new_disposition_hook {
  name = 'broken',
  hook = function(msg, record)
    error 'so it was asked for'
  end,
}
";

#[test]
fn disposition_hooks_hear_of_mail_and_of_nothing_else_and_their_errors_change_nothing() {
    let (home, webhook, teller) = (Home::new(), Receiver::start(), Receiver::start());
    let policy = POLICY.replace("@WEBHOOK@", &webhook.url()).replace("@TELLER@", &teller.url());
    let daemon = Daemon::start(&home, &Policy::new(policy));
    daemon.connect().send(&Mail::to("rcpt@example.com").header("Subject: hello"));
    daemon.connect().ask("BOGUS", 502).expect("a Rejection");
    let records = webhook.wait_for_records(3);
    assert!(records.iter().any(|record| record["type"] == "Rejection"), "{records:?}");
    teller.wait_for(2);
    daemon.wait_for_hook("webhook", "is done", |hook| hook["lag_events"] == 0);
    daemon.says("log_disposition_broken");
    daemon.stop();
    let seen: Vec<String> = teller.requests().iter().map(|request| request.text()).collect();
    let words: Vec<Vec<&str>> = seen.iter().map(|line| line.split(' ').collect()).collect();
    assert_eq!(words.iter().map(|words| words[0]).collect::<Vec<_>>(), ["Reception", "Delivery"]);
    for words in &words {
        // The null of a record is a value; a member that no record has is none.
        assert_eq!((words[1], words[3]), ("true", "true"), "{seen:?}");
        assert_ne!(words[4], "0", "{seen:?}");
    }
    assert_eq!(words[0][2], "userdata", "a Reception has no egress_pool: {seen:?}");
    assert_eq!(home.maildir("example.com").len(), 1);
}

/// Tells what it sees of a message: a header and the end of its body.
const SHOWN: &str = r"
kumo.on('get_queue_config', function(domain)
  if domain == 'expires.test' then
    return kumo.make_queue_config { retry_interval = '1s', max_age = '2s' }
  end
end)

require('policy-extras.log_hooks'):new_disposition_hook {
  name = 'teller',
  hook = function(msg, record)
    local seen = string.format('%s %s %s', record.type, msg:get_first_named_header_value 'Subject',
      msg:get_data():match 'the end')
    kumo.http.build_client({}):post('@TELLER@'):body(seen):send()
  end,
}
";

#[test]
fn a_bounce_by_an_operator_and_an_expiry_are_shown_with_the_message() {
    let (home, teller) = (Home::new(), Receiver::start());
    let daemon = Daemon::start(&home, &Policy::new(SHOWN.replace("@TELLER@", &teller.url())));
    // What is not even tried has its body on disk alone.
    for domain in ["held.test", "expires.test"] {
        daemon.ctl(&["suspend", "--domain", domain, "--reason", "not now", "--duration", "1h"]);
    }
    let mail = |to: &str, subject: &str| Mail::to(to).header(&format!("Subject: {subject}")).body("this is the end");
    daemon.connect().send(&mail("rcpt@held.test", "held"));
    daemon.connect().send(&mail("rcpt@expires.test", "expires"));
    let wait_for = |line: &str| {
        teller.wait(line, |requests| requests.iter().any(|request| request.text() == line).then_some(()));
    };
    wait_for("TransientFailure held the end");
    daemon.ctl(&["bounce", "--domain", "held.test", "--reason", "purge"]);
    wait_for("AdminBounce held the end");
    wait_for("Expiration expires the end");
    daemon.stop();
}
