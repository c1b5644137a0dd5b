//! `deferred_generation`: the request is taken first, and its messages are made later.

mod support;

use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use support::Daemon;
use waybill_delivery::{
    BatchOutcome, ConnectContext, DeliveryProtocol, Destination, Egress, Fate, Outcome, RouteQuery,
};
use waybill_http_api::InjectionGenerator;
use waybill_policy::ScriptedPolicy;
use waybill_spool::{Durability, IntakeError, IntakeState, Message};
use waybill_types::{QueueName, Response};

fn request() -> Value {
    json!({
        "envelope_sender": "api@example.com",
        "recipients": [{"email": "ann@example.com", "name": "Ann"}, {"email": "nodomain"}, {"email": "bob@later.example"}],
        "content": "Subject: hi {{ name }}\r\n\r\nHello",
        "deferred_generation": true,
    })
}

/// Sends the request and gives what the spool has of it.
async fn deferred(daemon: &Daemon) -> Message {
    let answer = daemon.inject(request()).await;
    let empty = r#"{"success_count":0,"fail_count":0,"failed_recipients":[],"errors":[]}"#;
    assert_eq!(answer.parts(), (200, empty));
    let (incoming, _) = daemon.intake.taken.lock().unwrap().pop().unwrap();
    assert_eq!(incoming.queue.as_str(), "generator.kumomta.internal");
    incoming.message
}

/// As the queue hands it over.
async fn deliver(daemon: &Daemon, message: &Message) -> Outcome {
    let generator = InjectionGenerator::new(daemon.services.clone(), Durability::Synced);
    let queue = QueueName::new("generator.kumomta.internal");
    let route = generator
        .route(&RouteQuery {
            queue: &queue,
            section: &json!({}),
            destination: &Destination::local(&queue),
            egress: &Egress::default(),
        })
        .unwrap();
    assert_eq!(
        (route.ready_queue().as_str(), route.protocol()),
        ("unspecified->generator.kumomta.internal@httpinject:generator", "HttpInjectionGenerator")
    );
    let context = ConnectContext { representative: queue, session_id: "s".into(), watchdog: route.watchdog() };
    let mut session = route.connect(context).await.unwrap();
    let BatchOutcome { mut outcomes, session, .. } = session.deliver(std::slice::from_ref(message)).await;
    assert_eq!((outcomes.len(), session), (1, Fate::Keep));
    outcomes.remove(0)
}

#[tokio::test]
async fn the_request_is_taken_as_it_is_and_its_messages_come_later() {
    let daemon = Daemon::new();
    let message = deferred(&daemon).await;
    assert_eq!(message.data().unwrap(), request().to_string());
    assert_eq!(message.sender().as_str(), "api@example.com");
    let outcome = deliver(&daemon, &message).await;
    let Outcome::Delivered(Response { code: 250, content, .. }) = outcome else { panic!("{outcome:?}") };
    assert!(content.starts_with("generated 2, failed 1; nodomain: "), "{content}");
    let messages = daemon.messages();
    assert_eq!(messages.len(), 2);
    assert!(messages[0].contains("Subject: hi Ann\r\n"), "{messages:?}");
    let taken = daemon.intake.taken.lock().unwrap();
    let meta = taken[0].0.message.all_meta();
    assert_eq!((&meta["received_from"], &meta["http_auth"]), (&json!("127.0.0.1"), &json!("127.0.0.1")));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_before_it_is_taken() {
    let daemon = Daemon::new();
    let mut wrong = request();
    wrong["content"] = "Subject: {{ x }\r\n\r\n".into();
    assert_eq!(daemon.inject(wrong).await.status, 422);
    assert!(daemon.intake.taken.lock().unwrap().is_empty());
}

#[tokio::test]
async fn while_no_mail_is_taken_it_waits() {
    let daemon = Daemon::new();
    let message = deferred(&daemon).await;
    daemon.set_state(IntakeState::ShuttingDown);
    let outcome = deliver(&daemon, &message).await;
    assert!(matches!(&outcome, Outcome::Transient(response, None) if response.code == 451), "{outcome:?}");
    assert!(daemon.messages().is_empty());
}

#[tokio::test]
async fn only_those_that_were_not_taken_are_tried_again() {
    let full = Arc::new(AtomicBool::new(false));
    let refuses = full.clone();
    let daemon = Daemon::refusing(move |incoming| {
        let later = incoming.queue.as_str() == "later.example" && refuses.load(Ordering::Relaxed);
        later.then(|| IntakeError::Overloaded("try later".into()))
    });
    let message = deferred(&daemon).await;
    full.store(true, Ordering::Relaxed);
    let outcome = deliver(&daemon, &message).await;
    assert!(matches!(&outcome, Outcome::Transient(..)), "{outcome:?}");
    full.store(false, Ordering::Relaxed);
    let outcome = deliver(&daemon, &message).await;
    assert!(
        matches!(&outcome, Outcome::Delivered(response) if response.content == "generated 1, failed 0"),
        "{outcome:?}"
    );
    assert_eq!(daemon.messages().len(), 2, "nobody got two");
}

#[tokio::test]
async fn policy_sees_who_asked() {
    let policy = ScriptedPolicy::new()
        .on("http_server_validate_auth_basic", |_| {
            let info = json!({"identities": [{"identity": "joe", "context": "x"}], "groups": ["ops"]});
            Ok(waybill_policy::Returned(vec![waybill_policy::Value::Json(info)]))
        })
        .on("http_message_generated", |args| {
            let waybill_policy::Value::Json(info) = &args[1] else { panic!("{args:?}") };
            assert_eq!((&info["identities"][0]["identity"], &info["groups"][0]), (&json!("joe"), &json!("ops")));
            Ok(waybill_policy::Returned::default())
        });
    let daemon = Daemon::with_policy(policy).from("192.0.2.9");
    let mut sent = support::inject_request(request().to_string());
    sent.headers_mut().insert("authorization", "Basic am9lOng=".parse().unwrap());
    assert_eq!(daemon.send(sent).await.status, 200);
    let (incoming, _) = daemon.intake.taken.lock().unwrap().pop().unwrap();
    let outcome = deliver(&daemon, &incoming.message).await;
    assert!(matches!(outcome, Outcome::Delivered(_)), "{outcome:?}");
    assert_eq!(daemon.messages().len(), 2);
}

#[tokio::test]
async fn what_is_generated_later_has_come_as_far_as_the_request() {
    let daemon = Daemon::new();
    let mut asked = support::inject_request(request().to_string());
    asked.headers_mut().insert("x-waybill-hops", "5".parse().unwrap());
    assert_eq!(daemon.send(asked).await.status, 200);
    let (request, _) = daemon.intake.taken.lock().unwrap().pop().unwrap();
    // As the spool has it.
    let spooled = waybill_spool::Spooled::decode(&request.message.to_store().0).unwrap();
    let spooled = Message::from_spool(request.message.id(), spooled);
    spooled.set_loaded(request.message.data().unwrap());
    deliver(&daemon, &spooled).await;
    let taken = daemon.intake.taken.lock().unwrap();
    assert!(!taken.is_empty() && taken.iter().all(|(one, _)| one.message.hops() == 5));
}
