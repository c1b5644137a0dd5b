//! What crossing into policy costs. Run: `cargo bench -p waybill-lua`.
//!
//! Prints the mean time of each step; put the machine's name beside every number that you quote.

use std::hint::black_box;
use std::time::{Duration, Instant};

use waybill_log_record::{Capture, Entry, LogRecord, RecordType, RecordView};
use waybill_lua::{Engine, module};
use waybill_policy::{PolicyHost, Value};
use waybill_spool::Message;
use waybill_types::{IdMint, Response, Timestamp};

const POLICY: &str = "
    local log_hooks = require 'policy-extras.log_hooks'
    log_hooks:new { name = 'hook', constructor = function()
      local c = {}
      function c:send(message) return message:get_data() end
      function c:send_batch(messages)
        local all = {}
        for i, m in ipairs(messages) do all[i] = kumo.raw(m:get_meta 'log_record') end
        return #all
      end
      return c
    end }
    kumo.on('nothing', function() end)
    kumo.on('fail', function() error 'x' end)
    kumo.on('fields', function(m)
      local r = m:get_meta 'log_record'
      return r.type, r.recipient, r.response.code
    end)
    kumo.on('count', function() local n = 0 for i = 1, 1000000 do n = n + i % 7 end return n end)";

fn event() -> Message {
    let now = Timestamp::from_secs(1_700_000_000);
    let mut record = LogRecord::new(RecordType::Delivery, now, Response::plain(250, "ok"), "node");
    record.sender = "a@x.example".into();
    record.recipients = vec!["b@y.example".into()];
    let entry = Entry::encode(&record, IdMint::random().entry(now));
    Message::view(RecordView::new(entry, Capture::nothing().into()), "hook", None)
}

async fn engine() -> Engine {
    Engine::builder("init.lua")
        .text(POLICY)
        .embed("policy-extras.log_hooks", include_str!("../../../policy-extras/log_hooks.lua"))
        .embed("policy-extras.typing", include_str!("../../../policy-extras/typing.lua"))
        .embed("policy-extras.policy_utils", include_str!("../../../policy-extras/policy_utils.lua"))
        .monitor_globs(&[])
        .module(module("raw", |lua, kumo| {
            let raw = |lua: &mlua::Lua, table: mlua::Table| {
                let mut bytes = Vec::new();
                waybill_lua::write_raw_record(lua, &table, &mut bytes);
                lua.create_string(bytes)
            };
            lua.load("local k = ... k.time = { parse_duration = function() return { seconds = 30 } end }")
                .call::<()>(kumo)?;
            kumo.set("raw", lua.create_function(raw)?)
        }))
        .build()
        .await
        .expect("the policy loads")
}

fn report(what: &str, times: u32, elapsed: Duration) {
    println!("{what:<44} {:>10.2} µs", elapsed.as_secs_f64() * 1e6 / f64::from(times));
}

async fn calls(engine: &Engine, event: &str, args: impl Fn() -> Vec<Value>, times: u32) {
    let begin = Instant::now();
    for _ in 0..times {
        black_box(engine.call(event, args()).await.expect("the call succeeds"));
    }
    report(&format!("call {event}"), times, begin.elapsed());
}

async fn run() {
    let engine = engine().await;
    let begin = Instant::now();
    for _ in 0..200 {
        engine.bump_epoch().await.expect("the policy loads");
    }
    report("read the policy again (log_hooks helper)", 200, begin.elapsed());
    let begin = Instant::now();
    for _ in 0..200 {
        black_box(engine.call("fail", vec![]).await.expect_err("the call fails"));
    }
    report("a failed call, with the new state for it", 200, begin.elapsed());
    calls(&engine, "nothing", Vec::new, 100_000).await;
    let message = event();
    calls(&engine, "fields", || vec![message.clone().into()], 50_000).await;
    calls(&engine, "count", Vec::new, 20).await;

    let begin = Instant::now();
    for _ in 0..200 {
        let items = (0..250).map(|_| vec![event().into(), "hook".into()]).collect();
        black_box(engine.call_each("should_enqueue_log_record", items).await);
    }
    report("call_each should_enqueue, per event", 50_000, begin.elapsed());

    let mut object = engine.construct("make.hook.log_hook", vec![]).await.expect("an object");
    let begin = Instant::now();
    for _ in 0..50_000 {
        black_box(object.invoke("send", vec![message.clone().into()]).await.expect("sent"));
    }
    report("send with get_data", 50_000, begin.elapsed());
    let batch: Vec<_> = (0..100).map(|_| event()).collect();
    let begin = Instant::now();
    for _ in 0..500 {
        black_box(object.invoke("send_batch", vec![Value::Messages(batch.clone())]).await.expect("sent"));
    }
    report("send_batch with raw records, per event", 50_000, begin.elapsed());
}

fn main() {
    println!("-- one thread, nothing to give away");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run());
    println!("-- in a worker of several, which goes on elsewhere meanwhile");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let supervisor = runtime.block_on(async { waybill_runtime::Supervisor::current() });
    supervisor.spawn("bench", run());
    runtime.block_on(supervisor.join());
}
