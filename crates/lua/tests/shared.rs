//! What all states of an engine share: rates and queues.

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::{complaint, engine, mail, policy, text};
use waybill_policy::{PolicyHost, Value};
use waybill_runtime::ManualClock;
use waybill_types::Timestamp;

const NOON: &str = "2026-03-02T12:00:00Z";

fn noon() -> ManualClock {
    ManualClock::at(Timestamp::parse_rfc3339(NOON).unwrap())
}

#[tokio::test]
async fn a_rate_is_shared_by_name_and_says_when_to_come_back() {
    let clock = noon();
    let engine = policy(
        "kumo.on('ask', function(name)
           local r = kumo.make_throttle(name, '2/m'):throttle()
           return string.format('%s %d %s %s', r.throttled, r.remaining, r.limit, r.retry_after)
         end)
         kumo.on('explain', function(name)
           local r = kumo.make_throttle(name, '2/m'):explain()
           return string.format('%s %s %d %s', r.name, r.spec, r.remaining, r.retry_after)
         end)",
    )
    .clock(Arc::new(clock.clone()))
    .build()
    .await
    .unwrap();
    let ask = async |event, name: &str| text(&engine, event, vec![name.into()]).await;
    assert_eq!(ask("explain", "a").await, "a 2/m 2 nil");
    assert_eq!(ask("ask", "a").await, "false 1 2 nil");
    assert_eq!(ask("ask", "a").await, "false 0 2 nil");
    assert_eq!(ask("ask", "a").await, "true 0 2 30.0");
    assert_eq!(ask("explain", "a").await, "a 2/m 0 30.0", "asking how it stands takes nothing");
    assert_eq!(ask("ask", "b").await, "false 1 2 nil");
    clock.advance(Duration::from_secs(30));
    assert_eq!(ask("ask", "a").await, "false 0 2 nil");
}

#[tokio::test]
async fn a_throttled_message_gets_a_due_time_within_its_schedule() {
    let engine = policy(
        "kumo.on('ask', function(m)
           return tostring(kumo.make_throttle('t', '1/h'):delay_message_if_throttled(m))
         end)
         kumo.on('schedule', function(m) m:set_scheduling { first_attempt = '2026-03-03T00:00:00Z' } end)",
    )
    .clock(Arc::new(noon()))
    .build()
    .await
    .unwrap();
    let (first, second, third) = (mail("x"), mail("x"), mail("x"));
    assert_eq!(text(&engine, "ask", vec![first.clone().into()]).await, "false");
    assert_eq!(first.due(), None);
    assert_eq!(text(&engine, "ask", vec![second.clone().into()]).await, "true");
    assert_eq!(second.due().unwrap().to_rfc3339(), "2026-03-02T13:00:00Z");
    engine.call("schedule", vec![third.clone().into()]).await.unwrap();
    assert_eq!(text(&engine, "ask", vec![third.clone().into()]).await, "true");
    assert_eq!(third.due().unwrap().to_rfc3339(), "2026-03-03T00:00:00Z");
}

#[tokio::test]
async fn sleeping_until_a_rate_allows_it_takes_as_long_as_it_must() {
    let clock = noon();
    let engine = policy(
        "kumo.on('ask', function() return tostring(kumo.make_throttle('t', '20/s,max_burst=1'):sleep_if_throttled()) end)",
    )
    .clock(Arc::new(clock.clone()))
    .build()
    .await
    .unwrap();
    assert_eq!(text(&engine, "ask", vec![]).await, "false");
    assert_eq!(text(&engine, "ask", vec![]).await, "false", "a burst of one, and one");
    let waiting = text(&engine, "ask", vec![]);
    let moving = async {
        tokio::task::yield_now().await;
        clock.advance(Duration::from_millis(50));
    };
    assert_eq!(futures::join!(waiting, moving).0, "true");
}

#[tokio::test]
async fn a_rate_that_makes_no_sense_is_refused_with_its_place() {
    let engine = engine("kumo.on('ask', function()\n kumo.make_throttle('t', 'lots') end)").await;
    let expected = "init.lua:2: kumo.make_throttle('t', ..): expected 'limit/period', got lots";
    assert_eq!(complaint(&engine, "ask").await, expected);
}

#[tokio::test]
async fn values_go_from_one_state_to_another_in_order() {
    let engine = engine(
        "kumo.on('put', function()
           local q = kumo.mpsc.define('q', 3)
           q:send 'text' q:send { a = 1 }
           return string.format('%s %s %s', q:try_send(5), q:try_send(6), q:len())
         end)
         kumo.on('get', function(m)
           local q = kumo.mpsc.define 'q'
           local text, rest = q:recv(), q:recv_many(10)
           return string.format('%s %s %s %s %s', text, rest[1].a, rest[2], q:try_recv(), q:is_empty())
         end)
         kumo.on('wait', function() return tostring(kumo.mpsc.define('q'):recv()) end)
         kumo.on('later', function() kumo.pause(0.01) kumo.mpsc.define('q'):send('late') end)
         kumo.on('close', function() kumo.mpsc.define('q'):close() return tostring(kumo.mpsc.define('q'):is_closed()) end)
         kumo.on('refuse', function() kumo.mpsc.define('q'):send(1) end)
         kumo.on('message', function(m)
           local q = kumo.mpsc.define 'm'
           q:send(m)
           return q:recv():id()
         end)",
    )
    .await;
    let ask = async |event: &str| text(&engine, event, vec![]).await;
    assert_eq!(ask("put").await, "true false 3");
    assert_eq!(ask("get").await, "text 1 5 nil true");
    let (got, _) = futures::join!(ask("wait"), engine.call("later", vec![]));
    assert_eq!(got, "late");
    let (got, closed) = futures::join!(ask("wait"), ask("close"));
    assert_eq!((got.as_str(), closed.as_str()), ("nil", "true"), "closing wakes who waits");
    assert_eq!(complaint(&engine, "refuse").await, "the queue is closed");
    let message = mail("x");
    assert_eq!(text(&engine, "message", vec![Value::from(message.clone())]).await, message.id().to_string());
}

#[tokio::test]
async fn a_full_queue_makes_the_sender_wait_as_long_as_it_says() {
    let engine = engine(
        "kumo.on('fill', function()
           local q = kumo.mpsc.define('q', 1)
           return string.format('%s %s', q:send_timeout(1, '10s'), q:send_timeout(2, 0.01))
         end)
         kumo.on('more', function() kumo.mpsc.define('q'):send(3) return 'sent' end)
         kumo.on('take', function() kumo.pause(0.01) return tostring(kumo.mpsc.define('q'):recv()) end)",
    )
    .await;
    assert_eq!(text(&engine, "fill", vec![]).await, "true false");
    let (sent, taken) = futures::join!(text(&engine, "more", vec![]), text(&engine, "take", vec![]));
    assert_eq!((sent.as_str(), taken.as_str()), ("sent", "1"));
}

#[tokio::test]
async fn counts_of_the_last_minutes_are_shared_by_name_and_age_out() {
    let clock = noon();
    let engine = policy(
        "local function series(size, first)
           return kumo.counter_series.define { name = 'ok', num_buckets = 5, bucket_size = size, initial_value = first }
         end
         kumo.on('add', function(n) series('1m', 7):increment(tonumber(n)) end)
         kumo.on('delta', function(n) series(60):delta(tonumber(n)) end)
         kumo.on('observe', function(n) series('1m'):observe(tonumber(n)) end)
         kumo.on('sums', function() local s = series('1m') return s:sum() .. ' ' .. s:sum_over(1) .. ' ' .. s:sum_over '90s' end)
         kumo.on('reshape', function() return tostring(series('500ms', 3):sum()) end)
         kumo.on('none', function() kumo.counter_series.define { name = 'x', num_buckets = 0, bucket_size = 1 } end)
         kumo.on('odd', function() kumo.counter_series.define { name = 'x', buckets = 1 } end)",
    )
    .clock(Arc::new(clock.clone()))
    .build()
    .await
    .unwrap();
    let ask = async |event| text(&engine, event, vec![]).await;
    let tell = async |event, n: &str| drop(engine.call(event, vec![n.into()]).await.unwrap());
    tell("add", "3").await;
    assert_eq!(ask("sums").await, "10 10 10", "the first value counts once");
    clock.advance(Duration::from_secs(60));
    tell("add", "5").await;
    tell("delta", "-9").await;
    tell("delta", "2").await;
    assert_eq!(ask("sums").await, "12 2 12", "no bucket is less than nothing");
    clock.advance(Duration::from_secs(60));
    tell("observe", "4").await;
    tell("observe", "6").await;
    assert_eq!(ask("sums").await, "18 6 8");
    clock.advance(Duration::from_secs(180));
    assert_eq!(ask("sums").await, "8 0 0");
    assert_eq!(ask("reshape").await, "3", "another shape begins anew");
    assert!(
        engine
            .call("add", vec!["-1".into()])
            .await
            .unwrap_err()
            .to_string()
            .contains("series:increment: expected a number from 0 on, got -1")
    );
    assert!(
        complaint(&engine, "none")
            .await
            .ends_with("kumo.counter_series.define('x'): num_buckets: expected 1 to 86400, got 0")
    );
    assert!(complaint(&engine, "odd").await.contains("kumo.counter_series.define: unknown field `buckets`"));
}
