//! Messages that policy makes: injected, saved, and reports about those that failed.

mod support;

use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use mail_parser::{MessageParser, MimeHeaders, PartType};
use serde_json::{Value as Json, json};
use support::{complaint, engine, mail, policy};
use waybill_lua::BodyLoader;
use waybill_policy::{PolicyHost, Value};
use waybill_runtime::ManualClock;
use waybill_spool::{Message, supplemental_trace};
use waybill_types::Timestamp;

#[derive(Default)]
struct Queue(Mutex<Vec<Message>>);

impl BodyLoader for Queue {
    fn load<'a>(&'a self, _: &'a Message) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    fn inject(&self, message: Message) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            if message.recipients()[0].user() == "nobody" {
                return Err("no such queue".to_owned());
            }
            self.0.lock().unwrap().push(message);
            Ok(())
        })
    }
}

#[tokio::test]
async fn a_message_that_policy_made_is_injected() {
    let queue = Arc::new(Queue::default());
    let engine = policy(
        "kumo.on('make', function()
           local m = kumo.make_message('a@x.example', { 'b@y.example', 'c@y.example' }, 'Subject: s\\r\\n\\r\\nbody')
           m:set_meta('tenant', 't')
           kumo.inject_message(m, true)
         end)
         kumo.on('refused', function()
           kumo.inject_message(kumo.make_message('a@x.example', 'nobody@y.example', 'x'))
         end)
         kumo.on('empty', function() kumo.inject_message(kumo.make_message('a@x.example', 'b@y.example', '')) end)",
    )
    .bodies(queue.clone())
    .build()
    .await
    .unwrap();
    engine.call("make", vec![]).await.unwrap();
    let made = queue.0.lock().unwrap().pop().unwrap();
    assert_eq!((made.recipients().len(), made.queue_name().unwrap().as_str()), (2, "t@y.example"));
    let refused = complaint(&engine, "refused").await;
    assert!(refused.starts_with("injecting ") && refused.ends_with(": no such queue"), "{refused}");
    assert_eq!(complaint(&engine, "empty").await, "a message without a body cannot be injected");
}

#[tokio::test]
async fn a_message_that_policy_made_leads_back_from_a_complaint() {
    let engine = engine(
        "kumo.on('trace', function(msg, params)
           msg:set_meta('x_campaign', 'spring')
           kumo.apply_supplemental_trace_header(msg, params)
         end)
         kumo.on('wrong', function(msg) kumo.apply_supplemental_trace_header(msg, { header = 'X-A' }) end)
         kumo.on('odd', function(msg) kumo.apply_supplemental_trace_header(msg, { header_name = 'X A' }) end)",
    )
    .await;
    let params = json!({"header_name": "X-Ours", "include_meta_names": ["x_campaign"]});
    for (params, expected) in [
        (Value::Nil, supplemental_trace("X-KumoRef", &[], &mail("Subject: Hi\r\n\r\nbody\r\n"))),
        (Value::Json(params), {
            let traced = mail("");
            traced.set_meta("x_campaign", "spring".into());
            supplemental_trace("X-Ours", &["x_campaign".to_owned()], &traced)
        }),
    ] {
        let message = mail("Subject: Hi\r\n\r\nbody\r\n");
        engine.call("trace", vec![message.clone().into(), params]).await.unwrap();
        let data = String::from_utf8(message.data().unwrap().to_vec()).unwrap();
        assert_eq!(data, format!("{expected}Subject: Hi\r\n\r\nbody\r\n"));
    }
    for (event, part) in [("wrong", "unknown field `header`, expected"), ("odd", "\"X A\" is no name of a header")] {
        let refused = engine.call(event, vec![mail("x").into()]).await.unwrap_err().to_string();
        assert!(refused.contains("kumo.apply_supplemental_trace_header: ") && refused.contains(part), "{refused}");
    }
}

#[tokio::test]
async fn without_a_queue_it_says_so() {
    let engine =
        engine("kumo.on('make', function() kumo.inject_message(kumo.make_message('a@x', 'b@y.example', 'x')) end)")
            .await;
    assert_eq!(complaint(&engine, "make").await, "there is no queue to inject a message into");
}

fn record(kind: &str, sender: &str) -> Json {
    json!({
        "type": kind, "id": "0123456789abcdef0123456789abcdef", "sender": sender, "recipient": "b@y.example",
        "response": {"code": 550, "enhanced_code": {"class": 5, "subject": 1, "detail": 1},
                     "content": "no such user\r\nX-Forged: header", "command": null},
        "peer_address": {"name": "mx.y.example", "addr": "192.0.2.1"},
    })
}

async fn report(include: &str, record: Json, message: Option<Message>) -> Option<Message> {
    let noon = Timestamp::parse_rfc3339("2026-03-02T12:00:00Z").unwrap();
    let engine = policy(&format!(
        "kumo.on('report', function(record, msg)
           return kumo.generate_rfc3464_message({{
             include_original_message = '{include}', enable_bounce = true,
             reporting_mta = {{ name = 'mta1.x.example' }},
           }}, msg, record)
         end)"
    ));
    let engine = engine.clock(Arc::new(ManualClock::at(noon))).build().await.unwrap();
    let message = message.map_or(Value::Nil, Value::from);
    match engine.call("report", vec![Value::Json(record), message]).await.unwrap().first() {
        Value::Message(report) => Some(report.clone()),
        Value::Nil => None,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_bounce_is_reported_to_its_sender() {
    let original = mail("Subject: Hi\r\nX-A: 1\r\n\r\nsecret body\r\n");
    for (include, kind, contains, without) in [
        ("FullContent", Some("rfc822"), "secret body", "\0"),
        ("HeadersOnly", Some("rfc822-headers"), "X-A: 1", "secret body"),
        ("No", None, "", "X-A: 1"),
    ] {
        let report = report(include, record("Bounce", "a@x.example"), Some(original.clone())).await.unwrap();
        assert!(report.sender().is_null());
        assert_eq!(report.recipients()[0].as_str(), "a@x.example");
        let data = report.data().unwrap();
        let text = std::str::from_utf8(&data).unwrap();
        assert!(text.contains(contains) && !text.contains(without), "{text}");
        let parsed = MessageParser::default().parse(&data[..]).unwrap();
        assert_eq!(parsed.content_type().unwrap().attribute("report-type"), Some("delivery-status"));
        let parts: Vec<_> = parsed.parts.iter().filter(|part| !matches!(part.body, PartType::Multipart(_))).collect();
        assert_eq!(parts.len(), 2 + usize::from(kind.is_some()), "{text}");
        assert!(parsed.body_text(0).unwrap().contains("b@y.example"));
        let status = "\r\n\r\nFinal-Recipient: rfc822; b@y.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\
                      Diagnostic-Code: smtp; 550 no such user  X-Forged: header\r\nRemote-MTA: dns; mx.y.example\r\n";
        assert!(text.contains(status), "{text}");
        assert_eq!(parts.get(2).and_then(|part| part.content_type()?.subtype()), kind);
    }
}

#[tokio::test]
async fn nobody_hears_of_what_is_no_failure_or_came_from_nobody() {
    for (kind, sender) in [("Bounce", ""), ("Delivery", "a@x.example"), ("Expiration", "a@x.example")] {
        assert!(report("No", record(kind, sender), None).await.is_none(), "{kind} {sender}");
    }
    assert!(report("FullContent", record("Bounce", "a@x.example"), None).await.is_some(), "without the mail itself");
}

#[tokio::test]
async fn wrong_options_of_a_report_are_refused_with_their_place() {
    let engine = engine(
        "kumo.on('a', function()\n kumo.generate_rfc3464_message({ reporting_mta = { name = 'x' }, bounce = 1 }, nil, {}) end)
         kumo.on('b', function() kumo.generate_rfc3464_message({ reporting_mta = { name = 'x' } }, nil, {}) end)",
    )
    .await;
    let expected = "init.lua:2: kumo.generate_rfc3464_message: unknown field `bounce`, expected one of \
                    `reporting_mta`, `enable_bounce`, `enable_expiration`, `include_original_message`, while processing ";
    assert!(complaint(&engine, "a").await.starts_with(expected));
    let other = complaint(&engine, "b").await;
    assert!(other.starts_with("kumo.generate_rfc3464_message: this is no log record: missing field `type`"), "{other}");
}
