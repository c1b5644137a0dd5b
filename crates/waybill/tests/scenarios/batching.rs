//! When `send_batch` is called, and with how many.

use crate::harness::{Daemon, Home, Mail, Policy, Receiver};
use std::time::{Duration, Instant};

/// Only Reception: all records of one transaction come to be in one moment, so all are ready at once.
const POLICY: &str = r#"
local log_hooks = require 'policy-extras.log_hooks'
log_hooks:new {
  name = 'batch',
  log_parameters = { per_record = { Reception = { enable = true }, Any = { enable = false } } },
  batch_size = 100,
  min_batch_size = 10,
  max_batch_latency = '@LATENCY@',
  constructor = function(domain, tenant, campaign)
    local connection = {}
    local client = kumo.http.build_client {}
    function connection:send_batch(messages)
      local payload = {}
      for _, msg in ipairs(messages) do
        table.insert(payload, msg:get_meta 'log_record')
      end
      return client:post('@URL@'):body(kumo.serde.json_encode(payload)):send():text()
    end
    function connection:close()
      client:close()
    end
    return connection
  end,
}

kumo.on('get_egress_path_config', function(routing_domain, source, site)
  if routing_domain == 'batch.log_hook' then
    return kumo.make_egress_path { @PATH@ }
  end
end)
"#;

fn start(home: &Home, receiver: &Receiver, latency: &str, path: &str) -> Daemon {
    let policy = POLICY.replace("@URL@", &receiver.url()).replace("@LATENCY@", latency).replace("@PATH@", path);
    Daemon::start(home, &Policy::new(policy))
}

fn send(daemon: &Daemon, count: usize) {
    daemon.connect().send(&Mail::to_all((0..count).map(|number| format!("rcpt{number}@example.com"))));
}

#[test]
fn twenty_ready_records_arrive_in_at_most_two_requests() {
    let (home, receiver) = (Home::new(), Receiver::start());
    let daemon = start(&home, &receiver, "15s", "");
    send(&daemon, 20);
    receiver.wait_for_records(20);
    daemon.settled("batch", 0);
    daemon.stop();
    let sizes: Vec<_> = receiver.requests().iter().map(|request| request.records().len()).collect();
    assert!(sizes.len() <= 2 && sizes.iter().sum::<usize>() == 20, "{sizes:?}");
}

/// Fewer than the minimum: they wait as long as they may, and then go together.
fn wait_for_the_latency(records: usize, latency: Duration, path: &str) {
    let (home, receiver) = (Home::new(), Receiver::start());
    let daemon = start(&home, &receiver, &format!("{}ms", latency.as_millis()), path);
    let sent = Instant::now();
    send(&daemon, records);
    let requests = receiver.wait_for(1);
    assert!(requests[0].at - sent >= latency, "after {:?}", requests[0].at - sent);
    daemon.settled("batch", 0);
    daemon.stop();
    let requests = receiver.requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert_eq!(requests[0].json().as_array().expect("a list").len(), records);
}

#[test]
fn three_records_arrive_in_one_request_once_the_latency_has_passed() {
    wait_for_the_latency(3, Duration::from_secs(3), "");
}

#[test]
fn the_latency_counts_when_a_connection_may_be_idle_for_longer() {
    wait_for_the_latency(3, Duration::from_secs(2), "idle_timeout = '10s'");
}

#[test]
fn the_latency_counts_when_a_connection_may_be_idle_for_less() {
    wait_for_the_latency(3, Duration::from_secs(3), "idle_timeout = '1s'");
}

#[test]
fn one_record_is_still_a_list() {
    wait_for_the_latency(1, Duration::from_secs(1), "");
}
