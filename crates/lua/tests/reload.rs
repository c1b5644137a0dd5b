//! Generations: noticing changes, serving what was read, surviving what does not load.

mod support;

use std::path::Path;
use std::sync::Arc;

use support::{policy, test_module, text};
use tempfile::TempDir;
use waybill_lua::Engine;
use waybill_policy::{Epoch, PolicyHost};

struct Disk(TempDir);

impl Disk {
    fn new(files: &[(&str, &str)]) -> Self {
        let disk = Disk(tempfile::tempdir().unwrap());
        for (name, text) in files {
            disk.write(name, text);
        }
        disk
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    async fn engine(&self) -> Engine {
        let template = format!("{}/?.lua", self.0.path().display());
        let engine = Engine::builder(self.path("init.lua")).package_path(&[&template]).module(test_module());
        engine.monitor_globs(&[]).build().await.unwrap()
    }
}

async fn answer(engine: &Engine) -> String {
    text(engine, "answer", vec![]).await
}

#[tokio::test]
async fn a_change_of_the_policy_or_of_what_it_loads_makes_a_new_generation() {
    let disk = Disk::new(&[
        ("init.lua", "local m = require 'mod'\nkumo.on('answer', function() return m.text end)"),
        ("mod.lua", "local f = io.open(DATA or '/nonexistent') return { text = 'one' }"),
    ]);
    let engine = disk.engine().await;
    assert_eq!(engine.epoch(), Epoch(1));
    assert!(!engine.check_for_changes().await);
    assert_eq!(answer(&engine).await, "one");
    disk.write("mod.lua", "return { text = 'two' }");
    assert_eq!(answer(&engine).await, "one");
    assert!(engine.check_for_changes().await);
    assert_eq!((answer(&engine).await.as_str(), engine.epoch()), ("two", Epoch(2)));
    assert!(!engine.check_for_changes().await);
}

#[tokio::test]
async fn files_opened_and_globbed_count_too() {
    let disk = Disk::new(&[("data.txt", "1"), ("extra.toml", "x = 1")]);
    let code = format!(
        "kumo.set_config_monitor_globs {{ '{0}/*.{{toml,json}}' }}
         local f = io.open('{0}/data.txt') local text = f:read 'a' f:close()
         kumo.on('answer', function() return text end)",
        disk.0.path().display()
    );
    disk.write("init.lua", &code);
    let engine = disk.engine().await;
    assert!(!engine.check_for_changes().await);
    disk.write("data.txt", "2");
    assert!(engine.check_for_changes().await);
    assert_eq!(answer(&engine).await, "2");
    disk.write("extra.toml", "x = 2");
    assert!(engine.check_for_changes().await);
    disk.write("new.json", "{}");
    assert!(engine.check_for_changes().await);
    assert!(!engine.check_for_changes().await);
}

#[tokio::test]
async fn a_generation_that_does_not_load_leaves_the_old_one_serving() {
    let good = "local m = require 'mod'\nkumo.on('answer', function() return m.text end)
        kumo.on('fail', function() error 'x' end)";
    let disk = Disk::new(&[("init.lua", good), ("mod.lua", "return { text = 'old' }")]);
    let engine = disk.engine().await;
    disk.write("init.lua", "kumo.on('answer', function()");
    disk.write("mod.lua", "error 'broken too'");
    assert!(!engine.check_for_changes().await);
    assert!(engine.load_error().unwrap().contains("init.lua:1:"), "{:?}", engine.load_error());
    // The pooled state is gone; a new one of the old generation needs the old texts.
    engine.call("fail", vec![]).await.unwrap_err();
    assert_eq!(engine.state_counts(), (0, 0));
    assert_eq!((answer(&engine).await.as_str(), engine.epoch()), ("old", Epoch(1)));
    disk.write("init.lua", good);
    assert!(!engine.check_for_changes().await);
    assert!(engine.load_error().unwrap().contains("broken too"));
    disk.write("mod.lua", "return { text = 'new' }");
    assert!(engine.check_for_changes().await);
    assert_eq!(engine.load_error(), None);
    assert_eq!((answer(&engine).await.as_str(), engine.epoch()), ("new", Epoch(2)));
}

#[tokio::test]
async fn a_call_that_began_before_the_change_ends_in_its_own_generation() {
    let disk = Disk::new(&[("init.lua", "kumo.on('answer', function() kumo.pause(0.05) return 'old' end)")]);
    let engine = disk.engine().await;
    let mut running = std::pin::pin!(answer(&engine));
    assert!(futures::poll!(&mut running).is_pending());
    disk.write("init.lua", "kumo.on('answer', function() return 'new' end)");
    assert!(engine.check_for_changes().await);
    assert_eq!(answer(&engine).await, "new");
    assert_eq!(running.await, "old");
    assert_eq!(engine.state_counts(), (1, 1), "the state of the old generation is gone");
}

#[tokio::test]
async fn objects_live_on_in_the_generation_that_made_them() {
    let code =
        |text: &str| format!("kumo.on('make', function() return {{ send = function() return '{text}' end }} end)");
    let disk = Disk::new(&[("init.lua", &code("old"))]);
    let engine = disk.engine().await;
    let mut old = engine.construct("make", vec![]).await.unwrap();
    disk.write("init.lua", &code("new"));
    assert!(engine.check_for_changes().await);
    let mut new = engine.construct("make", vec![]).await.unwrap();
    assert_eq!(old.invoke("send", vec![]).await.unwrap().text().unwrap(), "old");
    assert_eq!(new.invoke("send", vec![]).await.unwrap().text().unwrap(), "new");
}

#[tokio::test]
async fn the_epoch_can_be_bumped_by_hand_and_by_policy() {
    let engine = policy("kumo.on('bump', function() kumo.bump_config_epoch() end)").build().await.unwrap();
    assert!(!engine.check_for_changes().await, "a policy that is on no disk does not change");
    assert_eq!(engine.bump_epoch().await.unwrap(), Epoch(2));
    engine.call("bump", vec![]).await.unwrap();
    assert!(engine.check_for_changes().await);
    assert_eq!(engine.epoch(), Epoch(3));
}

#[tokio::test]
async fn states_grow_old() {
    let engine = policy(
        "kumo.set_max_lua_context_use_count(3)
         n = 0
         kumo.on('count', function() n = n + 1 return n end)
         kumo.on('aged', function() kumo.set_max_lua_context_age '1ms' end)
         kumo.on('spare', function() kumo.set_max_spare_lua_contexts(0) kumo.set_lua_gc_on_put(100) end)
         kumo.on('percent', function() kumo.set_lua_gc_on_put(101) end)",
    )
    .build()
    .await
    .unwrap();
    let mut counts = Vec::new();
    for _ in 0..5 {
        counts.push(text(&engine, "count", vec![]).await);
    }
    // Loading counts as a use.
    assert_eq!(counts, ["1", "2", "1", "2", "1"]);
    engine.call("percent", vec![]).await.unwrap_err();
    engine.call("spare", vec![]).await.unwrap();
    assert_eq!(engine.state_counts(), (0, 0));
    engine.call("aged", vec![]).await.unwrap();
    assert_eq!(engine.state_counts(), (0, 0));
}

#[tokio::test]
async fn embedded_modules_work_and_files_win() {
    let disk = Disk::new(&[("init.lua", "local m = require 'extras.m' kumo.on('answer', function() return m end)")]);
    let template = format!("{}/?.lua", disk.0.path().display());
    let build = || {
        let engine = Engine::builder(disk.path("init.lua")).package_path(&[&template]);
        engine.monitor_globs(&[]).embed("extras.m", "return 'embedded'").build()
    };
    let engine = build().await.unwrap();
    assert_eq!(answer(&engine).await, "embedded");
    std::fs::create_dir(disk.path("extras")).unwrap();
    disk.write("extras/m.lua", "return 'file'");
    assert!(engine.check_for_changes().await, "a file that appears in front of an embedded module is a change");
    assert_eq!(answer(&engine).await, "file");
}

#[tokio::test]
async fn modules_can_note_files_that_they_read() {
    let disk =
        Disk::new(&[("init.lua", "kumo.note()\nkumo.on('answer', function() return 'x' end)"), ("cert.pem", "1")]);
    let path: Arc<Path> = disk.path("cert.pem").into();
    let module = waybill_lua::module("note", move |lua, kumo| {
        let path = path.clone();
        let note = lua.create_function(move |lua, ()| {
            waybill_lua::watch_file(lua, &path);
            Ok(())
        })?;
        kumo.set("note", note)
    });
    let engine = Engine::builder(disk.path("init.lua")).monitor_globs(&[]).module(module).build().await.unwrap();
    disk.write("cert.pem", "2");
    assert!(engine.check_for_changes().await);
}
