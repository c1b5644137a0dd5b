//! The message object, by what scripts see of it.

mod support;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::future::BoxFuture;
use serde_json::json;
use support::{engine, mail, policy, run_on, text};
use waybill_lua::BodyLoader;
use waybill_policy::{PolicyHost, Value};
use waybill_runtime::ManualClock;
use waybill_spool::{Message, Spooled};
use waybill_types::Timestamp;

const BODY: &str = "Subject: Hi\r\nX-A: 1\r\nX-A: 2\r\n\r\nbody";

#[tokio::test]
async fn the_facts_of_a_live_kumomta_hold_for_messages() {
    let make = format!("local m = kumo.make_message('a@example.com', 'b@example.com', {BODY:?})");
    for (code, expected) in [
        ("return #m:id()", "32"),
        (
            "return m:sender(), m:sender().user, m:sender().domain, type(m:sender())",
            "a@example.com | a | example.com | userdata",
        ),
        ("return m:recipient(), type(m:recipient_list())", "b@example.com | table"),
        ("return m:queue_name()", "example.com"),
        (
            "m:set_meta('k', {a=1}) return type(m:get_meta('k')), m:get_meta('k').a, m:get_meta('none')",
            "table | 1 | nil",
        ),
        (
            "return m:get_first_named_header_value('x-a'), #m:get_all_named_header_values('X-A'), m:get_first_named_header_value('none')",
            "1 | 2 | nil",
        ),
        (
            "m:set_meta('queue', 5) return m:queue_name()",
            "false | expected 'queue' to be a string value, got Ok(Number(5))",
        ),
        (
            "m:set_meta('tenant', 't') m:set_meta('campaign', 'c') m:set_meta('routing_domain', 'r.example') return m:queue_name()",
            "c:t@example.com!r.example",
        ),
        ("m:import_x_headers() return m:get_meta('x_a')", "2"),
        ("return m:num_attempts(), m:increment_num_attempts(), m:num_attempts()", "0 | nil | 1"),
        ("return m:get_all_headers()[2][1], m:get_all_headers()[2][2]", "X-A | 1"),
        ("return m:set_due('2026-01-31T23:59:59Z'), m:set_due(nil)", "2026-01-31T23:59:59Z | nil"),
    ] {
        assert_eq!(run_on(&mail(""), &format!("{make} {code}")).await, expected, "{code}");
    }
}

#[tokio::test]
async fn envelopes_can_be_changed() {
    let message = mail(BODY);
    let code = "m:set_sender('') m:set_recipient { 'x@y.example', m:recipient() }
        return m:sender().email == '', #m:recipient(), m:recipient_list()[2] == m:recipient()[2], m:sender() == ''";
    assert_eq!(run_on(&message, code).await, "true | 2 | true | false");
    assert!(message.sender().is_null() && message.recipients().len() == 2);
    assert_eq!(
        run_on(&message, "m:set_sender('not an address')").await,
        "false | invalid address 'not an address': an address needs a domain: local@domain"
    );
}

#[tokio::test]
async fn headers_can_be_edited() {
    let message = mail(BODY);
    let code = "m:prepend_header('X-First', '0') m:append_header('X-Last', '9') m:remove_all_named_headers 'subject'
        m:append_header('X-Umlaut', 'ü', true) return m:get_first_named_header_value 'X-Umlaut'";
    assert_eq!(run_on(&message, code).await, "ü");
    let data = message.data().unwrap();
    let data = std::str::from_utf8(&data).unwrap();
    assert_eq!(data, "X-First: 0\r\nX-A: 1\r\nX-A: 2\r\nX-Last: 9\r\nX-Umlaut: =?UTF-8?q?=C3=BC?=\r\n\r\nbody");
    run_on(&message, "m:remove_x_headers { 'x-a', 'X-Umlaut' }").await;
    assert_eq!(message.data().unwrap(), "X-First: 0\r\nX-Last: 9\r\n\r\nbody");
    run_on(&message, "m:import_x_headers { 'x-first' } m:remove_x_headers()").await;
    assert_eq!(message.data().unwrap(), "\r\nbody");
    assert_eq!(message.all_meta(), *json!({"x_first": "0"}).as_object().unwrap());
    assert!(run_on(&mail("no end"), "m:append_header('A', 'b')").await.starts_with("false | append_header: "));
    assert!(run_on(&message, "m:prepend_header('A b', 'c')").await.starts_with("false | 'A b' is not a header name"));
}

#[tokio::test]
async fn reports_are_tables_and_other_mail_is_nil() {
    let report = |kind: &str, fields: &str| {
        mail(&format!(
            "Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/{kind}\r\n\r\n{fields}\r\n--b--\r\n"
        ))
    };
    let bounce = report(
        "delivery-status",
        "Reporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; a@x\r\nAction: failed\r\nStatus: 5.1.1\r\n",
    );
    let complaint = report("feedback-report", "Feedback-Type: abuse\r\nRemoval-Recipient: a@x\r\n");
    let code = "local r = m:parse_rfc3464() local f = m:parse_rfc5965()
        if r then return r.per_message.reporting_mta.name, r.per_recipient[1].final_recipient.recipient,
          r.per_recipient[1].status.detail, r.per_recipient[1].remote_mta end
        return f and f.feedback_type, f and f.extensions['removal-recipient'][1], f and f.incidents";
    assert_eq!(run_on(&bounce, code).await, "mx.example | a@x | 1 | nil");
    assert_eq!(run_on(&complaint, code).await, "abuse | a@x | nil");
    assert_eq!(run_on(&mail(BODY), code).await, "nil | nil | nil");
}

#[derive(Default)]
struct Spool(Mutex<Vec<String>>);

impl BodyLoader for Spool {
    fn load<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.0.lock().unwrap().push("load".into());
            message.set_loaded(Bytes::from_static(BODY.as_bytes()));
            Ok(())
        })
    }

    fn save<'a>(&'a self, message: &'a Message, synced: bool) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            self.0.lock().unwrap().push(format!("save {synced}"));
            message.to_store();
            Ok(())
        })
    }
}

#[tokio::test]
async fn bodies_are_loaded_when_somebody_looks_and_saved_when_asked() {
    let spool = Arc::new(Spool::default());
    let code = "kumo.on('ev', function(m)
        local first = m:get_first_named_header_value 'subject'
        assert(m:get_data():find 'body')
        m:set_meta('x', 1) m:save() m:set_force_sync(true) m:save()
        assert(m:shrink_data())
        return first .. #m:get_all_named_header_values 'x-a'
      end)";
    let engine = policy(code).bodies(spool.clone()).build().await.unwrap();
    let stored = mail(BODY);
    let message = Message::from_spool(stored.id(), Spooled::decode(&stored.to_store().0).unwrap());
    assert_eq!(text(&engine, "ev", vec![message.clone().into()]).await, "Hi2");
    assert_eq!(*spool.0.lock().unwrap(), ["load", "save false", "save true", "load"]);
}

#[tokio::test]
async fn without_a_spool_it_says_so() {
    let stored = mail(BODY);
    let message = Message::from_spool(stored.id(), Spooled::decode(&stored.to_store().0).unwrap());
    assert!(run_on(&message, "m:get_data()").await.ends_with("is not in memory"));
    assert_eq!(run_on(&mail(BODY), "m:save()").await, "false | there is no spool to save a message to");
    assert_eq!(run_on(&mail(""), "m:save()").await, "false | a message without a body cannot be saved");
}

#[tokio::test]
async fn messages_can_be_told_apart() {
    let policy = "kumo.on('ev', function(a, b, c) return tostring(a == b) .. tostring(a == c) end)";
    let (one, other) = (mail("x"), mail("x"));
    let args: Vec<Value> = vec![one.clone().into(), one.into(), other.into()];
    assert_eq!(engine(policy).await.call("ev", args).await.unwrap().text().unwrap(), "truefalse");
}

/// Open from 22:00 to 23:00 of every day; the clock of [`scheduled`] stands at 12:00.
const WINDOW: &str = "dow = 'Mon,Tue,Wed,Thu,Fri,Sat,Sun', tz = 'UTC', start = '22:00', ['end'] = '23:00'";

async fn scheduled(message: &Message, code: &str) -> String {
    let noon = Timestamp::parse_rfc3339("2026-03-02T12:00:00Z").unwrap();
    let policy = policy(&format!(
        "kumo.on('ev', function(m)
           local r = table.pack(pcall(function() {code} end))
           for i = 1, r.n do r[i] = tostring(r[i]) end
           return (table.concat(r, ' | ', r[1] == 'true' and 2 or 1):gsub('\\nstack traceback.*', ''))
         end)"
    ));
    let engine = policy.clock(Arc::new(ManualClock::at(noon))).build().await.unwrap();
    text(&engine, "ev", vec![message.clone().into()]).await
}

#[tokio::test]
async fn set_due_gives_the_time_that_the_schedule_allows() {
    let message = mail(BODY);
    let code = format!(
        "m:set_scheduling {{ {WINDOW} }}
         return m:set_due('2026-03-02T22:30:00Z'), m:set_due('2026-03-02T23:00:00Z'), m:set_due(nil)"
    );
    assert_eq!(scheduled(&message, &code).await, "2026-03-02T22:30:00Z | 2026-03-03T22:00:00Z | 2026-03-02T22:00:00Z");
    assert_eq!(message.due().unwrap().to_rfc3339(), "2026-03-02T22:00:00Z");
    assert_eq!(scheduled(&message, "m:set_scheduling(nil) return m:set_due(nil)").await, "nil");
    assert_eq!(message.schedule(), None);
    let code = "m:set_scheduling { first_attempt = '2026-03-02T11:00:00Z' } return m:set_due(nil)";
    assert_eq!(scheduled(&message, code).await, "nil", "a first attempt in the past holds nothing up");
}

#[tokio::test]
async fn a_schedule_comes_from_a_header_as_well() {
    let header =
        "X-Schedule: {\"first_attempt\":\"2026-03-05T00:00:00Z\",\r\n \"expires\":\"2026-03-06T00:00:00Z\"}\r\n";
    let message = mail(&format!("{header}{BODY}"));
    let code =
        "m:import_scheduling_header('X-None', true) m:import_scheduling_header('x-schedule') return m:set_due(nil)";
    assert_eq!(scheduled(&message, code).await, "2026-03-05T00:00:00Z");
    assert_eq!(message.schedule().unwrap().expires().unwrap().to_rfc3339(), "2026-03-06T00:00:00Z");
    assert!(message.data().unwrap().starts_with(b"X-Schedule"));
    scheduled(&message, "m:import_scheduling_header('X-Schedule', true)").await;
    assert_eq!(message.data().unwrap(), BODY);
    let odd = mail(&format!("X-Schedule: tomorrow\r\n{BODY}"));
    let complaint = scheduled(&odd, "m:import_scheduling_header 'X-Schedule'").await;
    assert!(
        complaint.starts_with("false | init.lua:2: msg:import_scheduling_header: header 'X-Schedule': "),
        "{complaint}"
    );
}

#[tokio::test]
async fn a_schedule_that_makes_no_sense_is_refused_with_the_place_and_what_is_accepted() {
    for (code, expected) in [
        (
            "m:set_scheduling { dow = 'Mon', tz = 'UTC', start = '1:00' }",
            "dow, tz, start and end go together, and 'end' is missing, while processing {\"dow\":\"Mon\",\"start\":\"1:00\",\"tz\":\"UTC\"}",
        ),
        (
            "m:set_scheduling { first = 'x' }",
            "unknown field `first`, expected one of `dow`, `tz`, `start`, `end`, `first_attempt`, `expires`, while processing {\"first\":\"x\"}",
        ),
        (
            "m:set_scheduling(5)",
            "invalid type: integer `5`, expected a table of dow, tz, start, end, first_attempt, expires, while processing 5",
        ),
    ] {
        assert_eq!(scheduled(&mail(BODY), code).await, format!("false | init.lua:2: msg:set_scheduling: {expected}"));
    }
}
