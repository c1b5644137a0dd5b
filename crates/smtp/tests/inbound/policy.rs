//! Policy at each step of the conversation.

use crate::common::{Client, PEER, Setup, disconnect, fail, reject, returns};
use parking_lot::Mutex;
use serde_json::json;
use std::sync::Arc;
use waybill_policy::{Args, Ending, PolicyError, Returned, Value};

const STEPS: [&str; 6] = [
    "smtp_server_connection_accepted",
    "smtp_server_ehlo",
    "smtp_server_mail_from",
    "smtp_server_rcpt_to",
    "smtp_server_data",
    "smtp_server_message_received",
];

/// Talks until a reply is no success; gives that reply.
async fn first_refusal(client: &mut Client) -> String {
    let greeting = client.reply().await;
    if !greeting.starts_with("220") {
        return greeting;
    }
    for line in
        ["EHLO c.example", "MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>", "DATA", "Subject: x\r\n\r\n."]
    {
        let reply = client.say(line).await;
        if !reply.starts_with(['2', '3']) {
            return reply;
        }
    }
    panic!("nothing was refused");
}

#[tokio::test]
async fn a_rejection_at_any_step_is_the_reply_and_nothing_is_taken() {
    for step in STEPS {
        let mut client = Setup::default().on(step, reject(550, "5.7.1 not you")).connect();
        assert_eq!(first_refusal(&mut client).await, "550 5.7.1 not you\r\n", "{step}");
        if step == STEPS[0] {
            assert_eq!(client.rest().await, "", "a response instead of the greeting is the last one");
        } else {
            assert_eq!(client.say("NOOP").await, "250 OK\r\n", "{step}: the session goes on");
        }
        assert_eq!(client.intake.accepted().len(), 0, "{step}");
        assert_eq!(client.intake.rejections().len(), 1, "{step}");
    }
}

#[tokio::test]
async fn a_failure_at_any_step_is_421_and_the_end() {
    for step in STEPS {
        let mut client = Setup::default().on(step, fail).connect();
        assert_eq!(first_refusal(&mut client).await, "421 4.3.0 mta.example technical difficulties\r\n", "{step}");
        assert_eq!(client.rest().await, "", "{step}");
        assert_eq!(client.intake.accepted().len(), 0, "{step}");
        assert_eq!(client.intake.rejections().len(), 1, "{step}");
    }
}

#[tokio::test]
async fn a_rejection_with_421_ends_the_session_and_one_that_looks_like_success_is_a_failure() {
    for (code, reply) in [
        (421, "421 come back\r\n"),
        (250, "421 4.3.0 mta.example technical difficulties\r\n"),
        (0, "421 4.3.0 mta.example technical difficulties\r\n"),
    ] {
        for step in STEPS {
            let mut client = Setup::default().on(step, reject(code, "come back")).connect();
            assert_eq!(first_refusal(&mut client).await, reply, "{step} {code}");
            assert_eq!(client.rest().await, "", "{step} {code}");
        }
    }
}

#[tokio::test]
async fn a_script_says_what_becomes_of_the_session_that_it_refuses() {
    let goodbye = "421 4.3.2 mta.example closes the connection for what it just said\r\n";
    for (code, ending, rest) in [
        (550, Ending::Force, Some("")),
        (550, Ending::FollowWith421, Some(goodbye)),
        (550, Ending::If421, None),
        (421, Ending::Force, Some("")),
        (421, Ending::FollowWith421, Some("")),
        (421, Ending::If421, Some("")),
    ] {
        for step in STEPS {
            let mut client = Setup::default().on(step, disconnect(code, "4.7.0 go", ending)).connect();
            let about = format!("{step} {code} {ending:?}");
            assert_eq!(first_refusal(&mut client).await, format!("{code} 4.7.0 go\r\n"), "{about}");
            match rest {
                Some(rest) => assert_eq!(client.rest().await, rest, "{about}"),
                // In place of the greeting it is the last word anyway.
                None if step == STEPS[0] => assert_eq!(client.rest().await, "", "{about}"),
                None => assert_eq!(client.say("NOOP").await, "250 OK\r\n", "{about}"),
            }
            assert_eq!(client.intake.accepted().len(), 0, "{about}");
            assert_eq!(client.intake.rejections().len(), 1, "{about}: one refusal is one record");
        }
    }
}

#[tokio::test]
async fn what_the_client_sent_behind_the_end_is_not_answered() {
    for ending in [Ending::Force, Ending::FollowWith421] {
        let mut client = Setup::default().on("smtp_server_mail_from", disconnect(550, "no", ending)).greeted().await;
        client.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nNOOP\r\n").await;
        let rest = client.rest().await;
        let codes: Vec<_> = rest.lines().map(|line| &line[..3]).collect();
        assert_eq!(codes, if ending == Ending::Force { vec!["550"] } else { vec!["550", "421"] });
    }
}

#[tokio::test]
async fn a_reply_that_is_worded_anew_ends_the_session_all_the_same() {
    let setup = Setup::default().on("smtp_server_mail_from", disconnect(550, "no", Ending::FollowWith421)).on(
        "smtp_server_rewrite_response",
        |args| match &args[2] {
            Value::Bytes(command) if command.starts_with(b"MAIL") => {
                Ok(Returned(vec![Value::Int(554), "5.7.1 never".into()]))
            }
            _ => Ok(Returned::default()),
        },
    );
    let mut client = setup.greeted().await;
    assert_eq!(client.say("MAIL FROM:<a@example.com>").await, "554 5.7.1 never\r\n");
    assert!(client.rest().await.starts_with("421 4.3.2 "));
}

#[tokio::test]
async fn a_refused_greeting_of_the_client_leaves_it_without_mail() {
    let mut client = Setup::default().on("smtp_server_ehlo", reject(550, "no")).connect();
    client.reply().await;
    assert_eq!(client.say("EHLO c.example").await, "550 no\r\n");
    assert!(client.say("MAIL FROM:<a@example.com>").await.starts_with("503 5.5.1"));
}

/// Events and their arguments, in order.
type Notes = Arc<Mutex<Vec<(String, Args)>>>;

/// A setup that notes the arguments of all steps.
fn noting() -> (Setup, Notes) {
    let notes = Arc::new(Mutex::new(Vec::new()));
    let mut setup = Setup::default();
    for step in STEPS {
        let notes = notes.clone();
        setup = setup.on(step, move |args| {
            notes.lock().push((step.to_owned(), args));
            Ok(Returned::default())
        });
    }
    (setup, notes)
}

#[tokio::test]
async fn events_come_in_order_with_their_arguments() {
    let (setup, notes) = noting();
    let mut client = setup.with_recipient().await;
    client.say("RCPT TO:<c@example.com>").await;
    assert!(client.submit("Subject: x\r\n").await.starts_with("250 OK ids="));
    let notes = notes.lock().clone();
    let order: Vec<&str> = notes.iter().map(|(step, _)| step.trim_start_matches("smtp_server_")).collect();
    let twice = ["rcpt_to", "rcpt_to", "data", "message_received", "message_received"];
    assert_eq!(order[..3], ["connection_accepted", "ehlo", "mail_from"]);
    assert_eq!(order[3..], twice);
    for (step, args) in &notes {
        let connection = args.iter().find_map(|arg| match arg {
            Value::Connection(meta) => Some(meta.clone()),
            _ => None,
        });
        assert_eq!(connection.unwrap().get("received_from"), Some(json!(PEER)), "{step}");
    }
    let Value::List(extensions) = &notes[1].1[2] else { panic!("{:?}", notes[1]) };
    assert_eq!((notes[1].1.len(), extensions.len()), (3, 5));
    assert!(matches!(&notes[1].1[0], Value::Bytes(name) if name == b"client.example"));
    assert!(matches!(&notes[2].1[0], Value::Address(address) if address.as_str() == "a@example.com"));
    assert!(matches!(&notes[4].1[0], Value::Address(address) if address.as_str() == "c@example.com"));
    assert!(matches!(&notes[5].1[0], Value::Message(message) if message.recipients().len() == 2));
    assert!(matches!(&notes[7].1[0], Value::Message(message) if message.recipients().len() == 1));
}

#[tokio::test]
async fn helo_has_no_extensions_to_show() {
    let (setup, notes) = noting();
    let mut client = setup.connect();
    client.reply().await;
    client.say("HELO c.example").await;
    assert_eq!(notes.lock()[1].1.len(), 2);
}

#[tokio::test]
async fn policy_chooses_the_extensions_but_not_what_cannot_be_done() {
    let list = |items: &[&str]| Value::List(items.iter().map(|item| (*item).into()).collect());
    for (returned, reply) in [
        (
            list(&["PIPELINING", "STARTTLS", "X-OWN\r\n250 x", "AUTH PLAIN"]),
            "250-mta.example Aloha c.example\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 X-OWN  250 x\r\n",
        ),
        (Value::Json(json!(["8BITMIME"])), "250-mta.example Aloha c.example\r\n250 8BITMIME\r\n"),
        (Value::Json(json!({})), "250 mta.example Aloha c.example\r\n"),
        (Value::Int(5), "421 4.3.0 mta.example technical difficulties\r\n"),
    ] {
        let mut client = Setup::default().on("smtp_server_ehlo", returns(returned)).connect();
        client.reply().await;
        assert_eq!(client.say("EHLO c.example").await, reply);
    }
}

#[tokio::test]
async fn parameters_can_depend_on_the_connection() {
    let event = "smtp_server_get_dynamic_parameters";
    let table = json!({"hostname": "other.example", "banner": "hi", "max_recipients_per_message": 1, "meta": {"a": 1}});
    let mut client = Setup::default().on(event, returns(Value::Json(table))).connect();
    assert_eq!(client.reply().await, "220 other.example hi\r\n");
    client.say("EHLO c.example").await;
    client.say("MAIL FROM:<a@example.com>").await;
    assert!(client.say("RCPT TO:<b@example.com>").await.starts_with("250 "));
    assert_eq!(client.say("RCPT TO:<c@example.com>").await, "452 4.5.3 too many recipients\r\n");
    for wrong in [
        json!({"listen": "0:25"}),
        json!({"max_connections": 1}),
        json!({"max_recipients_per_message": 0}),
        json!({"colour": 1}),
        json!(["x"]),
    ] {
        let mut client = Setup::default().on(event, returns(Value::Json(wrong.clone()))).connect();
        assert_eq!(client.reply().await, "421 4.3.0 mta.example technical difficulties\r\n", "{wrong}");
    }
}

#[tokio::test]
async fn meta_of_the_listener_can_depend_on_the_connection_too() {
    let event = "smtp_server_get_dynamic_parameters";
    let setup = Setup::default().config(json!({"meta": {"a": 1, "b": 1, "c": 1, "received_from": "forged"}}));
    let handler = |args: Args| {
        let Value::Connection(meta) = &args[1] else { panic!("{args:?}") };
        meta.set("b", json!(2));
        Ok(Returned(vec![Value::Json(json!({"meta": {"c": 3, "hostname": "forged"}}))]))
    };
    let mut client = setup.on(event, handler).with_recipient().await;
    client.submit("x").await;
    let meta = client.intake.accepted()[0].meta.clone();
    let seen = ["a", "b", "c", "received_from", "hostname"].map(|name| meta[name].clone());
    assert_eq!(seen, [json!(1), json!(2), json!(3), json!(PEER), json!("mta.example")]);
}

#[tokio::test]
async fn policy_may_word_a_reply_anew_but_not_turn_it_around() {
    let event = "smtp_server_rewrite_response";
    let two = |code: Value, text: Value| move |_: Args| Ok(Returned(vec![code.clone(), text.clone()]));
    for (handler, expected) in [
        (
            Box::new(two(Value::Nil, "first\nsecond".into())) as crate::common::BoxedHandler,
            "502-first\r\n502 second\r\n",
        ),
        (Box::new(two(Value::Int(421), Value::Nil)), "421 5.5.1 no such command here\r\n"),
        (Box::new(two(Value::Int(250), "fine".into())), "502 5.5.1 no such command here\r\n"),
        (Box::new(two(Value::Int(99), "fine".into())), "502 5.5.1 no such command here\r\n"),
        (Box::new(|_| Ok(Returned::default())), "502 5.5.1 no such command here\r\n"),
        (Box::new(reject(421, "x")), "502 5.5.1 no such command here\r\n"),
    ] {
        let handler = move |args: Args| match &args[2] {
            Value::Bytes(command) if command == b"FOO" => handler(args),
            _ => Ok(Returned::default()),
        };
        let mut client = Setup::default().on(event, handler).greeted().await;
        assert_eq!(client.say("FOO").await, expected);
        if expected.starts_with("421") {
            assert_eq!(client.rest().await, "");
        } else {
            let text = client.intake.rejections()[0].response.content.clone();
            assert!(expected.contains(text.split(' ').next().unwrap()), "{text}");
        }
    }
}

#[tokio::test]
async fn an_error_of_an_event_that_is_missing_is_a_failure() {
    let missing = |_: Args| Err(PolicyError::Missing("x".into()));
    let mut client = Setup::default().on("smtp_server_mail_from", missing).greeted().await;
    assert!(client.say("MAIL FROM:<a@example.com>").await.starts_with("421 4.3.0"));
}
