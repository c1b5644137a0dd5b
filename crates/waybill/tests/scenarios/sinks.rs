//! Postfix's smtp-source and smtp-sink at both ends: as much mail as they can make, and next hops that refuse it,
//! put it off and hang up by chance.

use crate::harness::sink::smtp_source;
use crate::harness::{Daemon, Home, Mail, Policy, Receiver, Sink, wait_until};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The hosts of a domain, all alike to its senders: which of them a connection goes to is chance.
fn mx_zone(hosts: &[&Sink]) -> String {
    let mut zone = "$ORIGIN example.\n".to_owned();
    for (n, host) in hosts.iter().enumerate() {
        zone += &format!("chance 30 IN MX 10 mx{n}\nmx{n} 30 IN A {}\n", host.address().ip());
    }
    zone
}

fn policy(hosts: &[&Sink], receiver: &Receiver) -> Policy {
    let port = hosts[0].address().port();
    let before = format!(
        "require('policy-extras.log_hooks'):new_json {{ name = 'webhook', url = '{}' }}
         kumo.on('get_queue_config', function(domain)
           if domain == 'chance.example' then
             return kumo.make_queue_config {{ retry_interval = '1s', max_retry_interval = '1s' }}
           end
         end)
         kumo.on('get_egress_path_config', function(domain, source, site)
           return kumo.make_egress_path {{
             prohibited_hosts = {{}}, smtp_port = {port}, connection_limit = 8, max_deliveries_per_connection = 1,
           }}
         end)\n",
        receiver.url()
    );
    Policy::new("").before(&before).init(&format!("kumo.dns.configure_test_resolver {{ [[{}]] }}\n", mx_zone(hosts)))
}

/// All events about each mail, by its id, in the order in which they happened.
fn by_mail(records: &[Value]) -> BTreeMap<String, Vec<Value>> {
    let mut mails: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for record in records {
        mails.entry(record["id"].as_str().expect("an id").to_owned()).or_default().push(record.clone());
    }
    for events in mails.values_mut() {
        events.sort_by_key(|event| event["event_time"].as_str().expect("a time").to_owned());
    }
    mails
}

fn recipients(events: &[&Value]) -> BTreeSet<String> {
    events.iter().map(|event| event["recipient"].as_str().expect("a recipient").to_owned()).collect()
}

#[test]
fn whatever_chance_does_to_it_each_mail_is_delivered_or_refused_once_and_its_events_say_so() {
    const PART: &str = "smtp-source and smtp-sink at both ends";
    const COUNT: usize = 200;
    let (home, receiver) = (Home::new(), Receiver::start());
    let Some(takes) = Sink::start(PART, &home, &[]) else { return };
    let beside = |options: &[&str]| Sink::at(PART, &home, takes.beside(), options).expect("it was there before");
    let others = [
        beside(&["-f", "rcpt", "-B", "550 5.1.1 nobody of that name"]),
        beside(&["-r", "rcpt", "-b", "451 4.2.1 later"]),
        beside(&["-r", "."]),
        beside(&["-q", "data"]),
        beside(&["-Q", "mail"]),
        beside(&["-e", "-q", "rcpt"]),
    ];
    let hosts: Vec<&Sink> = [&takes].into_iter().chain(&others).collect();
    let daemon = Daemon::start(&home, &policy(&hosts, &receiver));
    let count = COUNT.to_string();
    let sent = smtp_source(PART, daemon.smtp(), &["-s", "10", "-m", &count, "-N", "-t", "user@chance.example"]);
    assert!(sent, "both programs come with one package");

    let last = |record: &&Value| record["type"] == "Delivery" || record["type"] == "Bounce";
    let (mut ended, mut seen) = (0, 0);
    receiver.wait("every mail has come to an end", |requests| {
        ended += requests[seen..].iter().flat_map(|request| request.records()).filter(|record| last(&record)).count();
        seen = requests.len();
        (ended >= COUNT).then_some(())
    });
    // What is told of a mail before its end may arrive behind it.
    daemon.settled("webhook", 0);
    daemon.stop();
    let records = receiver.records();

    let mails = by_mail(&records);
    assert_eq!(mails.len(), COUNT);
    for (id, events) in &mails {
        let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().expect("a type")).collect();
        let [first, between @ .., end] = &kinds[..] else { panic!("{id}: {kinds:?}") };
        assert_eq!(*first, "Reception", "{id}");
        assert!(between.iter().all(|kind| *kind == "TransientFailure"), "{id}: {kinds:?}");
        assert!(["Delivery", "Bounce"].contains(end), "{id}: {kinds:?}");
        let attempts: Vec<&Value> = events[1..].iter().map(|event| &event["num_attempts"]).collect();
        assert_eq!(attempts, (0..attempts.len()).map(|n| json!(n)).collect::<Vec<_>>().iter().collect::<Vec<_>>());
    }
    let ended = |kind: &str| -> Vec<&Value> { records.iter().filter(|record| record["type"] == kind).collect() };
    let (delivered, bounced, put_off) = (ended("Delivery"), ended("Bounce"), ended("TransientFailure"));
    assert!(!delivered.is_empty() && !bounced.is_empty() && !put_off.is_empty(), "chance was there");
    assert!(bounced.iter().all(|bounce| bounce["response"]["content"] == "nobody of that name"));

    // What we say was delivered is there, once each.
    let there = wait_until("the sink has written all", || {
        let mails = takes.mails();
        (mails.len() >= delivered.len()).then_some(mails)
    });
    assert_eq!(there.len(), delivered.len());
    let to: BTreeSet<String> = there
        .iter()
        .filter_map(|mail| mail.lines().find_map(|line| line.strip_prefix("X-Rcpt-Args: <")?.split('>').next()))
        .map(str::to_owned)
        .collect();
    assert_eq!(to, recipients(&delivered));
    let kept: Vec<usize> = others.iter().map(|sink| sink.mails().len()).collect();
    let [_, _, refused_behind_the_data, ..] = kept[..] else { panic!("six of them") };
    // smtp-sink writes the data down before it refuses it.
    assert_eq!(kept, [0, 0, refused_behind_the_data, 0, 0, 0], "a host that took nothing has nothing");
}

#[test]
fn mail_goes_to_an_lmtp_server_and_each_recipient_has_its_answer() {
    const PART: &str = "smtp-sink speaking LMTP";
    let (home, receiver) = (Home::new(), Receiver::start());
    let Some(sink) = Sink::start(PART, &home, &["-L"]) else { return };
    let before = format!(
        "require('policy-extras.log_hooks'):new_json {{ name = 'webhook', url = '{}' }}
         kumo.on('get_queue_config', function(domain)
           if domain == 'store.example' then
             return kumo.make_queue_config {{ protocol = {{ smtp = {{ mx_list = {{ '{}' }} }} }} }}
           end
         end)
         kumo.on('get_egress_path_config', function(domain, source, site)
           return kumo.make_egress_path {{ prohibited_hosts = {{}}, use_lmtp = true }}
         end)\n",
        receiver.url(),
        sink.address()
    );
    let policy = Policy::new("").before(&before).listener("batch_handling = 'BatchByDomain',");
    let daemon = Daemon::start(&home, &policy);
    let users = ["ann", "bob", "cat"].map(|user| format!("{user}@store.example"));
    let ids = daemon.connect().send(&Mail::to_all(users.clone()));
    assert_eq!(ids.len(), 1, "one message");
    let records = receiver.wait_for_records(2);
    daemon.settled("webhook", 0);
    daemon.stop();
    assert_eq!(receiver.records().len(), 2);
    let delivery = records.iter().find(|record| record["type"] == "Delivery").expect("a Delivery");
    assert_eq!((&delivery["recipient"], &delivery["id"]), (&json!(users), &json!(ids[0])));
    assert_eq!(delivery["response"]["code"], 250);
    let mails = wait_until("the sink has it", || Some(sink.mails()).filter(|mails| !mails.is_empty()));
    assert_eq!(mails.len(), 1);
    assert!(
        mails[0].contains("X-Client-Proto: LMTP\n") && mails[0].matches("X-Rcpt-Args: ").count() == 3,
        "{}",
        mails[0]
    );
}
