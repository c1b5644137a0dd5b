//! `smtp_client_rewrite_delivery_status`: policy says what an answer counts for.

use crate::common::*;
use crate::server::{Do, Server, say};
use parking_lot::Mutex;
use std::sync::Arc;
use waybill_policy::{Args, PolicyError, Returned, ScriptedPolicy, Value};

const EVENT: &str = "smtp_client_rewrite_delivery_status";
const ALL: [&str; 4] = ["a@there.example", "b@there.example", "c@there.example", "d@there.example"];

/// A policy that gives this for each answer, and the arguments that it was asked with.
fn policy(answer: impl Fn(&str) -> Value + Send + Sync + 'static) -> (ScriptedPolicy, Arc<Mutex<Vec<Vec<String>>>>) {
    let asked: Arc<Mutex<Vec<Vec<String>>>> = Arc::default();
    let heard = asked.clone();
    let handler = move |args: Args| {
        let texts: Vec<String> = args.iter().map(words).collect();
        let value = answer(&texts[0]);
        heard.lock().push(texts);
        Ok(Returned(vec![value]))
    };
    (ScriptedPolicy::new().on(EVENT, handler), asked)
}

fn words(value: &Value) -> String {
    match value {
        Value::Nil => "nil".into(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => panic!("an argument of its own kind: {other:?}"),
    }
}

async fn refusing(answer: &'static str) -> Server {
    Server::scripted(move |step| if step.is("DATA") { say(answer) } else { Do::Usual }).await
}

#[tokio::test]
async fn an_answer_counts_for_what_policy_makes_of_it_and_keeps_its_words() {
    let server = refusing("550 5.7.1 come back later").await;
    let (policy, asked) = policy(|_| Value::Int(451));
    let message = message(&["a@there.example"]);
    message.set_meta("tenant", "t1".into());
    message.set_meta("campaign", "spring".into());
    let mut way = Way::to(&server);
    way.policy = policy;
    let got = way.send(&message).await;
    assert_eq!(shown(&got.outcomes[0]), "transient 451 5.7.1 come back later [DATA]");
    let expected = ["550 5.7.1 come back later", "there.example", "t1", "spring", "nil"];
    assert_eq!(*asked.lock(), [expected.map(str::to_owned).to_vec()]);
}

#[tokio::test]
async fn nil_and_an_equal_code_leave_an_answer_alone() {
    for answer in [Value::Nil, Value::Int(550)] {
        let server = refusing("550 5.7.1 no").await;
        let (policy, asked) = policy(move |_| answer.clone());
        let mut way = Way::to(&server);
        way.policy = policy;
        let got = way.send(&message(&["a@there.example"])).await;
        assert_eq!(shown(&got.outcomes[0]), "permanent 550 5.7.1 no [DATA]");
        assert_eq!(asked.lock().len(), 1);
    }
}

#[tokio::test]
async fn what_is_no_code_and_what_fails_leave_an_answer_alone() {
    for answer in [Value::Int(354), Value::Int(70_000), Value::Int(-1), Value::from("451"), Value::Bool(true)] {
        let server = refusing("450 4.2.1 full").await;
        let (policy, _) = policy(move |_| answer.clone());
        let mut way = Way::to(&server);
        way.policy = policy;
        let got = way.send(&message(&["a@there.example"])).await;
        assert_eq!(shown(&got.outcomes[0]), "transient 450 4.2.1 full [DATA]");
    }
    let server = refusing("450 4.2.1 full").await;
    let mut way = Way::to(&server);
    way.policy = ScriptedPolicy::new().on(EVENT, |_| Err(PolicyError::unusable("a mistake")));
    let got = way.send(&message(&["a@there.example"])).await;
    assert_eq!(shown(&got.outcomes[0]), "transient 450 4.2.1 full [DATA]");
}

#[tokio::test]
async fn recipients_who_heard_the_same_are_asked_about_once_and_those_who_heard_something_else_apart() {
    let server = Server::scripted(|step| match step.line.as_str() {
        "RCPT TO:<b@there.example>" | "RCPT TO:<d@there.example>" => say("550 5.2.2 full"),
        _ => Do::Usual,
    })
    .await;
    let (policy, asked) = policy(|response| if response.starts_with("550") { Value::Int(452) } else { Value::Nil });
    let mut way = Way::to(&server);
    way.policy = policy;
    let got = way.send(&message(&ALL)).await;
    assert_eq!(
        shown(&got.outcomes[0]),
        "delivered 250 2.0.0 OK id=1 [.] | transient 452 5.2.2 full [RCPT TO:<b@there.example>] | \
         delivered 250 2.0.0 OK id=1 [.] | transient 452 5.2.2 full [RCPT TO:<d@there.example>]"
    );
    // The command belongs to an answer: two of them, and the one to the dot.
    assert_eq!(asked.lock().len(), 3);
}

#[tokio::test]
async fn what_no_server_said_is_nothing_to_ask_about() {
    let server = Server::scripted(|step| if step.is("DATA") { Do::Close } else { Do::Usual }).await;
    let (policy, asked) = policy(|_| Value::Int(550));
    let mut way = Way::to(&server);
    way.policy = policy;
    let got = way.send(&message(&["a@there.example"])).await;
    assert!(shown(&got.outcomes[0]).starts_with("transient 400 KumoMTA internal:"), "{:?}", got.outcomes);
    assert!(asked.lock().is_empty());
}
