//! Injection by scripts: the same as over HTTP, without HTTP.

mod support;

use serde_json::json;
use support::Daemon;
use waybill_http_api::{ScriptInjection, ScriptRequest};
use waybill_policy::{PolicyError, Rejected, Returned, ScriptedPolicy, Value as PolicyValue};
use waybill_spool::{Durability, IntakeState};

fn request() -> serde_json::Value {
    json!({
        "envelope_sender": "a@example.com",
        "recipients": [{"email": "yes@example.com"}, {"email": "no@example.com"}],
        "content": {"text_body": "hi {{ email }}", "subject": "x", "attachments": {}},
    })
}

/// Refuses `no`.
fn daemon() -> Daemon {
    Daemon::with_policy(ScriptedPolicy::new().on("http_message_generated", |args| {
        let [PolicyValue::Message(message), PolicyValue::Json(auth)] = &args[..] else { panic!("{args:?}") };
        assert_eq!(
            (&auth["peer_address"], &auth["groups"][0]),
            (&json!("127.0.0.1"), &json!("kumomta:http-listener-trusted-ip"))
        );
        match message.recipients()[0].user() {
            "no" => Err(PolicyError::Rejected(Rejected::new(550, "5.7.1 not you"))),
            _ => Ok(Returned::default()),
        }
    }))
}

fn read(request: &serde_json::Value) -> ScriptRequest {
    ScriptRequest::read(request).unwrap_or_else(|why| panic!("{why}"))
}

#[tokio::test]
async fn a_script_injects_as_a_client_on_this_machine_would() {
    let daemon = daemon();
    let injection = ScriptInjection::new(daemon.services.clone(), Durability::Synced);
    let report = injection.inject(read(&request())).await.unwrap();
    assert_eq!(
        report,
        json!({"success_count": 1, "fail_count": 1, "failed_recipients": ["no@example.com"],
            "errors": ["no@example.com: 550 5.7.1 not you"]})
    );
    let taken = daemon.intake.taken.lock().unwrap();
    let (incoming, durability) = &taken[0];
    assert_eq!((taken.len(), *durability), (1, Durability::Synced));
    for (name, value) in [("reception_protocol", "HTTP"), ("received_from", "127.0.0.1"), ("http_auth", "127.0.0.1")] {
        assert_eq!(incoming.message.meta_text(name), Ok(Some(value.to_owned())), "{name}");
    }
}

#[tokio::test]
async fn messages_that_are_only_built_stay_with_the_script() {
    let daemon = daemon();
    let injection = ScriptInjection::new(daemon.services.clone(), Durability::Synced);
    let mut request = request();
    assert_eq!(injection.build(read(&request)).await.unwrap_err(), "no@example.com: 550 5.7.1 not you");
    request["recipients"] = json!([{"email": "yes@example.com"}, {"email": "ja@example.com"}]);
    let messages = injection.build(read(&request)).await.unwrap();
    let bodies: Vec<String> =
        messages.iter().map(|message| String::from_utf8(message.data().unwrap().to_vec()).unwrap()).collect();
    assert!(bodies[0].contains("hi yes@example.com") && bodies[1].contains("hi ja@example.com"), "{bodies:?}");
    assert!(daemon.intake.taken.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_makes_no_sense_or_comes_at_the_wrong_time_is_an_error() {
    let daemon = daemon();
    let injection = ScriptInjection::new(daemon.services.clone(), Durability::Synced);
    for (place, value, expected) in [
        ("/recipients", json!("x"), "recipients: invalid type: string \"x\", expected a sequence"),
        ("/recipients/0", json!(["a@b.example"]), "recipients[0]: invalid type: sequence, expected a table with names"),
        ("/recipients/0/email", json!(1), "recipients[0].email: invalid type: integer `1`, expected a string"),
    ] {
        let mut wrong = request();
        *wrong.pointer_mut(place).unwrap() = value;
        assert_eq!(ScriptRequest::read(&wrong).err().as_deref(), Some(expected), "{wrong}");
    }
    let error = ScriptRequest::read(&json!({"envelope_sender": "a@example.com", "content": "x"})).err();
    assert_eq!(error.as_deref(), Some("missing field `recipients`"));
    let mut wrong = request();
    wrong["envelope_sender"] = json!("nobody");
    let error = injection.inject(read(&wrong)).await.unwrap_err();
    assert!(error.starts_with("envelope_sender: "), "{error}");
    *daemon.intake.state.lock().unwrap() = IntakeState::ShuttingDown;
    assert!(injection.inject(read(&request())).await.is_err());
    assert!(daemon.intake.taken.lock().unwrap().is_empty());
}
