//! Where mail goes, and connections that do not come about.

use crate::support::{Builder, Peer, answer, message_of, nothing, secs, text_of};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use waybill_delivery::{Destination, ResolveError, SessionFacts, SourceFacts, TlsSession};
use waybill_policy::Value;
use waybill_queue_core::reason::Reason;
use waybill_spool::Durability;
use waybill_types::Response;

const WHY: &str = "KumoMTA internal: failed to connect to any candidate hosts: nobody is there";

fn refused() -> Response {
    Response::plain(400, WHY)
}

#[tokio::test]
async fn a_connection_that_fails_is_an_attempt_over_its_path() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let bench = Builder::new()
        .queue_config(json!({"retry_interval": "5s"}))
        .peer(Peer::new().refusing(1, refused()))
        .on("requeue_message", move |args| {
            assert_eq!((message_of(&args).attempts(), text_of(&args[1])), (0, format!("400 {WHY}")));
            let Value::List(context) = &args[2] else { panic!("{args:?}") };
            let context: Vec<_> = context.iter().map(text_of).collect();
            assert_eq!(context, ["MxResolvedToZeroHosts", "LoggedTransientFailure"]);
            count.fetch_add(1, Ordering::SeqCst);
            nothing()
        })
        .start();
    let message = bench.take("rcpt@example.com").await;
    let failure = bench.sink.of(message.id(), "TransientFailure").await;
    assert_eq!(failure.response(), format!("400 {WHY}"));
    assert_eq!(failure.text("site"), "unspecified->example.com@lua:make.test");
    assert_eq!((failure.text("egress_source"), failure.text("delivery_protocol")), ("unspecified", "Lua"));
    assert!(!failure.text("session_id").is_empty() && failure.0["peer_address"].is_null());
    bench.clock.advance(secs(5));
    assert_eq!(bench.sink.of(message.id(), "Delivery").await.attempts(), 1);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn one_failure_too_many_fails_all_that_wait_over_the_same_path() {
    let bench = Builder::new()
        .queue_config(json!({"retry_interval": "1h"}))
        .path_config(json!({"connection_limit": 1, "consecutive_connection_failures_before_delay": 1}))
        .peer(Peer::new().refusing(usize::MAX, refused()))
        .start();
    // All at once, so that they wait together.
    let mails = ["ann", "bob", "cat", "dan"].map(|user| bench.mail(&format!("{user}@example.com")));
    let incoming = mails.iter().map(|mail| bench.incoming(mail)).collect();
    bench.manager.intake().accept(incoming, Durability::Synced).await.unwrap();
    let ids = mails.map(|mail| mail.id());
    for id in ids {
        let failure = bench.sink.of(id, "TransientFailure").await;
        assert_eq!(failure.response(), format!("400 {WHY}"));
        assert_eq!(failure.text("site"), "unspecified->example.com@lua:make.test");
        assert_eq!(bench.spooled(id).await.unwrap().attempts, 1);
    }
    assert!(bench.peer.connections() < 4, "not one connection for each: {}", bench.peer.connections());
    assert_eq!(bench.journal().await, bench.sink.all());
}

#[tokio::test]
async fn a_connection_that_is_refused_for_good_bounces_its_mail() {
    let prohibited = Response::new(550, "5.4.4 KumoMTA internal: a prohibited host");
    let bench = Builder::new().peer(Peer::new().refusing(usize::MAX, prohibited)).start();
    let message = bench.take("rcpt@example.com").await;
    assert_eq!(bench.sink.of(message.id(), "Bounce").await.response(), "550 KumoMTA internal: a prohibited host");
    assert_eq!(bench.spooled(message.id()).await, None);
}

#[tokio::test]
async fn a_domain_that_takes_no_mail_bounces_and_one_that_nobody_knows_of_waits() {
    for (code, kind) in [(556, "Bounce"), (451, "TransientFailure")] {
        let response = Response::plain(code, "nowhere to go");
        let nowhere = ResolveError::Nowhere { response, reason: Reason::FailedDueToNullMx };
        let bench = Builder::new().peer(Peer::new().at(Err(nowhere))).start();
        let message = bench.take("rcpt@example.com").await;
        let record = bench.sink.of(message.id(), kind).await;
        assert_eq!((record.response(), record.text("site")), (format!("{code} nowhere to go"), "example.com"));
        assert_eq!(bench.spooled(message.id()).await.is_some(), code == 451);
        assert_eq!((bench.peer.connections(), bench.journal().await), (0, bench.sink.all()));
    }
}

#[tokio::test]
async fn policy_is_asked_for_the_path_to_the_site_that_the_protocol_found() {
    let destination =
        Destination { site_name: "(a|b).example".into(), site: "(a|b).example#1".into(), hosts: Vec::new() };
    let bench = Builder::new()
        .peer(Peer::new().at(Ok(destination)))
        .on("get_egress_path_config", |args| {
            let args = [&args[0], &args[1], &args[2]].map(text_of);
            assert_eq!(args, ["example.com", "unspecified", "(a|b).example"]);
            answer(json!({}))
        })
        .start();
    let message = bench.take("rcpt@example.com").await;
    let record = bench.sink.of(message.id(), "Delivery").await;
    assert_eq!(record.text("site"), "unspecified->(a|b).example#1@lua:make.test");
}

#[tokio::test]
async fn records_show_what_a_session_says_of_itself() {
    let tls = TlsSession {
        cipher: "TLS_AES_256_GCM_SHA384".into(),
        protocol_version: "TLSv1.3".into(),
        peer_subject_name: vec!["CN=mx.example".into()],
    };
    let source = SourceFacts {
        address: "10.0.0.1:53210".into(),
        server: Some("10.0.0.9:1080".into()),
        protocol: Some("socks5"),
    };
    let facts = SessionFacts { source: Some(source), tls: Some(tls) };
    let bench = Builder::new().peer(Peer::new().with_facts(facts)).start();
    let message = bench.take("rcpt@example.com").await;
    let record = bench.sink.of(message.id(), "Delivery").await;
    assert_eq!(
        record.0["source_address"],
        json!({"address": "10.0.0.1:53210", "server": "10.0.0.9:1080", "protocol": "socks5"})
    );
    assert_eq!(record.text("tls_cipher"), "TLS_AES_256_GCM_SHA384");
    assert_eq!(record.text("tls_protocol_version"), "TLSv1.3");
    assert_eq!(record.0["tls_peer_subject_name"], json!(["CN=mx.example"]));
}
