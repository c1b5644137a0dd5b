//! Sources whose connections cannot begin are left alone for a while, and their mail leaves by others.

use crate::harness::{Daemon, Home, Mail, Peer, Policy, wait_until};
use serde_json::Value;

/// Mail for `there.example` leaves by these sources, given as lines of `get_egress_source`.
fn policy(peer: &Peer, sources: &[(&str, &str)]) -> Policy {
    let entries: String = sources.iter().map(|(name, _)| format!("{{ name = '{name}' }}, ")).collect();
    let sources: String =
        sources.iter().map(|(name, fields)| format!("{name} = {{ name = '{name}', {fields} }}, ")).collect();
    Policy::new(
        "kumo.on('get_egress_path_config', function()
           return kumo.make_egress_path { prohibited_hosts = {}, connect_timeout = '5s' }
         end)",
    )
    .before(&format!(
        "local sources = {{ {sources} }}
         kumo.on('get_egress_pool', function(name)
           return kumo.make_egress_pool {{ name = name, entries = {{ {entries} }} }}
         end)
         kumo.on('get_egress_source', function(name)
           return kumo.make_egress_source(sources[name])
         end)
         kumo.on('get_queue_config', function(domain)
           if domain == 'there.example' then
             return kumo.make_queue_config {{ egress_pool = 'pool', retry_interval = '1s',
               protocol = {{ smtp = {{ mx_list = {{ {{ name = 'mx.there.example', addr = '{}' }} }} }} }} }}
           end
         end)
        ",
        peer.address()
    ))
}

#[test]
fn mail_leaves_by_the_other_sources_when_one_has_no_address_or_no_proxy() {
    let (home, peer) = (Home::new(), Peer::start(|_, _| None));
    let rule = "{ trigger = 'Immediate', duration = '1 hour' }";
    let far = format!("source_address = '192.0.2.1', suspend_when_unplumbed = {rule}");
    let behind = format!("socks5_proxy_server = '127.0.0.1:1', suspend_when_proxy_unhealthy = {rule}");
    let policy = policy(&peer, &[("far", &far), ("behind", &behind), ("here", "")]);
    let daemon = Daemon::start(&home, &policy);
    let mut smtp = daemon.connect();
    for number in 0..12 {
        smtp.send(&Mail::to(&format!("user{number}@there.example")));
    }
    peer.takes(12);
    let deliveries = wait_until("12 deliveries", || {
        let found: Vec<Value> = home.records().into_iter().filter(|record| record["type"] == "Delivery").collect();
        (found.len() == 12).then_some(found)
    });
    for record in deliveries {
        assert_eq!((&record["egress_source"], &record["num_attempts"]), (&"here".into(), &0.into()), "{record}");
    }
    let failures = home.records().into_iter().filter(|record| record["type"] == "TransientFailure").count();
    assert_eq!(failures, 0, "none of it had an attempt that failed");
    for (source, why) in [("far", "connect: from 192.0.2.1: "), ("behind", "the proxy 127.0.0.1:1: ")] {
        let queue = format!("{source}->mx_list:mx.there.example/{}@smtp_client", peer.address());
        let shown: Value =
            serde_json::from_str(&daemon.ctl(&["--json", "inspect-ready-q", &queue])).expect("an answer in JSON");
        let suspended = shown["state"]["suspended"].to_string();
        assert!(suspended.contains(&format!("source {source}: {why}")), "{shown}");
        daemon.says("it is suspended for 1h");
    }
    daemon.stop();
}

#[test]
fn a_rule_that_makes_no_sense_is_named_where_it_stands() {
    let (home, peer) = (Home::new(), Peer::start(|_, _| None));
    let policy =
        policy(&peer, &[("here", "")]).init("kumo.make_egress_source { name = 's', suspend_when_unplumbed = true }\n");
    Daemon::refused(&home, &policy).says(&[
        "policy.lua:",
        "suspend_when_unplumbed",
        "expected a table such as { trigger = 'Immediate', duration = '5 minutes' }",
    ]);
}
