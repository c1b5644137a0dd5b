//! SIGTERM while something hangs.

use crate::harness::wait::pause;
use crate::harness::{Answer, Daemon, Home, Load, Mail, Policy, Receiver, wait_until};
use nix::sys::signal::Signal;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// A stop takes no longer than this, whatever hangs.
const GRACE: Duration = Duration::from_secs(60);

fn policy(url: &str) -> Policy {
    Policy::new(format!(
        "require('policy-extras.log_hooks'):new_json {{
           name = 'webhook', url = '{url}', timeout = '10m',
           queue_config = {{ retry_interval = '1s', max_retry_interval = '1s' }} }}"
    ))
}

#[test]
fn a_daemon_stops_cleanly_while_an_endpoint_hangs_and_loses_nothing() {
    let (home, receiver) = (Home::new(), Receiver::start());
    receiver.answer(|_, _| Answer::hang());
    let daemon = Daemon::start(&home, &policy(&receiver.url()));
    daemon.connect().send(&Mail::to("rcpt@example.com"));
    // One event is in the air, the other perhaps behind it.
    let hanging = receiver.wait_for(1)[0].webhook_id().to_owned();
    daemon.wait_for_hook("webhook", "has two events left", |hook| hook["lag_events"] == 2);
    let took = daemon.stop();
    assert!(took < GRACE, "the stop took {took:?}");

    let before = receiver.requests().len();
    receiver.answer(|_, _| Answer::ok());
    let daemon = Daemon::start_again(&home);
    let again = receiver.wait_for(before + 2)[before..].to_vec();
    daemon.settled("webhook", 0);
    daemon.stop();
    let mut kinds: Vec<_> = again.iter().map(|request| request.json()["type"].to_string()).collect();
    kinds.sort();
    assert_eq!(kinds, [r#""Delivery""#, r#""Reception""#]);
    assert!(again.iter().any(|request| request.webhook_id() == hanging), "the same event under the same id");
    assert_eq!(receiver.requests().len(), before + 2);
}

#[test]
fn a_second_sigterm_ends_the_daemon_at_once_and_loses_nothing() {
    let (home, receiver) = (Home::new(), Receiver::start());
    receiver.answer(|_, _| Answer::hang());
    let mut daemon = Daemon::start(&home, &policy(&receiver.url()));
    daemon.connect().send(&Mail::to("rcpt@example.com"));
    let hanging = receiver.wait_for(1)[0].webhook_id().to_owned();
    daemon.wait_for_hook("webhook", "has two events left", |hook| hook["lag_events"] == 2);
    daemon.terminate();
    wait_until("the daemon is stopping", || daemon.stderr().contains("SIGTERM: shutting down").then_some(()));
    // One that comes right behind the first counts as the same, so until it is heard.
    wait_until("the daemon ends at once", || {
        daemon.terminate();
        daemon.stderr().contains("SIGTERM again: ending at once").then_some(())
    });
    assert!(!daemon.ended("the daemon has ended").success(), "that was not a clean stop");

    let before = receiver.requests().len();
    receiver.answer(|_, _| Answer::ok());
    let daemon = Daemon::start_again(&home);
    let again = receiver.wait_for(before + 2)[before..].to_vec();
    assert!(again.iter().any(|request| request.webhook_id() == hanging), "the same event under the same id");
    daemon.settled("webhook", 0);
    daemon.stop();
}

#[test]
fn an_open_smtp_session_does_not_hold_the_stop_up() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &Policy::new(""));
    let mut idle = daemon.connect();
    let mut busy = daemon.connect();
    busy.ask("MAIL FROM:<a@example.com>", 250).expect("a conversation");
    daemon.terminate();
    let reply = idle.hear().expect("a last word");
    assert_eq!(reply.code, 421, "{}", reply.text());
    assert!(reply.text().starts_with("421 4.3.2 "), "{}", reply.text());
    let asked = Instant::now();
    daemon.stopped();
    assert!(asked.elapsed() < GRACE, "the stop took {:?}", asked.elapsed());
}

#[test]
fn a_stop_under_load_ends_in_time_and_keeps_all_that_was_accepted() {
    const SENDERS: usize = 16;
    let (home, receiver) = (Home::new(), Receiver::start());
    // Slow enough that there is a backlog, some answers late.
    receiver.answer(|_, before| {
        pause(Duration::from_millis(if before % 50 == 0 { 2_000 } else { 5 }));
        Answer::ok()
    });
    let load = Load::start(SENDERS, &["example.com"], "body");
    let mut daemon = Daemon::start(&home, &policy(&receiver.url()));
    load.onto(&daemon);
    for _ in 0..2 {
        load.accepts(300);
        let took = daemon.stop();
        assert!(took < GRACE, "the stop took {took:?}");
        daemon = Daemon::start_again(&home);
        load.onto(&daemon);
    }
    load.accepts(100);
    load.off();
    let told = load.end();
    told.was_never_refused_for_good();
    receiver.answer(|_, _| Answer::ok());
    let (mut told_of, mut seen) = (HashSet::new(), 0);
    receiver.wait("every accepted mail has its Reception and its Delivery", |requests| {
        for request in &requests[seen..] {
            let record = request.json();
            told_of.insert((record["id"].as_str()?.to_owned(), record["type"].as_str()?.to_owned()));
        }
        seen = requests.len();
        let is_told = |id: &String, kind: &str| told_of.contains(&(id.clone(), kind.to_owned()));
        told.accepted.keys().all(|id| is_told(id, "Reception") && is_told(id, "Delivery")).then_some(())
    });
    daemon.settled("webhook", 0);
    daemon.stop();
    told.is_among(&home.maildir("example.com").concat());
    let ids: HashSet<_> = receiver.requests().iter().map(|request| request.webhook_id().to_owned()).collect();
    assert_eq!(ids.len(), receiver.requests().len(), "a stop in good order repeats nothing");
}

#[test]
fn a_stop_waits_for_a_slow_endpoint_no_longer_than_its_path_says() {
    let (home, receiver, door) = (Home::new(), Receiver::start(), Receiver::start());
    receiver.answer(|_, _| Answer::hang());
    door.answer(|_, _| Answer::hang());
    let policy = format!(
        "require('policy-extras.log_hooks'):new_json {{ name = 'webhook', url = '{}', timeout = '10m' }}
         kumo.on('get_egress_path_config', function()
           return kumo.make_egress_path {{ system_shutdown_timeout = '1s' }}
         end)
         kumo.on('get_queue_config', function(domain)
           if domain == 'door.test' then
             return kumo.make_queue_config {{ protocol = {{ custom_lua = {{ constructor = 'make.door' }} }} }}
           end
         end)
         kumo.on('make.door', function()
           local connection = {{}}
           function connection:send(message)
             kumo.http.build_client({{}}):post('{}'):body('hello'):send()
             return 'through the door'
           end
           return connection
         end)",
        receiver.url(),
        door.url()
    );
    let mut daemon = Daemon::start(&home, &Policy::new(policy));
    daemon.connect().send(&Mail::to("rcpt@door.test"));
    receiver.wait_for(1);
    door.wait_for(1);
    daemon.terminate();
    assert!(daemon.ended("the daemon has stopped").success());
    // A stage that had to be ended by force would say so.
    assert!(!daemon.stderr().contains("cut off"), "{}", daemon.stderr());
    let waits = "session aborted: the daemon stops, and system_shutdown_timeout is over";
    let told = |record: &serde_json::Value| record["type"] == "Delayed" && record["response"]["content"] == waits;
    assert!(home.records().iter().any(told), "{:?}", home.records());

    receiver.answer(|_, _| Answer::ok());
    door.answer(|_, _| Answer::ok());
    let daemon = Daemon::start_again(&home);
    receiver.wait("the mail is delivered", |requests| {
        requests.iter().any(|request| request.json()["type"] == "Delivery").then_some(())
    });
    daemon.settled("webhook", 0);
    daemon.stop();
}

#[test]
fn sigint_and_sighup_stop_the_daemon_too_and_sessions_are_told() {
    for signal in [Signal::SIGINT, Signal::SIGHUP] {
        let home = Home::new();
        let daemon = Daemon::start(&home, &Policy::new(""));
        let mut idle = daemon.connect();
        let id = daemon.connect().send(&Mail::to("rcpt@example.com")).remove(0);
        daemon.signal(signal);
        let reply = idle.hear().expect("a last word");
        assert!(reply.text().starts_with("421 4.3.2 "), "{signal}: {}", reply.text());
        wait_until("the stop is told", || daemon.stderr().contains(&format!("{signal}: shutting down")).then_some(()));
        daemon.stopped();
        assert!(home.records().iter().any(|record| record["id"] == id.as_str()), "{signal}");
    }
}

#[test]
fn shutdown_logging_is_fired_once_before_log_files_are_completed() {
    let home = Home::new();
    let body = "kumo.on('shutdown_logging', function()
  local out = io.open(dir .. '/shutdown', 'a')
  for _, file in ipairs(kumo.fs.glob(dir .. '/logs/*')) do
    local writable = io.open(file, 'a')
    if writable then writable:close() end
    out:write(writable and 'open' or 'completed', '\\n')
  end
  out:close()
end)";
    let daemon = Daemon::start(&home, &Policy::new(body));
    daemon.connect().send(&Mail::to("rcpt@example.com"));
    wait_until("the mail is delivered and logged", || {
        home.records().iter().any(|record| record["type"] == "Delivery").then_some(())
    });
    assert!(!home.file("shutdown").exists(), "the daemon has not been asked to stop");
    daemon.stop();
    let told = std::fs::read_to_string(home.file("shutdown")).expect("what the handler wrote");
    assert_eq!(told, "open\n", "one file, still being written, once");
    let files = std::fs::read_dir(home.file("logs")).expect("log files").map(|file| file.expect("a log file"));
    let completed: Vec<_> =
        files.map(|file| file.metadata().expect("its permissions").permissions().readonly()).collect();
    assert_eq!(completed, [true], "it is marked as done");
}
