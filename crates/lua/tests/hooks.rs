//! Whole hook policies against the engine, with a stand-in for HTTP.

mod support;

use std::sync::{Arc, Mutex};

use serde_json::{Value as Json, json};
use support::policy;
use waybill_log_record::{Capture, Entry, LogRecord, RecordType, RecordView};
use waybill_lua::{Engine, LuaModule, Setup, module, to_json};
use waybill_policy::{PolicyHost, Value};
use waybill_spool::Message;
use waybill_types::{IdMint, Response, Timestamp};

/// `kumo.http` that answers every request with 200 and the length of its body, after a moment.
fn http() -> Arc<dyn LuaModule> {
    module("http", |lua, kumo| {
        let code = "
            local kumo = ...
            kumo.http = {}
            function kumo.http.build_client()
              local client = {}
              function client:post(url)
                assert(not client.closed)
                local request = { headers = {} }
                function request:header(k, v) self.headers[k] = v return self end
                function request:body(bytes) self.bytes = bytes return self end
                function request:send()
                  kumo.pause(0.001)
                  local bytes = self.bytes
                  return {
                    status_code = function() return 200 end,
                    status_reason = function() return 'OK' end,
                    status_is_success = function() return true end,
                    headers = function() return {} end,
                    text = function() return #bytes .. ' bytes' end,
                    summary = function() end,
                  }
                end
                return request
              end
              function client:exchange(url, headers, body)
                assert(headers['webhook-id'])
                local response = self:post(url):body(body):send()
                return response:status_code(), response
              end
              function client:close() client.closed = true end
              return client
            end
            kumo.time = { parse_duration = function() return { seconds = 30 } end }";
        lua.load(code).call::<()>(kumo)?;
        let encode = |lua: &mlua::Lua, value: mlua::Value| Ok(to_json(lua, &value)?.to_string());
        kumo.set("encode_all", lua.create_function(encode)?)
    })
}

#[derive(Default)]
struct Configured(Mutex<Vec<Json>>);

impl Setup for Configured {
    fn configure(&self, _: &str, section: Json, _: &str) -> Result<Json, String> {
        self.0.lock().unwrap().push(section);
        Ok(Json::Null)
    }
}

async fn engine(code: &str) -> (Engine, Arc<Configured>) {
    let configured = Arc::new(Configured::default());
    let builder = policy(code).module(http()).setup(configured.clone(), &["configure_log_hook"]);
    (builder.build().await.unwrap(), configured)
}

fn event(kind: RecordType, hook: &str) -> Message {
    let now = Timestamp::from_secs(1_700_000_000);
    let mut record = LogRecord::new(kind, now, Response::plain(250, "ok"), "node");
    record.sender = "a@x.example".into();
    record.recipients = vec!["b@y.example".into()];
    let entry = Entry::encode(&record, IdMint::random().entry(now));
    Message::view(RecordView::new(entry, Capture::nothing().into()), hook, None)
}

async fn wanted(engine: &Engine, message: &Message, hook: &str) -> bool {
    let args = vec![message.clone().into(), hook.into()];
    engine.call("should_enqueue_log_record", args).await.unwrap().truthy()
}

#[tokio::test]
async fn a_webhook_by_hand_delivers() {
    let (engine, configured) = engine(include_str!("policies/plain_hook.lua")).await;
    engine.call("pre_init", vec![]).await.unwrap();
    assert_eq!(configured.0.lock().unwrap()[0], json!({"name": "events", "headers": ["Subject"]}));
    let message = event(RecordType::Delivery, "events");
    assert!(wanted(&engine, &message, "events").await);
    assert_eq!(message.queue_name().unwrap().as_str(), "events");
    let config = engine.call("get_queue_config", vec!["events".into()]).await.unwrap();
    assert!(matches!(config.first(), Value::Json(json)
        if json["protocol"]["custom_lua"]["constructor"] == "make.events"));
    let mut connection = engine.construct("make.events", vec!["events".into()]).await.unwrap();
    let size = message.data().unwrap().len();
    let sent = connection.invoke("send", vec![message.into()]).await.unwrap();
    assert_eq!(sent.text().unwrap(), format!("200 OK: {size} bytes"));
    connection.close().await.unwrap();
}

#[tokio::test]
async fn hooks_of_the_helper_deliver() {
    let (engine, configured) = engine(include_str!("policies/helper_hooks.lua")).await;
    engine.call("pre_init", vec![]).await.unwrap();
    let names: Vec<_> = configured.0.lock().unwrap().iter().map(|section| section["name"].clone()).collect();
    assert_eq!(names, ["json", "single", "batch"]);
    let message = event(RecordType::Delivery, "batch");
    for hook in ["json", "single", "batch"] {
        assert!(wanted(&engine, &message, hook).await, "{hook}");
        assert_eq!(message.queue_name().unwrap().as_str(), format!("{hook}.log_hook"));
        let domain = format!("{hook}.log_hook");
        let config = engine.call("get_queue_config", vec![domain.as_str().into()]).await.unwrap();
        let Value::Json(config) = config.first() else { panic!("{hook}") };
        assert_eq!(config["protocol"]["custom_lua"]["constructor"], format!("make.{domain}").as_str());
    }
    assert!(!wanted(&engine, &event(RecordType::Reception, "batch"), "batch").await, "filtered");
    assert!(!wanted(&engine, &message, "other").await);

    let mut json = engine.construct("make.json.log_hook", vec![]).await.unwrap();
    let sent = json.invoke("send", vec![message.clone().into()]).await.unwrap().text().unwrap();
    assert!(sent.starts_with("200 OK: "), "{sent}");
    let mut single = engine.construct("make.single.log_hook", vec![]).await.unwrap();
    let sent = single.invoke("send", vec![message.clone().into()]).await.unwrap().text().unwrap();
    assert_eq!(sent, "sent Delivery");
    let mut batch = engine.construct("make.batch.log_hook", vec![]).await.unwrap();
    let messages = vec![message.clone(), message];
    let sent = batch.invoke("send_batch", vec![Value::Messages(messages)]).await.unwrap().text().unwrap();
    assert!(sent.starts_with("200 "), "{sent}");
    for connection in [json, single, batch] {
        connection.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_slice_of_events_is_judged_in_one_entry() {
    let (engine, _) = engine(include_str!("policies/helper_hooks.lua")).await;
    let kinds = [RecordType::Delivery, RecordType::Reception, RecordType::Bounce];
    let items = kinds.map(|kind| vec![event(kind, "batch").into(), "batch".into()]).to_vec();
    let results = engine.call_each("should_enqueue_log_record", items).await;
    let verdicts: Vec<_> = results.into_iter().map(|result| result.unwrap().truthy()).collect();
    assert_eq!(verdicts, [true, false, true]);
    assert_eq!(engine.state_counts(), (1, 1));
}

#[tokio::test]
async fn options_are_refused_in_the_words_that_scripts_know() {
    for (options, complaint) in [
        ("new { constructor = print }", "LogHookOptions: missing value for field 'name' of type 'string'"),
        ("new { name = 'b', constructor = print, colour = 1 }", "LogHookOptions: unknown field 'colour'"),
        ("new_json { name = 'c' }", "JsonLogHookOptions: missing value for field 'url' of type 'string'"),
        (
            "new { name = 'g', constructor = print, queue_config = { colour = 1 } }",
            "QueueConfig: unknown field 'colour'",
        ),
        (
            "new { name = 'h', constructor = print, queue_config = { retry_interval = {} } }",
            "invalid type: map, expected a duration",
        ),
    ] {
        let code = format!("local log_hooks = require 'policy-extras.log_hooks'\nlog_hooks:{options}");
        let error = policy(&code).module(http()).build().await.err().unwrap().to_string();
        assert!(error.contains("init.lua:2") && error.contains(complaint), "{error}");
    }
}

/// Policy that watches over the handlers of helpers, and passes on whatever else they give.
const WRAPPED: &str = "
    local on = kumo.on
    kumo.on = function(event, handler, ...)
      on(event, function(message, hook)
        if hook == 'quiet' then return false end
        return handler(message, hook)
      end, ...)
    end
    local log_hooks = require 'policy-extras.log_hooks'
    log_hooks:new_json { name = 'quiet', url = 'http://127.0.0.1:1/' }
    log_hooks:new_json { name = 'loud', url = 'http://127.0.0.1:1/' }
    kumo.on = on";

#[tokio::test]
async fn a_function_around_a_handler_with_a_rule_is_called() {
    let (engine, _) = engine(WRAPPED).await;
    assert!(!wanted(&engine, &event(RecordType::Delivery, "quiet"), "quiet").await);
    let message = event(RecordType::Delivery, "loud");
    assert!(wanted(&engine, &message, "loud").await);
    assert_eq!(message.queue_name().unwrap().as_str(), "loud.log_hook");
}
