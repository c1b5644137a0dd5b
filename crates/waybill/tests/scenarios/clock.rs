//! The system's clock is set while the daemon works, by libfaketime: no mail and no event is lost or expires. What waits for
//! a retry when the clock is set back waits until it is right again, or an operator flushes it.

use crate::harness::daemon::serve;
use crate::harness::skip::skip;
use crate::harness::{Answer, Daemon, Home, Mail, Policy, Receiver, wait_until};
use serde_json::Value;
use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

const MAILS: usize = 10;
/// A day, in either direction.
const STEP: &str = "86400s";

/// Debian's libfaketime, for programs with threads.
fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?;
    let mut places = folders.flatten().map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    let found = places.find(|library| library.is_file());
    if found.is_none() {
        skip("a clock that is set while the daemon works (no libfaketime)", "sudo apt-get install faketime");
    }
    found
}

/// A daemon whose wall clock follows a file.
struct Stage {
    // First, as it must end before its folder goes.
    daemon: Daemon,
    home: Home,
    receiver: Receiver,
    door: Receiver,
}

impl Stage {
    fn set() -> Option<Stage> {
        let library = library()?;
        let (home, receiver, door) = (Home::new(), Receiver::start(), Receiver::start());
        let policy = Policy::new(format!(
            "require('policy-extras.log_hooks'):new_json {{
               name = 'webhook', url = '{}',
               queue_config = {{ retry_interval = '2s', max_retry_interval = '2s' }} }}
             kumo.on('get_queue_config', function(domain)
               if domain == 'door.test' then
                 return kumo.make_queue_config {{
                   retry_interval = '2s', max_retry_interval = '2s',
                   protocol = {{ custom_lua = {{ constructor = 'make.door' }} }},
                 }}
               end
             end)
             kumo.on('make.door', function()
               local connection, client = {{}}, kumo.http.build_client {{}}
               function connection:send(message)
                 local response = client:post('{}'):body(message:recipient().user):send()
                 if not response:status_is_success() then
                   kumo.reject(451, 'the door is closed')
                 end
                 return 'through the door'
               end
               return connection
             end)",
            receiver.url(),
            door.url()
        ));
        home.write_policy(&policy.text(&home));
        set_clock(&home, "+0");
        let mut command = serve(&home);
        command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", home.file("clock"));
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        let daemon = Daemon::start_as(&mut command);
        Some(Stage { daemon, home, receiver, door })
    }

    /// Waits until all of these mails are told to be delivered.
    fn arrive(&self, name: &str) {
        self.receiver.wait(&format!("every mail of {name} has its Delivery"), |requests| {
            let records = requests.iter().flat_map(|request| request.records());
            let delivered = records.filter(|record| record["type"] == "Delivery");
            let ours: HashSet<String> = delivered.map(|record| record["recipient"].to_string()).collect();
            (ours.iter().filter(|recipient| recipient.contains(name)).count() == MAILS).then_some(())
        });
    }

    fn mail(&self, name: &str) {
        let mut client = self.daemon.connect();
        (0..MAILS).for_each(|number| drop(client.send(&Mail::to(&format!("{name}{number}@door.test")))));
    }
}

/// `+SECONDSs` or `-SECONDSs` from the true time.
fn set_clock(home: &Home, offset: &str) {
    // In one step: the daemon reads it at any time.
    let (next, path) = (home.file("clock.next"), home.file("clock"));
    fs::write(&next, format!("{offset}\n")).expect("write the clock");
    fs::set_permissions(&next, fs::Permissions::from_mode(0o644)).expect("let others read the clock");
    fs::rename(next, path).expect("set the clock");
}

/// Mail and events wait for a retry when the clock is set; both come through, and so does what comes afterwards.
fn survives_a_step(offset: &str, then: impl Fn(&Stage)) {
    let Some(stage) = Stage::set() else { return };
    stage.door.answer(|_, _| Answer::status(503));
    stage.receiver.answer(|_, _| Answer::status(503));
    stage.mail("before");
    stage.door.wait_for(MAILS);
    wait_until("the hook has failed", || {
        stage.home.hook_records().iter().any(|record| record["type"] == "TransientFailure").then_some(())
    });
    set_clock(&stage.home, offset);
    stage.door.answer(|_, _| Answer::ok());
    stage.receiver.answer(|_, _| Answer::ok());
    stage.mail("after");
    then(&stage);
    stage.arrive("after");
    stage.arrive("before");
    stage.daemon.settled("webhook", 0);
    let given_up = |record: &&Value| record["type"] == "Expiration" || record["type"] == "Bounce";
    assert_eq!(stage.receiver.records().iter().find(given_up), None);
    stage.daemon.stop();
}

#[test]
fn a_clock_that_is_set_forward_holds_nothing_up() {
    survives_a_step(&format!("+{STEP}"), |_| {});
}

#[test]
fn a_clock_that_is_set_back_and_right_again_loses_nothing() {
    survives_a_step(&format!("-{STEP}"), |stage| set_clock(&stage.home, "+0"));
}

#[test]
fn what_waits_since_a_clock_was_set_back_comes_through_when_it_is_flushed() {
    survives_a_step(&format!("-{STEP}"), |stage| {
        let flush = ["rebind", "--everything", "--data", "{}", "--always-flush", "--reason", "the clock was set back"];
        stage.daemon.ctl(&flush);
    });
}
