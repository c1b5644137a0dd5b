//! What refusals mean: rules of the operator's in the records.

use crate::harness::{Daemon, Home, Mail, Peer, Policy, wait_until};

#[test]
fn refusals_are_classified_in_the_records_and_nothing_else_is() {
    let (home, peer) =
        (Home::new(), Peer::start(|line, _| line.contains("gone@").then(|| "550 5.1.1 no such user".into())));
    let rules = home.file("rules.toml");
    std::fs::write(&rules, "[rules]\nInvalidRecipient = ['^550 5\\.1\\.1 ']\nRelaying = ['5\\.7\\.1']\n")
        .expect("rules");
    let policy = Policy::new(
        "kumo.on('get_egress_path_config', function() return kumo.make_egress_path { prohibited_hosts = {} } end)",
    )
    .init("kumo.configure_bounce_classifier { files = { dir .. '/rules.toml' }, pool_size = 2, back_pressure = 100 }")
    .before(&format!(
        "kumo.on('get_queue_config', function(domain)
           if domain == 'there.example' then
             return kumo.make_queue_config {{
               protocol = {{ smtp = {{ mx_list = {{ {{ name = 'mx.there.example', addr = '{}' }} }} }} }} }}
           end
         end)
         kumo.on('smtp_server_mail_from', function(sender)
           if sender.user == 'spam' then kumo.reject(550, '5.7.1 not from you') end
         end)",
        peer.address()
    ));
    let daemon = Daemon::start(&home, &policy);
    let mut smtp = daemon.connect();
    smtp.send(&Mail::to("gone@there.example"));
    smtp.send(&Mail::to("ann@there.example"));
    smtp.ask("MAIL FROM:<spam@example.com>", 550).expect("a refusal");
    let class = |kind: &str| {
        let records = wait_until(&format!("there is a {kind}"), || {
            let of: Vec<_> = home.records().into_iter().filter(|record| record["type"] == kind).collect();
            (!of.is_empty()).then_some(of)
        });
        records[0]["bounce_classification"].as_str().expect("a class").to_owned()
    };
    assert_eq!(class("Bounce"), "InvalidRecipient");
    assert_eq!(class("Rejection"), "Relaying");
    assert_eq!(class("Delivery"), "Uncategorized");
    assert_eq!(class("Reception"), "Uncategorized");
    daemon.stop();
}

#[test]
fn a_rule_that_makes_no_sense_stops_the_start_with_file_and_rule() {
    let home = Home::new();
    std::fs::write(home.file("rules.json"), r#"{"rules": {"MailboxFull": ["quota", "("]}}"#).expect("rules");
    let policy =
        |call: &str| Policy::new("").init(&format!("kumo.configure_bounce_classifier {{ files = {{ {call} }} }}"));
    Daemon::refused(&home, &policy("dir .. '/rules.json'")).says(&[
        "rules.json: rule MailboxFull, expression 2, \"(\"",
        "unclosed group",
        "policy.lua:",
    ]);
    Daemon::refused(&home, &policy("dir .. '/none.toml'")).says(&["none.toml", "No such file", "policy.lua:"]);
}
