//! The rules of `kumo.on`.

mod support;

use serde_json::json;
use support::{complaint, engine, policy, text};
use waybill_policy::{PolicyHost, Value};

#[tokio::test]
async fn a_second_handler_is_refused_unless_the_event_takes_many() {
    let error = policy("\nkumo.on('get_egress_source', function() end)\nkumo.on('get_egress_source', function() end)")
        .build()
        .await
        .err()
        .unwrap();
    assert_eq!(support::first_line(&error), "get_egress_source event already has a handler defined at init.lua:2");
    for event in [
        "pre_init",
        "validate_config",
        "should_enqueue_log_record",
        "get_queue_config",
        "throttle_insert_ready_queue",
        "requeue_message",
        "get_acl_definition",
    ] {
        engine(&format!("for i = 1, 3 do kumo.on('{event}', function() end) end")).await;
    }
}

#[tokio::test]
async fn handlers_are_asked_in_order_until_one_decides() {
    let policy = |event: &str, returns: &str| {
        format!(
            "kumo.on('{event}', function() {returns} end)
             kumo.on('{event}', function() return 'second' end)
             kumo.on('{event}', function() return 'third' end)"
        )
    };
    for event in ["should_enqueue_log_record", "get_queue_config", "requeue_message", "get_acl_definition"] {
        let engine = engine(&policy(event, "")).await;
        assert_eq!(text(&engine, event, vec![]).await, "second", "{event}");
    }
    for event in ["should_enqueue_log_record", "get_queue_config"] {
        let engine = engine(&policy(event, "return nil")).await;
        assert_eq!(text(&engine, event, vec![]).await, "second", "{event}: nil is the next one's");
    }
    for event in ["requeue_message", "throttle_insert_ready_queue"] {
        let engine = engine(&policy(event, "return nil")).await;
        assert!(matches!(engine.call(event, vec![]).await.unwrap().first(), Value::Nil), "{event}: nil is final");
    }
    let engine = engine(&policy("should_enqueue_log_record", "return false")).await;
    assert!(!engine.call("should_enqueue_log_record", vec![]).await.unwrap().truthy());
}

#[tokio::test]
async fn registering_within_a_handler_names_both_events() {
    let engine = engine(
        "kumo.on('outer', function() kumo.on('inner', function() end) end)
         kumo.on('main', function() kumo.on('late', function() end) return 'ok' end)",
    )
    .await;
    let complaint = complaint(&engine, "outer").await;
    assert!(complaint.contains("'outer'") && complaint.contains("'inner'"), "{complaint}");
    assert_eq!(text(&engine, "main", vec![]).await, "ok");
}

#[tokio::test]
async fn registrars_are_stacks_of_calls() {
    let engine = engine(
        "kumo.on('pre_init', function() end)
         local function helper() kumo.on('pre_init', function() end) end
         helper()
         kumo.on('ask', function() return kumo.get_event_registrars 'pre_init' end)",
    )
    .await;
    let result = engine.call("ask", vec![]).await.unwrap();
    let Value::Json(stacks) = result.first() else { panic!() };
    let stacks = stacks.as_array().unwrap();
    assert_eq!(stacks.len(), 2);
    assert!(stacks[1].as_str().unwrap().contains("init.lua:2"), "{}", stacks[1]);
}

#[tokio::test]
async fn what_policy_makes_comes_out_as_it_was_given() {
    let engine = engine(
        "kumo.on('get_queue_config', function() return kumo.make_queue_config { max_age = '1 day' } end)
         kumo.on('get_egress_pool', function(name) return kumo.make_egress_pool { name = name, entries = {} } end)",
    )
    .await;
    let config = engine.call("get_queue_config", vec![]).await.unwrap();
    assert!(matches!(config.first(), Value::Json(json) if *json == json!({"max_age": "1 day"})));
    let pool = engine.call("get_egress_pool", vec!["p".into()]).await.unwrap();
    assert!(matches!(pool.first(), Value::Json(json) if json["name"] == json!("p")));
}

/// What an observer heard, in order.
#[derive(Default)]
struct Heard(parking_lot::Mutex<Vec<String>>);

impl waybill_lua::Observer for Heard {
    fn called(&self, event: &str, _took: std::time::Duration) {
        self.0.lock().push(event.to_owned());
    }

    fn loaded(&self) {
        self.0.lock().push("loaded".to_owned());
    }
}

#[tokio::test]
async fn an_observer_hears_of_loads_and_of_calls_that_have_a_handler() {
    let heard = std::sync::Arc::new(Heard::default());
    let text = "kumo.on('fine', function() end) kumo.on('bad', function() error 'no' end)
        kumo.on('make', function() return { send = function() end } end)";
    let engine = policy(text).observer(heard.clone()).build().await.unwrap();
    engine.call("fine", vec![]).await.unwrap();
    engine.call("nobody", vec![]).await.unwrap();
    engine.call("bad", vec![]).await.unwrap_err();
    let mut object = engine.construct("make", vec![]).await.unwrap();
    object.invoke("send", vec![]).await.unwrap();
    let heard = heard.0.lock().clone();
    // The state of the failed call is not used again, so the object has one of its own; its method is no event.
    assert_eq!(heard, ["loaded", "fine", "bad", "loaded", "make"]);
}
