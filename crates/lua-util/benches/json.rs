//! What `json_encode` costs. Run: `cargo bench -p waybill-lua-util`.
//!
//! Prints the mean time of each step; put the machine's name beside every number that you quote.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use mlua::{Lua, Table, Value};
use waybill_lua_util::json::{RawJsonHook, encode};

/// A record as a script sees it once it has looked into it: members that are null are gone.
const RECORD: &str = include_str!("../../bench/src/measure/event.json");
const BATCH: u32 = 100;
const TIMES: u32 = 2000;

fn measure(what: &str, mut step: impl FnMut() -> mlua::Result<Vec<u8>>) {
    let begin = Instant::now();
    for _ in 0..TIMES {
        black_box(step().expect("encoded"));
    }
    println!("{what:<44} {:>10.2} µs", begin.elapsed().as_secs_f64() * 1e6 / f64::from(TIMES * BATCH));
}

fn main() -> mlua::Result<()> {
    let lua = Lua::new();
    let kumo = lua.create_table()?;
    waybill_lua_util::register_all(&lua, &kumo)?;
    lua.globals().set("kumo", kumo)?;
    let parse: mlua::Function = lua.load("return kumo.serde.json_parse").eval()?;
    let list = || -> mlua::Result<Value> {
        let records = (0..BATCH).map(|_| parse.call::<Table>(RECORD)).collect::<mlua::Result<Vec<_>>>()?;
        lua.create_sequence_from(records).map(Value::Table)
    };
    let tables = list()?;
    measure("json_encode, a record that is a table", || encode(&lua, &tables));
    // As the daemon answers for a record that nobody looked into.
    lua.set_app_data(RawJsonHook(Arc::new(|_: &Lua, table: &Table, out: &mut Vec<u8>| {
        let is_record = table.contains_key("event_time").unwrap_or(false);
        if is_record {
            out.extend_from_slice(RECORD.trim_end().as_bytes());
        }
        is_record
    })));
    measure("json_encode, a record that is still bytes", || encode(&lua, &tables));
    measure("parse a record into a table", || list().map(|_| Vec::new()));
    Ok(())
}
