//! Rates and limits that keep mail waiting: where it waits, and who says so.

use crate::harness::wait::pause;
use crate::harness::{Daemon, Home, Mail, Peer, Policy, http, wait_until};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A path for each domain: nothing here comes free again while the scenario runs.
const PATHS: &str = "
local paths = {
  ['waits.there.example'] = { max_message_rate = '1/h', idle_timeout = '2h' },
  ['returns.there.example'] = { max_message_rate = '1/h' },
  ['limited.there.example'] = { connection_limit = 1 },
}
kumo.on('get_egress_path_config', function(domain)
  local path = paths[domain] or {}
  path.prohibited_hosts = {}
  return kumo.make_egress_path(path)
end)
";

fn policy(peer: &Peer) -> Policy {
    Policy::new(PATHS).before(&format!(
        "kumo.on('get_queue_config', function(domain)
           if domain:match 'there%.example$' then
             local host = {{ name = 'mx.' .. domain, addr = '{}' }}
             local rate = domain == 'slow.there.example' and '1/h' or nil
             return kumo.make_queue_config {{
               protocol = {{ smtp = {{ mx_list = {{ host }} }} }}, max_message_rate = rate,
             }}
           end
         end)",
        peer.address()
    ))
}

/// What keeps the ready queue of a domain back, as `/api/admin/ready-q-states/v1` has it; null where nothing does.
fn state(daemon: &Daemon, domain: &str) -> Value {
    let (status, text) = http::ask(daemon.http(), "GET", "/api/admin/ready-q-states/v1", "").expect("an answer");
    assert_eq!(status, 200, "{text}");
    let all: Value = serde_json::from_str(&text).expect("JSON");
    let queues = all["states_by_ready_queue"].as_object().expect("an object by ready queue");
    let of = queues.iter().find(|(queue, _)| queue.contains(&format!("mx.{domain}")));
    of.map_or(Value::Null, |(_, state)| state.clone())
}

fn wait_for_context(daemon: &Daemon, domain: &str, kind: &str, words: &str) {
    wait_until(&format!("{kind} of {domain} begins with {words}"), || {
        let context = state(daemon, domain)[kind]["context"].as_str().map(str::to_owned);
        context.is_some_and(|context| context.starts_with(words)).then_some(())
    });
}

/// The responses of the records of a kind about mail to a domain.
fn responses(home: &Home, kind: &str, domain: &str) -> Vec<String> {
    let about = |record: &&Value| {
        record["type"] == kind && record["recipient"].as_str().is_some_and(|to| to.ends_with(&format!("@{domain}")))
    };
    let records = home.records();
    records.iter().filter(about).map(|record| record["response"]["content"].to_string()).collect()
}

#[test]
fn what_a_rate_or_a_limit_keeps_back_is_told_where_an_operator_looks() {
    let (home, open) = (Home::new(), Arc::new(AtomicBool::new(false)));
    let gate = open.clone();
    let peer = Peer::start(move |line, _| {
        while line.contains("limited.there.example") && !gate.load(Ordering::SeqCst) {
            pause(Duration::from_millis(10));
        }
        None
    });
    let daemon = Daemon::start(&home, &policy(&peer));
    let mut client = daemon.connect();
    for domain in ["waits", "returns", "limited", "slow"] {
        for user in ["first", "second"] {
            client.send(&Mail::to(&format!("{user}@{domain}.there.example")));
        }
    }
    // The first of each goes through, but for the one that hangs.
    peer.takes(3);

    // A session would idle longer than the rate lets it wait: the mail stays with it, and nobody is told of a delay.
    wait_for_context(&daemon, "waits.there.example", "connection_rate_throttled", "MessageRateThrottle until ");
    // There is one session, and no second one may be opened.
    wait_for_context(&daemon, "limited.there.example", "connection_limited", "connection_limit: 1 sessions are open");
    // The rates of a way out and of a queue send it back with a record.
    for domain in ["returns.there.example", "slow.there.example"] {
        wait_until(&format!("the second mail to {domain} is delayed"), || {
            let delayed = responses(&home, "Delayed", domain);
            let (count, told) =
                (delayed.len(), delayed.first()?.contains("Context: MessageRateThrottle. Next due in "));
            assert!(told && count == 1, "{delayed:?}");
            Some(())
        });
        let series = format!("delayed_due_to_message_rate_throttle{{queue=\"{domain}\"}} 1\n");
        wait_until(&series, || {
            let (_, text) = http::ask(daemon.http(), "GET", "/metrics", "").expect("an answer");
            text.contains(&series).then_some(())
        });
    }
    for domain in ["waits.there.example", "limited.there.example"] {
        assert!(responses(&home, "Delayed", domain).is_empty(), "{domain}");
    }

    // What came free is told of no more, and what waited goes.
    open.store(true, Ordering::SeqCst);
    peer.takes(5);
    wait_until("nothing limits", || state(&daemon, "limited.there.example").is_null().then_some(()));
    wait_for_context(&daemon, "waits.there.example", "connection_rate_throttled", "MessageRateThrottle until ");
    daemon.stop();
    assert_eq!(peer.messages().len(), 5);
}
