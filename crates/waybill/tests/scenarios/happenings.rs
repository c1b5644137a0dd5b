//! What the daemon tells event hooks of its queues, its limits, and what it manages.

use crate::harness::api::done;
use crate::harness::{Answer, Daemon, Home, Mail, Policy, Receiver, wait_until};
use serde_json::{Value, json};

/// Endpoints on this machine may be called, and three messages are a backlog.
const INIT: &str = "  kumo.configure_webhooks { allow_targets = { '127.0.0.0/8' } }
  kumo.configure_event_hooks { backlog_size = 3 }";
/// Of mail to `slow.test` one leaves an hour; whoever sends to it passes a throttle of the policy.
const POLICY: &str = r"
kumo.on('get_queue_config', function(domain)
  if domain == 'slow.test' then
    return kumo.make_queue_config { max_message_rate = '1/h', protocol = { custom_lua = { constructor = 'make.sink' } } }
  end
end)

kumo.on('make.sink', function()
  local connection = {}
  function connection:send(message)
    return 'taken'
  end
  return connection
end)

kumo.on('smtp_server_message_received', function(message)
  kumo.make_throttle('visitors', '1/h'):throttle()
end)
";

/// A hook on all of a source that sends this text.
fn hook(daemon: &Daemon, source: &str, receiver: &Receiver, text: &str) -> String {
    hook_of(daemon, None, source, receiver, text)
}

/// The same, confined to this tenant.
fn hook_of(daemon: &Daemon, tenant: Option<&str>, source: &str, receiver: &Receiver, text: &str) -> String {
    let config = json!({"url": receiver.url(), "method": "POST", "body": text});
    let hook = json!({"source": source, "handler": "webhook-custom", "config": config, "tenant": tenant});
    done(daemon, "POST", "/event-hooks", &hook)["id"].as_str().expect("an id").to_owned()
}

/// Waits for a text that is sent.
fn told(receiver: &Receiver, text: &str) {
    receiver.wait(&format!("{text:?} is told"), |requests| {
        requests.iter().any(|request| request.text().starts_with(text)).then_some(())
    });
}

fn times(receiver: &Receiver, text: &str) -> usize {
    receiver.requests().iter().filter(|request| request.text().starts_with(text)).count()
}

#[test]
fn queues_that_rest_or_grow_and_limits_that_are_spent_are_told_to_hooks() {
    let (home, queues, limits) = (Home::new(), Receiver::start(), Receiver::start());
    let daemon = Daemon::start(&home, &Policy::new(POLICY).init(INIT));
    hook(&daemon, "queue", &queues, "{{ event }} {{ queue }}: {{ reason }}");
    hook(&daemon, "throttle", &limits, "{{ name }} {{ limit }}/{{ period }} {{ queue }}");
    let mut client = daemon.connect();
    for user in ["a", "b", "c", "d", "e"] {
        client.send(&Mail::to(&format!("{user}@slow.test")));
    }
    told(&limits, "max_message_rate 1/1h slow.test");
    told(&limits, "visitors 1/1h ");
    told(&queues, "backlog slow.test: ");
    daemon.ctl(&["suspend", "--domain", "slow.test", "--reason", "maintenance", "--duration", "1h"]);
    told(&queues, "suspended slow.test: maintenance");
    let list: Value = serde_json::from_str(&daemon.ctl(&["suspend-list"])).expect("JSON");
    daemon.ctl(&["suspend-cancel", "--id", list[0]["id"].as_str().expect("an id")]);
    told(&queues, "resumed slow.test: ");
    daemon.stop();
    assert_eq!((times(&queues, "suspended "), times(&queues, "backlog ")), (1, 1), "each is told once");
    assert_eq!(times(&limits, "visitors"), 1, "a limit that is exceeded four times in a row is told once");
}

#[test]
fn logs_and_egress_webhooks_tell_of_their_changes_and_their_endpoints() {
    let (home, changes, endpoints, target) = (Home::new(), Receiver::start(), Receiver::start(), Receiver::start());
    let daemon = Daemon::start(&home, &Policy::new("").init(INIT));
    hook(&daemon, "dao:crud", &changes, "{{ operation }} {{ schema }} {{ entity.metadata }} {{ old_entity.metadata }}");
    hook(&daemon, "endpoint", &endpoints, "{{ event }} {{ endpoint }} {{ url }} {{ attempts }}");
    let log = done(&daemon, "POST", "/logs", &json!({"metadata": "one"}))["log_id"].as_str().expect("an id").to_owned();
    done(&daemon, "PATCH", &format!("/log/{log}"), &json!({"metadata": "two"}));
    let egress = json!({"log_id": log, "destination": target.url(), "metadata": "sends", "mode": "parallel_by_key"});
    let made = done(&daemon, "POST", "/egress_webhooks", &egress);
    let id = made["webhook_id"].as_str().expect("an id");
    done(&daemon, "PATCH", &format!("/egress_webhook/{id}"), &json!({"metadata": "sent"}));
    for text in [
        "create logs one ",
        "update logs two one",
        "create egress_webhooks sends ",
        "update egress_webhooks sent sends",
    ] {
        told(&changes, text);
    }

    // Each message has a key of its own: none waits for another's retry.
    target.answer(|_, _| Answer::status(503));
    let publish = |keys: std::ops::Range<u32>| {
        let messages: Vec<Value> = keys.map(|key| json!({"key": key.to_string(), "value": "x"})).collect();
        done(&daemon, "POST", &format!("/messages/{log}"), &json!({ "messages": messages }));
    };
    publish(0..5);
    let shown = format!("http://{}", target.address());
    told(&endpoints, &format!("failing {id} {shown} 5"));
    target.answer(|_, _| Answer::ok());
    publish(5..6);
    told(&endpoints, &format!("recovered {id} {shown} "));
    target.answer(|_, _| Answer::status(410));
    publish(6..7);
    told(&endpoints, &format!("disabled {id} {shown} "));
    assert!(endpoints.requests().iter().all(|request| !request.text().contains("/log")), "no path is told");

    done(&daemon, "DELETE", &format!("/log/{log}"), &Value::Null);
    told(&changes, "delete egress_webhooks sent ");
    told(&changes, "delete logs two ");
    assert!(changes.requests().iter().all(|request| !request.text().contains("ewhsec_")));
    daemon.stop();
}

#[test]
fn a_hook_that_cannot_run_is_listed_with_why_and_is_mended() {
    let (home, receiver) = (Home::new(), Receiver::start());
    let publishes = "kumo.event_hooks.publish('billing', 'quota', { fields = { 'who' } })";
    let daemon = Daemon::start(&home, &Policy::new(publishes).init(INIT));
    let id = hook(&daemon, "billing", &receiver, "{{ recipient }}");
    daemon.stop();
    home.write_policy(&Policy::new("").init(INIT).text(&home));
    let daemon = Daemon::start_again(&home);
    let listed = daemon.client(&["event-hooks", "list"]).expect("a list");
    assert!(listed.contains("dormant") && listed.contains("billing"), "{listed}");
    let status: Value =
        serde_json::from_str(&daemon.client(&["event-hooks", "status", &id]).expect("a status")).expect("JSON");
    assert!(status["reason"].as_str().is_some_and(|why| why.contains("source: expected one of")), "{status}");
    let update = ["event-hooks", "update", &id, "--source", "log", "--event", "Reception"];
    daemon.client(&update).expect("it is mended");
    daemon.connect().send(&Mail::to("ann@example.com"));
    assert_eq!(receiver.wait_for(1)[0].text(), "ann@example.com");
    wait_until("it is settled", || {
        let status = done(&daemon, "GET", &format!("/event-hooks/{id}/status"), &Value::Null);
        (status["state"] == "active" && status["lag_events"] == 0).then_some(())
    });
    daemon.stop();
}

#[test]
fn a_tenants_hook_hears_of_that_tenants_logs_and_endpoints_alone() {
    let (home, changes, theirs, all, target) =
        (Home::new(), Receiver::start(), Receiver::start(), Receiver::start(), Receiver::start());
    let daemon = Daemon::start(&home, &Policy::new("").init(INIT));
    hook_of(&daemon, Some("acme"), "dao:crud", &changes, "{{ operation }} {{ schema }} {{ entity.metadata }}");
    hook_of(&daemon, Some("acme"), "endpoint", &theirs, "{{ event }} {{ endpoint }}");
    hook(&daemon, "endpoint", &all, "{{ event }} {{ endpoint }}");
    target.answer(|_, _| Answer::status(503));
    let estate = |tenant: Option<&str>, name: &str| {
        let log = done(&daemon, "POST", "/logs", &json!({"metadata": name, "tenant": tenant}));
        let log = log["log_id"].as_str().expect("an id").to_owned();
        let egress = json!({"log_id": log, "destination": target.url(), "metadata": name, "mode": "parallel_by_key"});
        let egress = done(&daemon, "POST", "/egress_webhooks", &egress);
        let egress = egress["webhook_id"].as_str().expect("an id").to_owned();
        done(&daemon, "PATCH", &format!("/egress_webhook/{egress}/secret"), &json!({"expire_seconds": 0}));
        let messages: Vec<Value> = (0..5).map(|key| json!({"key": key.to_string(), "value": "x"})).collect();
        done(&daemon, "POST", &format!("/messages/{log}"), &json!({ "messages": messages }));
        told(&all, &format!("failing {egress}"));
        done(&daemon, "DELETE", &format!("/log/{log}"), &Value::Null);
        egress
    };
    let nobodys = estate(None, "nobodys");
    let own = estate(Some("acme"), "own");
    told(&theirs, &format!("failing {own}"));
    for operation in ["create", "update", "delete"] {
        told(&changes, &format!("{operation} egress_webhooks own"));
    }
    told(&changes, "create logs own");
    told(&changes, "delete logs own");
    let heard: Vec<String> = changes.requests().iter().map(|request| request.text()).collect();
    assert!(!heard.iter().any(|text| text.contains("nobodys")), "{heard:?}");
    assert!(!theirs.requests().iter().any(|request| request.text().contains(&nobodys)));
    daemon.stop();
}
