//! Endpoints that take connections and behave badly, hundreds of them beside one that is well: it notices nothing, and
//! the daemon stays small.

use crate::harness::api::{ask, create_hook};
use crate::harness::hostile::{Hostile, Manner};
use crate::harness::policy::OPEN;
use crate::harness::{Answer, Daemon, Home, Mail, Policy, Receiver, Tenants, wait_until};
use serde_json::{Value, json};

const MIB: u64 = 1 << 20;
/// Tenants with a bad endpoint, in equal parts of each manner.
const BAD: usize = 500;
const MANNERS: [Manner; 4] = [Manner::Silent, Manner::Drips, Manner::Resets, Manner::Floods];
/// Mails for the healthy tenant, while all others are in trouble.
const MAILS: usize = 60;
/// What 500 endpoints in trouble may cost: up to two sessions each, with a script and a connection. Seen: 136 MiB.
const MOST_GROWTH: u64 = 400 * MIB;

/// What is in trouble is tried less and less often: the floods alone would keep a machine busy.
const RETRY: &str = "retry_interval = domain:match '^healthy' and '1s' or '5s', max_retry_interval = '1m'";

#[test]
fn five_hundred_endpoints_that_behave_badly_cost_little_and_hold_up_nobody() {
    let (home, healthy) = (Home::new(), Receiver::start());
    // It keeps no connection open, which is its right.
    healthy.answer(|_, _| Answer::ok().header("Connection", "close"));
    let bad = MANNERS.map(|manner| (format!("{manner:?}").to_lowercase(), Hostile::start(manner)));
    let endpoints = bad.iter().map(|(name, hostile)| (name.as_str(), hostile.url()));
    let endpoints = endpoints.chain([("healthy", healthy.url())]);
    let policy = Tenants::at(endpoints).retry(RETRY).timeout("domain:match '^healthy' and '10m' or '20s'").policy();
    let daemon = Daemon::start(&home, &policy);
    let send = |client: &mut crate::harness::Smtp, tenant: &str| {
        client.send(&Mail::to(&format!("rcpt@{tenant}.example.com")));
    };

    let mut client = daemon.connect();
    // Whatever a busy daemon holds for good is there before.
    (0..MAILS).for_each(|_| send(&mut client, "healthy"));
    healthy.wait_for(2 * MAILS);
    let before = daemon.resident_memory();

    for number in 0..BAD {
        let (name, _) = &bad[number % bad.len()];
        send(&mut client, &format!("{name}{number}"));
    }
    for (name, hostile) in &bad {
        wait_until(&format!("all {name} endpoints are in trouble"), || {
            (hostile.connections() >= BAD / bad.len()).then_some(())
        });
    }
    (0..MAILS).for_each(|_| send(&mut client, "healthy"));
    healthy.wait_for(4 * MAILS);
    let hook = daemon.wait_for_hook("tenants", "waits for the others alone", |hook| hook["lag_events"] == 2 * BAD);
    assert_eq!(hook["dead_letters"], 0, "{hook}");
    for number in 0..BAD {
        let domain = format!("{}{number}.example.com", bad[number % bad.len()].0);
        wait_until("every mail is delivered", || (home.maildir_count(&domain) == 1).then_some(()));
    }
    assert_eq!(healthy.requests().len(), 4 * MAILS, "each once");
    let grown = daemon.peak_memory().saturating_sub(before);
    println!("{BAD} endpoints in trouble cost at most {} MiB", grown / MIB);
    assert!(grown < MOST_GROWTH, "{BAD} endpoints in trouble cost {} MiB", grown / MIB);
    daemon.stop();
}

/// Makes an event hook on all mail that comes in; gives its id.
fn on_reception(daemon: &Daemon, url: &str) -> String {
    let config = json!({"url": url, "method": "POST", "body": "{{ recipient }}", "timeout": "60s"});
    let hook = json!({"source": "log", "event": "Reception", "handler": "webhook-custom", "config": config});
    create_hook(daemon, &hook)
}

#[test]
fn an_event_hook_hears_of_everything_while_five_hundred_others_hang_in_endpoints_that_say_nothing() {
    let (home, healthy, silent) = (Home::new(), Receiver::start(), Hostile::start(Manner::Silent));
    let daemon = Daemon::start(&home, &Policy::new("").init(OPEN));
    let hung: Vec<String> = (0..BAD).map(|_| on_reception(&daemon, &silent.url())).collect();
    let well = on_reception(&daemon, &healthy.url());
    let mut client = daemon.connect();
    client.send(&Mail::to("first@example.com"));
    wait_until("all of the others hang", || (silent.connections() >= BAD).then_some(()));
    client.send(&Mail::to_all((0..MAILS).map(|number| format!("rcpt{number}@example.com"))));
    healthy.wait_for(1 + MAILS);

    let status = |id: &str| -> Value {
        let path = format!("/event-hooks/{id}/status");
        ask(&daemon, "GET", &path, &Value::Null).1
    };
    let others: Vec<Value> = hung.iter().map(|id| status(id)).collect();
    for other in &others {
        let kept = json!([other["lag_events"], other["dead_letters"], other["since_start"]["delivered"]]);
        assert_eq!(kept, json!([1 + MAILS, 0, 0]), "{other}");
    }
    // Whoever waited for the others had waited until their time was up.
    let still = others.iter().filter(|other| other["since_start"]["failed"] == 0).count();
    assert!(still > 0, "the first attempts of all of them are over");
    wait_until("the healthy one has nothing left", || (status(&well)["lag_events"] == 0).then_some(()));
    assert_eq!(healthy.requests().len(), 1 + MAILS, "each once");
    println!("{still} of {BAD} endpoints still said nothing to the first request");
    daemon.stop();
}

#[test]
fn an_answer_of_100_mb_is_not_kept_and_its_status_counts() {
    const EACH: usize = 20;
    for manner in [Manner::Floods, Manner::FloodsUnannounced] {
        let (home, hostile) = (Home::new(), Hostile::start(manner));
        let hook = format!(
            "require('policy-extras.log_hooks'):new_json {{ name = 'webhook', url = '{}',
               queue_config = {{ retry_interval = '1s', max_retry_interval = '1s' }} }}",
            hostile.url()
        );
        let daemon = Daemon::start(&home, &Policy::new(hook));
        let before = daemon.peak_memory();
        let mut client = daemon.connect();
        (0..EACH).for_each(|_| drop(client.send(&Mail::to("rcpt@example.com"))));
        // It said 200.
        daemon.settled("webhook", 0);
        let grown = daemon.peak_memory() - before;
        println!("{manner:?}: {} answers of 100 MB cost at most {} MiB", 2 * EACH, grown / MIB);
        assert!(grown < 128 * MIB, "{manner:?}: {} MiB", grown / MIB);
        daemon.stop();
    }
}
