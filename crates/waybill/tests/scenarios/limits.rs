//! Limits on connections: patience with one that hangs, and a limit that several queues share.

use crate::harness::wait::pause;
use crate::harness::{Answer, Daemon, Home, Mail, Peer, Policy, Receiver};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Far longer than a scenario waits for anything: what hangs does so until the endpoint goes away.
const FOREVER: &str = "30m";

/// How many are at work at the same time. Whoever is done is counted out before the other side hears of it, so that a
/// successor can never be counted beside it.
#[derive(Clone, Default)]
struct AtWork(Arc<Counts>);

#[derive(Default)]
struct Counts {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl AtWork {
    fn begins(&self) {
        let now = self.0.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most.fetch_max(now, Ordering::SeqCst);
    }

    fn ends(&self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }

    fn most(&self) -> usize {
        self.0.most.load(Ordering::SeqCst)
    }
}

#[test]
fn a_request_that_hangs_does_not_hold_back_the_next_event() {
    let (home, mut receiver) = (Home::new(), Receiver::start());
    receiver.answer(|_, before| if before == 0 { Answer::hang() } else { Answer::ok() });
    let hook = format!(
        "require('policy-extras.log_hooks'):new_json {{
           name = 'webhook', url = '{}', timeout = '{FOREVER}', queue_config = {{ retry_interval = '1s' }},
           log_parameters = {{ per_record = {{ Reception = {{ enable = true }}, Any = {{ enable = false }} }} }},
         }}",
        receiver.url()
    );
    let daemon = Daemon::start(&home, &Policy::new(hook));
    let first = daemon.connect().send(&Mail::to("first@example.com"));
    receiver.wait_for(1);
    let second = daemon.connect().send(&Mail::to("second@example.com"));
    let requests = receiver.wait_for(2);
    let ids: Vec<_> = requests.iter().map(|request| request.records()[0]["id"].clone()).collect();
    assert_eq!(ids, [first[0].as_str(), second[0].as_str()]);
    daemon.wait_for_hook("webhook", "has only the one that hangs in flight", |hook| hook["in_flight"] == 1);
    assert_eq!(receiver.requests().len(), 2, "the first still hangs: nobody gave it up");
    // It breaks, and is tried again.
    receiver.down();
    receiver.up();
    daemon.settled("webhook", 0);
    assert_eq!(receiver.requests().last().map(|request| request.records()[0]["id"].clone()), Some(ids[0].clone()));
    daemon.stop();
}

#[test]
fn a_limit_that_mail_and_a_hook_share_is_used_and_never_exceeded() {
    const LIMIT: usize = 2;
    const EACH: usize = 8;
    let (home, receiver, work) = (Home::new(), Receiver::start(), AtWork::default());
    let requests = work.clone();
    receiver.answer(move |_, _| {
        requests.begins();
        pause(Duration::from_millis(20));
        requests.ends();
        Answer::ok()
    });
    let transactions = work.clone();
    let peer = Peer::start(move |line, _| {
        if line.starts_with("MAIL") {
            transactions.begins();
        } else if line == "." {
            pause(Duration::from_millis(50));
            transactions.ends();
        }
        None
    });
    let policy = Policy::new(format!(
        "kumo.on('get_egress_path_config', function()
           return kumo.make_egress_path {{
             prohibited_hosts = {{}}, idle_timeout = '1s', enable_pipelining = false,
             additional_connection_limits = {{ shared = {LIMIT} }},
           }}
         end)
         require('policy-extras.log_hooks'):new_json {{ name = 'webhook', url = '{}' }}",
        receiver.url()
    ))
    .before(&format!(
        "kumo.on('get_queue_config', function(domain)
           if domain:match 'there%.example$' then
             local host = {{ name = 'mx.' .. domain, addr = '{}' }}
             return kumo.make_queue_config {{ protocol = {{ smtp = {{ mx_list = {{ host }} }} }}, retry_interval = '1s' }}
           end
         end)",
        peer.address()
    ));
    let daemon = Daemon::start(&home, &policy);
    let mut client = daemon.connect();
    for number in 0..EACH {
        for site in ["a", "b"] {
            client.send(&Mail::to(&format!("user{number}@{site}.there.example")));
        }
    }
    peer.takes(2 * EACH);
    // A Reception and a Delivery of each.
    receiver.wait_for_records(4 * EACH);
    daemon.settled("webhook", 0);
    daemon.stop();
    assert_eq!(peer.messages().len(), 2 * EACH);
    assert_eq!(work.most(), LIMIT);
}
