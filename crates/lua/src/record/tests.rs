use super::*;
use crate::prelude;
use serde_json::json;
use waybill_log_record::{Capture, Entry, FieldsBuilder, LogRecord, RecordType, RecordView};
use waybill_spool::Message;
use waybill_types::{IdMint, Response, Timestamp};

fn view() -> RecordView {
    let now = Timestamp::from_secs(1_700_000_000);
    let mut record = LogRecord::new(RecordType::Delivery, now, Response::plain(250, "OK \"quoted\""), "node");
    record.sender = "a@x.example".into();
    record.recipients = vec!["b@y.example".into()];
    let mut meta = FieldsBuilder::default();
    meta.push("tenant", &json!("t1"));
    meta.push("list", &json!([1, null]));
    record.meta = meta.finish();
    let entry = Entry::encode(&record, IdMint::random().entry(now));
    RecordView::new(entry, Capture::new([], ["*"]).into())
}

fn state() -> Lua {
    let lua = prelude::bare_state_for_tests();
    lua.globals().set("msg", MessageObject::new(Message::view(view(), "hook", None))).unwrap();
    lua.load("rec = msg:get_meta 'log_record'").exec().unwrap();
    lua
}

fn raw(lua: &Lua) -> Option<serde_json::Value> {
    let mut bytes = Vec::new();
    let is_raw = write_raw_record(lua, &rec(lua), &mut bytes);
    assert_eq!(is_raw, !bytes.is_empty());
    is_raw.then(|| serde_json::from_slice(&bytes).unwrap())
}

fn rec(lua: &Lua) -> Table {
    lua.globals().get("rec").unwrap()
}

fn is_lazy(lua: &Lua) -> bool {
    message_of(&rec(lua)).is_some()
}

/// Runs `code` and says whether the record is still encoded afterwards.
fn lazy_after(code: &str) -> bool {
    let lua = state();
    lua.load(code).exec().unwrap();
    is_lazy(&lua)
}

fn as_json(lua: &Lua) -> serde_json::Value {
    to_json(lua, &Value::Table(rec(lua))).unwrap()
}

#[test]
fn fields_are_read_without_filling_the_table() {
    assert!(lazy_after(
        "assert(rec.type == 'Delivery' and rec.sender == 'a@x.example' and rec.num_attempts == 0)
         assert(math.type(rec.timestamp) == 'integer')
         assert(rec.bounce_classification == 'Uncategorized')
         assert(rec.nothing == nil and rec[1] == nil and rec.feedback_report == nil)
         assert(type(rec) == 'table' and rec.reception_protocol ~= 'LogRecord')
         for _ in ipairs(rec) do error 'a record is no list' end"
    ));
}

#[test]
fn inner_tables_are_kept_and_their_changes_seen() {
    let lua = state();
    lua.load("assert(rec.response.code == 250 and rec.response == rec.response)").exec().unwrap();
    assert!(is_lazy(&lua));
    assert!(raw(&lua).is_some(), "looked at, not changed");
    lua.load("rec.response.code = 251").exec().unwrap();
    assert!(is_lazy(&lua));
    assert_eq!(raw(&lua), None);
    assert!(!is_lazy(&lua));
    assert_eq!(as_json(&lua)["response"]["code"], json!(251));
    lua.load("assert(rec.response.code == 251 and rec.meta.tenant == 't1')").exec().unwrap();
}

#[test]
fn tables_of_one_message_know_nothing_of_each_other() {
    let lua = state();
    lua.load(
        "local other = msg:get_meta 'log_record'
         assert(other ~= rec)
         other.response.code = 251
         assert(rec.response.code == 250)
         other.sender = 'c@z.example'
         assert(rec.sender == 'a@x.example' and other.response.code == 251)",
    )
    .exec()
    .unwrap();
    assert_eq!(raw(&lua).unwrap()["response"]["code"], json!(250));
}

#[test]
fn what_is_set_in_the_place_of_the_record_is_given_and_the_table_stays() {
    let lua = state();
    lua.load(
        "msg:set_meta('log_record', { type = 'Mine' })
         assert(msg:get_meta('log_record').type == 'Mine' and rec.type == 'Delivery')
         msg:set_meta('log_record', nil)
         assert(msg:get_meta 'log_record' == nil and rec.type == 'Delivery')
         msg = nil collectgarbage() collectgarbage()
         assert(rec.type == 'Delivery')",
    )
    .exec()
    .unwrap();
    assert_eq!(raw(&lua).unwrap()["type"], json!("Delivery"));
}

#[test]
fn deep_changes_count() {
    let lua = state();
    lua.load("rec.meta.list[1] = 2").exec().unwrap();
    assert_eq!(raw(&lua), None);
    assert_eq!(as_json(&lua)["meta"]["list"], json!([2]));
}

#[test]
fn an_untouched_record_says_the_same_as_the_real_table() {
    let lua = state();
    let raw = raw(&lua).unwrap();
    settle(&lua, &rec(&lua)).unwrap();
    assert!(!is_lazy(&lua));
    assert_eq!(to_json(&lua, &Value::Table(rec(&lua))).unwrap(), raw);
    assert_eq!(raw["meta"]["list"], json!([1]));
}

#[test]
fn writing_makes_it_real() {
    assert!(!lazy_after("rec.type = 'Mine' assert(rec.type == 'Mine' and rec.sender == 'a@x.example')"));
    assert!(!lazy_after("rec.extra = 1 assert(rec.extra == 1)"));
    assert!(!lazy_after("rec.type = nil assert(rec.type == nil)"));
}

#[test]
fn pairs_makes_it_real() {
    assert!(!lazy_after(
        "local n, seen = 0, {} for k, v in pairs(rec) do n = n + 1 seen[k] = v end
         assert(n > 15 and seen.type == 'Delivery' and seen.response.code == 250)
         for k in pairs(seen) do assert(type(k) == 'string') end"
    ));
}

#[test]
fn next_makes_it_real() {
    assert!(!lazy_after("local k, v = next(rec) assert(type(k) == 'string' and v ~= nil)"));
}

#[test]
fn rawget_makes_it_real() {
    assert!(!lazy_after("assert(rawget(rec, 'type') == 'Delivery')"));
}

#[test]
fn rawset_makes_it_real() {
    assert!(!lazy_after("rawset(rec, 'type', 'x') assert(rec.type == 'x' and rec.sender == 'a@x.example')"));
}

#[test]
fn rawlen_makes_it_real() {
    assert!(!lazy_after("assert(rawlen(rec) == 0)"));
}

#[test]
fn the_length_operator_makes_it_real() {
    assert!(!lazy_after("assert(#rec == 0)"));
}

#[test]
fn getmetatable_makes_it_real() {
    assert!(!lazy_after("assert(getmetatable(rec) == nil)"));
}

#[test]
fn setmetatable_makes_it_real() {
    assert!(!lazy_after(
        "setmetatable(rec, { __index = function() return 'other' end })
         assert(rec.type == 'Delivery' and rec.nothing == 'other')"
    ));
}

#[test]
fn table_functions_see_a_real_table() {
    assert!(!lazy_after("table.insert(rec, 'x') assert(rec[1] == 'x' and rec.type == 'Delivery')"));
}

#[test]
fn the_replaced_functions_do_what_they_did_to_everything_else() {
    let lua = state();
    lua.load(
        "local mt = { __metatable = 'locked' }
         assert(getmetatable('').__index == string and getmetatable(setmetatable({}, mt)) == 'locked')
         assert(getmetatable({}) == nil and getmetatable(nil) == nil)
         assert(next({}) == nil and rawlen({ 1, 2 }) == 2 and rawlen('abc') == 3)
         assert(rawget({ a = 1 }, 'a') == 1 and rawset({}, 'a', 1).a == 1)
         local ok, why = pcall(setmetatable, 1, {})
         assert(not ok and why:find 'table expected')
         assert(not pcall(setmetatable, setmetatable({}, mt), {}))
         assert(not pcall(next, {}, 'unknown key'))",
    )
    .exec()
    .unwrap();
}
