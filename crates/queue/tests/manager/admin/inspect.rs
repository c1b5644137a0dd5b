use super::{admin, held};
use crate::support::{BEGIN, Builder, Peer, nothing, secs, transient, until};
use serde_json::json;
use waybill_admin::ScheduledQuery;
use waybill_types::{QueueName, ReadyQueueName};

fn query(queue: &str, want_body: bool, limit: Option<usize>) -> ScheduledQuery {
    ScheduledQuery { queue: QueueName::new(queue), want_body, limit }
}

#[tokio::test]
async fn a_scheduled_queue_is_shown_with_its_messages() {
    let bench = Builder::new()
        .queue_config(json!({"retry_interval": "5s"}))
        .peer(Peer::new().answering(|_, _| transient("later")))
        .start();
    let message = bench.take("u@held.example").await;
    bench.sink.of(message.id(), "TransientFailure").await;
    let admin = admin(&bench).await;
    let view = admin.inspect_scheduled(query("held.example", true, None)).await.unwrap();
    let json = serde_json::to_value(&view).unwrap();
    assert_eq!((&json["num_scheduled"], &json["delayed_metric"]), (&json!(1), &json!(1)));
    assert_eq!(json["queue_config"]["retry_interval"], "5s");
    let shown = &json["messages"][0];
    assert_eq!(shown["id"], message.id().to_string());
    let body = "Subject: Hello\r\nX-Customer-ID: 7\r\n\r\nbody\r\n";
    assert_eq!(
        shown["message"],
        json!({"sender": "sender@example.com", "recipient": "u@held.example", "data": body, "num_attempts": 1,
               "meta": {"reception_protocol": "ESMTP"}, "due": (BEGIN + secs(5)).to_rfc3339()})
    );
    bench.take("u@held.example").await;
    let view = admin.inspect_scheduled(query("held.example", false, Some(1))).await.unwrap();
    assert_eq!((view.messages.len(), view.messages[0].message.data.as_deref()), (1, None));
    assert!(admin.inspect_scheduled(query("none.example", false, None)).await.is_none());
    let alone = admin.inspect_message(message.id(), true).await.unwrap();
    assert_eq!((alone.id, alone.message.data.as_deref()), (message.id(), Some(body)));
    bench.clock.advance(secs(1));
    assert!(admin.inspect_message(bench.mail("x@y.example").id(), false).await.is_none());
}

#[tokio::test]
async fn a_ready_queue_is_shown_with_its_sessions_and_what_holds_it_back() {
    let (peer, gate) = Peer::new().held();
    let bench = Builder::new().path_config(json!({"connection_limit": 1, "max_ready": 7})).peer(peer).start();
    for _ in 0..3 {
        bench.take("u@a.example").await;
    }
    let admin = admin(&bench).await;
    held(&admin, 2).await;
    let name = ReadyQueueName::new("unspecified->a.example@lua:make.test");
    let view = admin.inspect_ready(name.clone(), true).await.unwrap();
    assert_eq!(
        (view.protocol.as_str(), view.egress_pool.as_str(), view.egress_source.as_str()),
        ("lua", "unspecified", "unspecified")
    );
    assert_eq!((view.state.ready_count, view.state.connection_count), (2, 1));
    assert_eq!(view.path_config["max_ready"], 7);
    assert_eq!(view.scheduled_queue_names, Some(vec![QueueName::new("a.example")]));
    assert_eq!((view.dispatchers.len(), view.dispatchers[0].phase.as_str()), (1, "deliver_message"));
    let states = admin.ready_states(None).await;
    assert_eq!(states[&name].connection_limited.as_ref().unwrap().since, BEGIN);
    assert!(admin.ready_states(Some(&["other".to_owned()])).await.is_empty());
    gate.add_permits(3);
    bench.sink.count("Delivery", 3).await;
    let view = admin.inspect_ready(name.clone(), false).await.unwrap();
    assert_eq!((view.dispatchers[0].messages_delivered, view.dispatchers[0].phase.as_str()), (3, "idle"));
    assert!(admin.ready_states(None).await.is_empty());
    assert!(admin.inspect_ready(ReadyQueueName::new("none"), false).await.is_none());
}

#[tokio::test]
async fn a_session_that_hangs_can_be_cut_off_and_its_batch_comes_back_as_it_was() {
    let (peer, gate) = Peer::new().held();
    let bench = Builder::new().path_config(json!({"connection_limit": 1})).peer(peer).start();
    let message = bench.take("u@a.example").await;
    let admin = admin(&bench).await;
    held(&admin, 0).await;
    let name = ReadyQueueName::new("unspecified->a.example@lua:make.test");
    let session = admin.inspect_ready(name.clone(), false).await.unwrap().dispatchers.remove(0).session_id;
    assert!(!admin.abort(name.clone(), "nonsense".into()).await);
    assert!(admin.abort(name.clone(), session.clone()).await);
    let record = bench.sink.of(message.id(), "Delayed").await;
    assert_eq!(record.response(), "451 session aborted by the administrator");
    assert_eq!(record.text("session_id"), "");
    gate.add_permits(5);
    bench.clock.advance(secs(60));
    assert_eq!(bench.sink.of(message.id(), "Delivery").await.attempts(), 0);
    assert!(!admin.abort(name, session).await, "it is gone");
}

#[tokio::test]
async fn an_idle_session_is_simply_closed() {
    let bench = Builder::new().start();
    let message = bench.take("u@a.example").await;
    bench.sink.of(message.id(), "Delivery").await;
    let admin = admin(&bench).await;
    let name = ReadyQueueName::new("unspecified->a.example@lua:make.test");
    let session = admin.inspect_ready(name.clone(), false).await.unwrap().dispatchers.remove(0).session_id;
    assert!(admin.abort(name.clone(), session.clone()).await);
    let board = bench.manager.clone();
    until(|| {
        let gone =
            futures::FutureExt::now_or_never(waybill_admin::QueueOwner::abort(&board, name.clone(), session.clone()));
        gone == Some(false)
    })
    .await;
    let message = bench.take("u@a.example").await;
    bench.sink.of(message.id(), "Delivery").await;
}

#[tokio::test]
async fn the_way_out_of_a_domain_is_told_without_any_mail() {
    let bench = Builder::new()
        .queue_config(json!({"retry_interval": "5s"}))
        .path_config(json!({"max_ready": 9}))
        .on("get_egress_source", |_| nothing())
        .start();
    let admin = admin(&bench).await;
    let path = admin.resolve("a.example".into(), Some("ip-1".into())).await.unwrap();
    assert_eq!((path.source.as_str(), path.queue_name.as_str()), ("ip-1", "ip-1->a.example@lua:make.test"));
    assert_eq!((&path.queue_config["retry_interval"], &path.path_config["max_ready"]), (&json!("5s"), &json!(9)));
    let keys: Vec<String> = serde_json::to_value(&path).unwrap().as_object().unwrap().keys().cloned().collect();
    assert!(keys.contains(&"constraints".to_owned()) && keys.contains(&"mx".to_owned()));
}

#[tokio::test]
async fn a_daemon_that_cannot_deliver_says_why() {
    let bench = Builder::new().without_smtp().start();
    let error = admin(&bench).await.resolve("a.example".into(), None).await.unwrap_err();
    assert!(error.to_string().starts_with("this daemon cannot deliver by smtp yet"), "{error}");
}
