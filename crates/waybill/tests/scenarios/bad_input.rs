//! What comes over the network and is no good: refused with a clear answer, and nothing else suffers.

use crate::harness::{Daemon, Home, Mail, Policy, Receiver, Smtp, http, wait_until};
use serde_json::json;

const MIB: u64 = 1 << 20;

/// A daemon that a scenario abuses.
fn start(home: &Home, receiver: &Receiver) -> Daemon {
    let hook =
        format!("require('policy-extras.log_hooks'):new_json {{ name = 'webhook', url = '{}' }}", receiver.url());
    Daemon::start(home, &Policy::new(hook).listener("max_message_size = 1024 * 1024,"))
}

/// In spite of all that, mail is accepted, delivered and told of; and no other mail was.
fn assert_all_is_well(home: &Home, daemon: Daemon, receiver: &Receiver, smtp: &mut Smtp) {
    smtp.send(&Mail::to("rcpt@example.com").header("Subject: all is well"));
    receiver.wait("the good mail is told of", |requests| {
        let told = |kind: &str| {
            requests.iter().any(|r| r.json()["type"] == kind && r.json()["sender"] == "sender@example.com")
        };
        (told("Reception") && told("Delivery")).then_some(())
    });
    daemon.stop();
    assert_eq!(home.maildir("example.com").len(), 1);
    let receptions = receiver.records().into_iter().filter(|record| record["type"] == "Reception");
    assert_eq!(receptions.count(), 1);
}

#[test]
fn garbage_on_the_smtp_port_is_answered_with_5xx() {
    let (home, receiver) = (Home::new(), Receiver::start());
    let daemon = start(&home, &receiver);
    let mut smtp = Smtp::open(daemon.smtp()).expect("connect");
    smtp.hear().expect("a banner");
    let garbage: Vec<u8> = (0..=255).filter(|byte| *byte != b'\n').collect();
    for line in [&garbage[..], b"GET / HTTP/1.1", b"MAIL FORM:<a@b>", b"RCPT", b"\0\0\0", b"DATA DATA", b"\xff\xfe"] {
        smtp.write(line).expect("write");
        let reply = smtp.say("").expect("an answer");
        assert!((500..600).contains(&reply.code), "{line:?}: {}", reply.text());
    }
    smtp.ask("EHLO client.example", 250).expect("a conversation");
    // Binary without any line end, and gone.
    Smtp::open(daemon.smtp()).expect("connect").write(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]).expect("write");
    assert_all_is_well(&home, daemon, &receiver, &mut smtp);
}

#[test]
fn a_line_of_100_mb_is_refused_and_not_kept() {
    let (home, receiver) = (Home::new(), Receiver::start());
    let daemon = start(&home, &receiver);
    let before = daemon.peak_memory();
    let mut smtp = Smtp::open(daemon.smtp()).expect("connect");
    smtp.hear().expect("a banner");
    let piece = vec![b'x'; 1 << 20];
    // It may hang up on us at any time, with or without a word.
    let written = (0..100).try_for_each(|_| smtp.write(&piece));
    let reply = written.and_then(|()| smtp.say(""));
    if let Ok(reply) = reply {
        assert_eq!(reply.code, 500, "{}", reply.text());
        assert!(reply.text().contains("line too long"), "{}", reply.text());
    }
    let grown = daemon.peak_memory() - before;
    assert!(grown < 32 * MIB, "one line cost {} MiB", grown / MIB);
    let mut smtp = daemon.connect();
    assert_all_is_well(&home, daemon, &receiver, &mut smtp);
}

#[test]
fn a_line_of_100_mb_inside_of_a_message_is_refused_and_not_kept() {
    let (home, receiver) = (Home::new(), Receiver::start());
    let daemon = start(&home, &receiver);
    let before = daemon.peak_memory();
    let mut smtp = daemon.connect();
    for (line, code) in [("MAIL FROM:<a@example.com>", 250), ("RCPT TO:<b@example.com>", 250), ("DATA", 354)] {
        smtp.ask(line, code).expect("a conversation");
    }
    let piece = vec![b'x'; 1 << 20];
    let written = smtp.write(b"Subject: long\r\n\r\n").and_then(|()| (0..100).try_for_each(|_| smtp.write(&piece)));
    let reply = written.and_then(|()| smtp.say("\r\n."));
    if let Ok(reply) = reply {
        assert!(matches!(reply.code, 500 | 552), "{}", reply.text());
    }
    let grown = daemon.peak_memory() - before;
    assert!(grown < 32 * MIB, "one line cost {} MiB", grown / MIB);
    let mut smtp = daemon.connect();
    assert_all_is_well(&home, daemon, &receiver, &mut smtp);
}

#[test]
fn a_message_over_the_limit_is_refused_and_told_of() {
    let (home, receiver) = (Home::new(), Receiver::start());
    let daemon = start(&home, &receiver);
    let mut smtp = daemon.connect();
    let mail = Mail::to("big@example.com").body(format!("{}\r\n", "x".repeat(70)).repeat(30_000));
    let reply = smtp.offer(&mail).expect("a conversation");
    assert_eq!(reply.text(), "552 5.3.4 message too big");
    let told = receiver.wait("the refusal is told of", |requests| {
        let mut records = requests.iter().flat_map(|request| request.records());
        records.find(|record| record["type"] == "Rejection")
    });
    assert_eq!(told["response"]["code"], 552);
    assert_eq!(told["response"]["enhanced_code"], json!({ "class": 5, "subject": 3, "detail": 4 }));
    assert_eq!(told["response"]["command"], "DATA");
    assert_eq!(told["recipient"], "big@example.com");
    // In the same session.
    assert_all_is_well(&home, daemon, &receiver, &mut smtp);
}

#[test]
fn a_recipient_that_we_do_not_relay_for_is_refused() {
    let (home, receiver) = (Home::new(), Receiver::start());
    let hook =
        format!("require('policy-extras.log_hooks'):new_json {{ name = 'webhook', url = '{}' }}", receiver.url());
    let policy =
        Policy::new(hook).init("kumo.start_esmtp_listener { listen = '127.0.0.2:0', relay_hosts = { '192.0.2.1' } }");
    let daemon = Daemon::start(&home, &policy);
    let line = wait_until("the second listener is told", || {
        daemon.stderr().lines().find(|line| line.contains("smtp listener on 127.0.0.2")).map(str::to_owned)
    });
    let address = line.rsplit(' ').next().and_then(|word| word.parse().ok()).expect("an address");
    let mut stranger = Smtp::connect(address).expect("connect");
    stranger.ask("MAIL FROM:<a@example.com>", 250).expect("a conversation");
    let reply = stranger.say("RCPT TO:<b@elsewhere.test>").expect("an answer");
    assert_eq!(reply.code, 550);
    assert!(reply.text().starts_with("550 5.7.1 relaying not permitted for 127.0.0.1:"), "{}", reply.text());
    let mut smtp = daemon.connect();
    assert_all_is_well(&home, daemon, &receiver, &mut smtp);
}

#[test]
fn unknown_keys_in_an_injection_are_refused_with_the_accepted_ones() {
    let (home, receiver) = (Home::new(), Receiver::start());
    let daemon = start(&home, &receiver);
    let inject = |body: &serde_json::Value| {
        http::ask(daemon.http(), "POST", "/api/inject/v1", &body.to_string()).expect("an answer")
    };
    let mut body = json!({
        "envelope_sender": "api@example.com",
        "recipients": [{ "email": "j@example.com" }],
        "content": "Subject: x\r\n\r\ny",
        "colour": 1,
    });
    let (status, text) = inject(&body);
    assert_eq!(status, 422, "{text}");
    for word in ["unknown field `colour`", "`envelope_sender`", "`recipients`", "`content`"] {
        assert!(text.contains(word), "{word} in {text}");
    }
    body.as_object_mut().expect("an object").remove("colour");
    body["recipients"][0]["colour"] = json!(1);
    let (status, text) = inject(&body);
    assert_eq!(status, 422, "{text}");
    assert!(text.contains("unknown field `colour`") && text.contains("`substitutions`"), "{text}");
    let mut smtp = daemon.connect();
    assert_all_is_well(&home, daemon, &receiver, &mut smtp);
}
