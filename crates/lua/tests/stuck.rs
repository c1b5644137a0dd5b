//! Calls that nothing can stop, alone in their process: their threads burn until it ends.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use support::{policy, text};
use tokio::sync::oneshot;
use waybill_lua::{Limits, module};
use waybill_policy::PolicyHost;
use waybill_runtime::Supervisor;

const WORKERS: usize = 2;
/// More than there are workers, and more than there are places for calls.
const STUCK: usize = 6;

#[test]
fn as_many_stuck_calls_as_there_are_workers_stop_neither_other_tasks_nor_other_calls() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build().unwrap();
    let entered = Arc::new(AtomicUsize::new(0));
    let count = entered.clone();
    let enter = module("enter", move |lua, kumo| {
        let count = count.clone();
        let enter = move |_: &mlua::Lua, ()| {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        kumo.set("enter", lua.create_function(enter)?)
    });
    runtime.block_on(async {
        let limits = Limits { slice: Duration::from_millis(50), ..Limits::default() };
        let engine = policy(
            "local find = string.find
             local ways = {
               function() find(string.rep('a', 200000), '.-.-.-.-b') end,
               function() for _ in ('a'):rep(200000):gmatch '.-.-.-.-b' do end end,
               function() string.rep('', 1e18) end,
               function() table.move({}, 1, 1e15, 2) end,
               function() string.gsub(string.rep('a', 200000), '.-.-.-.-b', '') end,
               function() io.popen('exec sleep 300'):read 'a' end,
             }
             kumo.on('endless', function(number) kumo.enter() ways[number]() end)
             kumo.on('fine', function() return 'fine' end)",
        )
        .module(enter)
        .limits(limits)
        .build()
        .await
        .unwrap();
        let supervisor = Supervisor::current();
        let mut woken = Vec::new();
        for number in 0..STUCK {
            let (waker, waiter) = oneshot::channel();
            let (told, tell) = oneshot::channel();
            supervisor.spawn(format!("woken {number}"), async move {
                let _ = told.send(waiter.await);
            });
            woken.push(tell);
            let engine = engine.clone();
            supervisor.spawn(format!("stuck {number}"), async move {
                // Whoever is woken right before stands first in line on this very thread.
                let _ = waker.send(());
                let _ =
                    engine.call("endless", vec![waybill_policy::Value::Int(i64::try_from(number + 1).unwrap())]).await;
            });
        }
        for tell in woken {
            tell.await.unwrap().unwrap();
        }
        while entered.load(Ordering::SeqCst) < STUCK {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Both on the runtime's own workers, not in this thread.
        let (told, tell) = oneshot::channel();
        let calls = engine.clone();
        supervisor.spawn("another", async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let _ = told.send(text(&calls, "fine", vec![]).await);
        });
        assert_eq!(tell.await.unwrap(), "fine");
        while engine.stuck().len() < STUCK {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(engine.stuck().iter().all(|stuck| &*stuck.event == "endless"));
    });
    runtime.shutdown_background();
}

#[test]
fn calls_that_run_for_long_give_their_workers_away() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build().unwrap();
    let (entered, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (count, ends) = (entered.clone(), done.clone());
    let flags = module("flags", move |lua, kumo| {
        let (count, ends) = (count.clone(), ends.clone());
        let enter = move |_: &mlua::Lua, ()| {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        kumo.set("enter", lua.create_function(enter)?)?;
        kumo.set("done", lua.create_function(move |_, ()| Ok(ends.load(Ordering::SeqCst)))?)
    });
    runtime.block_on(async {
        let limits = Limits { slice: Duration::from_secs(600), ..Limits::default() };
        let engine = policy("kumo.on('long', function() kumo.enter() while not kumo.done() do end return 'done' end)")
            .module(flags)
            .limits(limits)
            .build()
            .await
            .unwrap();
        let supervisor = Supervisor::current();
        let mut calls = Vec::new();
        for number in 0..WORKERS {
            let (told, tell) = oneshot::channel();
            let engine = engine.clone();
            supervisor.spawn(format!("long {number}"), async move {
                let _ = told.send(text(&engine, "long", vec![]).await);
            });
            calls.push(tell);
        }
        while entered.load(Ordering::SeqCst) < WORKERS {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Every worker is in a loop that ends only when a task on a worker says so.
        supervisor.spawn("the end", async move { done.store(true, Ordering::SeqCst) });
        for tell in calls {
            assert_eq!(tell.await.unwrap(), "done");
        }
    });
}
