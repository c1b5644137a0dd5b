//! What an SMTP client can do with a whole daemon: encryption, authentication, and how a script ends a session.

use crate::harness::skip::python_with;
use crate::harness::{Daemon, Home, Mail, Policy, Receiver, Smtp, wait_until};
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::{Command, Stdio};

const POLICY: &str = r#"
kumo.on('smtp_server_auth_plain', function(authz, authc, password, conn_meta)
  return authc == 'tim' and password == 'secret'
end)

kumo.on('get_listener_domain', function(domain, listener, conn_meta)
  if domain == 'trusting.example' then
    return kumo.make_listener_domain { relay_from_authz = { 'tim' } }
  end
end)

kumo.on('smtp_server_mail_from', function(sender, conn_meta)
  if sender.user == 'force' then
    kumo.disconnect(550, '5.7.1 go away', 'ForceDisconnect')
  elseif sender.user == 'follow' then
    kumo.disconnect(550, '5.7.1 go away')
  elseif sender.user == 'stay' then
    kumo.disconnect(550, '5.7.1 go away', 'If421')
  end
end)
"#;

const CLIENT: &str = r#"
import smtplib, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
with smtplib.SMTP('127.0.0.1', int(sys.argv[1]), 'c.example', timeout=30) as smtp:
    smtp.starttls(context=context)
    smtp.login('tim', 'secret')
    assert smtp.sendmail('a@trusting.example', ['b@example.com'], 'Subject: x\r\n\r\nbody\r\n') == {}
"#;

#[test]
fn an_authenticated_client_relays_over_an_encrypted_connection() {
    let Some(python) = python_with("smtplib as a client", "smtplib", "python3") else { return };
    let (home, receiver) = (Home::new(), Receiver::start());
    let hook = format!(
        "require('policy-extras.log_hooks'):new_json {{
           name = 'webhook', url = '{}', log_parameters = {{ meta = {{ 'authn_id', 'authz_id', 'tls_*' }} }} }}",
        receiver.url()
    );
    let policy = Policy::new(format!("{POLICY}\n{hook}")).listener("relay_hosts = {},");
    let daemon = Daemon::start(&home, &policy);
    let mut python = Command::new(python);
    python.args(["-", &daemon.smtp().port().to_string()]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut python = python.spawn().expect("start python3");
    python.stdin.take().expect("its standard input").write_all(CLIENT.as_bytes()).expect("tell it what to do");
    let output = python.wait_with_output().expect("wait for python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let records = receiver.wait_for_records(2);
    let reception = records.iter().find(|record| record["type"] == "Reception").expect("a Reception");
    assert_eq!((&reception["meta"]["authn_id"], &reception["meta"]["authz_id"]), (&json!("tim"), &json!("tim")));
    assert_eq!(reception["tls_protocol_version"], "TLSv1.3");
    assert_eq!(reception["tls_cipher"], reception["meta"]["tls_cipher"]);
    daemon.settled("webhook", 0);
    daemon.stop();
    assert_eq!(home.maildir("example.com").len(), 1);
}

#[test]
fn a_script_says_how_the_session_ends() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &Policy::new(POLICY));
    for (user, last) in [("force", None), ("follow", Some(421)), ("stay", Some(250))] {
        let mut client = daemon.connect();
        let refusal = client.say(&format!("MAIL FROM:<{user}@example.com>")).expect("an answer");
        assert_eq!(refusal.text(), "550 5.7.1 go away", "{user}");
        let next = if user == "follow" { client.hear() } else { client.say("NOOP") };
        assert_eq!(next.ok().map(|reply| reply.code), last, "{user}");
    }
    let refusals = |home: &Home| -> Vec<Value> {
        home.records().into_iter().filter(|record| record["type"] == "Rejection").collect()
    };
    daemon.stop();
    wait_until("the log files are finished", || (refusals(&home).len() == 3).then_some(()));
}

#[test]
fn a_certificate_that_cannot_be_used_is_named_where_the_policy_names_it() {
    let policy = Policy::new("").listener("tls_certificate = '/no/such.pem', tls_private_key = '/no/such.key',");
    let home = Home::new();
    let line = policy.text(&home).lines().position(|line| line.contains("such.pem")).expect("the place") + 1;
    let refusal = Daemon::refused(&home, &policy);
    refusal.says(&["`tls_certificate`", "/no/such.pem", "No such file", &format!("policy.lua:{line}")]);
}

#[test]
fn without_room_for_log_files_no_mail_is_taken_and_the_operator_is_told() {
    let home = Home::new();
    let policy =
        Policy::new("").init("kumo.configure_local_logs { log_dir = dir .. '/full', min_free_space = '100%' }");
    let daemon = Daemon::start(&home, &policy);
    wait_until("the shortage is told", || {
        daemon.stderr().contains("no mail is received until there is room").then_some(())
    });
    let told = Smtp::open(daemon.smtp()).expect("connect").hear().expect("a banner");
    assert_eq!(told.code, 421, "{}", told.text());
    assert!(told.text().contains("disk is too full"), "{}", told.text());
    daemon.stop();
}

#[test]
fn a_transaction_is_taken_as_a_whole_or_not_at_all() {
    let home = Home::new();
    let broken = "kumo.on('get_queue_config', function(domain)
        if domain == 'broken.test' then error 'nobody knows this queue' end
      end)";
    let daemon = Daemon::start(&home, &Policy::new(broken));
    let both = ["ann@example.com", "bob@broken.test"].map(str::to_owned);
    let reply = daemon.connect().offer(&Mail::to_all(both)).expect("an answer");
    assert_eq!(reply.code, 421, "{}", reply.text());
    // Whoever was told so sends it again; what could have been taken was not.
    daemon.connect().send(&Mail::to("ann@example.com").header("Subject: again"));
    wait_until("it is delivered", || home.records().iter().any(|record| record["type"] == "Delivery").then_some(()));
    daemon.stop();
    let of = |kind: &str| home.records().iter().filter(|record| record["type"] == kind).count();
    assert_eq!((of("Reception"), of("Delivery"), home.maildir("example.com").len()), (1, 1, 1));
}
