//! What the answer of `send_batch` does to each message of the batch.

use crate::harness::skip::skip;
use crate::harness::wait::is_long;
use crate::harness::{Daemon, Home, Mail, Policy, Receiver, Request, wait_until};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Four records make a batch; those that come again are sent as they are ready. The endpoint hears who is in each.
const POLICY: &str = r#"
local log_hooks = require 'policy-extras.log_hooks'

log_hooks:new {
  name = 'hook',
  log_parameters = { per_record = { Reception = { enable = true }, Any = { enable = false } } },
  queue_config = { retry_interval = '@RETRY@', max_retry_interval = '@RETRY@' },
  batch_size = 10,
  min_batch_size = 4,
  max_batch_latency = '3s',
  constructor = function(domain, tenant, campaign)
    local client = kumo.http.build_client {}
    local connection = {}
    function connection:send_batch(messages)
      local users, first = {}, true
      for i, message in ipairs(messages) do
        users[i] = message:recipient().user
        first = first and message:num_attempts() == 0
      end
      client:post('@URL@'):body(kumo.serde.json_encode(users)):send()
      if not first then
        return 'at last'
      end
      @FIRST@
    end
    return connection
  end,
}

kumo.on('get_egress_path_config', function(routing_domain, source, site)
  return kumo.make_egress_path { connection_limit = 1, idle_timeout = '100s' }
end)
"#;

const USERS: [&str; 4] = ["ann", "bob", "cid", "dot"];

struct Stage {
    // First, as it must end before its folder goes.
    daemon: Daemon,
    home: Home,
    receiver: Receiver,
}

/// Hands the four to a script whose first answer is this.
fn hand_four_over(first: &str, retry: &str) -> Stage {
    let (home, receiver) = (Home::new(), Receiver::start());
    let policy = POLICY.replace("@URL@", &receiver.url()).replace("@FIRST@", first).replace("@RETRY@", retry);
    let daemon = Daemon::start(&home, &Policy::new(policy));
    daemon.connect().send(&Mail::to_all(USERS.map(|user| format!("{user}@example.com"))));
    let first = receiver.wait_for(1).remove(0);
    assert_eq!(users(&first), USERS, "all four in one batch");
    Stage { home, receiver, daemon }
}

fn users(request: &Request) -> Vec<String> {
    let mut users: Vec<String> = serde_json::from_slice(&request.body).expect("a list of users");
    users.sort();
    users
}

impl Stage {
    /// For each user what the records say, once there are this many.
    fn records(&self, count: usize) -> BTreeMap<String, Vec<Value>> {
        let records = wait_until(&format!("{count} records are in the log files"), || {
            let records = self.home.hook_records();
            (records.len() >= count).then_some(records)
        });
        let mut by_user = BTreeMap::<_, Vec<Value>>::new();
        for record in records {
            let recipient = record["recipient"].as_str().expect("one recipient").to_owned();
            let user = recipient.trim_end_matches("@example.com").to_owned();
            by_user.entry(user).or_default().push(record);
        }
        by_user
    }

    fn end(self, dead_letters: u64) {
        self.daemon.settled("hook", dead_letters);
        self.daemon.stop();
    }
}

fn said(records: &[Value]) -> Vec<(&str, u64, &str)> {
    records
        .iter()
        .map(|record| {
            let response = &record["response"];
            let text = response["content"].as_str().expect("a text");
            (record["type"].as_str().expect("a type"), response["code"].as_u64().expect("a code"), text)
        })
        .collect()
}

#[test]
fn one_text_is_the_result_of_every_message() {
    let stage = hand_four_over("return 'all of them'", "1s");
    for records in stage.records(4).values() {
        assert_eq!(said(records), [("Delivery", 200, "all of them")]);
    }
    stage.end(0);
}

#[test]
fn a_table_of_results_gives_each_message_its_own() {
    let stage = hand_four_over(
        "local results = {}
         local by_user = { ann = 'fine', bob = { code = 451, text = 'bob must wait' },
                           cid = { code = 550, text = 'cid never' }, dot = { delivered = true, text = 'dot too' } }
         for i, user in ipairs(users) do results[i] = by_user[user] end
         return results",
        "1s",
    );
    let records = stage.records(5);
    assert_eq!(said(&records["ann"]), [("Delivery", 200, "fine")]);
    assert_eq!(said(&records["bob"]), [("TransientFailure", 451, "bob must wait"), ("Delivery", 200, "at last")]);
    assert_eq!(said(&records["cid"]), [("Bounce", 550, "cid never")]);
    assert_eq!(said(&records["dot"]), [("Delivery", 200, "dot too")]);
    assert_eq!(users(&stage.receiver.wait_for(2)[1]), ["bob"], "only he comes again");
    stage.end(1);
}

/// The same failure for all four, and each is sent again.
fn all_fail(first: &str, code: u64, words: &str) {
    let stage = hand_four_over(first, "1s");
    for records in stage.records(8).values() {
        let [(kind, was, text), again] = said(records)[..] else { panic!("{records:?}") };
        assert_eq!((kind, was), ("TransientFailure", code), "{text}");
        assert!(text.contains(words), "{text}");
        assert_eq!(again, ("Delivery", 200, "at last"));
    }
    stage.end(0);
}

#[test]
fn a_transient_reject_counts_for_every_message() {
    all_fail("kumo.reject(429, 'slow down')", 429, "slow down");
}

#[test]
fn an_error_counts_for_every_message() {
    all_fail("error 'boom'", 400, "KumoMTA internal: error in deliver_message: ");
}

#[test]
fn nothing_returned_counts_as_an_error_for_every_message() {
    all_fail("return nil", 400, "KumoMTA internal: error in deliver_message: ");
}

#[test]
fn a_table_of_another_length_is_an_error_for_every_message() {
    all_fail("return { 'one', 'two' }", 400, "2 results for 4 messages");
}

#[test]
fn a_permanent_reject_counts_for_every_message() {
    let stage = hand_four_over("kumo.reject(500, 'none of you')", "1s");
    for records in stage.records(4).values() {
        assert_eq!(said(records), [("Bounce", 500, "none of you")]);
    }
    stage.end(4);
}

#[test]
fn each_message_of_a_failed_batch_has_a_retry_time_of_its_own() {
    if !is_long() {
        // Jitter is a twentieth of the interval, in whole seconds: there is none to see below 40 seconds.
        skip("a batch's retry time, which takes a minute", "WAYBILL_LONG=1 cargo xtask test");
        return;
    }
    const MESSAGES: usize = 60;
    let (home, receiver) = (Home::new(), Receiver::start());
    let policy = POLICY
        .replace("@URL@", &receiver.url())
        .replace("@FIRST@", "kumo.reject(429, 'slow down')")
        .replace("@RETRY@", "1m")
        .replace("batch_size = 10,", "batch_size = 100,")
        .replace("min_batch_size = 4,", "min_batch_size = 60,")
        .replace("max_batch_latency = '3s',", "max_batch_latency = '100ms',");
    let daemon = Daemon::start(&home, &Policy::new(policy));
    daemon.connect().send(&Mail::to_all((0..MESSAGES).map(|number| format!("rcpt{number}@example.com"))));
    let first = receiver.wait_for(1).remove(0);
    assert_eq!(users(&first).len(), MESSAGES, "all in one batch");
    let requests = receiver.wait("all came again", |requests| {
        let again: usize = requests[1..].iter().map(|request| users(request).len()).sum();
        (again == MESSAGES).then(|| requests.to_vec())
    });
    let (earliest, latest) = (requests[1].at - first.at, requests[requests.len() - 1].at - first.at);
    assert!(latest - earliest >= Duration::from_millis(500), "all came again after {earliest:?} to {latest:?}");
    daemon.settled("hook", 0);
    daemon.stop();
}
