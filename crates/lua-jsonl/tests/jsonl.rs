//! What scripts see, over real files.

use mlua::{Lua, LuaSerdeExt, Value};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use waybill_lua_jsonl::Jsonl;
use waybill_runtime::SystemClock;

/// A state with the module, and with as much of `kumo.serde` as it needs; `dir` is the directory.
fn state(jsonl: &Jsonl, dir: &Path) -> Lua {
    let lua = Lua::new();
    let (kumo, serde) = (lua.create_table().unwrap(), lua.create_table().unwrap());
    let parse = |lua: &Lua, text: String| {
        let value: serde_json::Value = serde_json::from_str(&text).map_err(mlua::Error::external)?;
        lua.to_value(&value)
    };
    let encode = |lua: &Lua, value: Value| {
        let value: serde_json::Value = lua.from_value(value)?;
        Ok(value.to_string())
    };
    serde.set("json_parse", lua.create_function(parse).unwrap()).unwrap();
    serde.set("json_encode", lua.create_function(encode).unwrap()).unwrap();
    kumo.set("serde", serde).unwrap();
    jsonl.register(&lua, &kumo).unwrap();
    lua.globals().set("kumo", kumo).unwrap();
    lua.globals().set("dir", dir.display().to_string()).unwrap();
    lua
}

async fn run(lua: &Lua, code: &str) -> String {
    match lua.load(code).eval_async::<Value>().await {
        Ok(value) => value.to_string().unwrap(),
        Err(error) => error.to_string().lines().next().unwrap_or_default().to_owned(),
    }
}

fn jsonl() -> Jsonl {
    Jsonl::new(Arc::new(SystemClock))
}

const COLLECT: &str = "
local tailer = kumo.jsonl.new_tailer({ directory = dir, max_batch_size = 2, max_batch_latency = '10ms',
  checkpoint_name = 'mine' }, function(record) return record.n ~= 3 end)
local seen = {}
for batch in tailer:batches() do
  local part = {}
  for record in batch:iter_records() do part[#part + 1] = tostring(record.n) end
  assert(#part == #batch:records() and batch:consumer_name() == nil)
  seen[#seen + 1] = table.concat(part, ',')
  batch:commit()
  if part[#part] == last then tailer:close() end
end
return table.concat(seen, ';')";

#[tokio::test]
async fn batches_come_in_order_and_what_was_committed_does_not_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = File::create(folder.path().join("1")).unwrap();
    writeln!(file, "{{\"n\":1}}\n{{\"n\":2}}\nno JSON\n{{\"n\":3}}\n{{\"n\":4}}").unwrap();
    let lua = state(&jsonl(), folder.path());
    lua.globals().set("last", "4").unwrap();
    assert_eq!(run(&lua, COLLECT).await, "1,2;4");
    writeln!(file, "{{\"n\":5}}").unwrap();
    let lua = state(&jsonl(), folder.path());
    lua.globals().set("last", "5").unwrap();
    assert_eq!(run(&lua, COLLECT).await, "5");
}

#[tokio::test]
async fn without_a_commit_everything_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("1"), "{\"n\":1}\n").unwrap();
    let lua = state(&jsonl(), folder.path());
    let code = "
        local tailer = kumo.jsonl.new_tailer { directory = dir, max_batch_latency = 0, checkpoint_name = 'mine' }
        for batch in tailer:batches() do return batch:records()[1].n end";
    assert_eq!((run(&lua, code).await, run(&lua, code).await), ("1".to_owned(), "1".to_owned()));
}

#[tokio::test]
async fn several_consumers_each_get_what_is_theirs_and_keep_their_own_place() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("1"), "{\"to\":\"a\"}\n{\"to\":\"b\"}\n{\"to\":\"a\"}\n").unwrap();
    let lua = state(&jsonl(), folder.path());
    let code = "
        local function to(who) return function(record) return record.to == who end end
        local tailer = kumo.jsonl.new_multi_tailer { directory = dir, consumers = {
          { name = 'one', checkpoint_name = 'one', filter = to 'a', max_batch_size = 2 },
          { name = 'two', checkpoint_name = 'two', filter = to 'b', max_batch_size = 1 } } }
        local seen, count = {}, 0
        for batch in tailer:batches() do
          seen[batch:consumer_name()] = #batch:records()
          count = count + 1
          if batch:consumer_name() == 'one' then batch:commit() end
          if count == 2 then tailer:close() end
        end
        return seen.one .. ' ' .. seen.two";
    assert_eq!(run(&lua, code).await, "2 1");
    assert!(folder.path().join(".one").exists() && !folder.path().join(".two").exists());
}

#[tokio::test]
async fn what_a_writer_writes_a_tailer_reads_and_a_closed_one_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let jsonl = jsonl();
    let (lua, other) = (state(&jsonl, folder.path()), state(&jsonl, folder.path()));
    // Another state that writes to the same directory has the same writer.
    for lua in [&lua, &other] {
        let code = "local writer = kumo.jsonl.new_writer { log_dir = dir } writer:write_line('{\"n\":1}')
            writer:write_record { n = 2 }";
        assert_eq!(run(lua, code).await, "nil");
    }
    let names = || std::fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.path()).collect::<Vec<_>>();
    let closed = "local writer = kumo.jsonl.new_writer { log_dir = dir } writer:close() writer:write_line 'x'";
    assert_eq!(run(&lua, closed).await, "kumo.jsonl.write_line: the writer is closed");
    let found = names();
    let [file] = &found[..] else { panic!("{found:?}") };
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o222, 0);
    lua.globals().set("last", "2").unwrap();
    let code = COLLECT.replace("max_batch_size = 2", "max_batch_size = 4");
    assert_eq!(run(&lua, &code).await, "1,2,1,2");
    assert_eq!(run(&lua, "kumo.jsonl.new_writer { log_dir = dir }:write_line 'again'").await, "nil");
    jsonl.finish().await;
    assert_eq!(names().iter().filter(|path| path.extension().is_some()).count(), 2);
}

#[tokio::test]
async fn mistakes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let lua = state(&jsonl(), folder.path());
    for (code, words) in [
        ("kumo.jsonl.new_tailer {}", "kumo.jsonl.new_tailer: missing field `directory`"),
        (
            "kumo.jsonl.new_tailer { directory = dir, colour = 1 }",
            "unknown field `colour`, expected one of `directory`",
        ),
        (
            "kumo.jsonl.new_tailer { directory = dir, max_batch_size = 'x' }",
            "max_batch_size: invalid type: string \"x\"",
        ),
        (
            "kumo.jsonl.new_tailer { directory = dir, max_batch_size = 0 }",
            "max_batch_size: expected a number above zero",
        ),
        (
            "kumo.jsonl.new_tailer { directory = dir, pattern = '[' }",
            "pattern: expected a pattern such as *.jsonl: Pattern syntax error",
        ),
        ("kumo.jsonl.new_tailer { directory = dir, checkpoint_name = '../x' }", "checkpoint_name: expected a name"),
        ("kumo.jsonl.new_multi_tailer { directory = dir, consumers = {} }", "consumers: "),
        (
            "kumo.jsonl.new_multi_tailer { directory = dir, consumers = { { name = 'a' }, { name = 'a' } } }",
            "is there twice",
        ),
        ("kumo.jsonl.new_writer { log_dir = dir, max_file_size = 0 }", "max_file_size: invalid value"),
        ("kumo.jsonl.new_writer { log_dir = dir }:write_line 'a\\nb'", "expected one line"),
    ] {
        let said = run(&lua, code).await;
        assert!(said.contains(words), "{code}: {said}");
    }
    std::fs::write(folder.path().join(".mine"), "{").unwrap();
    let said = run(&lua, "kumo.jsonl.new_tailer { directory = dir, checkpoint_name = 'mine' }").await;
    assert!(said.contains("/.mine: EOF while parsing"), "{said}");
}

#[tokio::test]
async fn a_file_that_comes_while_a_tailer_waits_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let lua = state(&jsonl(), folder.path());
    lua.globals().set("last", "9").unwrap();
    let path = folder.path().join("late");
    let write = lua.create_function(move |_, ()| {
        let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
        Ok(writeln!(file, "{{\"n\":9}}")?)
    });
    lua.globals().set("write", write.unwrap()).unwrap();
    let code = "
        local tailer = kumo.jsonl.new_tailer { directory = dir, max_batch_size = 1 }
        local batches = tailer:batches()
        write()
        local first = batches():records()[1].n
        tailer:close()
        return first .. tostring(batches())";
    assert_eq!(run(&lua, code).await, "9nil");
}
