//! The other functions of `kumo`.

mod support;

use std::time::Duration;

use support::{complaint, engine, policy, text};
use waybill_policy::{PolicyHost, Value};
use waybill_types::Timestamp;

#[tokio::test]
async fn small_facts() {
    let engine = policy(
        "local kumo2 = require 'kumo'
         assert(kumo == kumo2 and kumo.version == '1.2.3' and kumo.available_parallelism() >= 1)
         for _, name in ipairs { 'httpinject', 'smtpsrv', 'readyq', 'qmaint', 'ready_qmaint', 'spoolin', 'logging' } do
           kumo['set_' .. name .. '_threads'](4)
         end
         kumo.spawn_thread_pool { name = 'x', num_threads = 4 }
         kumo.set_memory_hard_limit(1e9)
         assert(kumo.get_memory_soft_limit() == 750000000 and kumo.get_memory_low_thresh() == 600000000)
         kumo.set_memory_soft_limit(5000)
         kumo.set_memory_low_thresh(4500)
         assert(kumo.get_memory_soft_limit() == 5000 and kumo.get_memory_low_thresh() == 4500)
         kumo.set_memory_soft_limit(nil) kumo.set_memory_low_thresh(nil)
         assert(kumo.get_memory_soft_limit() == 750000000 and kumo.get_memory_hard_limit() == 1000000000)
         local function where() return kumo.traceback(1) end
         local frames = where()
         assert(frames[1].currentline == 14 and frames[1].source == '@init.lua', frames[1].currentline)
         kumo.on('bad_pool', function() kumo.spawn_thread_pool { name = 'x', threads = 4 } end)
         kumo.on('bad_memory', function() kumo.set_memory_soft_limit(-1) end)
         kumo.on('bad_sleep', function() kumo.sleep(-1) end)
         kumo.on('sleep', function() kumo.sleep(0.01) return 'slept' end)",
    )
    .version("1.2.3")
    .build()
    .await
    .unwrap();
    assert_eq!(text(&engine, "sleep", vec![]).await, "slept");
    assert!(complaint(&engine, "bad_pool").await.starts_with("deserialize error: unknown field `threads`"));
    let refused = complaint(&engine, "bad_memory").await;
    assert!(refused.starts_with("kumo.set_memory_soft_limit: expected a number of bytes above zero"), "{refused}");
    assert!(complaint(&engine, "bad_sleep").await.starts_with("kumo.sleep: expected a number of seconds"));
}

#[tokio::test]
async fn the_pace_of_http_is_what_policy_set_last_and_what_makes_no_sense_is_named() {
    let engine = engine(
        "kumo.on('slow', function() kumo.set_httpinject_recipient_rate_limit '1/h' return 'x' end)
         kumo.on('off', function() kumo.set_httpinject_recipient_rate_limit(nil) return 'x' end)
         kumo.on('bad', function() kumo.set_httpinject_recipient_rate_limit 'often' end)",
    )
    .await;
    let pace = engine.injection_pace();
    let passed = || (0..3).filter(|_| pace.check(Timestamp::EPOCH).is_ok()).count();
    assert_eq!(passed(), 3);
    text(&engine, "slow", vec![]).await;
    assert_eq!(passed(), 1);
    text(&engine, "off", vec![]).await;
    assert_eq!(passed(), 3);
    let refused = complaint(&engine, "bad").await;
    let words = "kumo.set_httpinject_recipient_rate_limit('often'): expected 'limit/period', got";
    assert!(refused.contains(words), "{refused}");
}

#[tokio::test]
async fn the_top_level_may_wait() {
    let engine = engine("kumo.sleep(0.001) kumo.on('ev', function() return 'x' end)").await;
    assert_eq!(text(&engine, "ev", vec![]).await, "x");
}

#[tokio::test]
async fn tasks_run_on_their_own_with_one_table_of_arguments() {
    let engine = engine(
        "kumo.on('start', function() kumo.spawn_task { event_name = 'job', args = { n = 20 } } end)
         kumo.on('job', function(args) kumo.mpsc.define('done', 1):send(args.n + 1) end)
         kumo.on('ask', function() return tostring(kumo.mpsc.define('done', 1):recv()) end)",
    )
    .await;
    engine.call("start", vec![]).await.unwrap();
    assert_eq!(text(&engine, "ask", vec![]).await, "21");
}

#[tokio::test]
async fn memoized_results_are_shared_by_all_states() {
    let engine = engine(
        "local calls = 0
         local slow = kumo.memoize(function(a, b)
           calls = calls + 1
           kumo.pause(0.02)
           return { calls = calls, a = a, b = b }, 'second', nil
         end, { name = 'slow', ttl = '1 hour', capacity = 2 })
         kumo.on('get', function(a, b)
           local t, second = slow(a, b)
           t.calls = t.calls + 100 -- a copy: nobody else sees this
           return string.format('%d %s %s %s', t.calls, t.a, t.b, second)
         end)
         local config = kumo.memoize(function() return kumo.make_queue_config { max_age = '1h' } end,
           { name = 'config', ttl = 60, capacity = 1, invalidate_with_epoch = true, populate_timeout = '5s',
             allow_stale_reads = true, retry_on_populate_timeout = true })
         kumo.on('config', function() assert(config().max_age == '1h') return config().reap_interval end)
         local never = kumo.memoize(function() return print end, { name = 'never', ttl = 1, capacity = 1 })
         kumo.on('never', function() return never() end)
         kumo.on('bad', function() kumo.memoize(print, { name = 'x', ttl = 1, capacity = 1, size = 1 }) end)",
    )
    .await;
    let get = |a: &str| text(&engine, "get", vec![a.into()]);
    let (one, two) = tokio::join!(get("x"), get("x"));
    assert_eq!((one.as_str(), two.as_str()), ("101 x nil second", "101 x nil second"), "computed once");
    assert_eq!(get("x").await, "101 x nil second");
    get("y").await;
    get("z").await;
    assert_eq!(engine.call("config", vec![]).await.unwrap().text().unwrap(), "10m");
    assert_eq!(engine.call("config", vec![]).await.unwrap().text().unwrap(), "10m");
    assert_eq!(complaint(&engine, "never").await, "a value of type 'function' cannot be memoized");
    assert!(complaint(&engine, "bad").await.starts_with("deserialize error: unknown field `size`"));
}

#[tokio::test]
async fn memoized_results_end_with_their_time_and_their_epoch() {
    let code = |n: u32| {
        format!(
            "local f = kumo.memoize(function() return {n} end, {{ name = 'f', ttl = '1h', capacity = 1, invalidate_with_epoch = true }})
             local g = kumo.memoize(function() return {n} end, {{ name = 'g', ttl = 0.02, capacity = 1 }})
             kumo.on('ev', function() return f() .. ' ' .. g() end)"
        )
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("init.lua");
    std::fs::write(&path, code(1)).unwrap();
    let engine = waybill_lua::Engine::builder(&path).monitor_globs(&[]).build().await.unwrap();
    assert_eq!(text(&engine, "ev", vec![]).await, "1 1");
    std::fs::write(&path, code(2)).unwrap();
    assert!(engine.check_for_changes().await);
    assert!(text(&engine, "ev", vec![]).await.starts_with("2 "));
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(text(&engine, "ev", vec![]).await, "2 2");
}

#[tokio::test]
async fn get_queue_config_can_be_asked_by_policy() {
    let engine = engine(
        "kumo.on('get_queue_config', function(domain, tenant, campaign, routing)
           if domain == 'none.example' then return nil end
           return kumo.make_queue_config { egress_pool = table.concat({ domain, tenant, campaign, routing }, ',') }
         end)
         kumo.on('ask', function(queue) local c = kumo.invoke_get_queue_config(queue) return c.egress_pool or c.max_age end)",
    )
    .await;
    assert_eq!(text(&engine, "ask", vec!["c:t@d.example!r.example".into()]).await, "d.example,t,c,r.example");
    assert_eq!(text(&engine, "ask", vec!["none.example".into()]).await, "7days");
    let _ = Value::Nil;
}

#[tokio::test]
async fn paths_pools_and_sources_can_be_asked_for_as_well() {
    let engine = engine(
        "kumo.on('get_egress_path_config', function(domain, source, site)
           if domain == 'none' then return nil end
           return kumo.make_egress_path { provider_name = table.concat({ domain, source, site }, ',') }
         end)
         kumo.on('get_egress_pool', function(name)
           return kumo.make_egress_pool { name = name, entries = { { name = 'a', weight = 2 } } }
         end)
         kumo.on('get_egress_source', function(name) kumo.reject(500, 'no ' .. name) end)
         kumo.on('path', function(domain)
           local path = kumo.invoke_get_egress_path_config(domain, 's', 'site')
           return tostring(path.provider_name) .. path.connection_limit.limit
         end)
         kumo.on('pool', function(name)
           local pool = kumo.invoke_get_egress_pool(name)
           return pool.name .. pool.entries[1].name .. pool.entries[1].weight
         end)
         kumo.on('source', function(name) return kumo.invoke_get_egress_source(name).name end)",
    )
    .await;
    for (event, name, expected) in [
        ("path", "d", "d,s,site32"),
        ("path", "none", "nil32"),
        ("pool", "p", "pa2"),
        ("pool", "unspecified", "unspecifiedunspecified1"),
        ("source", "unspecified", "unspecified"),
    ] {
        assert_eq!(text(&engine, event, vec![name.into()]).await, expected, "{event} {name}");
    }
    let error = engine.call("source", vec!["s".into()]).await.unwrap_err();
    assert_eq!(error.rejected().unwrap().text, "no s");
}
