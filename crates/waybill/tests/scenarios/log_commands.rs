//! The command line of logs against a daemon: every command, what goes on for ever, and what is limited.

use crate::harness::client::{json_of, made};
use crate::harness::daemon::program;
use crate::harness::policy::OPEN;
use crate::harness::{Daemon, Home, Mail, Policy, Receiver, address, http, wait_until};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// A client command that runs beside us.
fn client(home: &Home, words: &[&str]) -> Command {
    let mut command = program();
    command.args(words).arg("--admin-socket").arg(home.state().join("admin.sock"));
    command
}

#[test]
fn every_command_of_klevs_does_what_it_says() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &Policy::new("").init(OPEN));
    let ask = |words: &[&str]| json_of(&daemon, words);
    let log = made(&daemon, &["logs", "create", "--metadata", "m", "--compacting", "--trim-count", "100"], "log_id");
    let updated = ask(&["logs", "update", &log, "--metadata", "n", "--compact-seconds", "3600"]);
    assert_eq!(
        updated,
        json!({"log_id": log, "metadata": "n", "compacting": true, "trim_count": 100, "compact_seconds": 3600})
    );
    assert_eq!(ask(&["logs", "get", &log]), updated);
    assert_eq!(ask(&["logs", "list", "--metadata", "n"]), json!({ "logs": [updated] }));

    let file = home.file("bytes");
    std::fs::write(&file, [0xff, 0]).expect("a file");
    let file = file.to_str().expect("a path");
    let publish = |words: &[&str]| ask(&[&["publish", &log], words].concat())["next_offset"].as_u64();
    assert_eq!(publish(&["--key-bytes", "aw==", "--value-file", file, "--time", "2026-01-01T00:00:00Z"]), Some(1));
    assert_eq!(publish(&["--key-file", file, "--value", "by the file"]), Some(2));
    assert_eq!(publish(&["--key", "k", "--value-bytes", "bmV3ZXI="]), Some(3));
    assert_eq!(ask(&["logs", "stats", &log])["count"], 3);
    let first = ask(&["get-by-offset", &log, "--offset", "0", "--encoding", "base64"]);
    let time = 1_767_225_600_000_000_u64;
    assert_eq!(first, json!({"encoding": "base64", "offset": 0, "time": time, "key": "aw==", "value": "/wA="}));
    let last = ask(&["get-by-offset", &log]);
    assert_eq!((&last["offset"], &last["key"], &last["value"]), (&2.into(), &"k".into(), &"newer".into()));
    let page = ask(&["consume", &log, "--offset", "1", "--size", "1", "--encoding", "base64"]);
    assert_eq!((&page["next_offset"], &page["messages"][0]["key"]), (&2.into(), &"/wA=".into()));

    let offset = made(&daemon, &["offsets", "create", "--log-id", &log, "--metadata", "mine"], "offset_id");
    let moved = ask(&["offsets", "update", &offset, "--value", "2", "--value-metadata", "so far"]);
    let shown = json!({"offset_id": offset, "log_id": log, "metadata": "mine", "value": 2, "value_metadata": "so far"});
    assert_eq!((&moved, &ask(&["offsets", "get", &offset])), (&shown, &shown));
    assert_eq!(ask(&["offsets", "list", "--metadata", "mine"]), json!({ "offsets": [shown] }));
    let page = ask(&["consume", &log, "--offset-id", &offset]);
    assert_eq!((page["messages"].as_array().map(Vec::len), &page["messages"][0]["offset"]), (Some(1), &2.into()));
    assert_eq!(ask(&["offsets", "delete", &offset]), shown);

    assert!(ask(&["cleanup", &log, "--trim-count", "2"])["size"].as_u64() > Some(0));
    let page = ask(&["consume", &log, "--offset", "0", "--encoding", "base64"]);
    assert_eq!((page["messages"].as_array().map(Vec::len), &page["messages"][0]["offset"]), (Some(2), &1.into()));

    let target = made(&daemon, &["logs", "create"], "log_id");
    let words = ["filters", "create", "--source-id", &log, "--target-id", &target, "--expression", "key == 'k'"];
    let filter = made(&daemon, &[&words[..], &["--offset", "-2"]].concat(), "filter_id");
    wait_until("the filter has copied what it wants", || {
        (ask(&["filters", "status", &filter])["copied"] == 1).then_some(())
    });
    let changed = ask(&["filters", "update", &filter, "--active", "false", "--metadata", "f"]);
    assert_eq!((&changed, &changed["metadata"]), (&ask(&["filters", "get", &filter]), &"f".into()));
    assert_eq!(ask(&["filters", "status", &filter])["active"], false);
    assert_eq!(ask(&["filters", "list"]), json!({ "filters": [changed] }));
    assert_eq!(ask(&["filters", "delete", &filter]), changed);

    let receiver = Receiver::start();
    let url = receiver.url();
    let words = ["egress-webhooks", "create", "--log-id", &log, "--destination", &url, "--payload", "key"];
    let egress = made(&daemon, &[&words[..], &["--offset", "2"]].concat(), "webhook_id");
    assert_eq!(receiver.wait_for(1)[0].text(), "k");
    let changed = ask(&["egress-webhooks", "update", &egress, "--metadata", "e"]);
    assert_eq!((&changed, &changed["metadata"]), (&ask(&["egress-webhooks", "get", &egress]), &"e".into()));
    assert_eq!(ask(&["egress-webhooks", "list", "--metadata", "e"]), json!({ "egress_webhooks": [changed] }));
    let rotated = ask(&["egress-webhooks", "rotate", &egress, "--expire-seconds", "60"]);
    assert!(rotated["secret"].as_str().expect("a secret").starts_with("ewhsec_"));
    wait_until("the webhook stands behind the last message", || {
        (ask(&["egress-webhooks", "status", &egress])["next_offset"] == 3).then_some(())
    });
    assert_eq!(ask(&["egress-webhooks", "delete", &egress]), changed);

    let secret = home.file("secret");
    std::fs::write(&secret, "hunter2\n").expect("a file");
    let words = ["ingress-webhooks", "create", "--log-id", &log, "--type", "gitHub", "--secret-file"];
    let ingress = made(&daemon, &[&words[..], &[secret.to_str().expect("a path")]].concat(), "webhook_id");
    let changed = ask(&["ingress-webhooks", "update", &ingress, "--metadata", "i"]);
    assert_eq!((&changed, &changed["metadata"]), (&ask(&["ingress-webhooks", "get", &ingress]), &"i".into()));
    assert_eq!(ask(&["ingress-webhooks", "list"])["ingress_webhooks"], json!([changed]));
    assert_eq!(ask(&["ingress-webhooks", "delete", &ingress]), changed);

    assert_eq!(ask(&["logs", "delete", &log]), updated);
    let output = client(&home, &["logs", "get", &log]).output().expect("run it");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    let error = String::from_utf8(output.stderr).expect("text");
    assert!(error.starts_with("{\n  \"code\": \"log-not-found\",\n  \"message\": \""), "{error}");
    daemon.stop();
}

/// A child that does not outlive its test.
struct Beside(Child);

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_consume_that_goes_on_prints_what_comes_and_nothing_else() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &Policy::new(""));
    let log = made(&daemon, &["logs", "create"], "log_id");
    // As it is typed, without a word about how long to wait.
    let mut command = client(&home, &["consume", &log, "--continue"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("run it");
    let mut pipe = child.stdout.take().expect("a stdout of its own");
    let _beside = Beside(child);
    let text = Arc::new(Mutex::new(Vec::new()));
    let add = text.clone();
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = pipe.read(&mut bytes) {
            add.lock().expect("no panic while it is held").extend_from_slice(&bytes[..count]);
        }
    });
    for value in ["one", "two", "three"] {
        json_of(&daemon, &["publish", &log, "--value", value]);
        wait_until("it is printed", || {
            let text = text.lock().expect("no panic while it is held").clone();
            let pages = serde_json::Deserializer::from_slice(&text).into_iter::<Value>().map_while(Result::ok);
            let pages: Vec<Value> = pages.collect();
            assert!(
                pages.iter().all(|page| page["messages"].as_array().is_some_and(|all| !all.is_empty())),
                "{pages:?}"
            );
            (pages.last()?["messages"][0]["value"] == value).then_some(())
        });
    }
    daemon.stop();
}

#[test]
fn what_nobody_reads_any_more_is_not_taken_and_ends_the_command() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &Policy::new("").init(OPEN));
    let log = made(&daemon, &["logs", "create"], "log_id");
    let [listen] = address::free();
    let url = format!("http://{listen}/");
    let webhook = json_of(&daemon, &["egress-webhooks", "create", "--log-id", &log, "--destination", &url]);
    let (id, secret) = (webhook["webhook_id"].as_str().expect("an id"), webhook["secret"].as_str().expect("a secret"));
    let mut command = program();
    command.args(["receive", "--listen", &listen.to_string()]).env("WAYBILL_WEBHOOK_SECRET", secret);
    let mut receive = Beside(command.stdout(Stdio::piped()).spawn().expect("run it"));
    let mut first = String::new();
    let mut reader = BufReader::new(receive.0.stdout.take().expect("a stdout of its own"));
    reader.read_line(&mut first).expect("a line");
    assert!(first.starts_with("running server at "), "{first}");
    let mut consume = client(&home, &["consume", &log, "--continue"]);
    let mut consume = Beside(consume.stdout(Stdio::piped()).spawn().expect("run it"));
    drop((reader, consume.0.stdout.take()));
    json_of(&daemon, &["publish", &log, "--value", "unseen"]);
    for (what, child) in [("receive", &mut receive.0), ("consume", &mut consume.0)] {
        let status = wait_until(&format!("{what} has ended"), || child.try_wait().expect("look at our child"));
        assert!(status.success(), "{what}: {status}");
    }
    let status = wait_until("the webhook has tried", || {
        let status = json_of(&daemon, &["egress-webhooks", "status", id]);
        (status["attempts"].as_u64() > Some(0)).then_some(status)
    });
    assert_eq!((&status["next_offset"], &status["active"]), (&0.into(), &true.into()), "the sender keeps it");
    daemon.stop();
}

#[test]
fn the_list_of_paths_names_what_there_is() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &Policy::new(""));
    let ask = |method: &str, path: &str| -> Value {
        let (_, text) = http::ask(daemon.http(), method, path, "").expect("an answer");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    };
    let (listed, described) = (ask("GET", "/"), ask("GET", "/api-docs/openapi.json"));
    let listed = listed.as_object().expect("paths");
    for path in listed.keys() {
        let code = ask("GET", &path.replace("{id}", "x"))["code"].clone();
        assert_ne!(code, "path-not-found", "{path}");
    }
    let others = ["/api", "/metrics", "/event-hooks", "/rapidoc"];
    for path in described["paths"].as_object().expect("paths").keys() {
        let is_klevs = !others.iter().any(|other| path.starts_with(other));
        assert_eq!(listed.contains_key(path), is_klevs, "{path}");
    }
    daemon.stop();
}

/// The log's id stands in a file: the policy is there before the log.
const LIMITED: &str = "
kumo.on('smtp_server_message_received', function(msg)
  local log = io.open(dir .. '/log'):read 'a'
  local wrong = {
    key = { key = '12345' },
    value = { value = '123456789' },
    many = { { key = '1' }, { key = '2' }, { key = '3' } },
    heavy = { { value = '12345678' }, { value = '12345678' } },
  }
  local ok, why = pcall(kumo.log.publish, log, wrong[msg:recipient().user])
  if not ok then kumo.reject(550, tostring(why):match '^[^\\n]*') end
end)";

#[test]
fn an_operator_limits_what_may_be_asked_of_logs() {
    let home = Home::new();
    let limits = "  kumo.configure_logs {
        max_key_size = 4, max_value_size = 8, max_publish_size = 12, max_publish_messages = 2, max_poll = '1s',
        max_logs = 2, max_offsets = 1, max_egress_webhooks = 1, max_filters = 1, max_ingress_webhooks = 1 }";
    let daemon = Daemon::start(&home, &Policy::new(LIMITED).init(&format!("{limits}\n{OPEN}")));
    let log = made(&daemon, &["logs", "create"], "log_id");
    let other = made(&daemon, &["logs", "create"], "log_id");
    std::fs::write(home.file("log"), &log).expect("write the id");
    let (one, several) = (format!("/message/{log}"), format!("/messages/{log}"));
    let egress = json!({"log_id": log, "destination": "http://127.0.0.1:8080/"});
    let filter = json!({"source_id": log, "target_id": other, "expression": "true"});
    let ingress = json!({"log_id": log, "type": "gitHub", "secret": "x"});
    let none = Value::Null;
    let ask = |method: &str, path: &str, body: &Value| {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, text) = http::ask(daemon.http(), method, path, &body).expect("an answer");
        (status, serde_json::from_str::<Value>(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}")))
    };
    for (path, body) in [
        ("/offsets", &json!({"log_id": log})),
        ("/egress_webhooks", &egress),
        ("/filters", &filter),
        ("/ingress_webhooks", &ingress),
    ] {
        assert_eq!(ask("POST", path, body).0, 200, "{path}");
    }
    for (method, path, body, code, words) in [
        ("POST", &one, &json!({"key": "12345"}), "message-key-limited", "key: 5 bytes, at most 4"),
        ("POST", &one, &json!({"value": "123456789"}), "message-value-limited", "value: 9 bytes, at most 8"),
        ("POST", &several, &json!({"messages": [{}, {}, {}]}), "message-publish-limited", "3 messages, at most 2"),
        (
            "POST",
            &several,
            &json!({"messages": [{"value": "12345678"}, {"value": "12345678"}]}),
            "message-publish-limited",
            "16 bytes",
        ),
        (
            "POST",
            &several,
            &json!({"messages": [{}, {"value": "123456789"}]}),
            "message-value-limited",
            "messages[1].value",
        ),
        ("GET", &format!("{several}?poll=1001"), &none, "message-poll-limited", "at most 1000 milliseconds"),
        ("POST", &"/logs".to_owned(), &json!({}), "log-count-limited", "there are 2 logs"),
        ("POST", &"/offsets".to_owned(), &json!({"log_id": log}), "offset-count-limited", "there are 1 offsets"),
        ("POST", &"/egress_webhooks".to_owned(), &egress, "egress-webhook-count-limited", "there are 1"),
        ("POST", &"/filters".to_owned(), &filter, "filter-count-limited", "there are 1"),
        ("POST", &"/ingress_webhooks".to_owned(), &ingress, "ingress-webhook-count-limited", "there are 1"),
    ] {
        let (status, answer) = ask(method, path, body);
        assert_eq!((status, answer["code"].as_str()), (400, Some(code)), "{path} {body}: {answer}");
        assert!(answer["message"].as_str().is_some_and(|message| message.contains(words)), "{words}: {answer}");
    }
    for (user, code) in [
        ("key", "message-key-limited"),
        ("value", "message-value-limited"),
        ("many", "message-publish-limited"),
        ("heavy", "message-publish-limited"),
    ] {
        let reply = daemon.connect().offer(&Mail::to(&format!("{user}@example.com"))).expect("an answer");
        let said = reply.lines.concat();
        assert!(reply.code == 550 && said.contains("kumo.log.publish: ") && said.contains(code), "{user}: {reply:?}");
    }
    let stats = json_of(&daemon, &["logs", "stats", &log]);
    assert_eq!(stats, json!({"size": 0, "count": 0}), "nothing of it was stored");
    assert_eq!(ask("POST", &one, &json!({"key": "1234", "value": "12345678"})), (200, json!({"next_offset": 1})));
    daemon.stop();
}
