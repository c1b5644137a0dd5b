//! An operator's orders while mail pours in, and a daemon that goes away in the middle of them: what the senders were
//! told, what the next hop got and what the endpoint heard agree afterwards.

use crate::harness::load::Told;
use crate::harness::wait::{is_long, wait_for_count};
use crate::harness::{Answer, Daemon, Home, Load, Policy, Receiver, Request, Tenants, wait_until};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

const SENDERS: usize = 8;
/// Between two steps of the operator, on average this many mails for each of five domains.
const MAILS: usize = 200;
/// Of one ready queue.
const MAIL_CONNECTIONS: usize = 32;
/// Of one lane.
const HOOK_CONNECTIONS: usize = 10;
/// The most settled events that a crash may bring again.
const UNSAVED: usize = 256;
/// The last record of a mail.
const ENDS: [&str; 4] = ["Delivery", "Bounce", "AdminBounce", "Expiration"];

/// How a daemon goes away.
type Away = fn(Daemon);

fn stopped(daemon: Daemon) {
    daemon.stop();
}

/// How often it does so.
fn rounds() -> usize {
    if is_long() { 10 } else { 2 }
}

/// An endpoint that refuses some until it is opened, and notes what it took.
struct Gate<T> {
    receiver: Receiver,
    open: Arc<AtomicBool>,
    taken: Arc<Mutex<Vec<T>>>,
}

impl<T: Clone + Send + 'static> Gate<T> {
    fn new(
        is_closed_for: impl Fn(&Request) -> bool + Send + Sync + 'static,
        note: impl Fn(&Request) -> T + Send + Sync + 'static,
    ) -> Self {
        let (receiver, open, taken) =
            (Receiver::start(), Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<T>>>::default());
        receiver.keep_none();
        let (is_open, notes) = (open.clone(), taken.clone());
        receiver.answer(move |request, _| {
            if !is_open.load(Ordering::SeqCst) && is_closed_for(request) {
                return Answer::status(503);
            }
            notes.lock().unwrap_or_else(PoisonError::into_inner).push(note(request));
            Answer::ok()
        });
        Gate { receiver, open, taken }
    }

    fn url(&self) -> String {
        self.receiver.url()
    }

    fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }

    fn taken(&self) -> Vec<T> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// An event as an endpoint sees it.
#[derive(Clone)]
struct Event {
    /// Of the event, not of the mail.
    id: String,
    mail: String,
    kind: String,
    path: String,
}

impl Event {
    fn of(request: &Request) -> Event {
        let record = request.json();
        let text = |field: &str| record[field].as_str().expect("a text").to_owned();
        Event { id: request.webhook_id().to_owned(), mail: text("id"), kind: text("type"), path: request.path.clone() }
    }
}

fn order(daemon: &Daemon, args: &[&str]) {
    daemon.ctl(&[args, &["--reason", "so ordered"]].concat());
}

fn no_order_is_left(daemon: &Daemon) {
    for list in ["suspend-list", "suspend-ready-q-list", "bounce-list"] {
        let listed: Value = serde_json::from_str(&daemon.ctl(&[list, "--json"])).expect("JSON");
        assert_eq!(listed, json!([]), "{list}");
    }
}

/// What was accepted for a domain between two looks.
fn accepted_since<'a>(before: &Told, now: &'a Told, domain: &str) -> HashMap<&'a str, &'a str> {
    let end = format!("@{domain}");
    let fresh = now.accepted.iter().filter(|(id, to)| !before.accepted.contains_key(*id) && to.ends_with(&end));
    fresh.map(|(id, to)| (id.as_str(), to.as_str())).collect()
}

mod mail {
    use super::*;

    /// Orders are about all of these but the first.
    const DOMAINS: [&str; 5] = ["flow.example.com", "held.test", "ready.test", "purge.test", "moved.test"];
    const READY_QUEUE: &str = "unspecified->ready.test@lua:make.door";

    const POLICY: &str = r#"
local log_hooks = require 'policy-extras.log_hooks'
log_hooks:new_json {
  name = 'webhook',
  url = '@URL@',
  queue_config = { retry_interval = '1s', max_retry_interval = '1s' },
}

kumo.on('get_queue_config', function(domain)
  if domain:match '%.test$' then
    return kumo.make_queue_config {
      retry_interval = '5s',
      max_retry_interval = '5s',
      protocol = { custom_lua = { constructor = 'make.door' } },
    }
  end
end)

kumo.on('make.door', function()
  local client = kumo.http.build_client { timeout = '100s' }
  local connection = {}
  function connection:send(message)
    if not client:post('@DOOR@'):body(message:recipient().email):send():status_is_success() then
      kumo.reject(451, 'the door is closed')
    end
    return 'through the door'
  end
  return connection
end)
"#;

    /// What came again, after so many rounds.
    struct Again {
        mails: usize,
        events: usize,
        rounds: usize,
    }

    fn under_orders(away: Away) -> Again {
        let home = Home::new();
        let endpoint = Gate::new(|_| false, Event::of);
        let is_closed_for =
            |request: &Request| !["@held.test", "@ready.test"].iter().any(|end| request.text().ends_with(end));
        let door = Gate::new(is_closed_for, Request::text);
        let policy = Policy::new(POLICY.replace("@URL@", &endpoint.url()).replace("@DOOR@", &door.url()));
        let load = Load::start(SENDERS, &DOMAINS, "body");
        for _ in 0..rounds() {
            let daemon = Daemon::start(&home, &policy);
            no_order_is_left(&daemon);
            load.onto(&daemon);
            load.accepts(MAILS);
            order(&daemon, &["suspend", "--domain", "held.test"]);
            order(&daemon, &["suspend-ready-q", "--name", READY_QUEUE]);
            let before = load.told();
            order(&daemon, &["bounce", "--domain", "purge.test"]);
            wait_until("mail is bounced", || {
                let listed: Value = serde_json::from_str(&daemon.ctl(&["bounce-list", "--json"])).expect("JSON");
                (listed[0]["total_bounced"].as_u64() >= Some(1)).then_some(())
            });
            load.accepts(MAILS);
            order(&daemon, &["rebind", "--domain", "moved.test", "--set", "queue=moved.example.com", "--always-flush"]);
            load.accepts(MAILS);
            // Whatever is still being bounced and moved.
            load.off();
            away(daemon);
            let (now, came) = (load.told(), door.taken().into_iter().collect::<HashSet<_>>());
            for domain in ["held.test", "ready.test"] {
                let waits = accepted_since(&before, &now, domain);
                let passed = waits.values().filter(|to| came.contains(**to)).count();
                // A sender had one mail at most under way when the order was given.
                assert!(passed <= SENDERS, "{passed} mails went to {domain} in spite of the order");
                assert!(waits.len() > 2 * SENDERS, "there was no load on {domain}");
            }
        }
        let told = load.end();
        told.was_never_refused_for_good();

        door.open();
        let daemon = Daemon::start(&home, &policy);
        no_order_is_left(&daemon);
        let ended = || -> HashSet<String> {
            let ends = endpoint.taken().into_iter().filter(|event| ENDS.contains(&event.kind.as_str()));
            ends.map(|event| event.mail).collect()
        };
        wait_for_count("every accepted mail has come to its end", told.accepted.len(), || {
            let ended = ended();
            told.accepted.keys().filter(|id| ended.contains(*id)).count()
        });
        wait_until("nothing waits", || {
            let summary: Value = serde_json::from_str(&daemon.ctl(&["queue-summary", "--json"])).expect("JSON");
            (summary["scheduled"] == json!({})).then_some(())
        });
        daemon.settled("webhook", 0);
        daemon.stop();
        compare(&told, &home, &endpoint.taken(), &door.taken())
    }

    /// The three agree about every mail.
    fn compare(told: &Told, home: &Home, events: &[Event], door: &[String]) -> Again {
        // A mail's events, each with how often it came.
        let mut by_mail: HashMap<&str, BTreeMap<(&str, &str), usize>> = HashMap::new();
        for event in events {
            let of_mail = by_mail.entry(event.mail.as_str()).or_default();
            *of_mail.entry((event.kind.as_str(), event.id.as_str())).or_default() += 1;
        }
        let (flow, moved) = (home.maildir(DOMAINS[0]), home.maildir("moved.test"));
        let mut there: HashMap<String, usize> = HashMap::new();
        let header = |mail: &String| {
            let line = mail.lines().find_map(|line| line.strip_prefix("X-Recipient: <")).expect("the sender's header");
            line.trim_end_matches('>').to_owned()
        };
        for recipient in door.iter().cloned().chain(flow.iter().chain(&moved).map(header)) {
            *there.entry(recipient).or_default() += 1;
        }
        let (mut bounced, mut rebound) = (0, 0);
        for (id, recipient) in &told.accepted {
            let count = |kind: &str| by_mail[id.as_str()].keys().filter(|(own, _)| *own == kind).count();
            let (deliveries, bounces) = (count("Delivery"), count("AdminBounce"));
            assert_eq!(count("Reception"), 1, "{recipient}");
            assert_eq!(count("Bounce") + count("Expiration"), 0, "{recipient}");
            assert!(bounces == 0 || recipient.ends_with("@purge.test"), "{recipient} was bounced");
            assert!(count("AdminRebind") == 0 || recipient.ends_with("@moved.test"), "{recipient} was moved");
            let arrived = there.contains_key(recipient);
            assert!(deliveries == 0 || arrived, "{recipient} did not arrive, whatever its record says");
            assert!(bounces > 0 || arrived, "{recipient} was lost");
            bounced += bounces;
            rebound += count("AdminRebind");
        }
        assert!(bounced > 0 && rebound > 0 && !moved.is_empty(), "{bounced} bounced, {rebound} rebound");
        let mails: usize = there.values().map(|count| count - 1).sum();
        let ends = |events: &BTreeMap<(&str, &str), usize>| {
            events.keys().filter(|(kind, _)| ENDS.contains(kind)).count().saturating_sub(1)
        };
        let ended_again: usize = by_mail.values().map(ends).sum();
        let events: usize = by_mail.values().flat_map(BTreeMap::values).map(|count| count - 1).sum();
        println!(
            "{} mails accepted, {bounced} bounced, {rebound} rebound; {mails} arrived again, {ended_again} ended again, \
             {events} events came again",
            told.accepted.len()
        );
        Again { mails: mails.max(ended_again), events, rounds: rounds() }
    }

    #[test]
    fn orders_about_mail_under_load_with_stops_between_lose_and_double_nothing() {
        let again = under_orders(stopped);
        assert_eq!((again.mails, again.events), (0, 0));
    }

    #[test]
    fn orders_about_mail_under_load_with_kills_between_lose_nothing() {
        let again = under_orders(Daemon::kill9);
        assert!(again.mails <= again.rounds * DOMAINS.len() * MAIL_CONNECTIONS, "{} mails came again", again.mails);
        assert!(again.events <= again.rounds * (UNSAVED + HOOK_CONNECTIONS), "{} events came again", again.events);
    }
}

mod hooks {
    use super::*;

    const HOOK: &str = "tenants";
    /// Orders are about the queues of all of these but the first.
    const TENANTS: [&str; 5] = ["flow", "held", "ready", "purge", "moved"];
    const READY_QUEUE: &str = "unspecified->ready.webhook@lua:make.webhook";

    /// How many events came again, after so many rounds.
    fn under_orders(away: Away) -> (usize, usize) {
        let home = Home::new();
        let is_closed_for = |request: &Request| ["/purge", "/moved"].iter().any(|end| request.path.ends_with(end));
        let endpoint = Gate::new(is_closed_for, Event::of);
        let names = TENANTS.into_iter().chain(["elsewhere"]);
        let policy = Tenants::at(names.map(|name| (name, format!("{}/{name}", endpoint.url())))).policy();
        let domains = TENANTS.map(|tenant| format!("{tenant}.example.com"));
        let load = Load::start(SENDERS, &domains.each_ref().map(String::as_str), "body");
        for _ in 0..rounds() {
            let daemon = Daemon::start(&home, &policy);
            no_order_is_left(&daemon);
            load.onto(&daemon);
            load.accepts(MAILS);
            order(&daemon, &["suspend", "--domain", "held.webhook"]);
            order(&daemon, &["suspend-ready-q", "--name", READY_QUEUE]);
            let before = load.told();
            order(&daemon, &["bounce", "--domain", "purge.webhook"]);
            daemon.wait_for_hook(HOOK, "has bounced events", |hook| hook["dead_letters"].as_u64() >= Some(1));
            load.accepts(MAILS);
            order(&daemon, &["rebind", "--domain", "moved.webhook", "--set", "queue=elsewhere.webhook"]);
            load.accepts(MAILS);
            // Whatever is still being bounced and moved.
            load.off();
            away(daemon);
            let now = load.told();
            for tenant in ["held", "ready"] {
                let waits = accepted_since(&before, &now, &format!("{tenant}.example.com"));
                let is_one = |event: &Event| event.path.ends_with(tenant) && waits.contains_key(event.mail.as_str());
                let passed: HashSet<_> = endpoint.taken().into_iter().filter(is_one).map(|event| event.mail).collect();
                // A sender had one mail at most under way when the order was given.
                assert!(passed.len() <= SENDERS, "{tenant}: {} mails were told of in spite of the order", passed.len());
                assert!(waits.len() > 2 * SENDERS, "there was no load on {tenant}");
            }
        }
        let told = load.end();
        told.was_never_refused_for_good();

        endpoint.open();
        let daemon = Daemon::start(&home, &policy);
        no_order_is_left(&daemon);
        let said = daemon.client(&["hooks", "redrive", HOOK]).expect("a redrive");
        assert!(said.contains("0 dead letters of tenants are left"), "{said}");
        wait_for_count("the endpoint has heard all of every accepted mail", told.accepted.len(), || {
            let heard: HashSet<_> = endpoint.taken().into_iter().map(|event| (event.mail, event.kind)).collect();
            let has = |id: &String, kind: &str| heard.contains(&(id.clone(), kind.to_owned()));
            told.accepted.keys().filter(|id| has(id, "Reception") && has(id, "Delivery")).count()
        });
        daemon.settled(HOOK, 0);
        daemon.stop();

        let events = endpoint.taken();
        assert!(events.iter().any(|event| event.path.ends_with("/elsewhere")), "nothing was moved");
        let mut of_mail: HashMap<(&str, &str), HashSet<&str>> = HashMap::new();
        for event in &events {
            of_mail.entry((event.mail.as_str(), event.kind.as_str())).or_default().insert(event.id.as_str());
        }
        for id in told.accepted.keys() {
            assert_eq!(of_mail[&(id.as_str(), "Reception")].len(), 1, "one event, two ids");
        }
        let distinct: usize = of_mail.values().map(HashSet::len).sum();
        let again = events.len() - distinct;
        println!("{} mails accepted, {distinct} events, {again} came again", told.accepted.len());
        (again, rounds())
    }

    #[test]
    fn orders_about_hooks_under_load_with_stops_between_lose_and_double_nothing() {
        assert_eq!(under_orders(stopped).0, 0);
    }

    #[test]
    fn orders_about_hooks_under_load_with_kills_between_lose_nothing() {
        let (again, rounds) = under_orders(Daemon::kill9);
        // Each lane has connections of its own.
        let most = UNSAVED + (TENANTS.len() + 1) * HOOK_CONNECTIONS;
        assert!(again <= rounds * most, "{again} events came again");
    }
}
