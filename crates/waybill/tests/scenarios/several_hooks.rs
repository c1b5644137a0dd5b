//! Several hooks on the same events.

use crate::harness::{Daemon, Home, Mail, Policy, Receiver, Request};
use serde_json::{Value, json};

const POLICY: &str = r#"
local log_hooks = require 'policy-extras.log_hooks'

kumo.on('smtp_server_message_received', function(msg)
  msg:set_meta('tenant', msg:get_first_named_header_value 'X-Tenant')
  msg:set_meta('x_secret', 'not for everybody')
end)

-- Receptions, with a token and the subject.
log_hooks:new_json {
  name = 'receptions',
  url = '@ONE@',
  headers = { Authorization = 'Bearer xyzzy' },
  log_parameters = {
    headers = { 'Subject' },
    meta = { 'tenant' },
    per_record = { Reception = { enable = true }, Any = { enable = false } },
  },
}

-- Whatever is about red, with all headers of the customer's own, in words of a template.
log_hooks:new_json {
  name = 'red',
  url = '@TWO@',
  filter = function(msg, hook_name)
    return msg:get_meta('log_record').meta.tenant ~= 'red'
  end,
  headers = { ['X-Which'] = 'red' },
  log_parameters = {
    headers = { 'x-*' },
    meta = { 'ten*' },
    per_record = {
      Delivery = { template = '{"what":"{{ type }}","who":{{ recipient | tojson }},"headers":{{ log_record.headers | tojson }}}' },
    },
  },
}
"#;

fn bodies(requests: &[Request]) -> Vec<Value> {
    requests.iter().map(Request::json).collect()
}

#[test]
fn each_hook_gets_the_events_headers_and_words_it_asked_for() {
    let (home, one, two) = (Home::new(), Receiver::start(), Receiver::start());
    let policy = POLICY.replace("@ONE@", &one.url()).replace("@TWO@", &two.url());
    let daemon = Daemon::start(&home, &Policy::new(policy));
    let mut smtp = daemon.connect();
    for tenant in ["red", "blue"] {
        let mail = Mail::to(&format!("{tenant}@example.com"))
            .header(&format!("X-Tenant: {tenant}"))
            .header("Subject: Hello")
            .header("X-Customer-ID: 7");
        smtp.send(&mail);
    }
    one.wait_for(2);
    two.wait_for(2);
    daemon.settled("receptions", 0);
    daemon.settled("red", 0);
    daemon.stop();

    let receptions = one.requests();
    assert_eq!(receptions.len(), 2);
    for request in &receptions {
        assert_eq!(request.header("authorization"), Some("Bearer xyzzy"));
        let record = request.json();
        assert_eq!(record["type"], "Reception");
        assert_eq!(record["headers"], json!({ "Subject": "Hello" }));
        assert_eq!(
            format!("{}@example.com", record["meta"]["tenant"].as_str().expect("a tenant")),
            record["recipient"]
        );
        assert_eq!(record["meta"].as_object().map(serde_json::Map::len), Some(1), "{record}");
    }

    let red = two.requests();
    assert_eq!(red.len(), 2, "{:?}", bodies(&red));
    assert!(red.iter().all(|request| request.header("x-which") == Some("red")));
    let red = bodies(&red);
    let reception = red.iter().find(|body| body["type"] == "Reception").expect("a Reception as it is");
    assert_eq!(reception["meta"], json!({ "tenant": "red" }));
    assert_eq!(reception["headers"]["X-Tenant"], "red");
    assert_eq!(reception["headers"]["X-Customer-ID"], "7");
    assert_eq!(reception["headers"].get("Subject"), None);
    let delivery = red.iter().find(|body| body["what"] == "Delivery").expect("a Delivery in words of the template");
    assert_eq!(delivery["who"], "red@example.com");
    assert_eq!(delivery["headers"]["X-Customer-ID"], "7");
    assert_eq!(delivery["headers"].get("Subject"), None);

    // One journal entry, two views of it: the ids differ, so that one endpoint for both can tell them apart.
    let ids = |receiver: &Receiver| receiver.requests().iter().map(|r| r.webhook_id().to_owned()).collect::<Vec<_>>();
    assert!(ids(&one).iter().all(|id| !ids(&two).contains(id)));
}

#[test]
fn a_hook_that_is_put_back_goes_on_where_it_was_and_gets_what_happened_while_it_was_gone() {
    let (home, kept, mut moving) = (Home::new(), Receiver::start(), Receiver::start());
    let hook = |name: &str, receiver: &Receiver| {
        let url = receiver.url();
        format!(
            "require('policy-extras.log_hooks'):new_json {{ name = '{name}', url = '{url}', queue_config = {{ retry_interval = '1s' }} }}\n"
        )
    };
    // One connection: events arrive as they were appended.
    let paths = "kumo.on('get_egress_path_config', function()
       return kumo.make_egress_path { connection_limit = 1 }
     end)\n";
    let both = Policy::new(format!("{}{}{paths}", hook("kept", &kept), hook("moving", &moving)));
    let without = Policy::new(format!("{}{paths}", hook("kept", &kept)));
    let mut told = Vec::new();
    let mut send = |daemon: &Daemon, count: usize| {
        let mut smtp = daemon.connect();
        told.extend((0..count).map(|_| smtp.send(&Mail::to("rcpt@example.com")).remove(0)));
        kept.wait_for(2 * told.len());
    };

    let daemon = Daemon::start(&home, &both);
    send(&daemon, 3);
    moving.wait_for(6);
    daemon.settled("moving", 0);
    // It has something before it when it goes.
    moving.down();
    send(&daemon, 2);
    daemon.wait_for_hook("moving", "has four events before it", |hook| hook["lag_events"] == 4);
    daemon.stop();
    let daemon = Daemon::start(&home, &without);
    send(&daemon, 4);
    daemon.wait_for_hook("moving", "is detached", |hook| hook["state"] == "detached");
    daemon.stop();
    moving.up();
    let daemon = Daemon::start(&home, &both);
    send(&daemon, 1);
    moving.wait_for(20);
    for name in ["kept", "moving"] {
        daemon.settled(name, 0);
    }
    daemon.stop();

    let events = |receiver: &Receiver| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        bodies(&receiver.requests()).iter().map(|body| (text(&body["id"]), text(&body["type"]))).collect()
    };
    let (all, again) = (events(&kept), events(&moving));
    assert_eq!((all.len(), again.len()), (20, 20), "each once");
    let of = |mail: &String, kind: &str| (mail.clone(), kind.to_owned());
    for mail in &told {
        assert!(again.contains(&of(mail, "Reception")) && again.contains(&of(mail, "Delivery")), "{mail}");
    }
    // Of the rest, what was tried while the endpoint was down waits for its next try.
    assert_eq!(again[..6], all[..6]);
}
