//! Handlers that say beside their function what it does.

mod support;

use support::{mail, policy};
use waybill_log_record::{Capture, Entry, LogRecord, RecordType, RecordView};
use waybill_lua::Engine;
use waybill_policy::{PolicyError, PolicyHost, Value};
use waybill_spool::Message;
use waybill_types::{IdMint, Response, Timestamp};

fn record(of_log_message: bool) -> Message {
    let now = Timestamp::from_secs(1_700_000_000);
    let mut record = LogRecord::new(RecordType::Delivery, now, Response::plain(250, "ok"), "node");
    record.of_log_message = of_log_message;
    let entry = Entry::encode(&record, IdMint::random().entry(now));
    Message::view(RecordView::new(entry, Capture::nothing().into()), "hook", None)
}

/// The function would raise: only the rule can have answered.
const RULED: &str = "
    local function entered() error 'entered' end
    kumo.on('should_enqueue_log_record', entered, { hook = 'a', queue = 'a.queue', handler = entered })
    kumo.on('should_enqueue_log_record', entered, { hook = 'b', queue = 'b.queue', handler = entered })";

async fn asked(engine: &Engine, message: &Message, hook: &str) -> Result<Option<bool>, PolicyError> {
    let args = || vec![message.clone().into(), hook.into()];
    let alone = engine.call("should_enqueue_log_record", args()).await?;
    let together = engine.call_each("should_enqueue_log_record", vec![args()]).await.remove(0)?;
    assert_eq!(alone.0.len(), together.0.len());
    Ok(match together.0.first() {
        Some(Value::Bool(wanted)) => Some(*wanted),
        _ => None,
    })
}

#[tokio::test]
async fn a_rule_answers_for_its_function() {
    let engine = policy(RULED).build().await.unwrap();
    let message = record(false);
    assert_eq!(asked(&engine, &message, "b").await.unwrap(), Some(true));
    assert_eq!(message.queue_name().unwrap().as_str(), "b.queue");
    assert_eq!(asked(&engine, &message, "c").await.unwrap(), None, "nobody's");
    assert_eq!(asked(&engine, &record(true), "a").await.unwrap(), Some(false), "what became of a log message");
    assert_eq!(asked(&engine, &mail("x"), "a").await.unwrap(), Some(false), "no record at all");
}

#[tokio::test]
async fn a_handler_without_a_rule_is_asked_in_its_turn() {
    let first = "
        kumo.on('should_enqueue_log_record', function(message, hook)
          if hook == 'b' then return false end
        end)";
    let engine = policy(&format!("{first}{RULED}")).build().await.unwrap();
    assert_eq!(asked(&engine, &record(false), "b").await.unwrap(), Some(false));
    // Once Lua is entered the functions are what counts.
    let error = asked(&engine, &record(false), "a").await.unwrap_err();
    assert!(error.to_string().contains("entered"), "{error}");
}

#[tokio::test]
async fn what_all_rules_say_of_a_hook_is_told_without_a_record() {
    let engine = policy(RULED).build().await.unwrap();
    assert_eq!(engine.queue_of_all("b", 1).as_deref(), Some("b.queue"));
    assert_eq!(engine.queue_of_all("c", 1), None, "nobody's");
    let function = "kumo.on('should_enqueue_log_record', function() return false end)";
    for (code, told) in [(format!("{RULED} {function}"), Some("a.queue")), (format!("{function} {RULED}"), None)] {
        let engine = policy(&code).build().await.unwrap();
        assert_eq!(engine.queue_of_all("a", 1).as_deref(), told, "{code}");
    }
    assert_eq!(policy("").build().await.unwrap().queue_of_all("a", 1), None);
}

#[tokio::test]
async fn a_rule_that_makes_no_sense_is_an_error_with_its_event() {
    for (code, why) in [
        (
            "kumo.on('init', print, { hook = 'a', queue = 'b', handler = print })",
            "only 'should_enqueue_log_record' takes a rule",
        ),
        ("kumo.on('should_enqueue_log_record', print, { hook = 'a', handler = print })", "the rule has no 'queue'"),
        (
            "kumo.on('should_enqueue_log_record', print, { hook = 'a', queue = 'b' })",
            "the rule's 'handler' is to be the function that it describes, got nil",
        ),
    ] {
        let error = policy(code).build().await.err().unwrap().to_string();
        assert!(error.contains(why), "{error}");
    }
}
