//! Logs and egress webhooks: klev's transcript with our command in place of theirs, over real sockets.

use crate::harness::client::json_of;
use crate::harness::daemon::program;
use crate::harness::policy::OPEN;
use crate::harness::wait::LIMIT;
use crate::harness::{Daemon, Home, Mail, Policy, Receiver, address, http, wait_until};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use waybill_webhook_sign::{EventId, KlevKey, Secret};

/// `waybill receive`, and what it has printed.
struct Receive {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Receive {
    /// With its secret out of the environment.
    fn start(listen: SocketAddr, secret: &str) -> Receive {
        let mut command = program();
        command.arg("receive").env("WAYBILL_WEBHOOK_SECRET", secret);
        Receive::run(command, listen)
    }

    /// As the transcript has it.
    fn told(listen: SocketAddr, secret: &str) -> Receive {
        let mut command = program();
        command.args(["receive", "--secret", secret]);
        Receive::run(command, listen)
    }

    fn run(mut command: Command, listen: SocketAddr) -> Receive {
        command.args(["--listen", &listen.to_string()]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("start the receiver");
        let pipe = child.stdout.take().expect("a stdout of its own");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let add = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                add.lock().expect("no panic while it is held").push(line);
            }
        });
        let receive = Receive { child, lines };
        receive.printed(1);
        receive
    }

    /// Its lines, once there are so many.
    fn printed(&self, count: usize) -> Vec<String> {
        wait_until(&format!("{count} lines are printed within {LIMIT:?}"), || {
            let lines = self.lines.lock().expect("no panic while it is held").clone();
            (lines.len() >= count).then_some(lines)
        })
    }
}

impl Drop for Receive {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn client(daemon: &Daemon, words: &[&str]) -> String {
    daemon.client(words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value}"))
}

/// Waits until the status of a webhook is as wanted.
fn status(daemon: &Daemon, webhook: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> (Value, String) {
    wait_until(&format!("the webhook {what}"), || {
        let text = client(daemon, &["egress-webhooks", "status", webhook]);
        let status: Value = serde_json::from_str(&text).expect("JSON");
        wanted(&status).then_some((status, text))
    })
}

#[test]
fn the_transcript_of_klevs_users_works_with_our_command() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &Policy::new("").init(OPEN));
    let [listen] = address::free();
    let url = format!("http://{listen}");

    let printed = client(&daemon, &["logs", "create", "--metadata", "egress webhook test"]);
    let log: Value = serde_json::from_str(&printed).expect("JSON");
    let id = text(&log, "log_id");
    assert_eq!(
        printed,
        format!("{{\n  \"log_id\": \"{id}\",\n  \"metadata\": \"egress webhook test\",\n  \"compacting\": false\n}}\n")
    );

    let words =
        ["egress-webhooks", "create", "--log-id", id, "--metadata", "egress webhook test", "--destination", &url];
    let printed = client(&daemon, &words);
    let webhook: Value = serde_json::from_str(&printed).expect("JSON");
    let (ewh, secret) = (text(&webhook, "webhook_id"), text(&webhook, "secret"));
    let seed = format!(
        "{{\n  \"webhook_id\": \"{ewh}\",\n  \"metadata\": \"egress webhook test\",\n  \"log_id\": \"{id}\",\n  \
         \"destination\": \"{url}\",\n  \"payload\": \"message\",\n  \"secret\": \"{secret}\""
    );
    assert!(printed.starts_with(&seed), "{printed}\n{seed}");

    let receive = Receive::told(listen, secret);
    assert_eq!(receive.printed(1), [format!("running server at :{}", listen.port())]);
    assert_eq!(client(&daemon, &["publish", id, "--value", "hello world"]), "{\n  \"next_offset\": 1\n}\n");

    let lines = receive.printed(5);
    assert_eq!(
        (lines[1].as_str(), lines[3].as_str(), lines[4].as_str()),
        ("Offset: 0", " Key: ", " Value: hello world")
    );
    let consumed = json_of(&daemon, &["consume", id]);
    let micros = consumed["messages"][0]["time"].as_i64().expect("a time");
    let at = waybill_types::Timestamp::from_nanos(micros * 1000).to_utc().format("%Y-%m-%d %H:%M:%S");
    assert!(lines[2].starts_with(&format!(" Time: {at}")) && lines[2].ends_with(" +0000 UTC"), "{}", lines[2]);

    let (status, printed) = status(&daemon, ewh, "has delivered it", |status| status["next_offset"] == 1);
    let (time, due) = (&status["deliver_time"], &status["next_deliver_time"]);
    let response = text(&status, "deliver_resp");
    let date = response.split("Date: ").nth(1).and_then(|rest| rest.split("\r\n").next()).expect("a date");
    assert_eq!(response, format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: {date}\r\n\r\n"));
    for line in [
        format!("  \"webhook_id\": \"{ewh}\","),
        "  \"active\": true,".to_owned(),
        "  \"available_offset\": 0,".to_owned(),
        "  \"next_offset\": 1,".to_owned(),
        "  \"deliver_offset\": 0,".to_owned(),
        format!("  \"deliver_time\": {time},"),
        format!("  \"deliver_resp\": \"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nDate: {date}\\r\\n\\r\\n\","),
        format!("  \"next_deliver_time\": {due},"),
    ] {
        assert!(printed.lines().any(|own| own == line), "{line} is not in {printed}");
    }
    daemon.stop();
}

#[test]
fn what_was_published_survives_kill_9_and_a_rotated_secret_goes_on() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &Policy::new("").init(OPEN));
    let [listen] = address::free();
    let id = text(&json_of(&daemon, &["logs", "create", "--compacting"]), "log_id").to_owned();
    let url = format!("http://{listen}/hook");
    let words = ["egress-webhooks", "create", "--log-id", &id, "--destination", &url, "--payload", "value"];
    let webhook = json_of(&daemon, &words);
    let ewh = text(&webhook, "webhook_id").to_owned();
    client(&daemon, &["publish", &id, "--key", "k", "--value", "one"]);
    // Nobody listens yet: the message waits.
    status(&daemon, &ewh, "has tried", |status| status["attempts"].as_u64() > Some(0));
    let rotated = json_of(&daemon, &["egress-webhooks", "rotate", &ewh, "--expire-seconds", "600"]);
    daemon.kill9();

    let daemon = Daemon::start_again(&home);
    client(&daemon, &["publish", &id, "--key", "k", "--value", "two"]);
    // The old secret still counts.
    let receive = Receive::start(listen, text(&webhook, "secret"));
    client(&daemon, &["egress-webhooks", "update", &ewh, "--active", "true"]);
    let lines = receive.printed(5);
    assert_eq!(lines[1..], ["Offset: 0", " Value: one", "Offset: 1", " Value: two"]);
    drop(receive);
    let receive = Receive::start(listen, text(&rotated, "secret"));
    client(&daemon, &["publish", &id, "--value", "three"]);
    assert_eq!(receive.printed(3)[1..], ["Offset: 2", " Value: three"]);

    // A body that was not signed with our secret is refused, and nothing of it is printed.
    let forged = http::ask(listen, "POST", "/", r#"{"encoding":"string","offset":9,"time":0,"value":"forged"}"#);
    assert_eq!(forged.expect("an answer"), (401, String::new()));
    assert_eq!(receive.printed(3).len(), 3);
    daemon.stop();
}

#[test]
fn every_header_and_the_body_that_arrive_are_as_the_contract_writes_them() {
    let (home, receiver) = (Home::new(), Receiver::start());
    let daemon = Daemon::start(&home, &Policy::new("").init(OPEN));
    let log = text(&json_of(&daemon, &["logs", "create"]), "log_id").to_owned();
    let time = 1_695_490_927_247_960_i64;
    let whole = format!(r#"{{"encoding":"base64","offset":0,"time":{time},"key":"aw==","value":"aGVsbG8="}}"#);
    for (payload, kind, body) in [
        ("message", "application/json", whole.as_str()),
        ("key", "application/octet-stream", "k"),
        ("value", "application/octet-stream", "hello"),
    ] {
        let url = format!("http://{}/{payload}", receiver.address());
        let words = ["egress-webhooks", "create", "--log-id", &log, "--destination", &url, "--payload", payload];
        let made = json_of(&daemon, &words);
        let (webhook, old) = (text(&made, "webhook_id"), KlevKey::new(Secret::new(text(&made, "secret"))));
        let rotated = json_of(&daemon, &["egress-webhooks", "rotate", webhook, "--expire-seconds", "600"]);
        let new = KlevKey::new(Secret::new(text(&rotated, "secret")));
        let offset = match payload {
            "message" => 0,
            "key" => 1,
            _ => 2,
        };
        client(&daemon, &["publish", &log, "--key", "k", "--value", "hello", "--time", &time.to_string()]);
        let request = receiver.wait(&format!("a {payload} arrives"), |requests| {
            requests.iter().find(|request| request.path == format!("/{payload}")).cloned()
        });
        assert_eq!((request.method.as_str(), request.text().as_str()), ("POST", body));
        let at = request.header("webhook-timestamp").expect("a time").parse().expect("seconds");
        let id = EventId::new(format!("{log}_{offset}")).expect("an id");
        let klev = |key: &KlevKey| key.sign(at, body.as_bytes());
        let standard = |key: &KlevKey| key.as_standard().expect("a key").sign(&id, at, body.as_bytes());
        let mut headers: Vec<String> = request
            .headers
            .iter()
            .map(|(name, value)| format!("{}: {value}", name.to_ascii_lowercase()))
            .filter(|line| !line.starts_with("user-agent: "))
            .collect();
        headers.sort();
        let expected = [
            "accept-encoding: identity".to_owned(),
            "accept: */*".to_owned(),
            format!("content-length: {}", body.len()),
            format!("content-type: {kind}"),
            format!("host: {}", receiver.address()),
            format!("webhook-id: {log}_{offset}"),
            format!("webhook-signature: {} {}", standard(&new), standard(&old)),
            format!("webhook-timestamp: {at}"),
            format!("x-klev-signature: t={at};v1={};v1={}", klev(&new), klev(&old)),
            "x-waybill-hops: 1".to_owned(),
        ];
        assert_eq!(headers, expected, "{payload}");
    }
    daemon.stop();
}

#[test]
fn errors_are_json_on_stderr_and_the_listener_answers_as_klev_does() {
    let home = Home::new();
    // No target is open.
    let daemon = Daemon::start(&home, &Policy::new(""));
    let id = text(&json_of(&daemon, &["logs", "create"]), "log_id").to_owned();
    let refused = daemon.client(&["logs", "get", "log_x"]).expect_err("it must fail");
    let error: Value = serde_json::from_str(&refused).expect("JSON on stderr");
    assert_eq!(error["code"], "id-invalid-suffix-len");
    let words = ["egress-webhooks", "create", "--log-id", &id, "--destination", "http://127.0.0.1:9000/"];
    let refused = daemon.client(&words).expect_err("it must fail");
    assert!(
        refused.contains("egress-webhook-path-invalid") && refused.contains("kumo.configure_webhooks"),
        "{refused}"
    );

    let ask = |method: &str, path: &str, body: &str| {
        let (status, text) = http::ask(daemon.http(), method, path, body).expect("an answer");
        (status, serde_json::from_str::<Value>(&text).unwrap_or_else(|_| panic!("no JSON: {text}")))
    };
    let (status, answer) = ask("POST", &format!("/message/{id}"), r#"{"encoding":"string","key":"k","value":"v"}"#);
    assert_eq!((status, answer), (200, json!({"next_offset": 1})));
    let (status, answer) = ask("GET", &format!("/messages/{id}?offset=0&len=5"), "");
    assert_eq!((status, &answer["messages"][0]["value"]), (200, &"v".into()));
    assert_eq!(ask("GET", "/nowhere", "").1["code"], "path-not-found");
    assert_eq!(ask("PUT", "/logs", "{}").1["code"], "method-not-allowed");
    daemon.stop();
}

#[test]
fn mail_events_are_a_log_that_is_read_and_sent_and_not_written() {
    let home = Home::new();
    let journal = "  kumo.define_journal { headers = { 'Subject' } }\n";
    let daemon = Daemon::start(&home, &Policy::new("").init(&format!("{journal}{OPEN}")));
    let logs = json_of(&daemon, &["logs", "list"]);
    let id = text(&logs["logs"][0], "log_id").to_owned();
    let [listen] = address::free();
    let url = format!("http://{listen}/");
    let webhook = json_of(&daemon, &["egress-webhooks", "create", "--log-id", &id, "--destination", &url]);
    let receive = Receive::start(listen, text(&webhook, "secret"));

    daemon.connect().send(&Mail::to("rcpt@example.com"));
    let consumed = json_of(&daemon, &["consume", &id, "--poll", "30s"]);
    let message = &consumed["messages"][0];
    let record: Value = serde_json::from_str(text(message, "value")).expect("a log record");
    assert_eq!((&record["type"], &record["id"]), (&"Reception".into(), &message["key"]));
    let lines = receive.printed(5);
    assert_eq!(lines[1], format!("Offset: {}", message["offset"]));
    assert!(lines[4].contains(r#""type":"Reception""#), "{}", lines[4]);
    let refused = daemon.client(&["publish", &id, "--value", "forged"]).expect_err("it must fail");
    assert!(refused.contains("authorization-failed"), "{refused}");
    daemon.stop();
}
