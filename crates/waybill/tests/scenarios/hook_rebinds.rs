//! An operator moves the events of hooks: `waybill ctl rebind` against a live daemon with a queue per tenant.

use crate::harness::{Answer, Daemon, Home, Mail, Policy, Receiver, Tenants, wait_until};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};

const REBINDS: &str = r#"
kumo.on('rebind_message', function(msg, data)
  if msg:get_meta('log_record').type == data.only then
    msg:set_meta('queue', data.to)
  end
end)

kumo.on('get_queue_config', function(domain)
  if domain == 'archive.box' then
    return kumo.make_queue_config { protocol = { maildir_path = dir .. '/archive' } }
  end
end)
"#;
const HOOK: &str = "tenants";
/// Of each tenant, for two events each.
const MAILS: usize = 40;
const EVENTS: usize = 2 * MAILS;

struct Stage {
    home: Home,
    receivers: HashMap<&'static str, Receiver>,
    policy: Policy,
}

impl Stage {
    /// Endpoints that take everything and those that are busy.
    fn set(good: &[&'static str], busy: &[&'static str]) -> Stage {
        let start = |name: &&'static str| (*name, Receiver::start());
        let receivers: HashMap<_, _> = good.iter().chain(busy).map(start).collect();
        busy.iter().for_each(|name| receivers[name].answer(|_, _| Answer::status(503)));
        let endpoints = receivers.iter().map(|(name, receiver)| (*name, receiver.url()));
        let policy = Tenants::at(endpoints).and(REBINDS).policy();
        Stage { home: Home::new(), receivers, policy }
    }

    fn start(&self) -> Daemon {
        Daemon::start(&self.home, &self.policy)
    }

    /// The events that an endpoint was asked to take.
    fn ids(&self, name: &str) -> BTreeSet<String> {
        self.receivers[name].requests().iter().map(|request| request.webhook_id().to_owned()).collect()
    }

    fn count(&self, kind: &str) -> usize {
        self.home.hook_records().iter().filter(|record| record["type"] == kind).count()
    }
}

fn send(daemon: &Daemon, tenant: &str, mails: usize) {
    let mut smtp = daemon.connect();
    (0..mails).for_each(|_| drop(smtp.send(&Mail::to(&format!("rcpt@{tenant}.example.com")))));
}

fn waits_for(daemon: &Daemon, events: usize) {
    daemon.wait_for_hook(HOOK, &format!("has {events} events before it"), |hook| hook["lag_events"] == events);
}

/// Orders while other events flow. Returns how many mails flowed.
fn under_load(daemon: &Daemon, order: impl FnOnce()) -> usize {
    let busy = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut sent = 0;
            while busy.load(Ordering::Relaxed) && sent < 5000 {
                send(daemon, "flow", MAILS);
                sent += MAILS;
            }
            sent
        });
        order();
        busy.store(false, Ordering::Relaxed);
        load.join().expect("the load")
    })
}

#[test]
fn bounce_suspend_and_rebind_of_hook_queues_under_load_with_a_restart_between_lose_and_double_nothing() {
    let stage = Stage::set(&["slow", "flow", "moved"], &["held", "purge"]);
    let daemon = stage.start();
    daemon.ctl(&["suspend", "--domain", "slow.webhook", "--reason", "not now", "--duration", "1h"]);
    ["held", "purge", "slow"].iter().for_each(|tenant| send(&daemon, tenant, MAILS));
    waits_for(&daemon, 3 * EVENTS);
    let mut flowed = under_load(&daemon, || {
        daemon.ctl(&["bounce", "--domain", "purge.webhook", "--reason", "purge"]);
        daemon.wait_for_hook(HOOK, "has bounced them", |hook| hook["dead_letters"] == EVENTS);
    });
    waits_for(&daemon, 2 * EVENTS);
    assert!(stage.receivers["slow"].requests().is_empty(), "it is suspended");
    daemon.stop();

    let daemon = stage.start();
    // No order survives a restart.
    stage.receivers["slow"].wait_for(EVENTS);
    waits_for(&daemon, EVENTS);
    flowed += under_load(&daemon, || {
        daemon.ctl(&["rebind", "--domain", "held.webhook", "--set", "queue=moved.webhook", "--reason", "move"]);
        stage.receivers["moved"].wait_for(EVENTS);
    });
    daemon.settled(HOOK, EVENTS as u64);
    // It was about what was there: what comes now goes where it would have gone before.
    send(&daemon, "held", 1);
    waits_for(&daemon, 2);
    daemon.stop();

    assert_eq!(stage.receivers["flow"].requests().len(), 2 * flowed);
    for (name, events) in [("flow", 2 * flowed), ("slow", EVENTS), ("moved", EVENTS)] {
        assert_eq!(
            (stage.ids(name).len(), stage.receivers[name].requests().len()),
            (events, events),
            "{name}: each once"
        );
    }
    assert_eq!((stage.count("AdminBounce"), stage.count("AdminRebind")), (EVENTS, EVENTS));
    let rebound: Vec<Value> =
        stage.home.hook_records().into_iter().filter(|record| record["type"] == "AdminRebind").collect();
    let ids: BTreeSet<String> = rebound.iter().map(|record| record["id"].as_str().unwrap_or_default().into()).collect();
    assert_eq!(ids, stage.ids("moved"), "the same events by the same ids");
    assert_eq!(rebound[0]["queue"], "moved.webhook");
    assert_eq!(rebound[0]["response"]["content"], "Rebound from held.webhook to moved.webhook: move", "{}", rebound[0]);
}

#[test]
fn policy_says_which_events_move_and_a_queue_with_another_protocol_gets_messages() {
    let stage = Stage::set(&["moved"], &["held"]);
    let daemon = stage.start();
    send(&daemon, "held", 3);
    waits_for(&daemon, 6);
    let data = r#"{"only": "Delivery", "to": "moved.webhook"}"#;
    daemon.ctl(&["rebind", "--domain", "held.webhook", "--trigger-rebind-event", "--data", data, "--reason", "some"]);
    for request in stage.receivers["moved"].wait_for(3) {
        assert_eq!(request.json()["type"], "Delivery");
    }
    waits_for(&daemon, 3);
    daemon.ctl(&["rebind", "--domain", "held.webhook", "--set", "queue=archive.box", "--reason", "rest"]);
    let archived = wait_until("the others are in the archive", || {
        let files = std::fs::read_dir(stage.home.file("archive/new")).ok()?;
        let read = |file: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(file.ok()?.path()).ok();
        let bodies: Vec<String> = files.filter_map(read).collect();
        (bodies.len() == 3).then_some(bodies)
    });
    assert!(archived.iter().all(|body| body.contains(r#""type":"Reception""#)), "{archived:?}");
    daemon.settled(HOOK, 0);
    daemon.stop();
    assert_eq!(stage.receivers["moved"].requests().len(), 3);
    assert_eq!(stage.count("AdminRebind"), 6);
}

#[test]
fn a_queue_that_cannot_be_used_and_a_rebind_without_a_handler_leave_events_where_they_are() {
    let stage = Stage::set(&[], &["held"]);
    let daemon = stage.start();
    send(&daemon, "held", 1);
    waits_for(&daemon, 2);
    daemon.ctl(&["rebind", "--domain", "held.webhook", "--set", "queue=null", "--reason", "nowhere"]);
    wait_until("it says so", || daemon.stderr().contains("queue null is for messages that come in").then_some(()));
    daemon.ctl(&["rebind", "--domain", "held.webhook", "--set", "note=seen", "--reason", "here"]);
    stage.receivers["held"].answer(|_, _| Answer::ok());
    daemon.settled(HOOK, 0);
    daemon.stop();
    assert_eq!(stage.ids("held").len(), 2);
    assert_eq!(stage.count("AdminRebind"), 0);
}
