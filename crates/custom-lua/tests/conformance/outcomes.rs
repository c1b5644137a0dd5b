//! Every row of the table of outcomes (contract section 5.4), with the sessions that it should have had.

use crate::support::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use waybill_delivery::{BatchOutcome, Fate, Outcome, Peer};
use waybill_policy::{Epoch, PolicyError, Returned, ScriptedPolicy, Value};
use waybill_types::Response;

#[tokio::test]
async fn a_returned_text_is_the_delivery_and_is_taken_as_it_is() {
    for answer in ["200 OK: ", "5.1.1 is no enhanced code here", ""] {
        let outcome = deliver(one_by_one(), 1, move |_| text(answer)).await;
        assert_eq!(outcome, BatchOutcome::all(1, delivered(answer), Fate::Keep));
    }
    let outcome = deliver(one_by_one(), 1, |_| text("two\r\nlines")).await;
    assert_eq!(outcome.outcomes, [delivered("two lines")]);
}

#[tokio::test]
async fn a_returned_number_is_written_out() {
    let outcome = deliver(one_by_one(), 1, |_| Ok(Returned(vec![Value::Int(202)]))).await;
    assert_eq!(outcome, BatchOutcome::all(1, delivered("202"), Fate::Keep));
}

#[tokio::test]
async fn anything_else_that_send_returns_is_an_error_of_the_script() {
    for (value, kind) in [
        (Value::Nil, "nil"),
        (Value::Bool(false), "boolean"),
        (Value::Json(serde_json::json!({"code": 200})), "table"),
        (Value::Json(serde_json::json!(["ok"])), "table"),
    ] {
        let outcome = deliver(one_by_one(), 1, move |_| Ok(Returned(vec![value.clone()]))).await;
        let what = format!("sender:send method failed: error converting Lua {kind} to String");
        assert_script_failed(&outcome, 1, &format!("KumoMTA internal: error in deliver_message: {what}"));
    }
    let nothing = deliver(batches_of(10), 3, |_| Ok(Returned::default())).await;
    let what = "sender:send_batch method failed: error converting Lua nil to String";
    assert_script_failed(&nothing, 3, &format!("KumoMTA internal: error in deliver_message: {what}"));
}

#[tokio::test]
async fn a_rejection_below_500_is_tried_again_in_the_same_session() {
    for (code, retry_after) in [(400, None), (429, Some(30)), (499, None)] {
        let outcome = deliver(one_by_one(), 1, move |_| reject(code, "4.7.1 slow down", retry_after)).await;
        let response = Response::plain(code, "4.7.1 slow down");
        let expected = Outcome::Transient(response, retry_after.map(Duration::from_secs));
        assert_eq!(outcome, BatchOutcome::all(1, expected, Fate::Keep));
    }
}

#[tokio::test]
async fn a_421_ends_the_session() {
    let outcome = deliver(one_by_one(), 1, |_| reject(421, "bye", None)).await;
    assert_eq!(outcome, BatchOutcome::all(1, Outcome::Transient(Response::plain(421, "bye"), None), Fate::Close));
}

#[tokio::test]
async fn a_rejection_with_any_other_code_is_final() {
    for code in [500, 550, 599, 200, 302, 600, 0] {
        let outcome = deliver(one_by_one(), 1, move |_| reject(code, "no", None)).await;
        assert_eq!(outcome, BatchOutcome::all(1, Outcome::Permanent(Response::plain(code, "no")), Fate::Keep));
    }
}

#[tokio::test]
async fn an_error_of_the_script_is_one_line_without_a_peer() {
    let error = "runtime error: [string \"policy.lua\"]:21: boom\nstack traceback:\n\t[C]: in function 'error'";
    let outcome = deliver(one_by_one(), 1, move |_| Err(PolicyError::Failed(error.into()))).await;
    let line = "KumoMTA internal: error in deliver_message: sender:send method failed: runtime error: \
                [string \"policy.lua\"]:21: boom stack traceback: \t[C]: in function 'error'";
    assert_script_failed(&outcome, 1, line);
}

#[tokio::test]
async fn a_policy_that_cannot_run_is_an_error_like_any_other() {
    for error in [
        PolicyError::TimedOut("30s".into()),
        PolicyError::Unavailable("too many states".into()),
        PolicyError::Unusable("invalid connection object".into()),
        // Of an event that the script calls itself: the method was there.
        PolicyError::Missing("Event x has not been registered".into()),
    ] {
        let raised = error.clone();
        let outcome = deliver(batches_of(2), 2, move |_| Err(raised.clone())).await;
        let what = format!("sender:send_batch method failed: {error}");
        assert_script_failed(&outcome, 2, &format!("KumoMTA internal: error in deliver_message: {what}"));
    }
}

#[tokio::test]
async fn an_object_without_the_method_says_so() {
    for (section, has, lacks) in [(one_by_one(), "send_batch", "send"), (batches_of(2), "send", "send_batch")] {
        let policy = ScriptedPolicy::new().method(MAKE, has, |_| text("ok"));
        let mut session = open(policy, section).await.unwrap();
        let outcome = session.deliver(&messages(1)).await;
        let what = format!("sender:{lacks} method not found");
        assert_script_failed(&outcome, 1, &format!("KumoMTA internal: error in deliver_message: {what}"));
    }
}

#[tokio::test]
async fn a_constructor_that_fails_fails_to_connect() {
    let missing = ScriptedPolicy::new();
    let rejecting =
        ScriptedPolicy::new().on(MAKE, |_| reject(451, "not now", None)).method(MAKE, "send", |_| text("ok"));
    let failing = ScriptedPolicy::new()
        .on(MAKE, |_| Err(PolicyError::Failed("boom\nstack traceback:\n\tx".into())))
        .method(MAKE, "send", |_| text("ok"));
    for (policy, why) in [
        (missing, "Event make.webhook has not been registered"),
        (rejecting, "451 not now"),
        (failing, "boom stack traceback: \tx"),
    ] {
        let error = open(policy, one_by_one()).await.err().unwrap();
        let content = format!("KumoMTA internal: failed to connect to any candidate hosts: {why}");
        let expected = Response { code: 400, enhanced_code: None, content, command: None };
        assert_eq!(error.response, expected);
    }
}

#[tokio::test]
async fn the_constructor_is_told_domain_tenant_and_campaign() {
    let policy = ScriptedPolicy::new().method(MAKE, "send", |_| text("ok")).on(MAKE, |args| {
        let texts: Vec<_> = args.into_iter().map(|value| Returned(vec![value]).text().unwrap()).collect();
        assert_eq!(texts, ["webhook.log_hook", "t1", "c1"]);
        Ok(Returned::default())
    });
    let session = open(policy.clone(), one_by_one()).await.unwrap();
    let peer = Peer { name: "Lua via make.webhook".into(), addr: "0.0.0.0".into() };
    assert_eq!(session.peer(), Some(peer));
    assert_eq!(policy.calls(), [MAKE]);
}

#[tokio::test]
async fn send_gets_one_message_and_send_batch_always_a_list() {
    let policy = ScriptedPolicy::new()
        .method(MAKE, "send", |args| match args.as_slice() {
            [Value::Message(message)] => text(&message.id().to_string()),
            other => panic!("{other:?}"),
        })
        .method(MAKE, "send_batch", |args| match args.as_slice() {
            [Value::Messages(messages)] => text(&messages.len().to_string()),
            other => panic!("{other:?}"),
        });
    let batch = messages(3);
    let mut single = open(policy.clone(), one_by_one()).await.unwrap();
    assert_eq!(single.deliver(&batch[..1]).await.outcomes, [delivered(&batch[0].id().to_string())]);
    let mut many = open(policy.clone(), batches_of(3)).await.unwrap();
    assert_eq!(many.deliver(&batch[..1]).await.outcomes, [delivered("1")]);
    assert_eq!(many.deliver(&batch).await.outcomes, vec![delivered("3"); 3]);
    assert_eq!(many.deliver(&[]).await.outcomes, []);
}

#[tokio::test]
async fn what_send_sets_on_a_message_stays_on_it() {
    let policy = ScriptedPolicy::new().method(MAKE, "send", |args| {
        let [Value::Message(message)] = args.as_slice() else { panic!("{args:?}") };
        message.set_meta("x_tries", 1.into());
        reject(451, "later", None)
    });
    let batch = messages(1);
    open(policy, one_by_one()).await.unwrap().deliver(&batch).await;
    assert_eq!(batch[0].all_meta()["x_tries"], 1);
}

#[tokio::test]
async fn a_session_that_failed_is_never_used_for_another_batch() {
    let failing: Vec<fn() -> Result<Returned, PolicyError>> =
        vec![|| Err(PolicyError::Failed("boom".into())), || Ok(Returned::default()), || reject(421, "bye", None)];
    for fail in failing {
        let policy = ScriptedPolicy::new().method(MAKE, "send", move |_| fail());
        let mut session = open(policy.clone(), one_by_one()).await.unwrap();
        assert_eq!(session.deliver(&messages(1)).await.session, Fate::Close);
        assert_eq!(session.deliver(&messages(1)).await.session, Fate::Close);
        session.close().await;
        assert_eq!(policy.calls(), [MAKE, "make.webhook:send", "make.webhook:close"]);
    }
}

#[tokio::test]
async fn innocent_events_are_delivered_by_the_next_session() {
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = calls.clone();
    let policy = ScriptedPolicy::new().method(MAKE, "send", move |_| match seen.fetch_add(1, Ordering::Relaxed) {
        0 => Err(PolicyError::Failed("boom".into())),
        _ => text("ok"),
    });
    let batch = messages(3);
    let (mut results, mut session) = (Vec::new(), None);
    // As the ready queues do it: one session while it is kept, another when it is not.
    for message in &batch {
        let mut live = match session.take() {
            Some(live) => live,
            None => open(policy.clone(), one_by_one()).await.unwrap(),
        };
        let outcome = live.deliver(std::slice::from_ref(message)).await;
        match outcome.session {
            Fate::Keep => session = Some(live),
            Fate::Close | Fate::Broken => live.close().await,
        }
        results.extend(outcome.outcomes);
    }
    assert!(matches!(results[0], Outcome::Transient(..)));
    assert_eq!(results[1..], [delivered("ok"), delivered("ok")]);
    let sent = "make.webhook:send";
    assert_eq!(policy.calls(), [MAKE, sent, "make.webhook:close", MAKE, sent, sent]);
}

#[tokio::test]
async fn a_session_survives_rejections() {
    let policy = ScriptedPolicy::new().method(MAKE, "send", |_| reject(500, "no", None));
    let mut session = open(policy.clone(), one_by_one()).await.unwrap();
    for _ in 0..3 {
        assert_eq!(session.deliver(&messages(1)).await.session, Fate::Keep);
    }
    assert_eq!(policy.calls().len(), 4, "one constructor for three messages");
}

#[tokio::test]
async fn a_policy_that_was_read_again_counts_for_the_next_batch_of_a_session() {
    let policy = ScriptedPolicy::new().method(MAKE, "send", |_| text("old"));
    let mut session = open(policy.clone(), one_by_one()).await.unwrap();
    assert_eq!(session.deliver(&messages(1)).await.outcomes, [delivered("old")]);
    let policy = policy.method(MAKE, "send", |_| text("new"));
    assert_eq!(session.deliver(&messages(1)).await.outcomes, [delivered("old")], "it was not read again yet");
    policy.set_epoch(Epoch(1));
    let outcome = session.deliver(&messages(1)).await;
    assert_eq!((outcome.session, &outcome.outcomes[..]), (Fate::Keep, &[delivered("new")][..]));
    assert_eq!(session.deliver(&messages(1)).await.outcomes, [delivered("new")]);
    let (sent, closed) = ("make.webhook:send", "make.webhook:close");
    assert_eq!(policy.calls(), [MAKE, sent, sent, closed, MAKE, sent, sent], "one for each policy");

    // The new one gives no connection: as if there had been none before.
    let policy = policy.on(MAKE, |_| reject(451, "not now", None));
    policy.set_epoch(Epoch(2));
    let outcome = session.deliver(&messages(2)).await;
    assert_eq!((outcome.session, outcome.peer_spoke, outcome.outcomes.len()), (Fate::Close, false, 2));
    let Outcome::Transient(response, None) = &outcome.outcomes[0] else { panic!("{outcome:?}") };
    assert!(response.content.starts_with("KumoMTA internal: failed to connect to any candidate hosts: "), "{response}");
}

#[tokio::test]
async fn trouble_in_close_hurts_nobody() {
    let policy = ScriptedPolicy::new().method(MAKE, "close", |_| Err(PolicyError::Failed("boom".into())));
    open(policy.clone(), one_by_one()).await.unwrap().close().await;
    assert_eq!(policy.calls(), [MAKE, "make.webhook:close"]);
}
