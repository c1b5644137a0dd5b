//! A thousand event hooks of a hundred tenants, each on its own events, with the endpoints of one tenant dead and a daemon
//! that is killed in between.

use crate::harness::api::create_hook;
use crate::harness::wait::wait_for_count;
use crate::harness::{Daemon, Home, Mail, Policy, Receiver, Request, http, wait_until};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const TENANTS: usize = 100;
const HOOKS_EACH: usize = 10;
/// The tenant whose endpoints are dead.
const DEAD: usize = 7;

/// A message belongs to the tenant that its recipient's domain begins with.
const POLICY: &str = r"
kumo.on('smtp_server_message_received', function(message)
  message:set_meta('tenant', message:recipient().domain:match '^[^.]+')
end)
";

fn recipient(tenant: usize, hook: usize) -> String {
    format!("user{hook}@t{tenant}.example.com")
}

fn all() -> impl Iterator<Item = (usize, usize)> {
    (0..TENANTS).flat_map(|tenant| (0..HOOKS_EACH).map(move |hook| (tenant, hook)))
}

fn texts(requests: &[Request]) -> BTreeSet<String> {
    requests.iter().map(Request::text).collect()
}

/// What a hook sends: whose it is, and for whom the mail was. The two have to be the same.
fn text(tenant: usize, hook: usize) -> String {
    format!("{0} {0}", recipient(tenant, hook))
}

#[test]
fn a_thousand_hooks_get_their_own_events_while_the_endpoints_of_one_tenant_are_dead() {
    let (home, living, dead) = (Home::new(), Receiver::start(), Receiver::start_down());
    let open = "  kumo.configure_webhooks { allow_targets = { '127.0.0.0/8' } }";
    let mut daemon = Daemon::start(&home, &Policy::new(POLICY).init(open));
    let mut dead_hooks = Vec::new();
    for (tenant, hook) in all() {
        let receiver = if tenant == DEAD { &dead } else { &living };
        let recipient = recipient(tenant, hook);
        let hook = json!({
            "source": "log", "event": "Reception", "handler": "webhook-custom", "tenant": format!("t{tenant}"),
            "filter": format!("data.recipient == '{recipient}'"),
            "config": {"url": receiver.url(), "method": "POST", "body": format!("{recipient} {{{{ recipient }}}}")},
        });
        let id = create_hook(&daemon, &hook);
        if tenant == DEAD {
            dead_hooks.push(id);
        }
    }
    let wanted: BTreeSet<String> =
        all().filter(|(tenant, _)| *tenant != DEAD).map(|(tenant, hook)| text(tenant, hook)).collect();
    let send = |daemon: &Daemon, tenants: std::ops::Range<usize>| {
        let mut smtp = daemon.connect();
        for (tenant, hook) in all().filter(|(tenant, _)| tenants.contains(tenant)) {
            smtp.send(&Mail::to(&recipient(tenant, hook)));
        }
    };
    send(&daemon, 0..TENANTS / 2);
    // At some moment between the first event and the last: whatever is on its way is cut off.
    living.wait("some have come", |requests| (requests.len() >= HOOKS_EACH).then_some(()));
    daemon.kill9();
    daemon = Daemon::start_again(&home);
    send(&daemon, TENANTS / 2..TENANTS);
    let come = || texts(&living.requests());
    wait_for_count("every hook with a living endpoint has its event", wanted.len(), || come().len());
    assert_eq!(come(), wanted, "each has its own, and no other's");
    // What is for the dead endpoints waits.
    for id in dead_hooks {
        let path = format!("/event-hooks/{id}/status");
        let waits = wait_until("the event of a dead endpoint is kept", || {
            let (_, status) = http::ask(daemon.http(), "GET", &path, "").expect("an answer");
            let status: Value = serde_json::from_str(&status).expect("JSON");
            (status["lag_events"] != 0).then_some(status)
        });
        assert_eq!(waits["dead_letters"], 0, "{waits}");
    }
    daemon.stop();
}
