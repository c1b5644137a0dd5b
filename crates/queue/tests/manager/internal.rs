//! Responses in words of ours, which no peer has said: the list of all is `golden/responses.txt` of the binary.

use crate::support::{Builder, Peer, answer, delivered, secs};
use serde_json::json;
use waybill_policy::{PolicyError, Returned, Value};

/// What the first record of a failure says when `event` gives this.
async fn failure_of(event: &str, gives: impl Fn() -> Result<Returned, PolicyError> + Send + Sync + 'static) -> String {
    let config = if event == "get_egress_pool" { json!({"egress_pool": "p"}) } else { json!({}) };
    let bench = Builder::new().queue_config(config).on(event, move |_| gives()).start();
    let message = bench.take("rcpt@example.com").await;
    bench.sink.of(message.id(), "TransientFailure").await.response()
}

#[tokio::test]
async fn a_policy_that_does_not_say_where_mail_goes_is_told_with_the_event() {
    let begin = "451 KumoMTA internal: failed to resolve queue example.com: ";
    let unusable = |event: &str, why: &str| format!("{begin}{event} returned what cannot be used: {why}");
    let said = failure_of("get_egress_path_config", || Ok(Returned(vec![Value::Int(1)]))).await;
    assert_eq!(said, unusable("get_egress_path_config", "expected a configuration, got a number"));
    let said = failure_of("get_egress_pool", || Ok(Returned::default())).await;
    assert_eq!(said, unusable("get_egress_pool", "expected a table, got a nil"));
    let said = failure_of("get_egress_pool", || answer(json!(["p", 1]))).await;
    assert_eq!(said, unusable("get_egress_pool", "invalid type: sequence, expected a table with names"));
    let said = failure_of("get_egress_pool", || Err(PolicyError::TimedOut("it waits".into()))).await;
    assert_eq!(said, format!("{begin}policy was stopped: it waits"));
    let said = failure_of("get_egress_pool", || Err(PolicyError::Unavailable("too many states".into()))).await;
    assert_eq!(said, format!("{begin}policy is not available: too many states"));
}

#[tokio::test]
async fn a_session_at_fault_costs_an_attempt_and_no_message() {
    let panics = Peer::new().answering(|_, before| if before == 0 { panic!("on purpose") } else { delivered() });
    for (peer, words) in [
        (panics, "400 KumoMTA internal: error in deliver_message: the session panicked"),
        (Peer::new().forgetting(), "400 KumoMTA internal: the protocol gave no outcome for this message"),
    ] {
        let bench = Builder::new().peer(peer).queue_config(json!({"retry_interval": "5s"})).start();
        let message = bench.take("rcpt@example.com").await;
        let failure = bench.sink.of(message.id(), "TransientFailure").await;
        assert_eq!(failure.response(), words);
        bench.clock.advance(secs(10));
        bench.sink.of(message.id(), "Delivery").await;
    }
}
