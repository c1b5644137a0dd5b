//! The example clients of the guide: what they publish comes back signed, and nothing else does.

use crate::harness::skip::{program, python_with};
use crate::harness::{Daemon, Home, Policy, address, http, wait_until};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/examples");

/// A running command and the lines that it has printed.
struct Running {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Running {
    fn start(mut command: Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("run the client");
        let pipe = child.stdout.take().expect("a stdout of its own");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let add = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                add.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Running { child, lines }
    }

    fn printed(&self, wanted: &[&str]) {
        wait_until(&format!("{wanted:?} is printed"), || {
            let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone();
            (lines == wanted).then_some(())
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What every client does, in whatever language; `client` runs it.
fn publishes_consumes_and_believes_only_what_is_signed(home: &Home, client: impl Fn() -> Command) {
    let open = "  kumo.configure_webhooks { allow_targets = { '127.0.0.0/8' } }";
    let daemon = Daemon::start(home, &Policy::new("").init(open));
    let json_of = |words: &[&str]| -> Value {
        let text = daemon.client(words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
        serde_json::from_str(&text).expect("JSON")
    };
    let log = json_of(&["logs", "create"])["log_id"].as_str().expect("an id").to_owned();
    let listen = address::local();
    let url = format!("http://{listen}/");
    let webhook = json_of(&["egress-webhooks", "create", "--log-id", &log, "--destination", &url]);
    let file: PathBuf = home.file("secret");
    std::fs::write(&file, webhook["secret"].as_str().expect("a secret")).expect("a file");
    let client = |words: &[&str]| {
        let mut command = client();
        command.args(words).env("WAYBILL_URL", format!("http://{}", daemon.http()));
        command
    };
    let port = listen.port().to_string();
    let receiver = Running::start(client(&["receive", &port, file.to_str().expect("a path")]));
    receiver.printed(&["listening"]);
    let output = client(&["publish", &log, "key", "grüße"]).output().expect("run the client");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n", "{}", String::from_utf8_lossy(&output.stderr));
    receiver.printed(&["listening", "0 key grüße"]);
    let forged = r#"{"encoding":"base64","offset":9,"time":0,"value":"Zm9yZ2Vk"}"#;
    assert_eq!(http::ask(listen, "POST", "/", forged).expect("an answer").0, 401);
    let consumer = Running::start(client(&["consume", &log]));
    consumer.printed(&["0 key grüße"]);
    assert!(client(&["publish", &log, "key", "more"]).output().expect("run the client").status.success());
    consumer.printed(&["0 key grüße", "1 key more"]);
    receiver.printed(&["listening", "0 key grüße", "1 key more"]);
    let refused = client(&["publish", "log_x", "key", "value"]).output().expect("run the client");
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && why.contains("id-invalid-suffix-len"), "{why}");
    // With a token that is none it is told so, also on this machine.
    let mut wrong = client(&["publish", &log, "key", "value"]);
    let refused = wrong.env("WAYBILL_TOKEN", "wbt_wrong").output().expect("run the client");
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && why.contains("401 authentication-failed"), "{why}");
    daemon.stop();
}

#[test]
fn the_python_client_of_the_guide_publishes_consumes_and_believes_only_what_is_signed() {
    let Some(python) = python_with("the example client in Python", "hmac", "python3") else { return };
    let home = Home::new();
    publishes_consumes_and_believes_only_what_is_signed(&home, || {
        let mut command = Command::new(&python);
        command.arg(Path::new(CLIENTS).join("logs.py"));
        command
    });
}

#[test]
fn the_go_client_of_the_guide_publishes_consumes_and_believes_only_what_is_signed() {
    let Some(go) = program("the example client in Go", "go", "golang-go") else { return };
    let home = Home::new();
    let built = home.file("client-in-go");
    let mut build = Command::new(go);
    build.args(["build", "-o"]).arg(&built).arg(Path::new(CLIENTS).join("logs.go"));
    // The standard library alone, and no C.
    build.env("CGO_ENABLED", "0").env("GOPROXY", "off").env("GO111MODULE", "off").env("GOTOOLCHAIN", "local");
    let output = build.output().expect("run Go");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    publishes_consumes_and_believes_only_what_is_signed(&home, || Command::new(&built));
}
