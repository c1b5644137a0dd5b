//! Calling events: results, errors, and that calls do not meet.

mod support;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use serde_json::json;
use support::{complaint, engine, mail, policy, text, within};
use tokio::task::JoinSet;
use waybill_lua::Limits;
use waybill_policy::{ConnMeta, Ending, PolicyError, PolicyHost, Rejected, Value};

#[tokio::test]
async fn values_go_in_and_come_out() {
    let engine = engine(
        "kumo.on('echo', function(...) return ... end)
         kumo.on('kinds', function(msg, meta, address, list)
           meta:set_meta('seen', { 1, 2 })
           return msg:id(), meta:get_meta('in'), address.domain, #list, meta:get_meta('none')
         end)",
    )
    .await;
    let args = vec![Value::Int(1), Value::Number(1.5), Value::Bool(true), Value::Nil, "x".into()];
    let echo = engine.call("echo", args).await.unwrap().0;
    assert!(matches!(
        echo.as_slice(),
        [Value::Int(1), Value::Number(_), Value::Bool(true), Value::Nil, Value::Bytes(_)]
    ));
    let (message, meta) = (mail(""), ConnMeta::default());
    meta.set("in", json!("there"));
    let list = Value::List(vec!["a".into(), "b".into()]);
    let address = Value::Address("a@b.example".parse().unwrap());
    let args = vec![message.clone().into(), Value::Connection(meta.clone()), address, list];
    let kinds = engine.call("kinds", args).await.unwrap().0;
    let shown = |value: &Value| match value {
        Value::Bytes(bytes) => String::from_utf8(bytes.clone()).unwrap(),
        other => format!("{other:?}"),
    };
    let kinds: Vec<_> = kinds.iter().map(shown).collect();
    assert_eq!(kinds, [message.id().to_string().as_str(), "there", "b.example", "Int(2)", "Nil"]);
    assert_eq!(meta.get("seen"), Some(json!([1, 2])));
}

#[tokio::test]
async fn messages_are_shared_with_policy() {
    let engine =
        engine("kumo.on('touch', function(msgs) for i, m in ipairs(msgs) do m:set_meta('n', i) end return msgs end)")
            .await;
    let messages = vec![mail("a"), mail("b")];
    let result = engine.call("touch", vec![Value::Messages(messages.clone())]).await.unwrap();
    assert!(matches!(result.first(), Value::Messages(same) if same.len() == 2));
    assert_eq!(messages[1].all_meta()["n"], json!(2));
}

#[tokio::test]
async fn an_event_without_handler_returns_nothing_or_is_missing() {
    let engine = engine("kumo.on('there', function() end)").await;
    assert!(engine.handles("there") && !engine.handles("nowhere"));
    assert!(engine.call("nowhere", vec![]).await.unwrap().0.is_empty());
    for event in ["get_egress_pool", "get_egress_source", "rebind_message"] {
        let error = engine.call(event, vec![]).await.unwrap_err();
        assert!(matches!(&error, PolicyError::Missing(_)));
        assert_eq!(error.to_string(), format!("Event {event} has not been registered"));
    }
    let error = engine.construct("make.x", vec![]).await.err().unwrap();
    assert_eq!(error.to_string(), "Event make.x has not been registered");
}

#[tokio::test]
async fn errors_tell_file_and_line_and_stack() {
    let engine = engine("\nkumo.on('bad', function()\n  local x = nil\n  return x.y\nend)").await;
    let error = engine.call("bad", vec![]).await.unwrap_err();
    let PolicyError::Failed(text) = &error else { panic!("{error:?}") };
    assert!(text.starts_with("runtime error: init.lua:4: attempt to index a nil value (local 'x')"), "{text}");
    assert!(text.contains("stack traceback:\n") && text.contains("init.lua:4: in function <init.lua:2>"), "{text}");
}

#[tokio::test]
async fn a_policy_that_does_not_compile_or_run_is_an_error_with_its_place() {
    let error = policy("kumo.on('x', function()\nreturn 1 +\nend)").build().await.err().unwrap();
    assert!(support::first_line(&error).contains("init.lua:3: unexpected symbol near 'end'"), "{error}");
    let error = policy("local a = 1\nerror 'no good'").build().await.err().unwrap();
    assert!(support::first_line(&error).contains("init.lua:2: no good"), "{error}");
    let error = waybill_lua::Engine::builder("/no/such/init.lua").build().await.err().unwrap();
    assert!(error.to_string().contains("/no/such/init.lua"));
}

#[tokio::test]
async fn a_rejection_survives_nesting_callbacks_and_being_raised_again() {
    let engine = engine(
        "local function deep() kumo.reject(451, 'later', { retry_after = 2.5 }) end
         kumo.on('plain', deep)
         kumo.on('nested', function() table.sort({ 1, 2 }, function() deep() end) end)
         kumo.on('wrapped', function() coroutine.wrap(deep)() end)
         kumo.on('again', function() local ok, e = pcall(deep) error(e) end)
         kumo.on('as_text', function() local ok, e = pcall(deep) error(tostring(e)) end)
         kumo.on('caught', function() local ok, e = pcall(deep) return tostring(e) end)
         kumo.on('bye', function() kumo.disconnect(421, 'bye') end)
         kumo.on('other', function() kumo.reject(550, 'no', { retry = 1 }) end)",
    )
    .await;
    for event in ["plain", "nested", "wrapped", "again"] {
        let error = engine.call(event, vec![]).await.unwrap_err();
        let rejected = error.rejected().unwrap_or_else(|| panic!("{event}: {error:?}"));
        assert_eq!((rejected.code, rejected.text.as_str()), (451, "later"));
        assert_eq!(rejected.retry_after, Some(Duration::from_millis(2500)));
        assert_eq!(error.to_string(), "451 later");
    }
    assert!(matches!(engine.call("as_text", vec![]).await, Err(PolicyError::Failed(_))));
    assert!(text(&engine, "caught", vec![]).await.starts_with("451 later\n"));
    assert_eq!(engine.call("bye", vec![]).await.unwrap_err().rejected().unwrap().code, 421);
    assert_eq!(complaint(&engine, "other").await, "kumo.reject: unknown option 'retry', expected 'retry_after'");
}

#[tokio::test]
async fn a_disconnect_is_a_rejection_that_says_how_the_session_ends() {
    let engine = engine(
        "kumo.on('default', function() kumo.disconnect(550, 'no') end)
         kumo.on('follow', function() kumo.disconnect(550, 'no', 'FollowWith421') end)
         kumo.on('force', function() kumo.disconnect(550, 'no', 'ForceDisconnect') end)
         kumo.on('if421', function() kumo.disconnect(550, 'no', 'If421') end)
         kumo.on('reject', function() kumo.reject(550, 'no') end)
         kumo.on('wrong', function() kumo.disconnect(550, 'no', 'Sometimes') end)",
    )
    .await;
    for (event, ending) in [
        ("default", Ending::FollowWith421),
        ("follow", Ending::FollowWith421),
        ("force", Ending::Force),
        ("if421", Ending::If421),
        ("reject", Ending::If421),
    ] {
        let error = engine.call(event, vec![]).await.unwrap_err();
        assert_eq!(error.rejected(), Some(&Rejected { ending, ..Rejected::new(550, "no") }), "{event}");
    }
    assert!(complaint(&engine, "wrong").await.starts_with("kumo.disconnect: unknown mode 'Sometimes'"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_that_run_at_the_same_time_do_not_share_globals() {
    let code = "kumo.on('leaky', function(n) value = n kumo.meet() kumo.meet() return tostring(value) end)";
    let engine = policy(code).module(support::meeting(32)).build().await.unwrap();
    let mut calls = JoinSet::new();
    for n in 0..32 {
        let engine = engine.clone();
        calls.spawn(async move { (n, text(&engine, "leaky", vec![Value::Int(n)]).await) });
    }
    for (n, result) in support::within(calls.join_all()).await {
        assert_eq!(result, n.to_string());
    }
    let (idle, all) = engine.state_counts();
    assert_eq!((idle, all), (32, 32), "all states wait for the next calls");
}

#[tokio::test]
async fn calls_one_after_another_share_a_state_and_failures_end_it() {
    let engine = engine(
        "n = 0
         kumo.on('count', function() n = n + 1 return n end)
         kumo.on('fail', function() error 'x' end)
         kumo.on('no', function() kumo.reject(550, 'no') end)",
    )
    .await;
    let count = || async { text(&engine, "count", vec![]).await };
    assert_eq!((count().await, count().await), ("1".into(), "2".into()));
    engine.call("no", vec![]).await.unwrap_err();
    assert_eq!(count().await, "3", "a rejection is an ordinary result");
    engine.call("fail", vec![]).await.unwrap_err();
    assert_eq!(engine.state_counts(), (0, 0));
    assert_eq!(count().await, "1");
}

#[tokio::test]
async fn a_dropped_call_throws_its_state_away() {
    let engine = engine(
        "kumo.on('slow', function()
           local guard <close> = setmetatable({}, { __close = function() closed = true end })
           kumo.pause(60)
         end)",
    )
    .await;
    {
        let mut call = engine.call("slow", vec![]);
        assert!((&mut call).now_or_never().is_none());
        assert_eq!(engine.state_counts(), (0, 1));
    }
    assert_eq!(engine.state_counts(), (0, 0));
}

#[tokio::test]
async fn nested_calls_always_get_a_state_until_the_cap() {
    let limits = Limits { max_states: 4, ..Limits::default() };
    let engine = policy(
        "kumo.on('get_queue_config', function(domain)
           local depth = tonumber(domain)
           if depth > 0 then return kumo.invoke_get_queue_config(tostring(depth - 1)) end
           return kumo.make_queue_config { retry_interval = '5m' }
         end)",
    )
    .limits(limits)
    .build()
    .await
    .unwrap();
    let result = engine.call("get_queue_config", vec!["3".into()]).await.unwrap();
    assert!(matches!(result.first(), Value::Json(config) if *config == json!({"retry_interval": "5m"})));
    let error = engine.call("get_queue_config", vec!["4".into()]).await.unwrap_err();
    assert!(matches!(error, PolicyError::Unavailable(_)), "{error:?}");
    assert!(engine.state_counts().1 <= 4);
}

#[tokio::test]
async fn a_script_that_never_waits_is_stopped_whatever_it_catches() {
    let limits = Limits { slice: Duration::from_millis(100), ..Limits::default() };
    let engine = policy(
        "kumo.on('spin', function() while true do end end)
         kumo.on('stubborn', function() while true do pcall(function() while true do end end) end end)
         kumo.on('threads', function() while true do coroutine.wrap(function() while true do end end)() end end)
         kumo.on('denies', function() pcall(function() while true do end end) return 'fine' end)
         kumo.on('patient', function() for i = 1, 8 do kumo.pause(0.05) end return 'done' end)",
    )
    .limits(limits)
    .build()
    .await
    .unwrap();
    for event in ["spin", "stubborn", "threads", "denies"] {
        let error = engine.call(event, vec![]).await.unwrap_err();
        assert!(matches!(error, PolicyError::TimedOut(_)), "{event}: {error:?}");
    }
    assert_eq!(engine.state_counts(), (0, 0));
    assert_eq!(text(&engine, "patient", vec![]).await, "done", "waiting is not running");
    assert_eq!(engine.stuck(), []);
}

#[tokio::test]
async fn a_call_that_waits_too_long_is_dropped() {
    let limits = Limits { call_timeout: Duration::from_millis(50), ..Limits::default() };
    let engine = policy("kumo.on('slow', function() kumo.pause(60) end)").limits(limits).build().await.unwrap();
    let error = engine.call("slow", vec![]).await.unwrap_err();
    assert!(matches!(error, PolicyError::TimedOut(_)));
    assert_eq!(engine.state_counts(), (0, 0));
}

#[tokio::test]
async fn call_each_runs_in_one_state_and_an_error_ends_one_item() {
    let engine = engine(
        "n = 0
         kumo.on('each', function(what)
           n = n + 1
           if what == 'fail' then error 'x' elseif what == 'no' then kumo.reject(500, 'no') end
           return what .. n
         end)",
    )
    .await;
    let items = ["a", "b", "no", "c", "fail", "d"].map(|item| vec![item.into()]).to_vec();
    let results = engine.call_each("each", items).await;
    let shown: Vec<_> =
        results.iter().map(|r| r.as_ref().map(|r| r.text().unwrap()).map_err(support::first_line)).collect();
    let (ok, err) = (|text: &str| Ok(text.to_owned()), |text: &str| Err(text.to_owned()));
    let failed = err("runtime error: init.lua:4: x");
    assert_eq!(shown, [ok("a1"), ok("b2"), err("500 no"), ok("c4"), failed, ok("d1")]);
    assert_eq!(engine.state_counts(), (1, 1));
    assert_eq!(engine.call_each("nothing", vec![vec![], vec![]]).await.len(), 2);
}

#[tokio::test]
async fn a_state_that_is_thrown_away_is_freed() {
    let alive = Arc::new(());
    let inside = alive.clone();
    let sentinel = waybill_lua::module("sentinel", move |lua, _| {
        lua.set_app_data(inside.clone());
        Ok(())
    });
    let engine = policy(
        "kumo.on('slow', function() kumo.pause(60) end)
         kumo.on('sleep', function() kumo.sleep(60) end)
         kumo.on('nested', function() kumo.invoke_get_queue_config('x') end)
         kumo.on('get_queue_config', function() kumo.sleep(60) end)
         kumo.on('abandon', function()
           local co = coroutine.create(function() kumo.sleep(60) end)
           coroutine.resume(co)
           error 'x'
         end)
         kumo.on('fail', function() error 'x' end)",
    )
    .module(sentinel)
    .build()
    .await
    .unwrap();
    for event in ["slow", "sleep", "nested", "abandon", "fail"] {
        assert!(!matches!(engine.call(event, vec![]).now_or_never(), Some(Ok(_))), "{event}");
        assert_eq!(engine.state_counts(), (0, 0), "{event}");
        assert_eq!(Arc::strong_count(&alive), 2, "{event}: this test and the module have one each");
    }
}

#[tokio::test]
async fn a_handler_that_yields_goes_on_and_one_that_does_nothing_else_is_stopped() {
    let engine = engine(
        "kumo.on('some', function()
           for _ = 1, 2000 do coroutine.yield('to nobody') end
           return 'done'
         end)
         kumo.on('waits', function()
           -- Far more turns than a loop gets that waits for nothing.
           for _ = 1, 15 do
             for _ = 1, 900 do coroutine.yield() end
             kumo.pause(0.001)
           end
           return 'done'
         end)
         kumo.on('own', function()
           local count = 0
           for n in coroutine.wrap(function() for n = 1, 50000 do coroutine.yield(n) end end) do count = n end
           return tostring(count)
         end)
         kumo.on('for_ever', function() while true do pcall(coroutine.yield) end end)",
    )
    .await;
    assert_eq!(text(&engine, "some", vec![]).await, "done");
    assert_eq!(text(&engine, "waits", vec![]).await, "done");
    assert_eq!(text(&engine, "own", vec![]).await, "50000");
    let stopped = within(engine.call("for_ever", vec![])).await.unwrap_err();
    assert!(matches!(stopped, PolicyError::TimedOut(_)), "{stopped:?}");
    let why = "'for_ever' yields again and again and waits for nothing: coroutine.yield in a handler";
    assert!(stopped.to_string().contains(why), "{stopped}");
    assert_eq!(text(&engine, "some", vec![]).await, "done", "others go on");
}

#[tokio::test]
async fn a_policy_says_how_much_a_state_may_hold() {
    let holds = |bytes: &str| {
        format!(
            "kumo.set_max_lua_context_memory({bytes})
             kumo.on('hold', function(mib) return tostring(#string.rep('x', mib * 1024 * 1024)) end)"
        )
    };
    let hold = |mib: i64| vec![Value::Int(mib)];
    let small = engine(&holds("16 * 1024 * 1024")).await;
    assert_eq!(text(&small, "hold", hold(4)).await, "4194304");
    let refused = small.call("hold", hold(32)).await.unwrap_err();
    assert!(refused.to_string().contains("not enough memory"), "{refused}");
    // Twice as much as without a word of the policy.
    let large = engine(&holds("512 * 1024 * 1024")).await;
    assert_eq!(text(&large, "hold", hold(200)).await, "209715200");
    for nonsense in ["0", "-1", "1024", "0/0", "1/0", "1e18"] {
        let refused = policy(&holds(nonsense)).build().await.map(drop).unwrap_err().to_string();
        let why = "kumo.set_max_lua_context_memory: expected 8388608 (8 MiB) to 68719476736 (64 GiB) bytes, got ";
        assert!(refused.contains(why), "{nonsense}: {refused}");
    }
    let refused = policy(&holds("'much'")).build().await.map(drop).unwrap_err().to_string();
    assert!(refused.contains("number"), "{refused}");
}
