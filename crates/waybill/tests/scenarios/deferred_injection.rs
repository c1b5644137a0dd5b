//! `deferred_queue`: mail is taken first, policy sees it afterwards.

use crate::harness::{Daemon, Home, Mail, Policy, wait_until};
use serde_json::{Value, json};

const POLICY: &str = "
kumo.on('smtp_server_message_received', function(msg) error 'not for deferred mail' end)

kumo.on('smtp_server_message_deferred_inject', function(msg, conn)
  msg:append_header('X-Seen', conn:get_meta('reception_protocol'))
  local user = msg:recipient().user
  if user == 'no' then
    kumo.reject(550, '5.7.1 not you')
  elseif user == 'wait' and not msg:get_meta('x_again') then
    error 'a mistake'
  elseif user == 'tenant' then
    msg:set_meta('tenant', 't1')
  end
end)";

fn records_of(home: &Home, user: &str, count: usize) -> Vec<Value> {
    wait_until(&format!("{count} records of {user}"), || {
        let of = |record: &Value| record["recipient"].to_string().contains(&format!("{user}@"));
        let records: Vec<Value> = home.records().into_iter().filter(of).collect();
        (records.len() >= count).then_some(records)
    })
}

fn find<'a>(records: &'a [Value], kind: &str) -> &'a Value {
    records.iter().find(|record| record["type"] == kind).unwrap_or_else(|| panic!("no {kind} in {records:?}"))
}

#[test]
fn deferred_mail_is_shown_to_policy_after_it_was_taken_and_goes_on_under_its_id() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &Policy::new(POLICY).listener("deferred_queue = true,"));
    let id = daemon.connect().send(&Mail::to("tenant@example.com")).remove(0);
    let records = records_of(&home, "tenant", 3);
    let queue = "deferred_smtp_inject.kumomta.internal";
    let reception = find(&records, "Reception");
    assert_eq!((&reception["queue"], &reception["id"]), (&json!(queue), &json!(id)));
    let rebind = find(&records, "DeferredInjectionRebind");
    for (key, value) in [
        ("id", json!(id)),
        ("queue", json!("t1@example.com")),
        ("site", json!(format!("unspecified->{queue}@defersmtpinject"))),
        ("delivery_protocol", json!("DeferredSmtpInjection")),
        ("num_attempts", json!(0)),
    ] {
        assert_eq!(rebind[key], value, "{key}");
    }
    assert_eq!((&rebind["response"]["code"], &rebind["response"]["content"]), (&json!(250), &json!("ok")));
    let delivery = find(&records, "Delivery");
    assert_eq!((&delivery["queue"], &delivery["id"]), (&json!("t1@example.com"), &json!(id)));
    let mails = home.maildir("example.com");
    assert!(mails.len() == 1 && mails[0].contains("X-Seen: ESMTP\r\n"), "{mails:?}");
    daemon.stop();
}

#[test]
fn what_policy_refuses_afterwards_bounces_and_a_mistake_of_a_script_is_tried_again_from_the_start() {
    let home = Home::new();
    let policy = Policy::new(POLICY).listener("deferred_queue = true,").before(
        "kumo.on('get_queue_config', function(domain)
           if domain == 'deferred_smtp_inject.kumomta.internal' then
             return kumo.make_queue_config { retry_interval = '1s' }
           end
         end)
         kumo.on('requeue_message', function(msg) msg:set_meta('x_again', true) end)
        ",
    );
    let daemon = Daemon::start(&home, &policy);
    let mut smtp = daemon.connect();
    smtp.send(&Mail::to("no@example.com"));
    let bounce = find(&records_of(&home, "no", 2), "Bounce").clone();
    assert_eq!((&bounce["response"]["code"], &bounce["response"]["content"]), (&json!(550), &json!("not you")));

    smtp.send(&Mail::to("wait@example.com"));
    let records = records_of(&home, "wait", 4);
    let failure = find(&records, "TransientFailure");
    assert_eq!(failure["response"]["code"], 450);
    assert!(failure["response"]["content"].as_str().is_some_and(|text| text.contains("a mistake")), "{failure}");
    find(&records, "Delivery");
    let mails = home.maildir("example.com");
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].matches("X-Seen: ").count(), 1, "the first try left nothing behind: {}", mails[0]);
    daemon.stop();
}
