//! Records have the shape of KumoMTA's, as the samples of a live one show it.

use crate::support::{BEGIN, Builder, NODE, Peer, Record, delivered, permanent, secs, transient, until};
use serde_json::{Value, json};
use waybill_spool::Message;

/// The sample of this type, response code and reception protocol.
fn sample(kind: &str, code: u64, reception: &str, fits: impl Fn(&Record) -> bool) -> Record {
    let lines = include_str!("samples.jsonl").lines().map(|line| Record(serde_json::from_str(line).unwrap()));
    let found = lines.filter(|record| {
        let coded = record.0["response"]["code"] == code && record.text("reception_protocol") == reception;
        record.kind() == kind && coded && fits(record)
    });
    found.into_iter().next().expect("there is such a sample")
}

/// Keys and types, to the depth that every record has.
fn shape(value: &Value) -> Value {
    match value {
        Value::Null => json!("null"),
        Value::Bool(_) => json!("bool"),
        Value::Number(_) => json!("number"),
        Value::String(_) => json!("text"),
        Value::Array(_) => json!("list"),
        Value::Object(object) => object.iter().map(|(key, value)| (key.clone(), shape(value))).collect(),
    }
}

/// The same keys with the same types; what a sink captured may differ.
fn assert_same_shape(ours: &Record, sample: &Record) {
    let cut = |record: &Record| {
        let mut shape = shape(&record.0);
        shape["meta"] = json!("captured");
        shape["headers"] = json!("captured");
        shape
    };
    assert_eq!(cut(ours), cut(sample), "{ours:?}");
}

fn with_tenant(message: Message) -> Message {
    message.set_meta("tenant", json!("t1"));
    message.set_meta("campaign", json!("c1"));
    message.set_meta("x_num", json!(42));
    message
}

#[tokio::test]
async fn a_reception_says_who_brought_what() {
    let bench = Builder::new().start();
    let message = with_tenant(bench.mail("rcpt@example.com"));
    bench.accept(&message).await.unwrap();
    let record = bench.sink.of(message.id(), "Reception").await;
    assert_same_shape(&record, &sample("Reception", 250, "ESMTP", |_| true));
    assert_eq!((record.text("queue"), record.text("site")), ("c1:t1@example.com", ""));
    assert_eq!((record.text("sender"), record.text("recipient")), ("sender@example.com", "rcpt@example.com"));
    assert_eq!(record.0["peer_address"], json!({"name": "client.example", "addr": "127.0.0.1"}));
    assert_eq!(record.0["meta"], json!({"tenant": "t1", "campaign": "c1", "x_num": 42}));
    assert_eq!(record.0["headers"], json!({"Subject": "Hello", "X-Customer-ID": "7"}));
    assert_eq!((record.response(), record.text("nodeid")), ("250 ".into(), NODE));
    assert_eq!(record.0["size"], message.size());
}

#[tokio::test]
async fn a_delivery_says_over_what_it_went() {
    let bench = Builder::new().start();
    let message = with_tenant(bench.mail("rcpt@example.com"));
    bench.accept(&message).await.unwrap();
    let record = bench.sink.of(message.id(), "Delivery").await;
    // A Maildir shows neither peer nor egress; over Lua a Delivery has what a Bounce has.
    assert_same_shape(&record, &sample("Bounce", 550, "ESMTP", |_| true));
    assert_eq!((record.text("site"), record.response()), ("unspecified->example.com@lua:make.test", "200 ok".into()));
    assert_eq!(record.0["peer_address"], json!({"name": "Lua via make.test", "addr": "0.0.0.0"}));
    assert_eq!((record.text("egress_pool"), record.text("egress_source")), ("unspecified", "unspecified"));
    assert_eq!((record.text("delivery_protocol"), record.text("reception_protocol")), ("Lua", "ESMTP"));
    assert_eq!(record.0["headers"]["Subject"], "Hello");
    assert_eq!((record.attempts(), &record.0["created"]), (0, &json!(BEGIN.secs())));
    assert_eq!(record.0["meta"], json!({"tenant": "t1", "campaign": "c1", "x_num": 42}));
}

#[tokio::test]
async fn failures_have_the_shape_of_the_samples() {
    let bench = Builder::new()
        .peer(Peer::new().answering(|message, _| match message.recipients()[0].user() {
            "never" => permanent("5.1.1 no such user"),
            _ => transient("4.3.0 later"),
        }))
        .start();
    let (never, later) = (bench.take("never@perm.example.com").await, bench.take("later@temp.example.com").await);
    let bounce = bench.sink.of(never.id(), "Bounce").await;
    assert_same_shape(&bounce, &sample("Bounce", 550, "ESMTP", |_| true));
    let failure = bench.sink.of(later.id(), "TransientFailure").await;
    assert_same_shape(
        &failure,
        &sample("TransientFailure", 451, "ESMTP", |record| record.0.get("session_id").is_some()),
    );
}

#[tokio::test]
async fn an_error_of_our_own_shows_no_peer() {
    let bench = Builder::new().peer(Peer::new().at_first(transient("boom")).silent()).start();
    let message = bench.take("rcpt@example.com").await;
    let failure = bench.sink.of(message.id(), "TransientFailure").await;
    assert_same_shape(&failure, &sample("TransientFailure", 400, "ESMTP", |_| true));
}

#[tokio::test]
async fn a_failure_before_any_session_is_at_its_own_queue() {
    let bench = Builder::new().without_smtp().start();
    let message = with_tenant(bench.mail("u@held.example.com"));
    bench.accept(&message).await.unwrap();
    let failure = bench.sink.of(message.id(), "TransientFailure").await;
    let suspended = sample("TransientFailure", 451, "ESMTP", |record| record.0.get("session_id").is_none());
    assert_eq!(suspended.text("site"), suspended.text("queue"));
    // That one shows no egress either, for there was none.
    assert_same_shape(&failure, &suspended);
    assert_eq!((failure.text("site"), failure.text("queue")), ("c1:t1@held.example.com", "c1:t1@held.example.com"));
}

#[tokio::test]
async fn an_expiration_says_what_would_have_been_too_late() {
    let bench = Builder::new()
        .queue_config(json!({"retry_interval": "5s", "max_age": "8s"}))
        .peer(Peer::new().answering(|_, _| transient("later")))
        .start();
    let message = bench.take("u@nil.example.com").await;
    bench.sink.of(message.id(), "TransientFailure").await;
    bench.clock.advance(secs(5));
    let record = bench.sink.of(message.id(), "Expiration").await;
    assert_same_shape(&record, &sample("Expiration", 551, "ESMTP", |_| true));
    assert_eq!(record.response(), "551 Next delivery time would be 15s after creation, which exceeds max_age=8s");
    assert_eq!(record.0["response"]["enhanced_code"], json!({"class": 5, "subject": 4, "detail": 7}));
    assert_eq!((record.text("site"), record.attempts()), ("", 1));
    let kinds = ["Reception", "TransientFailure", "TransientFailure", "Expiration"];
    assert_eq!(bench.sink.kinds(message.id()), kinds);
    assert_eq!(bench.spooled(message.id()).await, None);
    assert_eq!(bench.journal().await, bench.sink.all());
}

#[tokio::test]
async fn a_delay_has_the_shape_of_an_expiration() {
    let bench = Builder::new().start();
    let message = bench.mail("rcpt@example.com");
    message.set_due(Some(BEGIN + secs(31)));
    bench.accept(&message).await.unwrap();
    let record = bench.sink.of(message.id(), "Delayed").await;
    // Both are ours alone: no peer, no session, no site. No sample has a Delayed.
    let mut expected = sample("Expiration", 551, "ESMTP", |_| true);
    expected.0["response"]["enhanced_code"] = Value::Null;
    assert_same_shape(&record, &expected);
    assert_eq!(record.response(), "400 Context: ScheduledForLater. Next due in 31s at 2026-11-23T16:13:27Z");
    assert_eq!((record.text("site"), record.attempts()), ("", 0));
}

#[tokio::test]
async fn attempts_and_queued_messages_are_counted_by_provider() {
    let bench = Builder::new()
        .queue_config(json!({"provider_name": "big"}))
        .path_config(json!({"provider_name": "big"}))
        .peer(Peer::new().answering(|message, _| match message.recipients()[0].user() {
            "later" => transient("later"),
            "never" => permanent("never"),
            _ => delivered(),
        }))
        .start();
    for (user, kind) in [("ok", "Delivery"), ("later", "TransientFailure"), ("never", "Bounce")] {
        let message = bench.take(&format!("{user}@a.example")).await;
        bench.sink.of(message.id(), kind).await;
    }
    assert_eq!(bench.manager.stats().by_provider().into_iter().collect::<Vec<_>>(), [("big".into(), [1, 1, 1])]);
    let stats = bench.manager.stats().clone();
    until(move || stats.queues().by_provider.get("big") == Some(&1)).await;
    let pooled = bench.manager.stats().queues().by_provider_and_pool;
    assert_eq!(pooled, [(("big".to_owned(), "unspecified".to_owned()), 1)].into());
    let stats = bench.manager.stats();
    assert_eq!(
        stats.deliveries().into_iter().map(|(way, times)| (way, times.count())).collect::<Vec<_>>(),
        [("lua".to_owned(), 3)]
    );
    let counted = [&stats.resolved, &stats.saved, &stats.inserted].map(|times| times.seen().count());
    assert_eq!(counted, [3, 3, 3]);
}
