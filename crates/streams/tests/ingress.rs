//! Ingress webhooks: who is believed, what becomes of what they send, and what they are told.

mod world;

use axum::body::Body;
use data_encoding::HEXLOWER;
use hmac::{Hmac, Mac};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use sha2::Sha256;
use std::sync::Arc;
use waybill_runtime::Clock;
use waybill_spool::{MemoryStore, Store, Table};
use waybill_streams_core::Limits;
use waybill_types::Timestamp;
use waybill_webhook_sign::{EventId, KlevKey, Secret, StandardKey};
use world::{NOW, Open, World};

const SECRET: &str = "hunter2-hunter2";
const STANDARD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const KLEV: &str = "ewhsec_4WWS5n4YcVrX8FhtxTKG3ctFHud3amGsr";
const KINDS: [(&str, &str); 7] = [
    ("gitHub", SECRET),
    ("klev-message", KLEV),
    ("klev-key", KLEV),
    ("klev-value", KLEV),
    ("slack", SECRET),
    ("stripe", SECRET),
    ("standard", STANDARD),
];

fn hex(secret: &str, text: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(text);
    HEXLOWER.encode(&mac.finalize().into_bytes())
}

type Headers = Vec<(&'static str, String)>;

/// The headers of a sender of this type.
fn signed(kind: &str, secret: &str, at: i64, body: &[u8]) -> Headers {
    let over = |head: String| hex(secret, &[head.as_bytes(), body].concat());
    match kind {
        "gitHub" => vec![
            ("X-Hub-Signature-256", format!("sha256={}", over(String::new()))),
            ("X-GitHub-Event", "push".to_owned()),
            ("X-GitHub-Delivery", "72d3162e".to_owned()),
        ],
        "slack" => vec![
            ("X-Slack-Signature", format!("v0={}", over(format!("v0:{at}:")))),
            ("X-Slack-Request-Timestamp", at.to_string()),
        ],
        "stripe" => vec![("Stripe-Signature", format!("t={at},v1={}", over(format!("{at}."))))],
        "standard" => {
            let id = EventId::new("msg_1").unwrap();
            vec![
                ("webhook-id", "msg_1".to_owned()),
                ("webhook-timestamp", at.to_string()),
                ("webhook-signature", StandardKey::parse(secret).unwrap().sign(&id, at, body)),
            ]
        }
        _ => {
            let signature = KlevKey::new(Secret::new(secret)).sign(at, body);
            vec![("X-Klev-Signature", format!("t={at};v1={signature}"))]
        }
    }
}

fn body_of(kind: &str) -> &'static str {
    match kind {
        "klev-message" => r#"{"encoding":"base64","offset":3,"time":77,"key":"aw==","value":"/w=="}"#,
        _ => r#"{"id":"evt_1","event_id":"Ev1","type":"x"}"#,
    }
}

struct Inbox {
    world: World,
    log: String,
    path: String,
}

impl Inbox {
    async fn new(kind: &str, secret: &str) -> Inbox {
        Inbox::of(World::new().await, kind, secret).await
    }

    async fn of(world: World, kind: &str, secret: &str) -> Inbox {
        let log = world.log(json!({})).await;
        let made = world.post("/ingress_webhooks", json!({"log_id": log, "type": kind, "secret": secret})).await;
        let path = format!("/ingress_webhook/{}", made["webhook_id"].as_str().unwrap());
        Inbox { world, log, path }
    }

    async fn send(&self, headers: &Headers, body: &[u8]) -> (StatusCode, Value) {
        let request =
            headers.iter().fold(Request::post(&self.path), |request, (name, value)| request.header(*name, value));
        self.world.send(request.body(Body::from(body.to_vec())).unwrap()).await
    }

    async fn messages(&self) -> Vec<Value> {
        let path = format!("/messages/{}?encoding=base64&len=1000", self.log);
        self.world.get(&path).await["messages"].as_array().unwrap().clone()
    }
}

fn base64(text: &str) -> String {
    data_encoding::BASE64.encode(text.as_bytes())
}

#[tokio::test]
async fn each_type_is_believed_by_its_signature_and_becomes_a_message() {
    for (kind, secret) in KINDS {
        let inbox = Inbox::new(kind, secret).await;
        let body = body_of(kind);
        let answer = inbox.send(&signed(kind, secret, NOW, body.as_bytes()), body.as_bytes()).await;
        assert_eq!(answer, (StatusCode::OK, json!({"next_offset": 1})), "{kind}");
        let now = NOW * 1_000_000;
        let (text, none) = (Some(base64(body)), None::<String>);
        let (time, key, value) = match kind {
            "klev-message" => (77, Some("aw==".to_owned()), Some("/w==".to_owned())),
            "klev-key" => (now, text, none),
            "klev-value" => (now, none, text),
            "gitHub" => (now, Some(base64("push")), text),
            "slack" => (now, Some(base64("Ev1")), text),
            "stripe" => (now, Some(base64("evt_1")), text),
            _ => (now, Some(base64("msg_1")), text),
        };
        let mut expected = json!({"offset": 0, "time": time});
        key.into_iter().for_each(|key| expected["key"] = key.into());
        value.into_iter().for_each(|value| expected["value"] = value.into());
        assert_eq!(inbox.messages().await, [expected], "{kind}");
    }
}

#[tokio::test]
async fn what_is_not_signed_right_is_answered_401_with_nothing_of_its_body_and_not_stored() {
    for (kind, secret) in KINDS {
        let inbox = Inbox::new(kind, secret).await;
        let body = body_of(kind).as_bytes();
        let good = signed(kind, secret, NOW, body);
        let change = |header: usize, change: &dyn Fn(&str) -> String| {
            let mut headers = good.clone();
            headers[header].1 = change(&headers[header].1);
            headers
        };
        // The signature stands first, but for Standard Webhooks, where it is last.
        let signature = if kind == "standard" { 2 } else { 0 };
        let cut = |text: &str| text[..text.len() - 4].to_owned();
        let mut wrong: Vec<(&str, Headers, Vec<u8>)> = vec![
            ("no header at all", Vec::new(), body.to_vec()),
            ("another secret", signed(kind, &secret.replace('4', "5").replace('2', "3"), NOW, body), body.to_vec()),
            ("a body changed by one byte", good.clone(), [body, b" "].concat()),
            (
                "a body that was written anew",
                good.clone(),
                String::from_utf8_lossy(body).replace(':', ": ").into_bytes(),
            ),
            ("no body", good.clone(), Vec::new()),
            ("a digest that is too short", change(signature, &cut), body.to_vec()),
            ("a digest that is too long", change(signature, &|text| format!("{text}00")), body.to_vec()),
            ("an empty signature", change(signature, &|_| String::new()), body.to_vec()),
            ("no digits", change(signature, &|text| text.replace(['a', 'b', 'c'], "z")), body.to_vec()),
            ("white space", change(signature, &|text| text.replace('=', "= ").replace(',', ", ")), body.to_vec()),
            ("the header twice", [good.clone(), vec![good[signature].clone()]].concat(), body.to_vec()),
        ];
        if kind != "gitHub" {
            for at in [NOW - 301, NOW + 301, 0] {
                wrong.push(("too old or too new", signed(kind, secret, at, body), body.to_vec()));
            }
            for at in [i64::MIN, -1] {
                wrong.push(("a negative time", signed(kind, secret, at, body), body.to_vec()));
            }
            let beyond = change(usize::from(kind == "slack" || kind == "standard"), &|text| {
                text.replace(&NOW.to_string(), "9223372036854775808")
            });
            wrong.push(("2^63", beyond, body.to_vec()));
        }
        if kind == "stripe" || kind.starts_with("klev") {
            let mark = if kind == "stripe" { "," } else { ";" };
            wrong.push(("two times", change(0, &|text| format!("t=1{mark}{text}")), body.to_vec()));
            let many = format!("{mark}v1=00").repeat(10_000);
            wrong.push((
                "a list of ten thousand",
                change(0, &|text| format!("t={NOW}{many}{mark}{text}")),
                body.to_vec(),
            ));
        }
        for (what, headers, body) in wrong {
            let (status, answer) = inbox.send(&headers, &body).await;
            assert_eq!((status.as_u16(), &answer["code"]), (401, &"authentication-failed".into()), "{kind}: {what}");
            let message = answer["message"].as_str().unwrap();
            assert!(!message.contains("evt_1") && !message.contains(secret), "{kind}: {what}: {message}");
        }
        for at in [NOW - 299, NOW + 299] {
            let (status, _) = inbox.send(&signed(kind, secret, at, body), body).await;
            assert_eq!(status, StatusCode::OK, "{kind}: {at}");
        }
        let upper = change(signature, &|text| match kind {
            "standard" => text.to_owned(),
            _ => text.rsplit_once('=').map(|(head, hex)| format!("{head}={}", hex.to_uppercase())).unwrap(),
        });
        assert_eq!(inbox.send(&upper, body).await.0, StatusCode::OK, "{kind}: digits of either case");
    }
}

#[tokio::test]
async fn what_comes_again_is_answered_as_before_and_stored_once() {
    for (kind, secret) in KINDS {
        let inbox = Inbox::new(kind, secret).await;
        let body = body_of(kind).as_bytes();
        let first = signed(kind, secret, NOW, body);
        for _ in 0..3 {
            assert_eq!(inbox.send(&first, body).await, (StatusCode::OK, json!({"next_offset": 1})), "{kind}");
        }
        // A retry is signed anew. Where the signature covers an id, it is known.
        inbox.world.clock.set(Timestamp::from_secs(NOW + 10));
        inbox.send(&signed(kind, secret, NOW + 10, body), body).await;
        let klev = kind.starts_with("klev");
        assert_eq!(inbox.messages().await.len(), if klev { 2 } else { 1 }, "{kind}: klev signs no id");
    }
}

#[tokio::test]
async fn a_retry_of_waybills_own_webhook_is_known_by_the_id_that_it_signs_too() {
    let inbox = Inbox::new("klev-value", KLEV).await;
    let id = EventId::new("log_x_7").unwrap();
    let headers = |at: i64, id: &EventId| {
        let mut headers = signed("klev-value", KLEV, at, b"same");
        let key = KlevKey::new(Secret::new(KLEV)).as_standard().unwrap();
        headers.push(("webhook-id", id.to_string()));
        headers.push(("webhook-timestamp", at.to_string()));
        headers.push(("webhook-signature", key.sign(id, at, b"same")));
        headers
    };
    for at in [NOW, NOW + 5, NOW + 60] {
        inbox.send(&headers(at, &id), b"same").await;
    }
    assert_eq!(inbox.messages().await.len(), 1);
    // Another message with the same value is another message.
    inbox.send(&headers(NOW, &EventId::new("log_x_8").unwrap()), b"same").await;
    assert_eq!(inbox.messages().await.len(), 1, "the very bytes of the first, under an id of its own");
    inbox.send(&headers(NOW + 1, &EventId::new("log_x_8").unwrap()), b"same").await;
    assert_eq!(inbox.messages().await.len(), 2);
}

#[tokio::test]
async fn a_repetition_is_known_after_a_restart_too() {
    let store = Arc::new(MemoryStore::new());
    let world = World::over(store.clone(), Limits::default(), Arc::new(Open)).await;
    let inbox = Inbox::of(world, "stripe", SECRET).await;
    let headers = signed("stripe", SECRET, NOW, b"{}");
    inbox.send(&headers, b"{}").await;
    let Inbox { world, log, path } = inbox;
    world.end().await;
    let world = World::over(store, Limits::default(), Arc::new(Open)).await;
    let inbox = Inbox { world, log, path };
    assert_eq!(inbox.send(&headers, b"{}").await, (StatusCode::OK, json!({"next_offset": 1})));
    assert_eq!(inbox.messages().await.len(), 1);
}

#[tokio::test]
async fn slack_gets_its_challenge_back_and_only_if_it_is_slack() {
    let inbox = Inbox::new("slack", SECRET).await;
    let body = br#"{"token":"t","challenge":"3eZbrw1aB","type":"url_verification"}"#;
    let request = |headers: Headers| {
        let request =
            headers.iter().fold(Request::post(&inbox.path), |request, (name, value)| request.header(*name, value));
        request.body(Body::from(body.to_vec())).unwrap()
    };
    let (status, text) = inbox.world.send_for_text(request(signed("slack", SECRET, NOW, body))).await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, "3eZbrw1aB"));
    let (status, text) = inbox.world.send_for_text(request(signed("slack", "another", NOW, body))).await;
    assert!(status == StatusCode::UNAUTHORIZED && !text.contains("3eZbrw1aB"), "{text}");
    assert!(inbox.messages().await.is_empty());
}

#[tokio::test]
async fn a_new_secret_counts_beside_the_old_one_for_as_long_as_it_is_told() {
    let inbox = Inbox::new("gitHub", "old").await;
    let send = async |secret: &str, body: &str| {
        inbox.send(&signed("gitHub", secret, NOW, body.as_bytes()), body.as_bytes()).await.0.as_u16()
    };
    inbox.world.patch(&inbox.path, json!({"secret": "new", "expire_seconds": 60})).await;
    assert_eq!((send("old", "1").await, send("new", "2").await), (200, 200));
    inbox.world.clock.set(Timestamp::from_secs(NOW + 60));
    assert_eq!((send("old", "3").await, send("new", "4").await), (401, 200));
    inbox.world.patch(&inbox.path, json!({"secret": "newest"})).await;
    assert_eq!((send("new", "5").await, send("newest", "6").await), (401, 200), "without a word at once");
    assert!(inbox.world.clock.now() >= Timestamp::from_secs(NOW));
}

#[tokio::test]
async fn too_long_a_body_is_refused_whoever_signed_it_and_nothing_is_stored() {
    let limits = Limits { value: 100, key: 50, ..Limits::default() };
    let world = World::over(Arc::new(MemoryStore::new()), limits, Arc::new(Open)).await;
    let inbox = Inbox::of(world, "gitHub", SECRET).await;
    let fits = "x".repeat(100);
    assert_eq!(inbox.send(&signed("gitHub", SECRET, NOW, fits.as_bytes()), fits.as_bytes()).await.0, StatusCode::OK);
    for long in [101, 1 << 20] {
        let body = "x".repeat(long);
        let (_, answer) = inbox.send(&signed("gitHub", SECRET, NOW, body.as_bytes()), body.as_bytes()).await;
        assert_eq!(answer["code"], "message-value-limited", "{long}");
    }
    assert_eq!(inbox.messages().await.len(), 1);
}

#[tokio::test]
async fn every_refusal_of_an_ingress_webhook_has_its_code_and_its_secret_is_never_shown() {
    let limits = Limits { ingress_webhooks: 1, ..Limits::default() };
    let world = World::over(Arc::new(MemoryStore::new()), limits, Arc::new(Open)).await;
    let log = world.log(json!({})).await;
    let events = world.get("/logs").await["logs"][0]["log_id"].clone();
    for (body, code) in [
        (json!({"type": "gitHub", "secret": SECRET}), "ingress-webhook-log-id-field-invalid"),
        (json!({"log_id": events, "type": "gitHub", "secret": SECRET}), "ingress-webhook-log-id-field-invalid"),
        (json!({"log_id": log, "type": "github", "secret": SECRET}), "ingress-webhook-type-invalid"),
        (json!({"log_id": log, "type": "gitHub"}), "json-invalid"),
        (json!({"log_id": log, "type": "standard", "secret": SECRET}), "json-invalid"),
        (
            json!({"log_id": log, "type": "gitHub", "secret": SECRET, "metadata": "x".repeat(5000)}),
            "ingress-webhook-metadata-limited",
        ),
    ] {
        let (_, answer) = world.ask("POST", "/ingress_webhooks", Some(body.clone())).await;
        assert_eq!(answer["code"], code, "{body}");
        assert!(!answer.to_string().contains(SECRET));
    }
    let create = json!({"log_id": log, "type": "klev-message", "secret": SECRET});
    let made = world.post("/ingress_webhooks", create.clone()).await;
    assert_eq!(world.code("POST", "/ingress_webhooks", Some(create)).await, "ingress-webhook-count-limited");
    let path = format!("/ingress_webhook/{}", made["webhook_id"].as_str().unwrap());
    for shown in [
        made,
        world.get(&path).await,
        world.get("/ingress_webhooks").await,
        world.patch(&path, json!({"metadata": "m"})).await,
    ] {
        assert!(!shown.to_string().contains(SECRET) && !shown.to_string().contains("secret"), "{shown}");
    }
    let inbox = Inbox { world, log, path };
    for body in ["no json", r#"{"encoding":"hex","value":"00"}"#, r#"{"encoding":"base64","value":"?"}"#, "[]"] {
        let answer = inbox.send(&signed("klev-message", SECRET, NOW, body.as_bytes()), body.as_bytes()).await;
        assert_eq!((answer.0.as_u16(), &answer.1["code"]), (400, &"ingress-webhook-payload-invalid".into()), "{body}");
    }
    inbox.world.ask("DELETE", &inbox.path, None).await;
    for (method, body) in [("GET", None), ("PATCH", Some(json!({}))), ("DELETE", None), ("POST", None)] {
        assert_eq!(inbox.world.code(method, &inbox.path, body).await, "ingress-webhook-not-found");
    }
}

#[tokio::test]
async fn a_webhook_that_would_send_a_log_into_itself_is_refused_also_over_filters() {
    let inbox = Inbox::new("klev-message", KLEV).await;
    let world = &inbox.world;
    let to = format!("https://this.example{}", inbox.path);
    let egress = |log: &str| json!({"log_id": log, "destination": to});
    let (_, answer) = world.ask("POST", "/egress_webhooks", Some(egress(&inbox.log))).await;
    assert_eq!(answer["code"], "egress-webhook-path-invalid", "{answer}");
    assert!(answer["message"].as_str().unwrap().contains("into itself"), "{answer}");
    // From another log it may, and then no filter may lead back.
    let other = world.log(json!({})).await;
    world.post("/egress_webhooks", egress(&other)).await;
    let back = json!({"source_id": inbox.log, "target_id": other, "expression": "true"});
    assert_eq!(world.code("POST", "/filters", Some(back)).await, "filter-log-id-field-invalid");
    // Nor may a webhook be turned round later.
    let third = world.log(json!({})).await;
    let harmless = world.egress(&inbox.log, json!({})).await;
    let turned = Some(json!({"destination": to}));
    let code = world.code("PATCH", &format!("/egress_webhook/{harmless}"), turned).await;
    assert_eq!(code, "egress-webhook-path-invalid");
    world.post("/filters", json!({"source_id": inbox.log, "target_id": third, "expression": "true"})).await;
}

#[tokio::test]
async fn what_has_come_through_webhooks_is_counted_on_from_log_to_log_and_refused_before_it_goes_round() {
    for (kind, secret) in KINDS {
        let inbox = Inbox::new(kind, secret).await;
        let world = &inbox.world;
        let target = world.log(json!({})).await;
        world.post("/filters", json!({"source_id": inbox.log, "target_id": target, "expression": "true"})).await;
        let egress = world.egress(&target, json!({})).await;
        let body = body_of(kind).as_bytes();
        let with = |hops: &[&str]| {
            let hops = hops.iter().map(|hops| ("X-Waybill-Hops", (*hops).to_owned()));
            signed(kind, secret, NOW, body).into_iter().chain(hops).collect::<Headers>()
        };
        let wrong: [(&[&str], &str); 4] = [
            (&["8"], "come through 8 webhooks"),
            (&["255"], "circle"),
            (&["x"], "one number"),
            (&["1", "2"], "one number"),
        ];
        for (wrong, why) in wrong {
            let (status, answer) = inbox.send(&with(wrong), body).await;
            assert_eq!((status.as_u16(), &answer["code"]), (400, &"ingress-webhook-hops-limited".into()), "{kind}");
            assert!(answer["message"].as_str().unwrap().contains(why), "{kind}: {answer}");
        }
        assert_eq!(inbox.send(&with(&["7"]), body).await, (StatusCode::OK, json!({"next_offset": 1})), "{kind}");
        assert!(!json!(inbox.messages().await).to_string().contains("hops"), "{kind}: nobody is shown it");
        world.until(&egress, |status| status["next_offset"] == 1).await;
        assert_eq!(world.post.hops(), [7], "{kind}: the filter took it along");
        // Who cannot sign is told nothing else.
        let forged = vec![with(&["8"])[0].clone(), ("X-Waybill-Hops", "8".to_owned())];
        let (status, answer) = inbox.send(&forged, b"forged").await;
        assert_eq!((status.as_u16(), &answer["code"]), (401, &"authentication-failed".into()), "{kind}");
    }
}

#[tokio::test]
async fn a_deleted_log_takes_its_ingress_webhooks_along() {
    let store = MemoryStore::new();
    let world = World::over(Arc::new(store.clone()), Limits::default(), Arc::new(Open)).await;
    let inbox = Inbox::of(world, "gitHub", SECRET).await;
    inbox.world.ask("DELETE", &format!("/log/{}", inbox.log), None).await;
    assert_eq!(inbox.world.get("/ingress_webhooks").await, json!({"ingress_webhooks": [], "items": []}));
    let rows = store.range(Table::State, waybill_spool::Key::new(), waybill_spool::Key::new().end(), usize::MAX);
    let left = rows.await.unwrap().into_iter().filter(|(key, _)| format!("{key:?}").contains("ingress")).count();
    assert_eq!(left, 0);
}
