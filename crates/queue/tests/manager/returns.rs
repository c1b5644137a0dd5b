//! `requeue_message` has a word in what goes back without having been delivered, too.

use crate::admin::{admin, request};
use crate::support::{Bench, Builder, Peer, aborted, answer, message_of, nothing, reject, secs, text_of, until};
use serde_json::json;
use std::sync::{Arc, Mutex, mpsc};
use waybill_policy::Value;
use waybill_spool::Durability;
use waybill_types::Response;

/// What `requeue_message` was called with, but for the message.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<Call>>>);

#[derive(Debug, PartialEq)]
struct Call {
    user: String,
    line: String,
    context: Vec<String>,
    attempt: bool,
    delay: Option<f64>,
}

impl Calls {
    fn note(&self, args: &[Value]) {
        let [_, line, Value::List(context), Value::Bool(attempt), delay] = args else { panic!("{args:?}") };
        let delay = match delay {
            Value::Nil => None,
            Value::Number(seconds) => Some(*seconds),
            other => panic!("{other:?}"),
        };
        self.0.lock().unwrap().push(Call {
            user: message_of(args).recipients()[0].user().to_owned(),
            line: text_of(line),
            context: context.iter().map(text_of).collect(),
            attempt: *attempt,
            delay,
        });
    }

    fn take(&self) -> Vec<Call> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn call(line: &str, context: &[&str], attempt: bool) -> Call {
    let context = context.iter().map(|word| (*word).to_owned()).collect();
    Call { user: "u".into(), line: line.into(), context, attempt, delay: None }
}

/// A policy that notes its calls.
fn noting(builder: Builder) -> (Bench, Calls) {
    let calls = Calls::default();
    let noted = calls.clone();
    let bench = builder.on("requeue_message", move |args| {
        noted.note(&args);
        message_of(&args).set_meta("x_seen", json!(true));
        nothing()
    });
    (bench.start(), calls)
}

async fn suspended(bench: &Bench, domain: &str) {
    let order = request(json!({"reason": "hold it", "domain": domain, "duration": "1h"}));
    admin(bench).await.suspend(order).await;
}

const SUSPENDED: &str = "451 4.4.4 KumoMTA internal: scheduled queue is suspended: hold it";

#[tokio::test]
async fn it_sees_what_fails_because_its_queue_is_suspended_and_what_it_changes_is_kept() {
    let (bench, calls) = noting(Builder::new().queue_config(json!({"retry_interval": "5s"})));
    suspended(&bench, "held.example").await;
    let message = bench.take("u@held.example").await;
    bench.sink.of(message.id(), "TransientFailure").await;
    assert_eq!(calls.take(), [call(SUSPENDED, &["ReadyQueueWasSuspended", "LoggedTransientFailure"], true)]);
    let spooled = bench.spooled(message.id()).await.unwrap();
    assert_eq!((spooled.attempts, spooled.due), (1, Some(bench.now() + secs(5))));
    assert_eq!(spooled.meta["x_seen"], true);
    assert_eq!(bench.journal().await, bench.sink.all());
}

#[tokio::test]
async fn it_sees_what_has_no_way_out() {
    let (bench, calls) = noting(Builder::new().without_smtp());
    let message = bench.take("u@example.com").await;
    let failure = bench.sink.of(message.id(), "TransientFailure").await;
    let seen = calls.take();
    assert_eq!(seen[0].context, ["FailedToInsertIntoReadyQueue", "LoggedTransientFailure"]);
    assert!(seen[0].line.starts_with("451 4.4.4 KumoMTA internal: failed to resolve queue example.com"), "{seen:?}");
    assert_eq!((seen.len(), seen[0].attempt, failure.attempts()), (1, true, 0));
}

#[tokio::test]
async fn it_sees_what_the_watchdog_stopped_without_an_attempt_and_the_record_says_what_it_said() {
    let (bench, calls) = noting(Builder::new().peer(Peer::new().at_first(aborted()).breaking().silent()));
    let message = bench.take("u@example.com").await;
    let delayed = bench.sink.of(message.id(), "Delayed").await;
    assert!(delayed.response().starts_with("451 dispatcher watchdog aborted task; "), "{delayed:?}");
    let [seen] = calls.take().try_into().unwrap();
    assert!(seen.line.starts_with("451 4.4.1 dispatcher watchdog aborted task; "), "{seen:?}");
    assert_eq!((seen.context, seen.attempt), (vec!["DispatcherDrop".to_owned()], false));
    assert!(seen.delay.is_some_and(|delay| (1.0..60.0).contains(&delay)), "{:?}", seen.delay);
    assert_eq!(bench.spooled(message.id()).await.unwrap().attempts, 0);
}

#[tokio::test]
async fn it_sees_all_that_a_lost_path_sends_back_and_the_records_tell_of_the_attempt() {
    let words = "KumoMTA internal: failed to connect to any candidate hosts: nobody is there";
    let (bench, calls) = noting(
        Builder::new()
            .queue_config(json!({"retry_interval": "1h"}))
            .path_config(json!({"connection_limit": 1, "consecutive_connection_failures_before_delay": 0}))
            .peer(Peer::new().refusing(usize::MAX, Response::plain(400, words))),
    );
    let mails = ["u@example.com"; 4].map(|to| bench.mail(to));
    let incoming = mails.iter().map(|mail| bench.incoming(mail)).collect();
    bench.manager.intake().accept(incoming, Durability::Synced).await.unwrap();
    for mail in &mails {
        let failure = bench.sink.of(mail.id(), "TransientFailure").await;
        assert_eq!(failure.text("site"), "unspecified->example.com@lua:make.test");
        assert_eq!(bench.spooled(mail.id()).await.unwrap().attempts, 1);
    }
    let expected = call(&format!("400 {words}"), &["TooManyConnectionFailures", "LoggedTransientFailure"], true);
    let seen = calls.take();
    assert!(seen.len() == 4 && seen.contains(&expected), "{seen:?}");
}

#[tokio::test]
async fn a_refusal_bounces_what_would_have_waited() {
    let bench = Builder::new().on("requeue_message", |_| reject(550, "5.7.0 not again")).start();
    suspended(&bench, "held.example").await;
    let message = bench.take("u@held.example").await;
    assert_eq!(bench.sink.of(message.id(), "Bounce").await.response(), "550 not again");
    assert_eq!(bench.sink.kinds(message.id()), ["Reception", "TransientFailure", "Bounce"]);
    assert_eq!(bench.spooled(message.id()).await, None);
    assert_eq!(bench.journal().await, bench.sink.all());
}

#[tokio::test]
async fn mail_of_a_suspended_queue_can_go_another_way_at_once() {
    let bench = Builder::new()
        .on("get_queue_config", |_| answer(json!({"retry_interval": "1h"})))
        .on("requeue_message", |args| {
            message_of(&args).set_meta("queue", json!("other.example"));
            nothing()
        })
        .start();
    suspended(&bench, "held.example").await;
    let message = bench.take("u@held.example").await;
    let delivery = bench.sink.of(message.id(), "Delivery").await;
    assert_eq!((delivery.text("queue"), delivery.attempts()), ("other.example", 1));
    assert_eq!(bench.sink.kinds(message.id()), ["Reception", "TransientFailure", "Delivery"]);
}

#[tokio::test]
async fn a_policy_that_breaks_changes_nothing() {
    for failure in [crate::support::broken as fn() -> _, || panic!("on purpose")] {
        let bench = Builder::new()
            .queue_config(json!({"retry_interval": "5s"}))
            .on("requeue_message", move |_| failure())
            .start();
        suspended(&bench, "held.example").await;
        let message = bench.take("u@held.example").await;
        bench.sink.of(message.id(), "TransientFailure").await;
        assert_eq!(bench.spooled(message.id()).await.unwrap().attempts, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_wait_for_a_policy_that_hangs_and_keeps_the_attempt_with_what_was_said() {
    let (asked, is_asked) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let hanging = Mutex::new((asked, released));
    let words = "KumoMTA internal: failed to connect to any candidate hosts: nobody is there";
    let bench = Builder::new()
        .queue_config(json!({"retry_interval": "1h"}))
        .path_config(json!({"consecutive_connection_failures_before_delay": 0}))
        .peer(Peer::new().refusing(usize::MAX, Response::plain(400, words)))
        .on("requeue_message", move |_| {
            let hanging = hanging.lock().unwrap();
            hanging.0.send(()).unwrap();
            // It ends when there is nobody left who could want an answer.
            assert!(hanging.1.recv().is_err());
            reject(550, "5.7.0 too late")
        })
        .start();
    let message = bench.take("u@example.com").await;
    until(|| is_asked.try_recv().is_ok()).await;
    bench.stop_source.request();
    until(|| !bench.supervisor.running().contains(&"queue manager".to_owned())).await;
    drop(release);
    bench.stop().await;
    assert_eq!(bench.sink.kinds(message.id()), ["Reception", "TransientFailure"]);
    let failure = bench.sink.of(message.id(), "TransientFailure").await;
    assert_eq!(failure.response(), format!("400 {words}"));
    assert_eq!(failure.text("site"), "unspecified->example.com@lua:make.test");
    assert_eq!(bench.spooled(message.id()).await.unwrap().attempts, 1);
    assert_eq!(bench.journal().await, bench.sink.all());
}

#[tokio::test]
async fn a_stop_while_policy_is_asked_loses_nothing() {
    let (bench, calls) = noting(Builder::new().queue_config(json!({"retry_interval": "5s"})));
    suspended(&bench, "held.example").await;
    let message = bench.take("u@held.example").await;
    bench.stop().await;
    assert!(bench.spooled(message.id()).await.is_some());
    let next = bench.restart().start();
    assert_eq!(next.spool_in().await, 1);
    next.clock.advance(secs(5));
    next.sink.of(message.id(), "Delivery").await;
    assert!(calls.take().len() <= 1);
}
