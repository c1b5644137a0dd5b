//! What an operator does with hooks, by the commands that there are for it.

use crate::harness::{Answer, Daemon, Home, Mail, Policy, Receiver, wait_until};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use waybill_runtime::{Clock, SystemClock};
use waybill_types::Timestamp;

const POLICY: &str = r"
local log_hooks = require 'policy-extras.log_hooks'
log_hooks:new_json { name = 'webhook', url = '@URL@', queue_config = { retry_interval = '1s' } }
";

struct Stage {
    // First, as it must end before its folder goes.
    daemon: Daemon,
    home: Home,
    receiver: Receiver,
    /// What the endpoint says while it is set: 404.
    gone: Arc<AtomicBool>,
}

impl Stage {
    fn set() -> Stage {
        let (home, receiver) = (Home::new(), Receiver::start());
        let gone = Arc::new(AtomicBool::new(false));
        let is_gone = gone.clone();
        receiver.answer(move |_, _| if is_gone.load(Ordering::SeqCst) { Answer::status(404) } else { Answer::ok() });
        let daemon = Daemon::start(&home, &Policy::new(POLICY.replace("@URL@", &receiver.url())));
        Stage { daemon, home, receiver, gone }
    }

    /// So many mails: two events each.
    fn mail(&self, count: usize) {
        let mut client = self.daemon.connect();
        for _ in 0..count {
            client.send(&Mail::to("rcpt@example.com"));
        }
    }

    /// Runs `waybill hooks …`.
    fn hooks(&self, words: &[&str]) -> Result<String, String> {
        self.daemon.client(&[&["hooks"], words].concat())
    }

    fn says(&self, words: &[&str]) -> String {
        self.hooks(words).unwrap_or_else(|error| panic!("waybill hooks {}: {error}", words.join(" ")))
    }
}

#[test]
fn a_paused_hook_waits_across_a_restart_and_mail_does_not_wait_for_it() {
    let stage = Stage::set();
    stage.says(&["pause", "webhook"]);
    stage.mail(3);
    stage.daemon.wait_for_hook("webhook", "is paused with six events before it", |hook| {
        hook["state"] == "paused" && hook["lag_events"] == 6
    });
    let Stage { daemon, home, receiver, gone } = stage;
    assert_eq!(home.maildir("example.com").len(), 3);
    daemon.stop();
    let daemon = Daemon::start_again(&home);
    daemon.wait_for_hook("webhook", "is still paused", |hook| hook["state"] == "paused" && hook["lag_events"] == 6);
    assert!(receiver.requests().is_empty());
    let stage = Stage { daemon, home, receiver, gone };
    assert!(stage.says(&["resume", "webhook"]).contains("webhook goes on"));
    stage.receiver.wait_for(6);
    stage.daemon.settled("webhook", 0);
    stage.daemon.stop();
}

#[test]
fn the_age_of_an_event_counts_from_its_append_and_not_from_when_the_hook_got_to_it() {
    let stage = Stage::set();
    stage.says(&["pause", "webhook"]);
    stage.mail(1);
    stage.daemon.wait_for_hook("webhook", "has two events before it", |hook| hook["lag_events"] == 2);
    let between = SystemClock.now();
    stage.says(&["resume", "webhook"]);
    stage.receiver.wait_for(2);
    stage.daemon.settled("webhook", 0);
    stage.daemon.stop();
    let records = stage.home.hook_records();
    assert_eq!(records.len(), 2, "{records:#?}");
    for record in records {
        let time = |key: &str| record[key].as_str().and_then(Timestamp::parse_rfc3339).expect("a time");
        assert!(time("created_time") < between && between < time("event_time"), "{between:?} in {record}");
    }
}

#[test]
fn dead_letters_are_listed_and_delivered_once_the_endpoint_is_back() {
    let stage = Stage::set();
    stage.gone.store(true, Ordering::SeqCst);
    stage.mail(2);
    stage.daemon.settled("webhook", 4);
    let table = stage.says(&["dead-letters", "webhook"]);
    assert_eq!(table.lines().count(), 5, "{table}");
    assert!(table.contains("permanent") && table.contains("404"), "{table}");
    let letters: Value = serde_json::from_str(&stage.says(&["dead-letters", "webhook", "--json"])).expect("JSON");
    let ids: HashSet<&str> = letters.as_array().expect("a list").iter().filter_map(|one| one["id"].as_str()).collect();
    let refused: Vec<_> = stage.receiver.requests();
    assert_eq!(ids, refused.iter().map(|request| request.webhook_id()).collect());
    assert_eq!(letters[0]["record"]["recipient"], "rcpt@example.com");
    stage.gone.store(false, Ordering::SeqCst);
    assert!(stage.says(&["redrive", "webhook"]).contains("0 dead letters of webhook are left"));
    let all = stage.receiver.requests();
    let again: HashSet<&str> = all[refused.len()..].iter().map(|request| request.webhook_id()).collect();
    assert_eq!(again, ids, "the same events, by the same ids");
    stage.daemon.settled("webhook", 0);
    stage.daemon.stop();
}

#[test]
fn who_has_dead_letters_of_a_paused_hook_tried_again_is_told_what_they_wait_for() {
    let stage = Stage::set();
    stage.gone.store(true, Ordering::SeqCst);
    stage.mail(1);
    stage.daemon.settled("webhook", 2);
    stage.gone.store(false, Ordering::SeqCst);
    stage.says(&["pause", "webhook"]);
    let said = stage.says(&["redrive", "webhook"]);
    assert!(said.contains("webhook is paused: ") && said.contains("`waybill hooks resume webhook`"), "{said}");
    assert_eq!(stage.receiver.requests().len(), 2, "paused is paused");
    stage.says(&["resume", "webhook"]);
    stage.receiver.wait_for(4);
    stage.daemon.settled("webhook", 0);
    stage.daemon.stop();
}

#[test]
fn dead_letters_of_a_wrong_url_arrive_once_the_policy_is_repaired_and_they_are_redriven() {
    let (home, receiver) = (Home::new(), Receiver::start());
    receiver.answer(|request, _| if request.path == "/log" { Answer::ok() } else { Answer::status(404) });
    let to = |url: &str| Policy::new(POLICY.replace("@URL@", url));
    let daemon = Daemon::start(&home, &to(&format!("{}-misspelt", receiver.url())));
    let mut client = daemon.connect();
    for _ in 0..5 {
        client.send(&Mail::to("rcpt@example.com"));
    }
    daemon.settled("webhook", 10);
    let (pid, refused) = (daemon.pid(), receiver.requests());
    assert!(refused.iter().all(|request| request.path == "/log-misspelt"), "{refused:?}");
    let dead: HashSet<&str> = refused.iter().map(|request| request.webhook_id()).collect();
    assert_eq!((dead.len(), refused.len()), (10, 10));

    // The operator repairs the file and redrives at once: what is read again must count for sessions that live, too.
    home.write_policy(&to(&receiver.url()).text(&home));
    daemon.ctl(&["bump-config-epoch"]);
    let said = daemon.client(&["hooks", "redrive", "webhook"]).expect("dead letters are redriven");
    assert!(said.contains("0 dead letters of webhook are left"), "{said}");
    daemon.settled("webhook", 0);
    let arrived: Vec<_> = receiver.requests().into_iter().filter(|request| request.path == "/log").collect();
    assert_eq!(arrived.iter().map(|request| request.webhook_id()).collect::<HashSet<_>>(), dead);
    assert_eq!(arrived.len(), 10, "each once");
    // What comes now goes to the right place as well.
    client.send(&Mail::to("rcpt@example.com"));
    receiver.wait("a new mail's two events came", |requests| {
        (requests.iter().filter(|request| request.path == "/log").count() == 12).then_some(())
    });
    daemon.settled("webhook", 0);
    assert_eq!(daemon.pid(), pid);
    daemon.stop();
}

#[test]
fn the_last_events_of_a_kind_are_replayed_with_the_ids_they_had() {
    let stage = Stage::set();
    stage.mail(10);
    stage.receiver.wait_for(20);
    stage.daemon.settled("webhook", 0);
    let said = stage.says(&["replay", "webhook", "--last", "4", "--kind", "Delivery"]);
    assert!(said.contains("webhook@replay-1 is done"), "{said}");
    let all = stage.receiver.requests();
    let (first, again) = all.split_at(20);
    assert_eq!(again.len(), 4);
    for request in again {
        assert_eq!(request.json()["type"], "Delivery");
        let before = first.iter().find(|before| before.webhook_id() == request.webhook_id());
        assert_eq!(before.expect("it came before").text(), request.text());
    }
    assert!(!stage.says(&["list"]).contains("replay"), "nothing of it is left");
    stage.daemon.stop();
}

#[test]
fn a_replay_is_paused_goes_on_and_is_cancelled_and_what_it_had_left_never_comes() {
    const REPLAY: &str = "webhook@replay-1";
    let stage = Stage::set();
    stage.mail(10);
    stage.receiver.wait_for(20);
    stage.daemon.settled("webhook", 0);
    stage.receiver.answer(|_, _| Answer::status(503));
    let said = std::thread::scope(|scope| {
        let replay = scope.spawn(|| stage.says(&["replay", "webhook", "--last", "10"]));
        stage.daemon.wait_for_hook(REPLAY, "tries", |hook| hook["state"] == "replay");
        stage.receiver.wait_for(21);
        stage.says(&["pause", REPLAY]);
        replay.join().expect("the command that waits for it")
    });
    assert!(said.contains(&format!("{REPLAY} is paused, 10 to go")), "{said}");
    assert!(said.contains(&format!("`waybill hooks resume {REPLAY}`")), "{said}");
    let shown = stage.daemon.wait_for_hook(REPLAY, "is paused", |hook| hook["state"] == "paused");
    assert_eq!(shown["progress"], 0.0, "{shown}");

    let slip = stage.hooks(&["cancel-replay", "webhook"]).expect_err("it is the hook");
    assert!(slip.contains("webhook is no replay"), "{slip}");
    let slip = stage.hooks(&["forget", REPLAY]).expect_err("it is a replay");
    assert!(slip.contains(&format!("`waybill hooks cancel-replay {REPLAY}`")), "{slip}");

    let before = stage.receiver.requests().len();
    stage.says(&["resume", REPLAY]);
    stage.receiver.wait_for(before + 1);
    assert!(stage.says(&["cancel-replay", REPLAY]).contains("webhook@replay-1 ends"));
    wait_until("nothing of it is left", || (!stage.says(&["list"]).contains("replay")).then_some(()));
    let before = stage.receiver.requests().len();
    stage.receiver.answer(|_, _| Answer::ok());
    stage.mail(1);
    stage.receiver.wait_for(before + 2);
    stage.daemon.settled("webhook", 0);
    stage.daemon.stop();
    assert_eq!(stage.receiver.requests().len(), before + 2, "what it had left never comes");
}

#[test]
fn who_replays_what_the_endpoint_refuses_is_told_so() {
    let stage = Stage::set();
    stage.mail(2);
    stage.receiver.wait_for(4);
    stage.daemon.settled("webhook", 0);
    stage.gone.store(true, Ordering::SeqCst);
    let said = stage.says(&["replay", "webhook", "--last", "1", "--kind", "Delivery"]);
    assert!(said.contains("that are Delivery were sent again\nwebhook has a dead letter more than before"), "{said}");
    stage.gone.store(false, Ordering::SeqCst);
    let said = stage.says(&["replay", "webhook", "--last", "2"]);
    assert!(said.ends_with(" were sent again\n"), "{said}");
    stage.daemon.settled("webhook", 1);
    stage.daemon.stop();
}

#[test]
fn what_cannot_be_done_is_refused_with_why() {
    let stage = Stage::set();
    for (words, why) in [
        (&["pause", "nobody"][..], "no hook nobody; there are: webhook"),
        (&["forget", "webhook"], "the policy has this hook"),
        (&["replay", "webhook", "--last", "5"], "there are no events to replay"),
        (&["replay", "webhook"], "--last <COUNT>"),
        (&["replay", "webhook", "--since", "yesterday"], "since: expected a time"),
        (&["replay", "webhook", "--last", "5", "--kind", "Deferred"], "kinds:"),
        (&["redrive", "webhook", "--reason", "bad"], "reason: there is no"),
        (&["redrive", "webhook", "--offset", "17"], "no dead letter of webhook at offset 17"),
        (&["dead-letters", "nobody"], "no hook nobody"),
    ] {
        let refused = stage.hooks(words).expect_err(&words.join(" "));
        assert!(refused.contains(why), "{words:?}: {refused}");
    }
    stage.mail(1);
    stage.receiver.wait_for(2);
    stage.daemon.settled("webhook", 0);
    let status = stage.says(&["status", "webhook"]);
    assert!(status.contains("webhook.log_hook") && status.contains("2xx 2"), "{status}");
    stage.daemon.stop();
}

#[test]
fn a_hook_that_left_the_policy_can_be_forgotten() {
    let stage = Stage::set();
    stage.gone.store(true, Ordering::SeqCst);
    stage.mail(1);
    stage.daemon.settled("webhook", 2);
    let Stage { daemon, home, receiver, gone } = stage;
    daemon.stop();
    let daemon = Daemon::start(&home, &Policy::new(""));
    let stage = Stage { daemon, home, receiver, gone };
    stage.daemon.wait_for_hook("webhook", "is detached", |hook| hook["state"] == "detached");
    assert_eq!(stage.says(&["dead-letters", "webhook"]).lines().count(), 3, "its dead letters can be seen");
    for words in [["pause", "webhook"], ["cancel-replay", "webhook"]] {
        assert!(stage.hooks(&words).expect_err("it does not run").contains("it is detached"), "{words:?}");
    }
    stage.says(&["forget", "webhook"]);
    assert!(stage.says(&["list"]).contains("no hooks"));
    stage.daemon.stop();
}
