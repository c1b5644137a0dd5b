//! An endpoint that moves to another address while its hook has a backlog. The old address keeps its connections, and says
//! nothing any more.

use crate::harness::client::json_of;
use crate::harness::daemon::serve;
use crate::harness::hosts::Hosts;
use crate::harness::policy::OPEN;
use crate::harness::{Answer, Daemon, Home, Mail, Policy, Receiver, Request};
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr};

const MAILS: usize = 20;
const NAME: &str = "moving.example";

/// Where the endpoint is, and where it will be, on the same port.
struct Places {
    old: Receiver,
    new: Receiver,
}

impl Places {
    fn new() -> Places {
        let old = Receiver::start();
        let new = Receiver::start_at_port(old.address().port());
        Places { old, new }
    }

    fn url(&self) -> String {
        format!("http://{NAME}:{}/log", self.old.address().port())
    }

    /// Nothing is answered there from now on; connections stay open.
    fn old_falls_silent(&self) {
        self.old.answer(|_, _| Answer::hang());
    }
}

fn ip(receiver: &Receiver) -> Ipv4Addr {
    match receiver.address().ip() {
        IpAddr::V4(ip) => ip,
        IpAddr::V6(ip) => panic!("receivers are at addresses of IPv4, not {ip}"),
    }
}

fn mails(daemon: &Daemon, kind: &str) {
    let recipients = (0..MAILS).map(|number| format!("{kind}{number}@example.com"));
    daemon.connect().send(&Mail::to_all(recipients));
}

/// Of how many of these recipients these requests tell.
fn told(requests: &[Request], kind: &str) -> usize {
    let told = |number| requests.iter().any(|request| request.text().contains(&format!("{kind}{number}@")));
    (0..MAILS).filter(|number| told(*number)).count()
}

fn all_told(receiver: &Receiver, kind: &str) {
    receiver.wait(&format!("all of {kind} came"), |requests| (told(requests, kind) == MAILS).then_some(()));
}

#[test]
fn a_log_hook_follows_its_endpoint_to_another_address() {
    let (home, places) = (Home::new(), Places::new());
    let part = "a log hook whose endpoint moves";
    let Some(hosts) = Hosts::new(part, &home, NAME, ip(&places.old)) else { return };
    let hook = format!(
        "require('policy-extras.log_hooks'):new_json {{
           name = 'webhook', url = '{}', timeout = '2s',
           log_parameters = {{ per_record = {{ Reception = {{ enable = true }}, Any = {{ enable = false }} }} }},
           queue_config = {{ retry_interval = '1s', max_retry_interval = '1s' }},
         }}",
        places.url()
    );
    home.write_policy(&Policy::new(hook).text(&home));
    let daemon = Daemon::start_as(&mut hosts.shown_to(&serve(&home)));
    mails(&daemon, "before");
    all_told(&places.old, "before");
    daemon.settled("webhook", 0);

    places.old_falls_silent();
    mails(&daemon, "during");
    daemon.wait_for_hook("webhook", "has a backlog", |hook| hook["lag_events"] == MAILS);
    hosts.lead(NAME, ip(&places.new));
    all_told(&places.new, "during");
    daemon.settled("webhook", 0);
    mails(&daemon, "after");
    all_told(&places.new, "after");
    daemon.stop();
    assert_eq!(told(&places.old.requests(), "after"), 0);
}

#[test]
fn an_event_hook_follows_its_endpoint_to_another_address() {
    let (home, places) = (Home::new(), Places::new());
    // Mail to `move@` moves the name.
    let policy = format!(
        "local function lead(ip) kumo.dns.configure_test_resolver {{ '{NAME}. A ' .. ip }} end
         kumo.on('smtp_server_message_received', function(message)
           if message:recipient().user == 'move' then lead '{}' end
         end)
         kumo.on('pre_init', function() lead '{}' end)",
        ip(&places.new),
        ip(&places.old)
    );
    let daemon = Daemon::start(&home, &Policy::new(policy).init(OPEN));
    let url = format!("config.url={}", places.url());
    let words = [
        "event-hooks",
        "create",
        "--source",
        "log",
        "--event",
        "Reception",
        "--handler",
        "webhook-custom",
        "--set",
        &url,
        "--set",
        "config.method=POST",
        "--set",
        "config.body={{ recipient }}",
        "--set",
        "config.timeout=2s",
    ];
    let hook = json_of(&daemon, &words);
    let id = hook["id"].as_str().expect("an id");
    mails(&daemon, "before");
    all_told(&places.old, "before");

    places.old_falls_silent();
    mails(&daemon, "during");
    places.old.wait("it is asked and says nothing", |requests| (told(requests, "during") > 0).then_some(()));
    daemon.connect().send(&Mail::to("move@example.com"));
    all_told(&places.new, "during");
    mails(&daemon, "after");
    all_told(&places.new, "after");
    let status = json_of(&daemon, &["event-hooks", "status", id]);
    assert_eq!((&status["dead_letters"], &status["enabled"]), (&json!(0), &json!(true)), "{status}");
    daemon.stop();
    assert_eq!(told(&places.old.requests(), "after"), 0);
}
