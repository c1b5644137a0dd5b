//! Python at both ends: smtplib as a client, aiosmtpd as the next hop.

use crate::harness::skip::python_with;
use crate::harness::{Daemon, Home, Mail, Policy, Receiver, address, wait_until};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios/python/client.py");
const NEXT_HOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios/python/next_hop.py");

const ONLY_TIM: &str = r#"
kumo.on('smtp_server_auth_plain', function(authz, authc, password, conn_meta)
  return authc == 'tim' and password == 'secret'
end)

kumo.on('get_listener_domain', function(domain, listener, conn_meta)
  if domain == 'sender.example' then
    return kumo.make_listener_domain { relay_from_authz = { 'tim' } }
  end
end)
"#;

#[test]
fn smtplib_encrypts_authenticates_and_is_told_what_is_too_much() {
    let Some(python) = python_with("smtplib as a client", "smtplib", "python3") else { return };
    let home = Home::new();
    let daemon =
        Daemon::start(&home, &Policy::new(ONLY_TIM).listener("relay_hosts = {}, max_recipients_per_message = 250,"));
    let address = daemon.smtp();
    let output = Command::new(python).args([CLIENT, &address.ip().to_string(), &address.port().to_string()]).output();
    let output = output.expect("run Python");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "all was well\n");

    // One international, one long, and one for each of many.
    let mails = wait_until("all mail is delivered", || {
        let mails = home.maildir("example.com");
        (mails.len() >= 262).then_some(mails)
    });
    daemon.stop();
    assert_eq!(mails.len(), 262);
    let of = |subject: &str| -> Vec<&String> {
        mails.iter().filter(|mail| mail.contains(&format!("\nSubject: {subject}\r\n"))).collect()
    };
    let [international] = of("Grüße")[..] else { panic!("no such mail") };
    assert!(international.ends_with("\r\n\r\nGröße\r\n.\r\n..dots\r\n"), "{international}");
    assert!(of("long")[0].ends_with(&format!("\r\n\r\n{}\r\n", "x".repeat(998))));
    assert_eq!(of("many").len(), 260);
    let records = home.records();
    let reception =
        records.iter().find(|record| record["recipient"] == "jörg@example.com" && record["type"] == "Reception");
    assert_eq!(reception.expect("a Reception")["sender"], "josé@sender.example");
}

/// A next hop in Python, gone with this value.
struct NextHop {
    running: Child,
    address: SocketAddr,
    lines: Arc<Mutex<Vec<String>>>,
}

impl NextHop {
    fn start(home: &Home, more: &[&str]) -> Option<NextHop> {
        let python = python_with("aiosmtpd as the next hop", "aiosmtpd", "python3-aiosmtpd")?;
        let own = rcgen::generate_simple_self_signed(["mx.there.example".to_owned()]).expect("make a certificate");
        std::fs::write(home.file("cert.pem"), own.cert.pem()).expect("write the certificate");
        std::fs::write(home.file("key.pem"), own.signing_key.serialize_pem()).expect("write the key");
        let [address] = address::free();
        let mut command = Command::new(python);
        command.args([NEXT_HOP, &address.ip().to_string(), &address.port().to_string()]).arg(home.path()).args(more);
        let mut running = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("start Python");
        let stdout = running.stdout.take().expect("its output");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let heard = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                heard.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let hop = NextHop { running, address, lines };
        wait_until("the next hop is ready", || (!hop.lines().is_empty()).then_some(()));
        Some(hop)
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it took.
    fn mails(&self) -> Vec<Value> {
        self.lines()[1..].iter().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// Mail for `there.example` goes to it, over TLS, and is told.
    fn policy(&self, receiver: &Receiver) -> Policy {
        Policy::new(
            "kumo.on('get_egress_path_config', function(domain, source, site)
               return kumo.make_egress_path { prohibited_hosts = {}, enable_tls = 'RequiredInsecure' }
             end)",
        )
        .before(&format!(
            "require('policy-extras.log_hooks'):new_json {{ name = 'webhook', url = '{}' }}
             kumo.on('get_queue_config', function(domain)
               if domain == 'there.example' then
                 return kumo.make_queue_config {{
                   protocol = {{ smtp = {{ mx_list = {{ '{}' }} }} }}, retry_interval = '1s',
                 }}
               end
             end)\n",
            receiver.url(),
            self.address
        ))
    }
}

impl Drop for NextHop {
    fn drop(&mut self) {
        let _ = self.running.kill();
        let _ = self.running.wait();
    }
}

fn kinds(records: &[Value]) -> Vec<&str> {
    let mut records: Vec<&Value> = records.iter().collect();
    records.sort_by_key(|record| record["event_time"].as_str());
    records.iter().filter_map(|record| record["type"].as_str()).collect()
}

#[test]
fn aiosmtpd_takes_international_mail_over_tls() {
    let (home, receiver) = (Home::new(), Receiver::start());
    let Some(hop) = NextHop::start(&home, &[]) else { return };
    let daemon = Daemon::start(&home, &hop.policy(&receiver));
    let mail =
        Mail::to("jörg@there.example").from("josé@example.com").header("Subject: Grüße").body("Größe\r\n.\r\n..dots");
    daemon.connect().send(&mail);
    let records = receiver.wait_for_records(2);
    daemon.settled("webhook", 0);
    daemon.stop();
    assert_eq!(kinds(&receiver.records()), ["Reception", "Delivery"]);
    let delivery = records.iter().find(|record| record["type"] == "Delivery").expect("a Delivery");
    assert_eq!(
        (&delivery["sender"], &delivery["recipient"]),
        (&json!("josé@example.com"), &json!("jörg@there.example"))
    );
    assert_eq!(delivery["response"]["content"], "taken by aiosmtpd");
    assert_eq!(delivery["tls_protocol_version"], "TLSv1.3");
    let [taken] = &hop.mails()[..] else { panic!("{:?}", hop.mails()) };
    assert_eq!((&taken["from"], &taken["to"]), (&json!("josé@example.com"), &json!(["jörg@there.example"])));
    assert_eq!((&taken["options"], &taken["tls"]), (&json!(["BODY=8BITMIME", "SMTPUTF8"]), &json!(true)));
    let content = taken["content"].as_str().expect("a text");
    assert!(
        content.contains("\r\nSubject: Grüße\r\n") && content.ends_with("\r\n\r\nGröße\r\n.\r\n..dots\r\n"),
        "{content}"
    );
}

#[test]
fn a_next_hop_that_knows_no_international_addresses_is_not_sent_any() {
    let (home, receiver) = (Home::new(), Receiver::start());
    let Some(hop) = NextHop::start(&home, &["no-utf8"]) else { return };
    let daemon = Daemon::start(&home, &hop.policy(&receiver));
    daemon.connect().send(&Mail::to("jörg@there.example"));
    receiver.wait_for_records(2);
    daemon.connect().send(&Mail::to("ann@there.example").body("Größe"));
    let records = receiver.wait_for_records(4);
    daemon.settled("webhook", 0);
    daemon.stop();
    let bounce = records.iter().find(|record| record["type"] == "Bounce").expect("a Bounce");
    assert_eq!(bounce["recipient"], "jörg@there.example");
    assert_eq!(bounce["response"]["enhanced_code"], json!({ "class": 5, "subject": 6, "detail": 7 }));
    let [taken] = &hop.mails()[..] else { panic!("{:?}", hop.mails()) };
    assert_eq!((&taken["to"], &taken["options"]), (&json!(["ann@there.example"]), &json!(["BODY=8BITMIME"])));
}

#[test]
fn a_next_hop_that_hangs_up_behind_the_mail_gets_it_again() {
    let (home, receiver) = (Home::new(), Receiver::start());
    let Some(hop) = NextHop::start(&home, &[]) else { return };
    let daemon = Daemon::start(&home, &hop.policy(&receiver));
    daemon.connect().send(&Mail::to("drop@there.example"));
    let records = receiver.wait_for_records(3);
    daemon.settled("webhook", 0);
    daemon.stop();
    assert_eq!(kinds(&receiver.records()), ["Reception", "TransientFailure", "Delivery"]);
    let failure = records.iter().find(|record| record["type"] == "TransientFailure").expect("a TransientFailure");
    let text = failure["response"]["content"].as_str().expect("a text");
    assert!(text.starts_with("KumoMTA internal: ") && text.contains("closed"), "{text}");
    assert_eq!(failure["peer_address"]["addr"], hop.address.ip().to_string());
    assert_eq!(failure["tls_protocol_version"], "TLSv1.3");
    assert_eq!(hop.mails().len(), 1, "it has it once");
}
