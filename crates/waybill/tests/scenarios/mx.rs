//! Mail finds its way by the DNS, here by the zones of a policy.

use crate::harness::{Daemon, Home, Mail, Peer, Policy, wait_until};
use serde_json::Value;

/// The hosts `a` are where the first peer listens, `b` at the next address, and nobody is at `dead`.
const ZONES: &str = "
$ORIGIN example.
pref      30 IN MX 20 b
pref      30 IN MX 10 a
half      30 IN MX 20 a
half      30 IN MX 10 dead
plain     30 IN A  127.0.0.1
nomail    30 IN MX 0 .
homeless  30 IN MX 10 nowhere
loop      30 IN MX 10 a
a         30 IN A  127.0.0.1
b         30 IN A  127.0.0.2
dead      30 IN A  127.0.0.3
";

/// Everything of `.example` but `loop` may go to this machine.
fn policy(port: u16) -> Policy {
    Policy::new(format!(
        "kumo.on('get_egress_path_config', function(domain, source, site)
           if domain == 'loop.example' then
             return kumo.make_egress_path {{ smtp_port = {port} }}
           end
           return kumo.make_egress_path {{ prohibited_hosts = {{}}, smtp_port = {port}, connect_timeout = '5s' }}
         end)
         kumo.on('smtp_server_message_received', function(msg)
           local found, mx = pcall(kumo.dns.lookup_mx, msg:recipient().domain)
           msg:append_header('X-Site', found and mx.site_name or 'none')
         end)"
    ))
    .init(&format!("kumo.dns.configure_test_resolver {{ [[{ZONES}]] }}\n"))
}

fn record(home: &Home, kind: &str, recipient: &str) -> Value {
    wait_until(&format!("a {kind} of {recipient}"), || {
        let is = |record: &Value| record["type"] == kind && record["recipient"].to_string().contains(recipient);
        home.records().into_iter().find(is)
    })
}

#[test]
fn mail_goes_to_the_preferred_host_and_to_the_next_when_nobody_answers_there() {
    let (home, first) = (Home::new(), Peer::start(|_, _| None));
    let port = first.address().port();
    let second = Peer::at(([127, 0, 0, 2], port).into());
    let daemon = Daemon::start(&home, &policy(port));
    let mut smtp = daemon.connect();
    for user in ["ann@pref.example", "bob@half.example", "cat@plain.example"] {
        smtp.send(&Mail::to(user));
    }
    first.takes(3);
    for (recipient, host, site) in [
        ("ann@pref.example", "a.example.", "(a|b).example"),
        ("bob@half.example", "a.example.", "(a|dead).example"),
        ("cat@plain.example", "plain.example.", "plain.example"),
    ] {
        let delivery = record(&home, "Delivery", recipient);
        assert_eq!(delivery["peer_address"]["name"], host, "{recipient}");
        assert_eq!(delivery["peer_address"]["addr"], "127.0.0.1", "{recipient}");
        assert_eq!(delivery["site"], format!("unspecified->{site}@smtp_client"), "{recipient}");
        assert_eq!(delivery["num_attempts"], 0, "a dead host costs no attempt: {recipient}");
        let mails = first.messages();
        assert!(mails.iter().any(|mail| mail.contains(&format!("X-Site: {site}\r\n"))), "policy sees {site}");
    }
    assert!(second.clients().is_empty(), "nobody asks the second host while the first answers");
    daemon.stop();
}

#[test]
fn mail_for_a_domain_that_takes_none_bounces_at_once() {
    let (home, peer) = (Home::new(), Peer::start(|_, _| None));
    let daemon = Daemon::start(&home, &policy(peer.address().port()));
    let mut smtp = daemon.connect();
    for (recipient, code, text) in [
        ("ann@nomail.example", 556, "KumoMTA internal: nomail.example takes no mail (null MX)"),
        ("bob@gone.example", 550, "KumoMTA internal: there is no domain gone.example"),
        ("cat@homeless.example", 550, "KumoMTA internal: no host of nowhere.example has an address"),
        ("dan@loop.example", 550, "KumoMTA internal: a.example. is 127.0.0.1, a prohibited host"),
    ] {
        smtp.send(&Mail::to(recipient));
        let bounce = record(&home, "Bounce", recipient);
        assert_eq!(bounce["response"]["code"], code, "{recipient}");
        assert_eq!(bounce["response"]["content"], text, "{recipient}");
    }
    daemon.stop();
    assert!(peer.clients().is_empty());
}

#[test]
fn zones_that_cannot_be_read_keep_the_daemon_from_starting_and_say_where() {
    let home = Home::new();
    let policy = Policy::new("").init("kumo.dns.configure_test_resolver { 'a.example. A 1.2.3' }");
    let refusal = Daemon::refused(&home, &policy);
    assert!(!refusal.status.success());
    let why = "kumo.dns.configure_test_resolver: zone 1, line 1: A: \"1.2.3\" cannot be read";
    assert!(refusal.stderr.contains(why) && refusal.stderr.contains("policy.lua:"), "{}", refusal.stderr);
}
