//! The endpoint of a hook is dead for long while mail comes in, and then it is back.
//!
//! What else an operator does about that has scenarios of its own: dead letters that are redriven once their endpoint
//! takes them (`hooks_in_operation`), a hook that is taken out of the policy and put back
//! (`a_hook_that_left_the_policy_keeps_its_place_and_takes_it_up_again`).

use crate::harness::wait::{is_long, wait_for_count};
use crate::harness::{Answer, Daemon, Home, Mail, Policy, Receiver, Request};
use serde_json::Value;
use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A second between two tries stands for the twenty minutes that are usual: an hour is three of them, and there are many
/// more here.
const POLICY: &str = r"
kumo.on('smtp_server_message_received', function(msg)
  msg:set_meta('ballast', string.rep('x', @BALLAST@))
end)

local log_hooks = require 'policy-extras.log_hooks'
log_hooks:new_json {
  name = 'webhook',
  url = '@URL@',
  log_parameters = { headers = { 'Subject' }, meta = { 'ballast' } },
  queue_config = { retry_interval = '1s', max_retry_interval = '1s' },
}
";
const DOMAIN: &str = "example.com";
/// Reception and Delivery.
const EVENTS_A_MAIL: usize = 2;
/// Mails before the trouble: whatever a busy daemon holds for good (states of Lua, memtables, threads) is there then.
const BEFORE: usize = 2_000;
/// So many mails wait to be delivered at most: how long that takes on this machine is not to be seen in the memory.
const AT_ONCE: usize = 500;
/// Tries at least, after all of the backlog is there: the dead endpoint is asked again and again.
const TRIES: usize = 3;
const REPLAYED: usize = 1_000;
/// A header and meta that every event carries, so that it would be noticed if events were in memory: with them an event is
/// some 6 KiB of JSON, and more as a message.
const SUBJECT: usize = 900;
const BALLAST: usize = 4096;

/// The daemon may grow by so much while the second half of the backlog comes in. The first half has filled what is bounded
/// anyway (memtables and the block cache of the store, 16 MiB each, what the allocator keeps of the mail that flows). In
/// memory the second half would take 60 MiB and more, a quarter of it what is allowed here.
const MOST_GROWTH: u64 = 16 << 20;

/// What came of each event: its kind, and how often it came.
type Came = Arc<Mutex<HashMap<String, (bool, usize)>>>;

struct Stage {
    // First, as it must end before its folder goes.
    daemon: Daemon,
    home: Home,
    receiver: Receiver,
    came: Came,
    mails: usize,
}

impl Stage {
    fn set() -> Stage {
        let (home, receiver, came) = (Home::new(), Receiver::start(), Came::default());
        receiver.keep_none();
        let notes = came.clone();
        receiver.answer(move |request: &Request, _| {
            let is_delivery = request.text().contains(r#""type":"Delivery""#);
            let mut notes = notes.lock().expect("no panic while it is held");
            notes.entry(request.webhook_id().to_owned()).or_insert((is_delivery, 0)).1 += 1;
            Answer::ok()
        });
        let policy = POLICY.replace("@URL@", &receiver.url()).replace("@BALLAST@", &BALLAST.to_string());
        let daemon = Daemon::start(&home, &Policy::new(policy));
        Stage { daemon, home, receiver, came, mails: 0 }
    }

    /// So many mails are accepted and delivered, whatever the endpoint does.
    fn mail(&mut self, count: usize) {
        for _ in 0..count / AT_ONCE {
            send(&self.daemon, AT_ONCE);
            self.mails += AT_ONCE;
            wait_for_count("the mail is delivered", self.mails, || self.home.maildir_count(DOMAIN));
        }
    }

    /// How many events came.
    fn events(&self) -> usize {
        self.came.lock().expect("no panic while it is held").len()
    }

    /// How many requests brought them.
    fn requests(&self) -> usize {
        self.came.lock().expect("no panic while it is held").values().map(|(_, times)| times).sum()
    }

    fn attempts(&self) -> usize {
        let status = self.daemon.client(&["hooks", "status", "webhook", "--json"]).expect("the hook's status");
        let status: Value = serde_json::from_str(&status).expect("JSON");
        let responses = status["responses"].as_object().expect("classes of responses");
        let all: u64 = responses.values().filter_map(Value::as_u64).sum();
        usize::try_from(all).expect("a count")
    }
}

/// Mails by postfix's load generator, or one after the other where it is not installed.
fn send(daemon: &Daemon, count: usize) {
    let subject = "s".repeat(SUBJECT);
    let mut command = Command::new("smtp-source");
    command.args(["-d", "-s", "10", "-m", &count.to_string(), "-l", "200", "-S", &subject]);
    command.args(["-f", "sender@example.com", "-t", "rcpt@example.com", &daemon.smtp().to_string()]);
    match command.stdin(Stdio::null()).output() {
        Ok(output) => {
            let words = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "smtp-source: every mail must be accepted: {}\n{words}", output.status);
        }
        Err(error) => {
            eprintln!("smtp-source cannot be run ({error}; Debian's postfix has it): our own client sends");
            let mut client = daemon.connect();
            let mail = Mail::to("rcpt@example.com").header(&format!("Subject: {subject}"));
            (0..count).for_each(|_| drop(client.send(&mail)));
        }
    }
}

#[test]
fn an_endpoint_that_was_dead_for_long_costs_no_memory_and_no_mail_and_gets_everything_once_it_is_back() {
    let mails = if is_long() { 50_000 } else { 10_000 };
    let mut stage = Stage::set();
    stage.mail(BEFORE);
    wait_for_count("the endpoint has all events so far", EVENTS_A_MAIL * BEFORE, || stage.events());
    stage.daemon.settled("webhook", 0);

    stage.receiver.down();
    let begun = Instant::now();
    let mut resident = vec![stage.daemon.resident_memory()];
    for half in 1..=2 {
        // All of it is accepted and delivered, and none of its events is taken: mail waits for no endpoint.
        stage.mail(mails / 2);
        let behind = EVENTS_A_MAIL * half * mails / 2;
        stage.daemon.wait_for_hook("webhook", "has all of them before it", |hook| hook["lag_events"] == behind);
        assert_eq!(stage.events(), EVENTS_A_MAIL * BEFORE, "it is dead");
        resident.push(stage.daemon.resident_memory());
    }
    let backlog = EVENTS_A_MAIL * mails;
    let tried = stage.attempts();
    wait_for_count("it tries again and again", tried + TRIES, || stage.attempts());
    let is_behind = |hook: &Value| hook["lag_events"] == backlog && hook["dead_letters"] == 0;
    stage.daemon.wait_for_hook("webhook", "has lost none", is_behind);
    assert_eq!(stage.events(), EVENTS_A_MAIL * BEFORE, "it is dead");
    resident.push(stage.daemon.resident_memory());
    let dead_for = begun.elapsed();

    let back = Instant::now();
    stage.receiver.up();
    let all = EVENTS_A_MAIL * stage.mails;
    wait_for_count("everything has arrived", all, || stage.events());
    stage.daemon.settled("webhook", 0);
    let took = back.elapsed();
    let shown: Vec<u64> = resident.iter().map(|bytes| bytes >> 20).collect();
    println!(
        "{backlog} events behind, {} attempts in {dead_for:?}; resident MiB {shown:?}, at most {}; all arrived in {took:?}, {} of them twice",
        stage.attempts(),
        stage.daemon.peak_memory() >> 20,
        stage.requests() - all
    );
    assert_eq!(stage.events(), all, "and nothing else");
    // Also while it is tried again and again.
    let grown = resident[2].max(resident[3]).saturating_sub(resident[1]);
    assert!(grown <= MOST_GROWTH, "the second half of {backlog} events behind costs {} MiB", grown >> 20);

    // From here on only what comes again counts.
    stage.came.lock().expect("no panic while it is held").values_mut().for_each(|(_, times)| *times = 0);
    let last = REPLAYED.to_string();
    let said = stage.daemon.client(&["hooks", "replay", "webhook", "--last", &last, "--kind", "Delivery"]);
    assert!(said.as_ref().is_ok_and(|said| said.contains("webhook@replay-1 is done")), "{said:?}");
    let came = stage.came.lock().expect("no panic while it is held").clone();
    let again: Vec<(bool, usize)> = came.values().filter(|(_, times)| *times > 0).copied().collect();
    assert_eq!(came.len(), all, "the same events by the same ids");
    assert_eq!(again, vec![(true, 1); REPLAYED], "deliveries, each once");
    stage.daemon.stop();
}
