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
