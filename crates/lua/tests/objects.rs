//! Objects that constructors return.

mod support;

use std::time::Duration;

use futures::FutureExt;
use support::{engine, mail, policy};
use waybill_lua::Limits;
use waybill_policy::{PolicyError, PolicyHost, PolicyObject, Value};

const CONNECTION: &str = "
    kumo.on('make.x', function(domain)
      local connection = { domain = domain, sent = 0 }
      function connection:send(message)
        self.sent = self.sent + 1
        if message == 'fail' then error 'boom' end
        if message == 'no' then kumo.reject(429, 'slow down', { retry_after = 5 }) end
        if message == 'wait' then kumo.pause(0.2) end
        if message == 'nil' then return nil end
        return self.domain .. ' ' .. self.sent
      end
      function connection:close() kumo.log_info('closed', self.domain) end
      return connection
    end)
    kumo.on('make.nothing', function() end)
    kumo.on('make.text', function() return 'x' end)
    kumo.on('make.refused', function() kumo.reject(550, 'no') end)
    kumo.on('make.class', function()
      local class = {}
      class.__index = class
      function class:send() return 'from a class' end
      function class:close() error 'cannot close' end
      return setmetatable({}, class)
    end)";

async fn send(object: &mut Box<dyn PolicyObject>, what: &str) -> Result<String, PolicyError> {
    object.invoke("send", vec![what.into()]).await.and_then(|returned| returned.text())
}

#[tokio::test]
async fn an_object_keeps_its_state_between_calls() {
    let engine = engine(CONNECTION).await;
    let mut object = engine.construct("make.x", vec!["d".into()]).await.unwrap();
    assert!(object.has("send") && object.has("close") && !object.has("send_batch"));
    assert_eq!(send(&mut object, "a").await.unwrap(), "d 1");
    let error = send(&mut object, "no").await.unwrap_err();
    assert_eq!(error.rejected().unwrap().retry_after, Some(Duration::from_secs(5)));
    assert_eq!(send(&mut object, "b").await.unwrap(), "d 3");
    object.close().await.unwrap();
    assert_eq!(engine.state_counts(), (1, 1), "its state serves other calls now");
}

#[tokio::test]
async fn a_method_that_failed_leaves_the_object_for_close_and_no_state_behind() {
    let engine = engine(CONNECTION).await;
    let mut object = engine.construct("make.x", vec!["d".into()]).await.unwrap();
    let error = send(&mut object, "fail").await.unwrap_err();
    assert!(matches!(&error, PolicyError::Failed(text) if text.contains("init.lua:6: boom")), "{error}");
    object.close().await.unwrap();
    assert_eq!(engine.state_counts(), (0, 0));
}

#[tokio::test]
async fn results_that_are_no_text_and_methods_that_are_none_read_as_scripts_expect() {
    let engine = engine(CONNECTION).await;
    let mut object = engine.construct("make.x", vec!["d".into()]).await.unwrap();
    assert!(send(&mut object, "nil").await.unwrap_err().to_string().contains("converting Lua nil to String"));
    let error = object.invoke("send_batch", vec![]).await.unwrap_err();
    assert_eq!(error.to_string(), "sender:send_batch method not found");
}

#[tokio::test]
async fn a_constructor_that_returns_no_table_is_found_out_at_send() {
    let engine = engine(CONNECTION).await;
    for event in ["make.nothing", "make.text"] {
        let mut object = engine.construct(event, vec![]).await.unwrap();
        assert_eq!(send(&mut object, "x").await.unwrap_err().to_string(), "invalid connection object");
        object.close().await.unwrap();
    }
    let error = engine.construct("make.refused", vec![]).await.err().unwrap();
    assert_eq!(error.rejected().unwrap().code, 550);
}

#[tokio::test]
async fn classes_work_and_close_errors_are_returned() {
    let engine = engine(CONNECTION).await;
    let mut object = engine.construct("make.class", vec![]).await.unwrap();
    assert!(object.has("send"));
    assert_eq!(send(&mut object, "x").await.unwrap(), "from a class");
    assert!(object.close().await.unwrap_err().to_string().contains("cannot close"));
}

#[tokio::test]
async fn sessions_run_side_by_side() {
    let code = "kumo.on('make.x', function() return { send = function() kumo.meet() return 'met' end } end)";
    let engine = policy(code).module(support::meeting(8)).build().await.unwrap();
    let mut objects = Vec::new();
    for _ in 0..8 {
        objects.push(engine.construct("make.x", vec![]).await.unwrap());
    }
    // One after the other, the first would wait for ever.
    let sends = objects.iter_mut().map(|object| send(object, "x"));
    assert_eq!(support::within(futures::future::try_join_all(sends)).await.unwrap(), ["met"; 8]);
}

#[tokio::test]
async fn beyond_the_limit_objects_share_states_and_wait_for_each_other() {
    let limits = Limits { object_states: 2, ..Limits::default() };
    let engine = policy(CONNECTION).limits(limits).build().await.unwrap();
    let mut objects = Vec::new();
    for n in 0..6 {
        objects.push(engine.construct("make.x", vec![format!("d{n}").as_str().into()]).await.unwrap());
    }
    assert_eq!(engine.state_counts(), (0, 2));
    let sends = objects.iter_mut().map(|object| send(object, "wait"));
    let mut results = futures::future::try_join_all(sends).await.unwrap();
    results.sort();
    assert_eq!(results, (0..6).map(|n| format!("d{n} 1")).collect::<Vec<_>>());
    for object in objects {
        object.close().await.unwrap();
    }
    assert_eq!(engine.state_counts(), (2, 2));
}

#[tokio::test]
async fn few_objects_share_a_state_however_many_are_busy() {
    let limits = Limits { object_states: 2, ..Limits::default() };
    let engine = policy(CONNECTION).limits(limits).build().await.unwrap();
    let make = || engine.construct("make.x", vec!["d".into()]);
    let (mut busy, idle) = (make().await.unwrap(), make().await.unwrap());
    let mut waits = Box::pin(send(&mut busy, "wait"));
    assert!(futures::poll!(&mut waits).is_pending());
    let mut more = vec![idle];
    for _ in 0..4 {
        more.push(make().await.unwrap());
    }
    assert_eq!(engine.state_counts(), (0, 3), "four with the one that is idle, and the fifth by itself");
    assert_eq!(waits.await.unwrap(), "d 1");
}

#[tokio::test]
async fn a_send_that_is_cut_off_ends_the_state_but_not_its_other_objects() {
    let limits = Limits { object_states: 1, ..Limits::default() };
    let engine = policy(CONNECTION).limits(limits).build().await.unwrap();
    let mut one = engine.construct("make.x", vec!["one".into()]).await.unwrap();
    let mut two = engine.construct("make.x", vec!["two".into()]).await.unwrap();
    assert_eq!(engine.state_counts(), (0, 1));
    assert!(one.invoke("send", vec!["wait".into()]).now_or_never().is_none());
    assert_eq!(send(&mut two, "x").await.unwrap(), "two 1");
    let three = engine.construct("make.x", vec!["three".into()]).await.unwrap();
    assert_eq!(engine.state_counts(), (0, 2), "a new object gets a clean state");
    drop((one, two, three));
    assert_eq!(engine.state_counts(), (1, 1));
}

#[tokio::test]
async fn an_endless_send_is_stopped_and_close_still_works() {
    // Far longer than `close` takes, whatever else this machine does.
    let limits = Limits { slice: Duration::from_secs(2), ..Limits::default() };
    let code = "kumo.on('make.x', function()
        return { send = function() while true do pcall(function() while true do end end) end end,
                 close = function() for i = 1, 100000 do end end }
      end)";
    let engine = policy(code).limits(limits).build().await.unwrap();
    let mut object = engine.construct("make.x", vec![]).await.unwrap();
    assert!(matches!(send(&mut object, "x").await, Err(PolicyError::TimedOut(_))));
    object.close().await.unwrap();
}

#[tokio::test]
async fn batches_arrive_as_lists_of_messages() {
    let code = "kumo.on('make.x', function()
        return { send_batch = function(self, messages)
          local ids = {} for i, m in ipairs(messages) do ids[i] = m:get_data() end
          return table.concat(ids, ',')
        end }
      end)";
    let engine = engine(code).await;
    let mut object = engine.construct("make.x", vec![]).await.unwrap();
    let messages = Value::Messages(vec![mail("a"), mail("b")]);
    assert_eq!(object.invoke("send_batch", vec![messages]).await.unwrap().text().unwrap(), "a,b");
}
