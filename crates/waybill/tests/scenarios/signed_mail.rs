//! Mail that is signed on its way out, and checked on its way in.

use crate::harness::daemon::serve;
use crate::harness::skip::python_with;
use crate::harness::{Daemon, Home, Mail, Peer, Policy, http};
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::{Command, Stdio};
use waybill_dns::Zones;
use waybill_mail_auth::{AuthenticationResult, dkim};

const VERIFY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios/python/dkim_verify.py");
const RSA: &str = include_str!("../../../mail-auth/tests/keys/rsa2048.pem");
const RSA_PUBLIC: &str = include_str!("../../../mail-auth/tests/keys/rsa2048.pub");
/// RFC 8463, appendix A.
const ED25519: &str = include_str!("../../../mail-auth/tests/keys/rfc8463-ed25519.pem");
const ED25519_PUBLIC: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

/// The records of the keys, as names and texts.
fn records() -> [(&'static str, String); 2] {
    [
        ("s1._domainkey.example.com", format!("v=DKIM1; k=rsa; p={}", RSA_PUBLIC.trim())),
        ("esp._domainkey.esp.example", format!("v=DKIM1; k=ed25519; p={ED25519_PUBLIC}")),
    ]
}

fn zone() -> String {
    records().map(|(name, text)| format!("{name}. TXT \"{text}\"")).join("\n")
}

const FILE: &str = "[base]
additional_signatures = ['esp']
headers = ['From', 'To', 'Subject', 'Message-ID']
over_sign = true

[domain.'example.com']
selector = 's1'
filename = 'DIR/rsa.pem'

[signature.'esp']
domain = 'esp.example'
selector = 'esp'
algo = 'ed25519'
filename = 'DIR/ed25519.pem'
header_canonicalization = 'Simple'
";

/// The keys, and the file that names them, in the scenario's folder.
fn files(home: &Home) {
    let dir = home.path().display().to_string();
    for (name, text) in [("rsa.pem", RSA), ("ed25519.pem", ED25519), ("dkim.toml", &FILE.replace("DIR", &dir))] {
        std::fs::write(home.file(name), text).expect("write a file");
    }
}

/// Mail for `there.example` goes to this host.
fn to(peer: &Peer) -> String {
    format!(
        "kumo.on('get_queue_config', function(domain)
           if domain == 'there.example' then
             return kumo.make_queue_config {{
               protocol = {{ smtp = {{ mx_list = {{ {{ name = 'mx.there.example', addr = '{}' }} }} }} }},
             }}
           end
         end)
         kumo.on('get_egress_path_config', function()
           return kumo.make_egress_path {{ prohibited_hosts = {{}} }}
         end)",
        peer.address()
    )
}

const SIGN: &str = "
local dkim_signer = require('policy-extras.dkim_sign'):setup { dir .. '/dkim.toml' }
kumo.on('smtp_server_message_received', function(msg) dkim_signer(msg) end)
kumo.on('http_message_generated', function(msg) dkim_signer(msg) end)
";

/// What our own verifier makes of a mail as it came.
fn verified(mail: &str) -> Vec<(String, String)> {
    let zones = Zones::parse([zone().as_str()]).expect("a zone");
    let results = futures::executor::block_on(dkim::verify(mail.as_bytes(), &zones, 0));
    let of = |result: AuthenticationResult| (result.props["header.s"].clone(), result.result);
    results.into_iter().map(of).collect()
}

/// A mail without the dots that SMTP doubles.
fn unstuffed(mail: &str) -> String {
    mail.replace("\r\n..", "\r\n.")
}

/// A mail by SMTP and one by HTTP, as the next hop has them.
fn signed_mails(home: &Home) -> [String; 2] {
    files(home);
    let peer = Peer::start(|_, _| None);
    let daemon = Daemon::start(home, &Policy::new(SIGN).before(&to(&peer)));
    let mail = Mail::to("ann@there.example").header("From: Sender <sender@example.com>").header("Subject: by SMTP");
    daemon.connect().send(&mail.body(".a line with a dot\r\n  spaces  \r\n\r\n\r\n"));
    peer.takes(1);
    let injection = json!({
        "envelope_sender": "api@example.com",
        "recipients": [{ "email": "bob@there.example" }],
        "content": "From: <api@example.com>\r\nTo: bob@there.example\r\nSubject: by HTTP\r\n\r\nGr\u{fc}\u{df}e\r\n",
    });
    let (status, text) = http::ask(daemon.http(), "POST", "/api/inject/v1", &injection.to_string()).expect("an answer");
    assert_eq!(status, 200, "{text}");
    peer.takes(2);
    daemon.stop();
    let messages = peer.messages();
    let of = |subject: &str| {
        let found = messages.iter().find(|mail| mail.contains(subject));
        unstuffed(found.unwrap_or_else(|| panic!("no mail {subject}")))
    };
    [of("Subject: by SMTP"), of("Subject: by HTTP")]
}

#[test]
fn injected_mail_is_signed_through_the_helper_and_verifies_at_the_next_hop() {
    for mail in signed_mails(&Home::new()) {
        let pass = |selector: &str| (selector.to_owned(), "pass".to_owned());
        assert_eq!(verified(&mail), [pass("esp"), pass("s1")], "{mail}");
        let changed = mail.replace("Subject: by", "Subject: not by");
        assert!(verified(&changed).iter().all(|(_, result)| result == "fail"), "{changed}");
    }
}

/// What dkimpy says of a mail.
fn dkimpy(part: &str, mail: &str) -> Option<Value> {
    let python = python_with(part, "dkim, nacl", "python3-dkim python3-nacl")?;
    let mut command = Command::new(python);
    command.arg(VERIFY).args(records().map(|(name, text)| format!("{name}={text}")));
    let mut running = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("start Python");
    running.stdin.take().expect("its input").write_all(mail.as_bytes()).expect("write the mail");
    let output = running.wait_with_output().expect("its output");
    assert!(output.status.success(), "{}", output.status);
    Some(serde_json::from_slice(&output.stdout).expect("JSON"))
}

#[test]
fn dkimpy_verifies_what_we_sign() {
    let part = "signatures verified by the Python package dkimpy";
    if dkimpy(part, "From: a@b.example\r\n\r\n").is_none() {
        return;
    }
    for mail in signed_mails(&Home::new()) {
        let said = dkimpy(part, &mail).expect("Python");
        assert_eq!(said["dkim"], json!([true, true]), "{mail}");
        let said = dkimpy(part, &mail.replace("Subject: by", "Subject: not by")).expect("Python");
        assert_eq!(said["dkim"], json!([false, false]));
    }
}

const CHECK: &str = "
local mail_auth = require 'policy-extras.mail_auth'
kumo.on('smtp_server_message_received', function(msg)
  local found = mail_auth.check(msg, { server_id = 'mx.example.net' })
  msg:arc_seal(kumo.dkim.rsa_sha256_signer {
    domain = 'example.com', selector = 's1', headers = { 'From', 'Subject', 'DKIM-Signature' }, key = dir .. '/rsa.pem',
  }, 'mx.example.net', found.auth_results)
  if found.spf.disposition == 'fail' then
    kumo.reject(550, '5.7.23 ' .. found.spf.result.reason)
  end
end)
";

#[test]
fn mail_that_comes_in_is_checked_told_of_and_sealed() {
    let home = Home::new();
    let [signed, _] = signed_mails(&home);
    let zone = format!(
        "{}\nexample.com. TXT \"v=spf1 ip4:127.0.0.1 -all\"\nother.example. TXT \"v=spf1 -all\"\n\
         1.0.0.127.in-addr.arpa. PTR localhost.example.\nlocalhost.example. A 127.0.0.1\n",
        zone()
    );
    let peer = Peer::start(|_, _| None);
    let zones = format!("kumo.dns.configure_test_resolver {{ [==[{zone}]==] }}\n");
    let second = Home::new();
    files(&second);
    let daemon = Daemon::start(&second, &Policy::new(CHECK).before(&to(&peer)).init(&zones));
    let mut client = daemon.connect();
    client.ask("MAIL FROM:<sender@example.com>", 250).expect("an answer");
    client.ask("RCPT TO:<ann@there.example>", 250).expect("an answer");
    client.ask("DATA", 354).expect("an answer");
    let dotted = signed.replace("\r\n.", "\r\n..");
    client.write(dotted.as_bytes()).expect("send the mail");
    client.ask(".", 250).expect("an answer");
    peer.takes(1);
    let refusal = client.offer(&Mail::to("ann@there.example").from("ann@other.example")).expect("an answer");
    assert_eq!(refusal.code, 550, "{:?}", refusal.lines);
    assert!(refusal.lines[0].contains("5.7.23 matched 'all' directive"), "{:?}", refusal.lines);
    daemon.stop();

    let mail = &unstuffed(&peer.messages()[0]);
    let flat = mail.replace("\r\n\t", " ");
    let results =
        flat.lines().find(|line| line.starts_with("Authentication-Results: mx.example.net;")).expect("a header");
    for part in [
        "dkim=pass header.a=ed25519-sha256",
        "dkim=pass header.a=rsa-sha256",
        "spf=pass reason=",
        "smtp.mailfrom=sender@example.com",
        "iprev=pass",
        "arc=none",
    ] {
        assert!(results.contains(part), "{part}: {results}");
    }
    let names = flat.lines().map_while(|line| line.split_once(": ")).map(|(name, _)| name);
    let names: Vec<&str> = names.skip_while(|name| *name == "X-KumoRef").take(3).collect();
    assert_eq!(names, ["ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results"]);
    if let Some(said) = dkimpy("a chain verified by the Python package dkimpy", mail) {
        assert_eq!(said, json!({ "dkim": [true, true], "arc": "pass" }), "{mail}");
    }
}

#[test]
fn a_key_that_is_not_there_is_told_by_validation_with_file_and_section() {
    let home = Home::new();
    files(&home);
    std::fs::remove_file(home.file("rsa.pem")).expect("remove a key");
    std::fs::write(home.file("ed25519.pem"), RSA).expect("write a key");
    home.write_policy(&Policy::new(SIGN).text(&home));
    let output = serve(&home).arg("--validate").output().expect("validate");
    assert!(!output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    let dir = home.path().display();
    for expected in [
        format!("policy-extras.dkim_sign: {dir}/dkim.toml: [domain.'example.com']: "),
        format!("kumo.dkim.rsa_sha256_signer: key: reading {dir}/rsa.pem: No such file"),
        "[signature.'esp']: ".to_owned(),
        format!("kumo.dkim.ed25519_signer: key: {dir}/ed25519.pem: this is no Ed25519 key"),
    ] {
        assert!(said.contains(&expected), "{expected}: {said}");
    }
    assert!(!said.contains("BEGIN"), "no key is shown: {said}");
}
