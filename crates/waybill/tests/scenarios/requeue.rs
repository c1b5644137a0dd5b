//! A policy that has a word in what goes back to its queue.

use crate::harness::{Daemon, Home, Mail, Policy, Receiver, wait_until};
use serde_json::{Value, json};

/// Tells of every call, and sends what an operator holds up another way.
const POLICY: &str = r"
kumo.on('requeue_message', function(msg, response, context, increment_attempts, delay)
  local told = string.format('%s|%s|%s|%s|%s', msg:recipient().user, response, table.concat(context, ','),
    increment_attempts, delay)
  kumo.http.build_client({}):post('@TELLER@'):body(told):send()
  if context[1] == 'ReadyQueueWasSuspended' then
    msg:set_meta('queue', 'detour.example.com')
  end
end)
";

#[test]
fn mail_of_a_suspended_queue_goes_another_way_when_policy_says_so() {
    let (home, teller) = (Home::new(), Receiver::start());
    let daemon = Daemon::start(&home, &Policy::new(POLICY.replace("@TELLER@", &teller.url())));
    daemon.ctl(&["suspend", "--domain", "held.example.com", "--reason", "maintenance", "--duration", "1h"]);
    daemon.connect().send(&Mail::to("rcpt@held.example.com"));
    let delivery =
        wait_until("the mail is delivered", || home.records().into_iter().find(|record| record["type"] == "Delivery"));
    assert_eq!((&delivery["queue"], &delivery["num_attempts"]), (&json!("detour.example.com"), &json!(1)));
    daemon.stop();
    let told: Vec<String> = teller.requests().iter().map(|request| request.text()).collect();
    let suspended = "451 4.4.4 KumoMTA internal: scheduled queue is suspended: maintenance";
    assert_eq!(told, [format!("rcpt|{suspended}|ReadyQueueWasSuspended,LoggedTransientFailure|true|nil")]);
    let kinds: Vec<Value> = home.records().into_iter().map(|record| record["type"].clone()).collect();
    assert_eq!(kinds, ["Reception", "TransientFailure", "Delivery"]);
    assert_eq!(home.maildir("held.example.com").len(), 1);
}
