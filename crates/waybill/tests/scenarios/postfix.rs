//! Postfix as a neighbour: it relays through us, we relay through it, and what it says of mail that it had to give up
//! is understood.

use crate::harness::postfix::NAME;
use crate::harness::sink::smtp_source;
use crate::harness::skip::sasl_plain;
use crate::harness::{Daemon, Home, Mail, Peer, Policy, Postfix, Receiver, Smtp, address, wait_until};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::net::SocketAddr;

fn hook(receiver: &Receiver) -> String {
    format!(
        "require('policy-extras.log_hooks'):new_json {{
           name = 'webhook', url = '{}', log_parameters = {{ meta = {{ 'authn_id' }}, headers = {{ 'Subject' }} }},
         }}\n",
        receiver.url()
    )
}

/// What Postfix is told of us: everything that it cannot deliver itself goes through us, over TLS.
fn relayhost(ours: SocketAddr) -> String {
    format!("relayhost = [{}]:{}\n", ours.ip(), ours.port())
}

/// Postfix says who it is, and may send for `example.com`. Nobody else may send anything.
const ONLY_POSTFIX: &str = r#"
kumo.on('smtp_server_auth_plain', function(authz, authc, password, conn_meta)
  return authc == 'postfix' and password == 'secret'
end)

kumo.on('get_listener_domain', function(domain, listener, conn_meta)
  if domain == 'example.com' then
    return kumo.make_listener_domain { relay_from_authz = { 'postfix' } }
  end
end)
"#;

const PASSWORD: &str = "smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = static:postfix:secret
smtp_sasl_security_options = noanonymous
";

#[test]
fn postfix_relays_through_us_over_tls_and_with_a_password() {
    const PART: &str = "Postfix as a client";
    const COUNT: usize = 100;
    if !sasl_plain(PART) {
        return;
    }
    let (home, receiver, [ours]) = (Home::new(), Receiver::start(), address::free());
    let Some(postfix) = Postfix::start(PART, &format!("{}{PASSWORD}", relayhost(ours))) else { return };
    let listener = format!("listen = '{ours}', relay_hosts = {{}},");
    let daemon = Daemon::start(&home, &Policy::new(ONLY_POSTFIX).before(&hook(&receiver)).listener(&listener));

    let count = COUNT.to_string();
    if !smtp_source(PART, postfix.plain(), &["-s", "5", "-m", &count, "-l", "5000", "-N", "-t", "user@example.com"]) {
        return;
    }
    let special = Mail::to("ann@example.com").header("Subject: Grüße").body("Größe\r\n.\r\n..dots\r\n");
    Smtp::connect(postfix.plain()).expect("connect to Postfix").offer(&special).expect("Postfix takes it");

    let records = receiver.wait_for_records(2 * (COUNT + 1));
    daemon.settled("webhook", 0);
    daemon.stop();
    assert_eq!(receiver.records().len(), 2 * (COUNT + 1), "nothing but receptions and deliveries");
    for kind in ["Reception", "Delivery"] {
        let events: Vec<&Value> = records.iter().filter(|record| record["type"] == kind).collect();
        let ids: HashSet<&str> = events.iter().filter_map(|event| event["id"].as_str()).collect();
        assert_eq!((events.len(), ids.len()), (COUNT + 1, COUNT + 1), "one {kind} of each mail");
    }
    for reception in records.iter().filter(|record| record["type"] == "Reception") {
        assert_eq!(reception["peer_address"], json!({ "name": NAME, "addr": "127.0.0.1" }));
        assert_eq!(
            (&reception["tls_protocol_version"], &reception["meta"]["authn_id"]),
            (&json!("TLSv1.3"), &json!("postfix"))
        );
    }
    let mails = home.maildir("example.com");
    assert_eq!(mails.len(), COUNT + 1);
    let special = mails.iter().find(|mail| mail.contains("\nSubject: Grüße\r\n")).expect("the special mail");
    assert!(special.ends_with("\r\n\r\nGröße\r\n.\r\n..dots\r\n\r\n"), "{special}");
    wait_until("Postfix knows that everything was taken", || {
        (postfix.log().matches("status=sent (250 OK ids=").count() == COUNT + 1).then_some(())
    });
}

/// Domains that Postfix is responsible for: mailboxes of one, and one behind another host.
fn responsible(next_hop: &Peer) -> String {
    let next = next_hop.address();
    format!(
        "virtual_mailbox_domains = there.example
virtual_mailbox_maps = inline:{{ {{ann@there.example = ann/}} }}
relay_domains = far.example
transport_maps = inline:{{ {{far.example = smtp:[{}]:{}}} }}
",
        next.ip(),
        next.port()
    )
}

/// Our mail for the domains of Postfix goes there, over TLS or not at all. Bounces are for the records only.
fn to_postfix(postfix: &Postfix) -> String {
    format!(
        "kumo.on('get_queue_config', function(domain)
           if domain == 'there.example' or domain == 'far.example' then
             return kumo.make_queue_config {{
               protocol = {{ smtp = {{ mx_list = {{ {{ name = '{NAME}', addr = '{}' }} }} }} }}, retry_interval = '1s',
             }}
           end
         end)
         kumo.on('get_egress_path_config', function(domain, source, site)
           return kumo.make_egress_path {{ prohibited_hosts = {{}}, enable_tls = 'RequiredInsecure' }}
         end)
         kumo.on('get_listener_domain', function(domain, listener, conn_meta)
           if domain == 'bounces.example' then
             return kumo.make_listener_domain {{ log_oob = 'LogThenDrop' }}
           end
         end)\n",
        postfix.encrypted()
    )
}

#[test]
fn postfix_takes_our_mail_over_tls_and_what_it_gives_up_later_comes_back_as_an_event() {
    const PART: &str = "Postfix as the next hop";
    let (home, receiver, [ours]) = (Home::new(), Receiver::start(), address::free());
    // The host behind Postfix knows nobody.
    let far = Peer::secure(|line, _| line.starts_with("RCPT").then(|| "550 5.1.1 no such user here".into()));
    let Some(postfix) = Postfix::start(PART, &(relayhost(ours) + &responsible(&far))) else { return };
    let policy = Policy::new("").before(&(hook(&receiver) + &to_postfix(&postfix)));
    let daemon = Daemon::start(&home, &policy.listener(&format!("listen = '{ours}',")));
    let mut client = daemon.connect();
    let mut send = |recipient: &str, body: &str| {
        let mail = Mail::to(recipient).from("return@bounces.example").header("Subject: Hello");
        client.send(&mail.body(body)).remove(0)
    };
    let ann = send("ann@there.example", "Größe\r\n.\r\n..dots");
    let nobody = send("nobody@there.example", "hello");
    let bob = send("bob@far.example", "hello");

    // Three receptions, three outcomes; the bounce of Postfix, and what is in it.
    let records = receiver.wait_for_records(8);
    daemon.settled("webhook", 0);
    daemon.stop();
    assert_eq!(receiver.records().len(), 8);
    let one = |kind: &str, id: &str| {
        let mut found = records.iter().filter(|record| record["type"] == kind && record["id"] == id);
        found.next().unwrap_or_else(|| panic!("no {kind} of {id} in {records:#?}")).clone()
    };
    for id in [&ann, &bob] {
        let delivery = one("Delivery", id);
        let text = delivery["response"]["content"].as_str().expect("a text");
        assert!(text.starts_with("Ok: queued as "), "{text}");
        assert_eq!((&delivery["response"]["code"], &delivery["num_attempts"]), (&json!(250), &json!(0)));
        assert_eq!(delivery["peer_address"], json!({ "name": NAME, "addr": postfix.encrypted().ip().to_string() }));
        assert_eq!(delivery["tls_protocol_version"], "TLSv1.3");
        assert_eq!(delivery["tls_peer_subject_name"], json!(["CN=rcgen self signed cert"]));
    }
    let bounce = one("Bounce", &nobody);
    assert_eq!(bounce["response"]["code"], 550);
    assert_eq!(bounce["response"]["enhanced_code"], json!({ "class": 5, "subject": 1, "detail": 1 }));
    assert_eq!(bounce["response"]["command"], "RCPT TO:<nobody@there.example>\r\n");

    let mails =
        wait_until("the mailbox has its mail", || Some(postfix.mailbox("ann")).filter(|mails| !mails.is_empty()));
    assert!(mails.len() == 1 && mails[0].ends_with("\n\nGröße\n.\n..dots\n"), "{mails:?}");

    let report = records.iter().find(|record| record["type"] == "Reception" && record["sender"] == "");
    let report = report.expect("the report of Postfix");
    assert_eq!(report["headers"], json!({ "Subject": "Undelivered Mail Returned to Sender" }));
    let oob = one("OOB", report["id"].as_str().expect("an id"));
    assert_eq!((&oob["recipient"], &oob["sender"]), (&json!("bob@far.example"), &json!("return@bounces.example")));
    assert_eq!(oob["peer_address"], json!({ "name": NAME, "addr": "127.0.0.1" }));
    assert_eq!(
        (&oob["response"]["code"], &oob["response"]["content"]),
        (&json!(550), &json!("5.1.1 no such user here"))
    );
}
