//! A listener on a real socket, and other people's programs that talk to it. Where one is missing that is said aloud, and
//! told to `cargo xtask test`, which names what did not run.

use crate::common::Setup;
use crate::intake::{Accepted, TestIntake};
use serde_json::{Value as Json, json};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinSet;
use waybill_policy::{Args, PolicyError, Returned, Value};
use waybill_smtp::inbound::run;

/// A listener on a port of its own.
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    pub(crate) intake: TestIntake,
    // Ended when this goes.
    _serving: JoinSet<()>,
}

impl Listener {
    pub(crate) async fn start(setup: Setup) -> Listener {
        let (shared, intake) = (Arc::new(setup.shared()), setup.intake.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(run(listener, shared, std::future::pending()));
        Listener { address, intake, _serving: serving }
    }

    /// The only message that was taken.
    pub(crate) fn only(&self) -> Accepted {
        let [message] = &self.intake.accepted()[..] else { panic!("{:?}", self.intake.accepted()) };
        message.clone()
    }

    /// The meta of the only message.
    pub(crate) fn meta(&self) -> Json {
        json!(self.only().meta)
    }
}

/// Says what does not run here, and the command that would make it run.
pub(crate) fn skip(what: &str, enable: &str) {
    eprintln!("skipped: {what}; to enable: {enable}");
    let Some(list) = std::env::var_os("WAYBILL_SKIPPED") else { return };
    let mut file = OpenOptions::new().append(true).create(true).open(list).unwrap();
    file.write_all(format!("{what}\t{enable}\n").as_bytes()).unwrap();
}

/// Whether a program is here; says so when it is not.
pub(crate) async fn is_here(program: &str, package: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status().await;
    let here = found.is_ok_and(|status| status.success());
    if !here {
        skip(&format!("{program} as a client of the SMTP server"), &format!("sudo apt-get install {package}"));
    }
    here
}

/// Runs a program with this on its standard input. Gives how it ended and what it said.
async fn converse(command: &mut Command, input: &str) -> (Option<i32>, String) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code(), said)
}

/// The same; it must succeed.
pub(crate) async fn talk(command: &mut Command, input: &str) -> String {
    let (code, said) = converse(command, input).await;
    assert_eq!(code, Some(0), "{said}");
    said
}

/// Whether swaks is here and was installed with what it needs for TLS.
pub(crate) async fn swaks_can_encrypt() -> bool {
    let support = Command::new("swaks").arg("--support").output().await;
    let can = support.is_ok_and(|support| String::from_utf8_lossy(&support.stdout).contains("=== TLS supported"));
    if !can {
        skip("swaks with TLS as a client of the SMTP server", "sudo apt-get install swaks libnet-ssleay-perl");
    }
    can
}

/// A conversation that must end well.
pub(crate) async fn swaks(listener: &Listener, args: &[&str]) -> String {
    swaks_ends(listener, args, 0).await
}

/// One that ends in this way (swaks(1), EXIT CODES).
pub(crate) async fn swaks_ends(listener: &Listener, args: &[&str], code: i32) -> String {
    let (ended, said) = swaks_says(listener, args).await;
    assert_eq!(ended, Some(code), "{args:?}: {said}");
    said
}

/// How one ends.
pub(crate) async fn swaks_code(listener: &Listener, args: &[&str]) -> i32 {
    let (ended, said) = swaks_says(listener, args).await;
    ended.unwrap_or_else(|| panic!("{args:?}: {said}"))
}

async fn swaks_says(listener: &Listener, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new("swaks");
    command.args(["--server", &listener.address.ip().to_string()]);
    command.args(["--helo", "c.example", "--from", "a@example.com", "--to", "b@example.com", "--timeout", "30"]);
    command.args(args);
    // Behind the protocol, which brings a port of its own.
    command.args(["--port", &listener.address.port().to_string()]);
    converse(&mut command, "").await
}

/// Knows one user, who may relay from one domain.
pub(crate) fn with_tim() -> Setup {
    let text = |value: &Value| match value {
        Value::Bytes(bytes) => bytes.clone(),
        other => panic!("{other:?}"),
    };
    Setup::default()
        .config(json!({"relay_hosts": []}))
        .on("smtp_server_auth_plain", move |args: Args| -> Result<Returned, PolicyError> {
            Ok(Returned(vec![Value::Bool(text(&args[1]) == b"tim" && text(&args[2]) == b"secret")]))
        })
        .on("get_listener_domain", move |args: Args| {
            let table = if text(&args[0]) == b"example.com" { json!({"relay_from_authz": ["tim"]}) } else { json!({}) };
            Ok(Returned(vec![Value::Json(table)]))
        })
}
