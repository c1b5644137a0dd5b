//! A restart keeps what waits: mail in queues, events of hooks.

use crate::harness::{Answer, Daemon, Home, Mail, Policy, Receiver, wait_until};
use std::collections::HashMap;

const POLICY: &str = r#"
local log_hooks = require 'policy-extras.log_hooks'
log_hooks:new_json {
  name = 'webhook',
  url = '@EVENTS@',
  queue_config = { retry_interval = '1s', max_retry_interval = '1s' },
}

kumo.on('get_queue_config', function(domain)
  if domain == 'door.test' then
    return kumo.make_queue_config {
      retry_interval = '1s',
      max_retry_interval = '1s',
      protocol = { custom_lua = { constructor = 'make.door' } },
    }
  end
end)

kumo.on('make.door', function()
  local client = kumo.http.build_client {}
  local connection = {}
  function connection:send(message)
    local response = client:post('@DOOR@'):body(message:recipient().user .. ' ' .. #message:get_data()):send()
    if not response:status_is_success() then
      kumo.reject(451, 'the door is closed')
    end
    return 'through the door'
  end
  return connection
end)
"#;

const MAILS: usize = 20;

pub(crate) struct Stage {
    pub(crate) home: Home,
    events: Receiver,
    door: Receiver,
    pub(crate) policy: Policy,
}

impl Stage {
    pub(crate) fn set() -> Stage {
        let (home, events, door) = (Home::new(), Receiver::start_down(), Receiver::start());
        let policy = Policy::new(POLICY.replace("@EVENTS@", &events.url()).replace("@DOOR@", &door.url()));
        door.answer(|_, _| Answer::status(503));
        Stage { home, events, door, policy }
    }

    /// Mail that waits at the door, with its events.
    pub(crate) fn fill(&self) -> (Daemon, Vec<String>) {
        let daemon = Daemon::start(&self.home, &self.policy);
        let mut smtp = daemon.connect();
        let ids: Vec<_> =
            (0..MAILS).map(|number| smtp.send(&Mail::to(&format!("rcpt{number}@door.test"))).remove(0)).collect();
        self.door.wait_for(MAILS);
        wait_until("the hook has failed", || {
            self.home.hook_records().iter().any(|record| record["type"] == "TransientFailure").then_some(())
        });
        daemon.wait_for_hook("webhook", "is behind", |hook| hook["lag_events"].as_u64() >= Some(MAILS as u64));
        (daemon, ids)
    }

    /// With both open, everything arrives.
    pub(crate) fn assert_complete(mut self, daemon: Daemon, ids: &[String]) {
        self.door.answer(|_, _| Answer::ok());
        self.events.up();
        self.events.wait("every mail has its Reception and its Delivery", |requests| {
            let records: Vec<_> = requests.iter().flat_map(|request| request.records()).collect();
            let has = |id: &String, kind: &str| records.iter().any(|r| r["id"] == *id && r["type"] == kind);
            ids.iter().all(|id| has(id, "Reception") && has(id, "Delivery")).then_some(())
        });
        daemon.settled("webhook", 0);
        daemon.stop();
        let mut events = HashMap::new();
        for request in self.events.requests() {
            *events.entry((request.webhook_id().to_owned(), request.text())).or_insert(0) += 1;
        }
        assert!(events.values().all(|count| *count == 1), "each event came once");
        let deliveries = self.events.records().into_iter().filter(|record| record["type"] == "Delivery");
        assert_eq!(deliveries.count(), MAILS, "each mail was delivered once");
    }
}

#[test]
fn a_clean_restart_keeps_queued_mail_and_waiting_events() {
    let stage = Stage::set();
    let (daemon, ids) = stage.fill();
    daemon.stop();
    let daemon = Daemon::start(&stage.home, &stage.policy);
    stage.assert_complete(daemon, &ids);
}

#[test]
fn kill_9_keeps_queued_mail_and_waiting_events() {
    let stage = Stage::set();
    let (daemon, ids) = stage.fill();
    daemon.kill9();
    let daemon = Daemon::start(&stage.home, &stage.policy);
    stage.assert_complete(daemon, &ids);
}

#[test]
fn two_restarts_while_everything_is_closed_change_nothing() {
    let stage = Stage::set();
    let (daemon, ids) = stage.fill();
    daemon.stop();
    for _ in 0..2 {
        let before = stage.door.requests().len();
        let daemon = Daemon::start(&stage.home, &stage.policy);
        // It is really at work, and fails.
        stage.door.wait_for(before + 1);
        daemon.stop();
    }
    let daemon = Daemon::start(&stage.home, &stage.policy);
    stage.assert_complete(daemon, &ids);
}

#[test]
fn a_hook_that_left_the_policy_keeps_its_place_and_takes_it_up_again() {
    let stage = Stage::set();
    let (daemon, ids) = stage.fill();
    daemon.stop();
    let without =
        Policy::new(POLICY.replace("@DOOR@", &stage.door.url()).replace("log_hooks:new_json {", "local _ = {"));
    let daemon = Daemon::start(&stage.home, &without);
    daemon.wait_for_hook("webhook", "is detached", |hook| hook["state"] == "detached");
    daemon.stop();
    assert!(stage.home.maildir("door.test").is_empty(), "its events did not turn into mail");
    let daemon = Daemon::start(&stage.home, &stage.policy);
    stage.assert_complete(daemon, &ids);
}
