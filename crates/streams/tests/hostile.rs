//! `contract/security-cases.md`, "API and storage", for logs. Where each case is held:
//!
//! | case | test |
//! |---|---|
//! | unbounded `len`, `poll`, `messages`, metadata | `every_refusal_has_its_code` (api), `every_text_that_is_kept_is_bounded` |
//! | too many who wait | `a_consumer_that_hangs_up_makes_room_for_another` (polling) |
//! | offsets -4, 2^63-1; of another log | `an_offset_that_cannot_be_is_refused_wherever_one_is_taken`, `every_refusal_has_its_code` (api) |
//! | `?metadata=` injection | `a_list_finds_what_is_equal_whatever_characters_it_has` |
//! | a token reads others' logs through `offset_id` or a filter's target | `nothing_can_be_hung_on_what_is_anothers` (tenants) |
//! | a condition of exponential cost | `what_may_be_long_is_looked_at_a_few_times_and_never_in_a_loop` (filter) |
//! | open without a token, CSRF, DNS rebinding | `whoever_asks_is_on_this_machine_or_shows_a_token_for_it` (waybill) |
//! | a cycle of filters; of webhooks | `filters_that_would_go_round_are_refused_and_tell_the_way` (filters), `a_webhook_that_would_send_a_log_into_itself_is_refused_also_over_filters` (ingress) |
//! | a hook that feeds itself | `what_becomes_of_a_log_message_is_a_record_and_no_event` (queue) |
//! | a full disk | `a_full_disk_is_told_to_the_publisher_and_nothing_is_stored` (log/tests) |
//! | torn tail, offset twice after a failed batch | `a_crash_at_any_write_loses_no_message_that_was_acknowledged_and_tears_none`, `a_publish_that_the_store_refuses_takes_no_offset` (log/tests) |
//! | a sync that fails | `a_sync_that_fails_ends_the_daemon_and_nothing_that_was_accepted_is_missing_afterwards` (scenarios) |
//! | oversized input stores nothing | `what_is_refused_has_written_nothing` |

mod world;

use serde_json::{Value, json};
use std::sync::Arc;
use waybill_spool::{Crash, CrashingStore};
use waybill_streams_core::Limits;
use world::{Open, World};

/// What no text should be able to do anything with.
const TEXTS: &[&str] = &[
    "plain",
    "",
    "a&metadata=b",
    "a=b",
    "%",
    "%00",
    "\0",
    "a\r\nX-Evil: 1",
    "' OR '1'='1",
    "\"}, {\"x\": \"",
    "../../logs",
    "*",
    "$where",
    "+",
    "ä",
    "a\u{308}",
    "\u{202e}gnp.exe",
    "</script>",
];

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn a_list_finds_what_is_equal_whatever_characters_it_has() {
    let world = World::new().await;
    for text in TEXTS {
        let log = world.log(json!({"metadata": text})).await;
        world.post("/offsets", json!({"log_id": log, "metadata": text})).await;
        world.egress(&log, json!({"metadata": text})).await;
    }
    for text in TEXTS {
        for list in ["logs", "offsets", "egress_webhooks"] {
            let found = world.get(&format!("/{list}?metadata={}", percent(text))).await;
            let found: Vec<&Value> = found[list].as_array().unwrap().iter().map(|one| &one["metadata"]).collect();
            assert_eq!(found, [text], "{list}");
        }
    }
    let all = world.get("/logs").await["logs"].as_array().unwrap().len();
    assert_eq!(all, TEXTS.len() + 1);
}

#[tokio::test]
async fn an_offset_that_cannot_be_is_refused_wherever_one_is_taken() {
    let world = World::new().await;
    let (log, other) = (world.log(json!({})).await, world.log(json!({})).await);
    world.say(&log, "x").await;
    let webhook = world.egress(&log, json!({})).await;
    let stored = world.post("/offsets", json!({"log_id": log})).await["offset_id"].as_str().unwrap().to_owned();
    for offset in [-3, -4, 2, i64::MIN, i64::MAX] {
        for (method, path, body) in [
            ("GET", format!("/messages/{log}?offset={offset}"), None),
            ("GET", format!("/message/{log}?offset={offset}"), None),
            ("PATCH", format!("/egress_webhook/{webhook}"), Some(json!({"next_offset": offset}))),
            (
                "POST",
                "/egress_webhooks".to_owned(),
                Some(json!({"log_id": log, "destination": "https://hooks.example/", "offset": offset})),
            ),
            (
                "POST",
                "/filters".to_owned(),
                Some(json!({"source_id": log, "target_id": other, "expression": "true", "offset": offset})),
            ),
        ] {
            assert_eq!(world.code(method, &path, body).await, "message-offset-invalid", "{method} {path} {offset}");
        }
    }
    for offset in [json!(-3), json!(i64::MIN)] {
        let code = world.code("PATCH", &format!("/offset/{stored}"), Some(json!({"value": offset}))).await;
        assert_eq!(code, "message-offset-invalid");
    }
    // One that ran ahead is found out when it is used.
    world.patch(&format!("/offset/{stored}"), json!({"value": i64::MAX})).await;
    let path = format!("/messages/{log}?offset_id={stored}");
    assert_eq!(world.code("GET", &path, None).await, "message-offset-invalid");
    for text in ["9223372036854775808", "1e3", "0x10", " 1", "1.0", "--1", "١"] {
        let path = format!("/messages/{log}?offset={}", percent(text));
        assert_eq!(world.code("GET", &path, None).await, "message-offset-parameter-invalid", "{text}");
    }
}

#[tokio::test]
async fn every_text_that_is_kept_is_bounded() {
    let world = World::new().await;
    let (log, other) = (world.log(json!({})).await, world.log(json!({})).await);
    let long = "x".repeat(Limits::default().metadata + 1);
    let stored = world.post("/offsets", json!({"log_id": log})).await["offset_id"].as_str().unwrap().to_owned();
    for (method, path, body) in [
        ("POST", "/logs".to_owned(), json!({"metadata": long})),
        ("PATCH", format!("/log/{log}"), json!({"metadata": long})),
        ("POST", "/logs".to_owned(), json!({"tenant": long})),
        ("POST", "/offsets".to_owned(), json!({"log_id": log, "metadata": long})),
        ("PATCH", format!("/offset/{stored}"), json!({"value_metadata": long})),
        (
            "POST",
            "/egress_webhooks".to_owned(),
            json!({"log_id": log, "destination": "https://a.example/", "metadata": long}),
        ),
        (
            "POST",
            "/egress_webhooks".to_owned(),
            json!({"log_id": log, "destination": format!("https://a.example/{}", "x".repeat(65_000))}),
        ),
        (
            "POST",
            "/filters".to_owned(),
            json!({"source_id": log, "target_id": other, "expression": "true", "metadata": long}),
        ),
        (
            "POST",
            "/filters".to_owned(),
            json!({"source_id": log, "target_id": other, "expression": format!("key == '{}'", "x".repeat(60_000))}),
        ),
        (
            "POST",
            "/ingress_webhooks".to_owned(),
            json!({"log_id": log, "type": "gitHub", "secret": "x", "metadata": long}),
        ),
        (
            "POST",
            "/ingress_webhooks".to_owned(),
            json!({"log_id": log, "type": "gitHub", "secret": "x".repeat(60_000)}),
        ),
    ] {
        let (status, answer) = world.ask(method, &path, Some(body)).await;
        assert_eq!(status, 400, "{method} {path}: {answer}");
        assert!(answer.to_string().len() < 1000, "a refusal repeats little of what came: {answer}");
    }
}

#[tokio::test]
async fn what_is_refused_has_written_nothing() {
    let store = Arc::new(CrashingStore::new(Crash::NEVER));
    let world = World::over(store.clone(), Limits::default(), Arc::new(Open)).await;
    let log = world.log(json!({})).await;
    world.say(&log, "x").await;
    let (one, several) = (format!("/message/{log}"), format!("/messages/{log}"));
    let before = store.commits();
    let big = "x".repeat((1 << 20) + 1);
    for (method, path, body) in [
        ("POST", &one, Some(json!({"key": "x".repeat((64 << 10) + 1), "value": "v"}))),
        ("POST", &one, Some(json!({"value": big}))),
        // The last of several is too long: none is stored.
        ("POST", &several, Some(json!({"messages": [{"value": "fine"}, {"value": big}]}))),
        ("POST", &several, Some(json!({"messages": [{"value": "fine"}, {"value": "w", "colour": "blue"}]}))),
        (
            "POST",
            &several,
            Some(json!({"encoding": "base64", "messages": [{"value": "aGk="}, {"value": "no base64"}]})),
        ),
        ("POST", &several, Some(json!({"messages": vec![json!({"value": "x"}); 1001]}))),
        ("POST", &several, Some(json!({"messages": vec![json!({"value": "x".repeat(1 << 20)}); 5]}))),
        ("GET", &format!("{several}?poll=30001"), None),
        ("GET", &format!("{several}?len=1001"), None),
        ("DELETE", &format!("{several}?trim_count=-1"), None),
        ("DELETE", &several, Some(json!({"compact_seconds": 1}))),
    ] {
        let (status, answer) = world.ask(method, path, body).await;
        assert_eq!(status, 400, "{method} {path}: {answer}");
    }
    assert_eq!(store.commits(), before);
    assert_eq!(world.get(&format!("/log/{log}/stats")).await["count"], 1);
    assert_eq!(world.ends(&log).await, 1, "no offset was given");
}
