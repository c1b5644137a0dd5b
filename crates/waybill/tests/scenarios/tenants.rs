//! A hook whose handler picks a queue per tenant: lanes are independent.

use crate::harness::{Answer, Daemon, Home, Mail, Receiver, Tenants};
use std::collections::{HashMap, HashSet};

const SHORT_QUEUES: &str = r#"
kumo.on('get_egress_path_config', function(routing_domain, source, site)
  return kumo.make_egress_path { max_ready = 20 }
end)
"#;

/// Mails for each tenant, far more than a lane holds in memory.
const MAILS: usize = 60;
/// Reception and Delivery of each.
const EVENTS: usize = 2 * MAILS;

struct Stage {
    // First, as it must end before its folder goes.
    daemon: Daemon,
    home: Home,
    receivers: HashMap<&'static str, Receiver>,
}

impl Stage {
    fn set(receivers: impl IntoIterator<Item = (&'static str, Receiver)>) -> Stage {
        let (home, receivers) = (Home::new(), HashMap::from_iter(receivers));
        let endpoints = receivers.iter().map(|(name, receiver): (_, &Receiver)| (*name, receiver.url()));
        let daemon = Daemon::start(&home, &Tenants::at(endpoints).and(SHORT_QUEUES).policy());
        Stage { home, receivers, daemon }
    }

    fn send(&self, tenant: &str) {
        let mut smtp = self.daemon.connect();
        (0..MAILS).for_each(|_| drop(smtp.send(&Mail::to(&format!("rcpt@{tenant}.example.com")))));
    }

    /// Every event of a tenant came, the same one under the same id. Returns how many requests that took.
    fn assert_complete(&self, tenant: &str, count: usize) -> usize {
        let requests = self.receivers[tenant].requests();
        let mut events = HashMap::new();
        for request in &requests {
            let body = events.entry(request.webhook_id().to_owned()).or_insert_with(|| request.text());
            assert_eq!(*body, request.text());
            assert_eq!(request.json()["recipient"], format!("rcpt@{tenant}.example.com"));
        }
        assert_eq!(events.len(), count, "{tenant}");
        requests.len()
    }
}

/// What the trouble is, and how it ends.
struct Trouble {
    begin: fn(&mut Receiver),
    end: fn(&mut Receiver),
}

const DOWN: Trouble = Trouble { begin: Receiver::down, end: Receiver::up };
const BUSY: Trouble = Trouble {
    begin: |receiver| receiver.answer(|_, _| Answer::status(503)),
    end: |receiver| receiver.answer(|_, _| Answer::ok()),
};
const SILENT: Trouble = Trouble {
    begin: |receiver| receiver.answer(|_, _| Answer::hang()),
    end: |receiver| {
        receiver.answer(|_, _| Answer::ok());
        // What hangs now is broken off.
        receiver.down();
        receiver.up();
    },
};

/// The troubled tenant's mail first; then that of one whose endpoint works must come through, while the other is still
/// in trouble. In the end everything arrives.
fn holds_up_nobody_else(trouble: &Trouble, known_before: bool) {
    let mut stage = Stage::set([("troubled", Receiver::start()), ("good", Receiver::start())]);
    let mut for_good = EVENTS;
    if known_before {
        stage.send("good");
        stage.receivers["good"].wait_for_records(EVENTS);
        for_good += EVENTS;
    }
    (trouble.begin)(stage.receivers.get_mut("troubled").expect("it is there"));
    stage.send("troubled");
    stage.send("good");
    stage.receivers["good"].wait_for_records(for_good);
    let hook = stage.daemon.wait_for_hook("tenants", "waits for one tenant", |hook| hook["lag_events"] == EVENTS);
    assert_eq!(hook["dead_letters"], 0, "{hook}");
    // A failing lane is probed with one event at a time: those that were never tried have no TransientFailure.
    let failures = stage.home.hook_records().into_iter().filter(|record| record["type"] == "TransientFailure");
    let tried: HashSet<_> = failures.map(|record| record["id"].to_string()).collect();
    assert!(tried.len() < EVENTS, "all {} events of the troubled endpoint were tried", tried.len());

    (trouble.end)(stage.receivers.get_mut("troubled").expect("it is there"));
    stage.daemon.settled("tenants", 0);
    stage.assert_complete("troubled", EVENTS);
    assert_eq!(stage.assert_complete("good", for_good), for_good, "each once");
    stage.daemon.stop();
}

#[test]
fn an_endpoint_that_goes_down_holds_up_nobody_else() {
    holds_up_nobody_else(&DOWN, true);
}

#[test]
fn an_endpoint_that_gets_busy_holds_up_nobody_else() {
    holds_up_nobody_else(&BUSY, true);
}

#[test]
fn an_endpoint_that_falls_silent_holds_up_nobody_else() {
    holds_up_nobody_else(&SILENT, true);
}

#[test]
fn an_endpoint_that_was_always_down_holds_up_nobody_else_even_if_it_was_the_first() {
    holds_up_nobody_else(&DOWN, false);
}

#[test]
fn an_endpoint_that_was_always_silent_holds_up_nobody_else_even_if_it_was_the_first() {
    holds_up_nobody_else(&SILENT, false);
}
