//! Who may send what.

use crate::common::{Setup, fail, reject, returns};
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use std::sync::Arc;
use waybill_policy::{Args, Returned, Value};

const STRANGER: &str = "192.0.2.7:4000";
const EVENT: &str = "get_listener_domain";

/// A handler that knows one domain.
fn knows(
    domain: &'static str,
    table: Json,
) -> impl Fn(Args) -> Result<Returned, waybill_policy::PolicyError> + Send + Sync {
    move |args| match &args[0] {
        Value::Bytes(asked) if asked == domain.as_bytes() => Ok(Returned(vec![Value::Json(table.clone())])),
        _ => Ok(Returned::default()),
    }
}

#[tokio::test]
async fn a_stranger_may_not_relay_and_hears_its_address() {
    let mut client = Setup::default().from(STRANGER).greeted().await;
    client.say("MAIL FROM:<a@example.com>").await;
    assert_eq!(
        client.say("RCPT TO:<x@other.example>").await,
        "550 5.7.1 relaying not permitted for 192.0.2.7:4000\r\n"
    );
}

#[tokio::test]
async fn relay_hosts_decide_without_asking_policy() {
    for (peer, hosts, allowed) in [
        ("127.0.0.1:1", json!(["127.0.0.1", "::1"]), true),
        ("[::1]:1", json!(["127.0.0.1", "::1"]), true),
        ("[::ffff:10.1.2.3]:1", json!(["10.0.0.0/8"]), true),
        ("11.1.2.3:1", json!(["10.0.0.0/8"]), false),
        ("127.0.0.1:1", json!({}), false),
    ] {
        let mut client =
            Setup::default().from(peer).config(json!({"relay_hosts": hosts})).on(EVENT, fail).greeted().await;
        client.say("MAIL FROM:<a@example.com>").await;
        let reply = client.say("RCPT TO:<x@other.example>").await;
        assert_eq!(reply.starts_with("250"), allowed, "{peer} {reply}");
        assert_eq!(client.policy.calls().is_empty(), allowed, "{peer}");
    }
}

#[tokio::test]
async fn domains_open_the_relay_for_their_mail() {
    for (domain, table, allowed) in [
        ("to.example", json!({"relay_to": true}), true),
        ("to.example", json!({"relay_to": false}), false),
        ("to.example", json!({"relay_from": ["192.0.2.0/24"]}), false),
        ("from.example", json!({"relay_from": ["192.0.2.0/24"]}), true),
        ("from.example", json!({"relay_from": ["198.51.100.0/24"]}), false),
        ("from.example", json!({"relay_to": true}), false),
        ("to.example", json!({"log_oob": true}), true),
        ("to.example", json!({"log_arf": "LogThenDrop"}), true),
        ("to.example", json!({"log_arf": "Ignore", "log_oob": false}), false),
    ] {
        let mut client = Setup::default().from(STRANGER).on(EVENT, knows(domain, table.clone())).greeted().await;
        client.say("MAIL FROM:<a@FROM.example>").await;
        let reply = client.say("RCPT TO:<b@TO.example>").await;
        assert_eq!(reply.starts_with("250"), allowed, "{domain} {table} {reply}");
        assert!(allowed || reply.starts_with("550 5.7.1 "), "{reply}");
    }
}

#[tokio::test]
async fn the_event_is_told_domain_listener_and_connection() {
    let notes = Arc::new(Mutex::new(Vec::new()));
    let noting = notes.clone();
    let handler = move |args: Args| {
        noting.lock().push(args);
        Ok(Returned::default())
    };
    let mut client = Setup::default().from(STRANGER).on(EVENT, handler).greeted().await;
    client.say("MAIL FROM:<a@From.Example>").await;
    client.say("RCPT TO:<b@To.Example>").await;
    let notes = notes.lock();
    let texts: Vec<_> = notes
        .iter()
        .map(|args| match &args[..] {
            [Value::Bytes(domain), Value::Bytes(listener), Value::Connection(_)] => {
                (String::from_utf8_lossy(domain).into_owned(), String::from_utf8_lossy(listener).into_owned())
            }
            other => panic!("{other:?}"),
        })
        .collect();
    let listener = "127.0.0.1:2025".to_owned();
    assert_eq!(texts, [("from.example".into(), listener.clone()), ("to.example".into(), listener)]);
}

#[tokio::test]
async fn what_policy_cannot_say_about_a_domain_is_not_guessed() {
    for (setup, reply) in [
        (Setup::default().on(EVENT, fail), "421 4.3.0 mta.example technical difficulties\r\n"),
        (Setup::default().on(EVENT, reject(451, "later")), "451 later\r\n"),
        (Setup::default().on(EVENT, returns(Value::Bool(true))), "421 4.3.0 mta.example technical difficulties\r\n"),
        (
            Setup::default().on(EVENT, returns(Value::Json(json!({"relay_too": true})))),
            "421 4.3.0 mta.example technical difficulties\r\n",
        ),
        (
            Setup::default().on(EVENT, returns(Value::Json(json!([true])))),
            "421 4.3.0 mta.example technical difficulties\r\n",
        ),
    ] {
        let mut client = setup.from(STRANGER).greeted().await;
        client.say("MAIL FROM:<a@example.com>").await;
        assert_eq!(client.say("RCPT TO:<b@example.com>").await, reply);
    }
}

#[tokio::test]
async fn whom_we_do_not_serve_learns_nothing_from_policy() {
    let mut client =
        Setup::default().from(STRANGER).on("smtp_server_rcpt_to", reject(550, "no such user")).greeted().await;
    client.say("MAIL FROM:<a@example.com>").await;
    assert!(client.say("RCPT TO:<b@example.com>").await.starts_with("550 5.7.1 relaying"));
    assert!(client.policy.calls().is_empty());
}
