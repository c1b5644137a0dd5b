//! Conversations are listened to while mail goes on.

use crate::harness::daemon::program;
use crate::harness::{Daemon, Home, Mail, Peer, Policy, Smtp, Swaks, http, wait_until};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};

/// `waybill ctl trace-…` while it runs, and what it has printed.
struct Trace {
    child: Child,
    output: PathBuf,
}

impl Trace {
    fn start(home: &Home, daemon: &Daemon, name: &str, args: &[&str]) -> Trace {
        let output = home.file(name);
        let file = File::create(&output).expect("a file for the output");
        let mut command = program();
        command.args(["ctl", "--endpoint", &format!("http://{}", daemon.http())]).args(args);
        let child = command.stdout(file).stderr(Stdio::inherit()).spawn().expect("run ctl");
        Trace { child, output }
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.output).expect("the output")
    }

    /// The events, of whole lines.
    fn events(&self) -> Vec<Value> {
        let text = self.text();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }

    /// Provokes until something is heard: only then is it known that somebody listens.
    fn until_heard(&self, mut provoke: impl FnMut()) {
        wait_until("the trace hears something", || {
            provoke();
            (!self.text().is_empty()).then_some(())
        });
    }

    /// Waits until an event is there, and gives all that are.
    fn wait(&self, what: &str, mut is: impl FnMut(&Value) -> bool) -> Vec<Value> {
        wait_until(&format!("the trace hears {what}"), || {
            let events = self.events();
            events.iter().any(&mut is).then_some(events)
        })
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The payloads of the session in which this was said.
fn session_of(events: &[Value], said: &Value) -> Vec<Value> {
    let one =
        events.iter().find(|event| event["payload"] == *said).unwrap_or_else(|| panic!("no {said} in {events:?}"));
    let id = &one["conn_meta"]["session_id"];
    events
        .iter()
        .filter(|event| event["conn_meta"]["session_id"] == *id)
        .map(|event| event["payload"].clone())
        .collect()
}

#[test]
fn swaks_is_heard_from_beginning_to_end_but_for_its_password() {
    let Some(swaks) = Swaks::find("a trace of swaks") else { return };
    let home = Home::new();
    let auth = "kumo.on('smtp_server_auth_plain', function(authz, authc, password)
       return authc == 'tim' and password == 'hush-hush'
     end)";
    let daemon = Daemon::start(&home, &Policy::new(auth));
    let trace = Trace::start(&home, &daemon, "trace", &["trace-smtp-server", "--json", "--source", "127.0.0.0/8"]);
    let others = Trace::start(&home, &daemon, "others", &["trace-smtp-server", "--source", "192.0.2.0/24"]);
    trace.until_heard(|| drop(Smtp::open(daemon.smtp())));
    swaks.send(
        &daemon,
        &[
            "--tls",
            "--auth",
            "PLAIN",
            "--auth-user",
            "tim",
            "--auth-password",
            "hush-hush",
            "--from",
            "a@example.com",
            "--to",
            "b@example.com",
            "--body",
            "a body to be seen",
        ],
    );
    let quit = json!({"Read": "QUIT\r\n"});
    let closed = |events: &[Value]| session_of(events, &quit).last() == Some(&json!("Closed"));
    let events = wait_until("swaks is gone", || {
        let events = trace.events();
        (events.iter().any(|event| event["payload"] == quit) && closed(&events)).then_some(events)
    });
    let said = session_of(&events, &quit);
    let at =
        |what: &dyn Fn(&Value) -> bool| said.iter().position(what).unwrap_or_else(|| panic!("missing in {said:#?}"));
    let reads = |line: &str| at(&|payload| payload["Read"].as_str().is_some_and(|read| read.starts_with(line)));
    let order = [
        at(&|payload| payload == "Connected"),
        reads("EHLO client.example"),
        reads("STARTTLS"),
        at(&|payload| payload["Diagnostic"]["message"].as_str().is_some_and(|text| text.starts_with("TLS: TLSv1.3"))),
        reads("AUTH PLAIN"),
        at(&|payload| payload["Callback"]["name"] == "smtp_server_auth_plain"),
        at(&|payload| payload["Write"].as_str().is_some_and(|text| text.starts_with("235 "))),
        reads("MAIL FROM:<a@example.com>"),
        reads("RCPT TO:<b@example.com>"),
        reads("DATA"),
        at(&|payload| payload["Read"].as_str().is_some_and(|text| text.contains("a body to be seen"))),
        at(&|payload| payload["MessageDisposition"]["recipient"] == json!(["b@example.com"])),
        reads("QUIT"),
        at(&|payload| payload == "Closed"),
    ];
    assert!(order.is_sorted(), "{order:?} {said:#?}");
    let text = trace.text();
    // \0tim\0hush-hush in base64, with whatever swaks puts before the first zero.
    assert!(!text.contains("hush-hush") && !text.contains("aHVzaC1odXNo") && !text.contains("h1c2gtaHVzaA"), "{text}");
    assert!(said.contains(&json!({"Read": "AUTH PLAIN (hidden)\r\n"})), "{said:#?}");
    assert_eq!(others.text(), "", "it was asked for other clients");
    daemon.stop();
}

#[test]
fn a_delivery_is_heard_and_chosen_by_its_domain() {
    let (home, peer) = (Home::new(), Peer::start(|_, _| None));
    let policy = Policy::new(
        "kumo.on('get_egress_path_config', function() return kumo.make_egress_path { prohibited_hosts = {} } end)
         kumo.on('get_egress_pool', function(name)
           return kumo.make_egress_pool { name = name, entries = { { name = 'source-of-' .. name } } }
         end)
         kumo.on('get_egress_source', function(name) return kumo.make_egress_source { name = name } end)",
    )
    .before(&format!(
        "kumo.on('get_queue_config', function(domain)
           if domain:match '%.there%.example$' then
             return kumo.make_queue_config {{
               egress_pool = domain:match '^a%.' and 'blue' or 'green',
               protocol = {{ smtp = {{ mx_list = {{ {{ name = 'mx.there.example', addr = '{}' }} }} }} }} }}
           end
         end)",
        peer.address()
    ));
    let daemon = Daemon::start(&home, &policy);
    let args = ["trace-smtp-client", "--json", "--terse", "--rcpt-to", "ann@a.there.example"];
    let trace = Trace::start(&home, &daemon, "trace", &args);
    let of_pool = Trace::start(&home, &daemon, "pool", &["trace-smtp-client", "--json", "--egress-pool", "green"]);
    let mut smtp = daemon.connect();
    let mut send = || {
        smtp.send(&Mail::to("bob@b.there.example"));
        smtp.send(&Mail::to("ann@a.there.example"));
    };
    trace.until_heard(&mut send);
    of_pool.until_heard(&mut send);
    let green = of_pool.events();
    assert!(green.iter().all(|event| event["conn_meta"]["egress_pool"] == "green"), "{green:#?}");
    assert!(green.iter().all(|event| event["conn_meta"]["domain"] == "b.there.example"), "{green:#?}");
    let events = trace.wait("the end of a message", |event| event["payload"].get("AbbreviatedWrite").is_some());
    assert!(events.iter().all(|event| event["conn_meta"]["rcpt_to"] == json!(["ann@a.there.example"])), "{events:#?}");
    // Alone, or in one piece with the other commands.
    let says = |event: &Value| event["payload"]["Write"].as_str().is_some_and(|text| text.contains("RCPT TO:<ann@a."));
    assert!(events.iter().any(says), "{events:#?}");
    assert!(events.iter().all(|event| event["conn_meta"]["mx_host"] == "mx.there.example"), "{events:#?}");
    daemon.stop();
}

#[test]
fn who_does_not_read_holds_up_no_mail_and_what_is_no_websocket_is_told_so() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &Policy::new(""));
    let (status, text) = http::ask(daemon.http(), "GET", "/api/admin/trace-smtp-server/v1", "").expect("an answer");
    assert_eq!(status, 426, "{text}");
    assert!(text.contains("Upgrade: websocket"), "{text}");
    let opened = |more: &str| {
        let mut stream = TcpStream::connect(daemon.http()).expect("connect");
        let request = format!(
            "GET /api/admin/trace-smtp-server/v1 HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n",
            daemon.http()
        );
        stream.write_all(request.as_bytes()).expect("ask");
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).expect("an answer");
            head.push(byte[0]);
        }
        (stream, String::from_utf8(head).expect("a head"))
    };
    let (_, foreign) = opened("Origin: http://elsewhere.example\r\n");
    assert!(foreign.starts_with("HTTP/1.1 403"), "{foreign}");
    let (mut lazy, head) = opened("");
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    // RFC 6455 section 1.3: the answer to this key.
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    // A filter as a masked frame, with a mask of zeros; nothing is ever read after it.
    lazy.write_all(b"\x81\x82\0\0\0\0{}").expect("the filter");
    let mut smtp = daemon.connect();
    let body = format!("{}\r\n", "x".repeat(70)).repeat(14_000);
    for _ in 0..40 {
        smtp.send(&Mail::to("ann@example.com").body(body.as_str()));
    }
    assert!(daemon.resident_memory() < 600 << 20, "{} bytes", daemon.resident_memory());
    daemon.stop();
}
