//! Thousands of clients that connect and say nothing.

use crate::harness::skip::skip;
use crate::harness::{Daemon, Home, Mail, Policy, Smtp, wait_until};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

const SESSIONS: usize = 10_000;
/// Other files of ours and of the daemon.
const BESIDE: u64 = 1_000;
/// What one of them may cost, in bytes. Seen: 10,919.
const MOST_EACH: u64 = 24 * 1024;

#[test]
fn ten_thousand_clients_that_say_nothing_cost_little_and_hold_up_nobody() {
    const PART: &str = "10,000 idle SMTP sessions";
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("ask for the limit of open files");
    if hard < SESSIONS as u64 + BESIDE {
        skip(&format!("{PART} ({hard} open files are allowed)"), "ulimit -n 12000");
        return;
    }
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("raise our limit of open files");
    let home = Home::new();
    let daemon = Daemon::start(&home, &Policy::new(""));
    daemon.connect().send(&Mail::to("rcpt@example.com"));
    let before = daemon.resident_memory();
    let mut sessions: Vec<Smtp> = Vec::new();
    for number in 0..SESSIONS {
        let mut session = Smtp::open(daemon.smtp()).unwrap_or_else(|error| panic!("connection {number}: {error}"));
        let banner = session.hear().expect("a banner");
        assert_eq!(banner.code, 220, "{}", banner.text());
        sessions.push(session);
    }
    let each = daemon.resident_memory().saturating_sub(before) / SESSIONS as u64;
    println!("{SESSIONS} idle sessions cost {each} bytes each");
    assert!(each < MOST_EACH, "{each} bytes each");

    // The last one, the first one and a new one have mail taken.
    for number in [SESSIONS - 1, 0] {
        sessions[number].ask("EHLO client.example", 250).expect("a conversation");
        sessions[number].send(&Mail::to("rcpt@example.com"));
    }
    daemon.connect().send(&Mail::to("rcpt@example.com"));
    wait_until("all mail is delivered", || (home.maildir_count("example.com") == 4).then_some(()));
    let took = daemon.stop();
    println!("the stop took {took:?}");
    for session in &mut sessions {
        let last = session.hear().expect("a last word");
        assert_eq!(last.code, 421, "{}", last.text());
    }
}
