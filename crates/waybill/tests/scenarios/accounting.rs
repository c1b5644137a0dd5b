//! The accounting database, as somebody who sends the bills reads it: with SQLite, not with us.

use crate::harness::skip::python_with;
use crate::harness::{Daemon, Home, Mail, Policy, Receiver, wait_until};
use std::path::{Path, PathBuf};
use std::process::Command;

const ACCOUNTING: &str = "  kumo.configure_accounting_db_path(dir .. '/bills/accounting.db')";
const QUERY: &str = "import sqlite3, sys
for row in sqlite3.connect(sys.argv[1], timeout=120).execute('SELECT * FROM accounting ORDER BY event_time'):
    print(*row, sep='|')";

/// Somebody who knows SQLite.
struct Reader {
    python: PathBuf,
    path: PathBuf,
}

impl Reader {
    fn find(home: &Home) -> Option<Reader> {
        let python = python_with("what is accounted for is read with SQLite", "sqlite3", "python3")?;
        Some(Reader { python, path: home.file("bills/accounting.db") })
    }

    /// Month, received, delivered.
    fn rows(&self) -> Vec<(String, u64, u64)> {
        let output = Command::new(&self.python).args([Path::new("-c"), Path::new(QUERY), &self.path]).output();
        let output = output.expect("run python");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let row = |line: &str| {
            let mut parts = line.split('|').map(str::to_owned);
            let mut next = || parts.next().expect("three columns");
            (next(), next().parse().expect("a number"), next().parse().expect("a number"))
        };
        text.lines().map(row).collect()
    }

    /// All months: the test may run over the end of one.
    fn sums(&self) -> (u64, u64) {
        self.rows().iter().fold((0, 0), |sums, (_, received, delivered)| (sums.0 + received, sums.1 + delivered))
    }
}

#[test]
fn recipients_are_accounted_for_by_month_and_what_hooks_are_told_is_no_mail() {
    let (home, receiver) = (Home::new(), Receiver::start());
    let Some(reader) = Reader::find(&home) else { return };
    let hook = format!(
        "require('policy-extras.log_hooks'):new_json {{ name = 'webhook', url = '{}' }}
         kumo.on('smtp_server_message_received', function(msg)
           if msg:recipient().domain == 'nowhere.test' then msg:set_meta('queue', 'null') end
         end)",
        receiver.url()
    );
    let daemon = Daemon::start(&home, &Policy::new(hook).init(ACCOUNTING));
    let recipients = ["a@example.com", "b@example.com", "c@nowhere.test"];
    daemon.connect().send(&Mail::to_all(recipients.map(str::to_owned)));
    receiver.wait_for_records(5);
    daemon.settled("webhook", 0);
    daemon.stop();
    assert_eq!(reader.sums(), (3, 2), "three came in, one of them went nowhere");
    for (month, ..) in reader.rows() {
        let words: Vec<&str> = month.split(['-', ' ', ':']).collect();
        assert!(words.len() == 6 && words[2..] == ["01", "00", "00", "00"], "{month}");
    }
    // What an earlier run has counted stays.
    let daemon = Daemon::start_again(&home);
    daemon.connect().send(&Mail::to("d@example.com"));
    wait_until("it is counted while the daemon runs", || (reader.sums() == (4, 3)).then_some(()));
    daemon.stop();
}

#[test]
fn kill_9_at_any_moment_neither_loses_a_recipient_nor_counts_one_twice() {
    let home = Home::new();
    let Some(reader) = Reader::find(&home) else { return };
    let policy = Policy::new("").init(ACCOUNTING);
    let mut accepted = 0;
    for round in 0..6 {
        let daemon = Daemon::start(&home, &policy);
        let mut client = daemon.connect();
        for _ in 0..=20 * round {
            client.send(&Mail::to("a@example.com"));
            accepted += 1;
        }
        // In some rounds something was counted before, in others nothing was.
        if round % 2 == 1 {
            wait_until("something is counted", || (reader.sums().0 > 0).then_some(()));
        }
        daemon.kill9();
    }
    let daemon = Daemon::start(&home, &policy);
    wait_until("all that was accepted is counted and delivered", || {
        let (received, delivered) = reader.sums();
        (received >= accepted && delivered >= accepted).then_some(())
    });
    daemon.stop();
    // A kill between a delivery and its record has the mail delivered again: that is two deliveries.
    let (received, delivered) = reader.sums();
    assert_eq!(received, accepted);
    let in_maildir = home.maildir_count("example.com") as u64;
    assert!((accepted..=in_maildir).contains(&delivered), "{delivered} of {accepted}, {in_maildir} in the maildir");
}

#[test]
fn a_file_that_is_no_database_stops_the_start_and_is_named() {
    let home = Home::new();
    let init = "  kumo.configure_accounting_db_path(dir .. '/policy.lua')";
    Daemon::refused(&home, &Policy::new("").init(init)).says(&[
        "configure_accounting_db_path",
        "open the accounting database",
        "policy.lua",
        "not a database",
    ]);
    let refused = Daemon::refused(&home, &Policy::new("").init("  kumo.configure_accounting_db_path { path = 'x' }"));
    refused.says(&["expected the path of a file", "policy.lua:"]);
}
