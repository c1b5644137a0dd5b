//! AUTH PLAIN.

use crate::common::{Client, Setup, disconnect, fail, reject, returns};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use serde_json::json;
use std::sync::Arc;
use waybill_policy::{Args, Ending, PolicyError, Returned, Value};

const EVENT: &str = "smtp_server_auth_plain";
const STRANGER: &str = "192.0.2.7:4000";

/// What AUTH PLAIN sends.
fn plain(authz: &str, authc: &str, password: &str) -> String {
    STANDARD.encode(format!("{authz}\0{authc}\0{password}"))
}

fn text(value: &Value) -> String {
    match value {
        Value::Bytes(bytes) => String::from_utf8(bytes.clone()).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Knows one user.
fn knows_tim(args: Args) -> Result<Returned, PolicyError> {
    let right = text(&args[1]) == "tim" && text(&args[2]) == "secret";
    Ok(Returned(vec![Value::Bool(right)]))
}

async fn knowing_tim() -> Client {
    Setup::default().on(EVENT, knows_tim).secured().await
}

#[tokio::test]
async fn it_is_offered_only_where_nobody_listens_in() {
    let mut client = Setup::default().on(EVENT, knows_tim).greeted().await;
    assert_eq!(
        client.say(&format!("AUTH PLAIN {}", plain("", "tim", "secret"))).await,
        "524 5.7.11 AUTH PLAIN needs an encrypted connection\r\n"
    );
    assert!(client.policy.calls().is_empty(), "the password goes no further");
    client.secure().await;
    assert!(client.say("EHLO c.example").await.ends_with("250 AUTH PLAIN\r\n"));
}

#[tokio::test]
async fn the_response_comes_along_or_when_it_is_asked_for() {
    let right = plain("", "tim", "secret");
    let mut client = knowing_tim().await;
    assert_eq!(client.say(&format!("auth plain {right}")).await, "235 2.7.0 AUTH OK!\r\n");
    let mut client = knowing_tim().await;
    assert_eq!(client.say("AUTH PLAIN").await, "334 \r\n");
    assert_eq!(client.say(&right).await, "235 2.7.0 AUTH OK!\r\n");
    assert_eq!(client.say(&format!("AUTH PLAIN {right}")).await, "503 5.5.1 authenticated already\r\n");
    assert!(client.say("MAIL FROM:<a@example.com>").await.starts_with("250 "));
    assert_eq!(
        client.say(&format!("AUTH PLAIN {right}")).await,
        "503 5.5.0 a transaction is under way, RSET would end it\r\n"
    );
}

#[tokio::test]
async fn policy_is_told_whom_the_client_wants_to_act_as() {
    let notes = Arc::new(Mutex::new(Vec::new()));
    for (authz, expected) in [("", "tim"), ("ursel", "ursel")] {
        let noting = notes.clone();
        let setup = Setup::default().on(EVENT, move |args| {
            assert!(matches!(&args[3], Value::Connection(_)));
            noting.lock().push([text(&args[0]), text(&args[1]), text(&args[2])]);
            Ok(Returned(vec![Value::Bool(true)]))
        });
        let mut client = setup.secured().await;
        client.say(&format!("AUTH PLAIN {}", plain(authz, "tim", "pass word"))).await;
        assert_eq!(notes.lock().pop().unwrap(), [expected, "tim", "pass word"]);
        client.say("MAIL FROM:<a@example.com>").await;
        client.say("RCPT TO:<b@example.com>").await;
        client.submit("x").await;
        let message = client.intake.accepted().remove(0);
        assert_eq!((&message.meta["authn_id"], &message.meta["authz_id"]), (&json!("tim"), &json!(expected)));
        assert!(!message.meta.contains_key("auth_info"));
        assert!(message.data.contains("\r\n  with ESMTPSA id "), "{}", message.data);
    }
}

#[tokio::test]
async fn what_is_no_clear_yes_is_a_no() {
    let difficulties = "421 4.3.0 mta.example technical difficulties\r\n";
    let invalid = "535 5.7.8 AUTH invalid\r\n";
    let identity = json!({"identities": [{"identity": "tim", "context": "Own"}], "groups": ["g"]});
    for (setup, reply) in [
        (Setup::default(), invalid),
        (Setup::default().on(EVENT, returns(Value::Nil)), invalid),
        (Setup::default().on(EVENT, returns(Value::Bool(false))), invalid),
        (Setup::default().on(EVENT, returns(Value::Json(json!({"identities": []})))), invalid),
        (Setup::default().on(EVENT, returns(Value::Json(json!({})))), invalid),
        (Setup::default().on(EVENT, returns(Value::Json(identity))), "235 2.7.0 AUTH OK!\r\n"),
        (Setup::default().on(EVENT, returns("true".into())), difficulties),
        (Setup::default().on(EVENT, returns(Value::Int(1))), difficulties),
        (Setup::default().on(EVENT, fail), difficulties),
        (Setup::default().on(EVENT, reject(454, "4.7.0 later")), "454 4.7.0 later\r\n"),
        (Setup::default().on(EVENT, disconnect(535, "5.7.8 no", Ending::Force)), "535 5.7.8 no\r\n"),
    ] {
        let mut client = setup.secured().await;
        assert_eq!(client.say(&format!("AUTH PLAIN {}", plain("", "tim", "secret"))).await, reply);
    }
}

#[tokio::test]
async fn a_script_sees_who_it_is_as_auth_info() {
    let setup = Setup::default().on(EVENT, knows_tim).on("smtp_server_mail_from", |args| {
        let Value::Connection(meta) = &args[1] else { panic!("{args:?}") };
        let identity = &meta.get("auth_info").unwrap()["identities"][0]["identity"];
        assert_eq!(identity, "tim");
        Ok(Returned::default())
    });
    let mut client = setup.secured().await;
    client.say(&format!("AUTH PLAIN {}", plain("", "tim", "secret"))).await;
    assert!(client.say("MAIL FROM:<a@example.com>").await.starts_with("250 "));
}

#[tokio::test]
async fn an_exchange_that_goes_wrong_is_over() {
    for (response, reply) in [
        ("*", "501 5.7.0 authentication is cancelled\r\n"),
        ("no base64!", "501 5.5.2 this is no response in base64 as AUTH PLAIN wants it\r\n"),
        ("", "501 5.5.2 this is no response in base64 as AUTH PLAIN wants it\r\n"),
        ("MAIL FROM:<a@example.com>", "501 5.5.2 this is no response in base64 as AUTH PLAIN wants it\r\n"),
    ] {
        let mut client = knowing_tim().await;
        assert_eq!(client.say("AUTH PLAIN").await, "334 \r\n");
        assert_eq!(client.say(response).await, reply);
        assert!(client.policy.calls().is_empty());
        assert_eq!(client.say("NOOP").await, "250 OK\r\n", "the next line is a command again");
        assert!(client.say(&format!("AUTH PLAIN {}", plain("", "tim", "secret"))).await.starts_with("235 "));
    }
    let mut client = knowing_tim().await;
    assert_eq!(client.say("AUTH PLAIN =").await, "501 5.5.2 this is no response in base64 as AUTH PLAIN wants it\r\n");
    assert_eq!(client.say("AUTH LOGIN").await, "504 5.5.4 AUTH LOGIN is not supported, AUTH PLAIN is\r\n");
    assert_eq!(client.say("AUTH").await, "501 cannot make sense of this command or its arguments\r\n");
}

#[tokio::test]
async fn the_client_says_its_name_first() {
    let mut client = Setup::default().on(EVENT, knows_tim).greeted().await;
    client.secure().await;
    let auth = format!("AUTH PLAIN {}", plain("", "tim", "secret"));
    assert_eq!(client.say(&auth).await, "503 5.5.1 say EHLO first\r\n");
}

#[tokio::test]
async fn whoever_guesses_has_to_come_again() {
    let mut client = knowing_tim().await;
    let wrong = format!("AUTH PLAIN {}", plain("", "tim", "guess"));
    for _ in 0..3 {
        assert_eq!(client.say(&wrong).await, "535 5.7.8 AUTH invalid\r\n");
    }
    assert!(client.rest().await.starts_with("421 4.3.2 mta.example "));
    let rejections = client.intake.rejections();
    assert_eq!(rejections.len(), 3);
    assert_eq!(rejections[0].response.enhanced_code.as_ref().map(ToString::to_string).as_deref(), Some("5.7.8"));
}

#[tokio::test]
async fn no_part_of_a_password_reaches_a_record_or_the_wording_of_a_reply() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let noting = heard.clone();
    let setup = Setup::default().on(EVENT, knows_tim).on("smtp_server_rewrite_response", move |args| {
        if let Value::Bytes(command) = &args[2] {
            noting.lock().push(String::from_utf8(command.clone()).unwrap());
        }
        Ok(Returned::default())
    });
    let mut client = setup.secured().await;
    let wrong = plain("", "tim", "guess");
    client.say(&format!("AUTH PLAIN {wrong}")).await;
    for line in [wrong.repeat(200), format!("{wrong} {wrong}"), format!("{wrong}\u{7}"), wrong.clone()] {
        client.say("AUTH PLAIN").await;
        client.say(&line).await;
    }
    let shown: Vec<_> = client.intake.rejections().into_iter().map(|record| record.response.command.unwrap()).collect();
    assert!(shown.len() == 5 && shown.iter().all(|command| command == "AUTH PLAIN"), "{shown:?}");
    assert!(heard.lock().iter().all(|command| !command.contains(&wrong)), "{:?}", heard.lock());
}

#[tokio::test]
async fn an_authenticated_client_relays_for_the_domains_that_trust_it() {
    let domains = |args: Args| match text(&args[0]).as_str() {
        "trusting.example" => Ok(Returned(vec![Value::Json(json!({"relay_from_authz": ["tim", "other"]}))])),
        "distrusting.example" => Ok(Returned(vec![Value::Json(json!({"relay_from_authz": ["other"]}))])),
        _ => Ok(Returned::default()),
    };
    for (sender, credentials, allowed) in [
        ("a@trusting.example", Some(""), true),
        ("a@trusting.example", Some("ursel"), false),
        ("a@trusting.example", None, false),
        ("a@distrusting.example", Some(""), false),
        ("a@unknown.example", Some(""), false),
    ] {
        let setup = Setup::default().from(STRANGER).on(EVENT, knows_tim).on("get_listener_domain", domains);
        let mut client = setup.secured().await;
        if let Some(authz) = credentials {
            let reply = client.say(&format!("AUTH PLAIN {}", plain(authz, "tim", "secret"))).await;
            assert!(reply.starts_with("235 "), "{reply}");
        }
        client.say(&format!("MAIL FROM:<{sender}>")).await;
        let reply = client.say("RCPT TO:<b@elsewhere.example>").await;
        assert_eq!(reply.starts_with("250 "), allowed, "{sender} {credentials:?}: {reply}");
    }
}
