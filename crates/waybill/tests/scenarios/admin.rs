//! An operator at work: `waybill ctl` against a live daemon.

use crate::harness::daemon::{PROGRAM, program_at};
use crate::harness::skip;
use crate::harness::{Answer, Daemon, Home, Mail, Policy, Receiver, http, output_of, wait_until};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

/// Mail to `*.test` goes through a door.
const POLICY: &str = r#"
kumo.on('get_queue_config', function(domain)
  if domain:match '%.test$' then
    return kumo.make_queue_config { protocol = { custom_lua = { constructor = 'make.door' } } }
  end
end)

kumo.on('make.door', function()
  local client = kumo.http.build_client {}
  local connection = {}
  function connection:send(message)
    if not client:post('@DOOR@'):body(message:recipient().user):send():status_is_success() then
      kumo.reject(451, 'the door is closed')
    end
    return 'through the door'
  end
  return connection
end)
"#;

/// Of each kind.
const MAILS: usize = 40;

struct Stage {
    home: Home,
    door: Receiver,
    policy: Policy,
}

impl Stage {
    fn set() -> Stage {
        let (home, door) = (Home::new(), Receiver::start());
        door.answer(|_, _| Answer::status(503));
        let policy = Policy::new(POLICY.replace("@DOOR@", &door.url()));
        Stage { home, door, policy }
    }

    fn start(&self) -> Daemon {
        Daemon::start(&self.home, &self.policy)
    }

    fn count(&self, kind: &str, domain: &str) -> usize {
        let is = |record: &&Value| {
            record["type"] == kind && record["recipient"].as_str().is_some_and(|to| to.ends_with(&format!("@{domain}")))
        };
        self.home.records().iter().filter(is).count()
    }

    fn wait(&self, kind: &str, domain: &str, count: usize) {
        wait_until(&format!("{domain} has {count} times {kind}"), || (self.count(kind, domain) >= count).then_some(()));
    }
}

fn fill(daemon: &Daemon, domain: &str) -> Vec<String> {
    let mut smtp = daemon.connect();
    (0..MAILS).map(|number| smtp.send(&Mail::to(&format!("u{number}@{domain}"))).remove(0)).collect()
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn bounce_suspend_and_rebind_under_load_with_a_restart_between_lose_nothing() {
    let stage = Stage::set();
    let daemon = stage.start();
    daemon.ctl(&["suspend", "--domain", "slow.example.com", "--reason", "not now", "--duration", "1h"]);
    let mut ids: Vec<String> = Vec::new();
    for domain in ["held.test", "purge.test", "slow.example.com"] {
        ids.extend(fill(&daemon, domain));
        stage.wait("TransientFailure", domain, MAILS);
    }
    // Other mail flows while the operator works.
    let busy = AtomicBool::new(true);
    let more = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut ids = Vec::new();
            while busy.load(Ordering::Relaxed) && ids.len() < 5000 {
                ids.extend(fill(&daemon, "flow.example.com"));
            }
            ids
        });
        daemon.ctl(&["bounce", "--domain", "purge.test", "--reason", "purge"]);
        stage.wait("AdminBounce", "purge.test", MAILS);
        busy.store(false, Ordering::Relaxed);
        load.join().expect("the load")
    });
    stage.wait("Delivery", "flow.example.com", more.len());
    ids.extend(more);
    let listed = json_of(&daemon.ctl(&["bounce-list", "--json"]));
    assert_eq!((&listed[0]["total_bounced"], &listed[0]["bounced"]), (&json!(MAILS), &json!({"purge.test": MAILS})));
    let waits = || {
        let summary = json_of(&daemon.ctl(&["queue-summary", "--json"]));
        (summary["scheduled"] == json!({"held.test": MAILS, "slow.example.com": MAILS})).then_some(())
    };
    wait_until("nothing else waits", waits);
    daemon.stop();

    let daemon = stage.start();
    assert_eq!(json_of(&daemon.ctl(&["suspend-list"])), json!([]), "no order survives a restart");
    wait_until("the spool was taken up", || {
        let summary = json_of(&daemon.ctl(&["queue-summary", "--json"]));
        (summary["scheduled"] == json!({"held.test": MAILS, "slow.example.com": MAILS})).then_some(())
    });
    daemon.ctl(&["rebind", "--domain", "held.test", "--set", "queue=moved.example.com", "--reason", "move"]);
    daemon.ctl(&["rebind", "--domain", "slow.example.com", "--data", "{}", "--always-flush", "--reason", "flush"]);
    for domain in ["held.test", "slow.example.com"] {
        stage.wait("Delivery", domain, MAILS);
        assert_eq!(stage.home.maildir(domain).len(), MAILS);
    }
    daemon.stop();
    assert_eq!(stage.count("AdminRebind", "held.test"), MAILS);
    assert_eq!(stage.count("AdminRebind", "slow.example.com"), 0, "their queue stayed the same");
    let mut finals: HashMap<String, usize> = HashMap::new();
    for record in stage.home.records() {
        if ["Delivery", "AdminBounce", "Bounce", "Expiration"].contains(&record["type"].as_str().unwrap_or_default()) {
            *finals.entry(record["id"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
    }
    for id in &ids {
        assert_eq!(finals.get(id), Some(&1), "{id} left exactly once");
    }
    assert_eq!(stage.door.requests().len(), 2 * MAILS, "nothing was tried at the door again");
}

#[test]
fn every_command_of_ctl_works_on_a_live_daemon_also_under_the_name_kcli() {
    let stage = Stage::set();
    let daemon = stage.start();
    let id = daemon.connect().send(&Mail::to("ann@held.test").header("Subject: held")).remove(0);
    stage.wait("TransientFailure", "held.test", 1);
    let ready_queue = "unspecified->held.test@lua:make.door";

    let kcli = stage.home.file("kcli");
    std::os::unix::fs::symlink(PROGRAM, &kcli).expect("link the program");
    let endpoint = format!("http://{}", daemon.http());
    let ask = |args: &[&str]| {
        let output = output_of(program_at(&kcli).args(["--endpoint", &endpoint]).args(args));
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for (args, words) in [
        (&["inspect-message", &id, "--want-body"][..], "Subject: held"),
        (&["inspect-sched-q", "held.test"], "\"num_scheduled\": 1"),
        (&["inspect-ready-q", ready_queue, "--sched-q"], "\"held.test\""),
        (&["ready-q-states"], "states_by_ready_queue"),
        (&["resolve-egress-path", "held.test"], ready_queue),
        (&["queue-summary"], "held.test"),
        (&["provider-summary"], "provider"),
        (&["set-log-filter", "debug"], ""),
        (&["bump-config-epoch"], ""),
        (&["spool-compact", "meta"], ""),
    ] {
        let text = ask(args);
        assert!(text.contains(words), "{args:?}: {text}");
        assert_eq!(words.is_empty(), text.is_empty(), "{args:?}: {text}");
    }
    for (order, list, cancel, more) in [
        ("suspend", "suspend-list", "suspend-cancel", &["--domain", "x.test"][..]),
        ("suspend-ready-q", "suspend-ready-q-list", "suspend-ready-q-cancel", &["--name", ready_queue]),
        ("bounce", "bounce-list", "bounce-cancel", &["--tenant", "nobody"]),
    ] {
        let answer = json_of(&ask(&[&[order, "--reason", "a try", "--duration", "1m"], more].concat()));
        let id = answer["id"].as_str().expect("an id").to_owned();
        assert!(ask(&[list]).contains(&id), "{list}");
        assert_eq!(ask(&[cancel, "--id", &id]), format!("removed {id}\n"));
        assert!(!ask(&[list]).contains(&id), "{list}");
    }
    let refused = program_at(&kcli).args(["--endpoint", &endpoint, "abort-ready-q-conn", ready_queue, "x"]).output();
    let refused = refused.expect("run kcli");
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("has no session x"));

    let refused = program_at(&kcli).args(["--endpoint", &endpoint, "spool-compact", "mta"]).output();
    let refused = String::from_utf8_lossy(&refused.expect("run kcli").stderr).into_owned();
    assert!(refused.contains("404") && refused.contains("no such spool \"mta\""), "{refused}");

    // The door opens: a flush over the admin socket brings the mail through.
    stage.door.answer(|_, _| Answer::ok());
    daemon.ctl(&["rebind", "--everything", "--data", "{}", "--always-flush", "--reason", "flush"]);
    stage.wait("Delivery", "held.test", 1);
    daemon.stop();
}

#[test]
fn a_session_that_hangs_is_seen_and_cut_off() {
    let stage = Stage::set();
    let daemon = stage.start();
    stage.door.answer(|_, _| Answer::hang());
    daemon.connect().send(&Mail::to("ann@held.test"));
    stage.door.wait_for(1);
    let ready_queue = "unspecified->held.test@lua:make.door";
    let shown = json_of(&daemon.ctl(&["inspect-ready-q", ready_queue]));
    assert_eq!(shown["dispatchers"][0]["phase"], "deliver_message", "{shown:#}");
    let session = shown["dispatchers"][0]["session_id"].as_str().expect("a session").to_owned();
    assert_eq!(daemon.ctl(&["abort-ready-q-conn", ready_queue, &session]), format!("aborted {session}\n"));
    stage.wait("Delayed", "held.test", 1);
    let (status, text) = http::ask(daemon.http(), "GET", "/api/admin/ready-q-states/v1", "").expect("an answer");
    assert_eq!((status, text.as_str()), (200, "{\"states_by_ready_queue\":{}}"));
    daemon.stop();
}

/// The rows of the last view that was drawn.
fn last_view(output: &str) -> Vec<Vec<&str>> {
    let view = output.rsplit("\x1b[H\x1b[J").next().unwrap_or_default();
    view.lines().map(|line| line.split_whitespace().collect()).collect()
}

#[test]
fn on_a_terminal_a_queue_is_a_table_and_top_shows_what_flows_until_ctrl_c() {
    let Some(script) = skip::program("what is shown on a terminal", "script", "bsdutils") else { return };
    let stage = Stage::set();
    let daemon = stage.start();
    daemon.connect().send(&Mail::to("ann@held.test").header("Subject: held"));
    stage.wait("TransientFailure", "held.test", 1);
    let socket = stage.home.state().join("admin.sock");
    let on_terminal = |words: &str| on_terminal(&script, &format!("--admin-socket {} {words}", socket.display()));
    let shown = |words: &str| {
        let output = output_of(on_terminal(words).stdin(Stdio::null()));
        assert!(output.status.success(), "{words}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let table = shown("inspect-sched-q held.test --want-body");
    for words in ["queue         held.test", "RECIPIENT", "ann@held.test", "  Subject: held"] {
        assert!(table.contains(words), "{words:?} is not in:\n{table}");
    }
    let listed = json_of(&shown("--json inspect-sched-q held.test"));
    assert_eq!((&listed["num_scheduled"], &listed["queue_name"]), (&json!(1), &json!("held.test")));

    let output = stage.home.file("top");
    let top = on_terminal("top --interval 1")
        .stdin(Stdio::piped())
        .stdout(File::create(&output).expect("a file for the views"))
        .spawn()
        .expect("run script");
    let wait_for_row = |what: &str, is: &dyn Fn(&[&str]) -> bool| {
        wait_until(&format!("a view shows {what}"), || {
            let text = std::fs::read(&output).expect("read the views");
            last_view(&String::from_utf8_lossy(&text)).iter().any(|row| is(row)).then_some(())
        });
    };
    wait_for_row("nothing delivered", &|row| row.starts_with(&["DELIVERED", "0"]));
    let mut smtp = daemon.connect();
    (0..3).for_each(|_| drop(smtp.send(&Mail::to("ann@example.com"))));
    wait_for_row("three mails, and a rate", &|row| {
        row.starts_with(&["DELIVERED", "3"]) && row.get(2).is_some_and(|rate| rate.parse::<f64>().is_ok())
    });
    ends_by_ctrl_c(top);
    daemon.stop();
}

#[test]
fn ctrl_c_ends_top_also_while_the_server_does_not_answer() {
    let Some(script) = skip::program("what is shown on a terminal", "script", "bsdutils") else { return };
    let server = Receiver::start();
    server.answer(|_, before| if before == 0 { Answer::ok().body("{}") } else { Answer::hang() });
    let endpoint = format!("http://{}", server.address());
    let top = on_terminal(&script, &format!("--endpoint {endpoint} top --interval 1"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("run script");
    server.wait_for(2);
    ends_by_ctrl_c(top);
}

/// `waybill ctl` with a terminal of its own, and no shell beside it there: the ctrl-c that ends a command would end one too, and its status would be
/// what is seen. What `script` takes where `SHELL` is unset keeps such a one, unless told to become the command.
fn on_terminal(script: &Path, words: &str) -> Command {
    let mut command = Command::new(script);
    command.args(["-qefc", &format!("exec {PROGRAM} ctl {words}"), "/dev/null"]).env("SHELL", "/bin/sh");
    command
}

fn ends_by_ctrl_c(mut shown: Child) {
    shown.stdin.take().expect("a way to type").write_all(b"\x03").expect("type ctrl-c");
    let status = wait_until("it ends", || shown.try_wait().expect("ask for its end"));
    assert!(status.success(), "{status}");
}
