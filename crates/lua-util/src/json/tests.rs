use mlua::{Lua, MetaMethod, UserData, UserDataMethods, Value};

use super::*;
use crate::testing::{ask, ask_in, lua};

/// The lines of lua-facts.txt, asked of our own module.
#[test]
fn encoding_answers_as_recorded_from_a_live_kumomta() {
    for (code, expected) in [
        ("{}", "{}"),
        ("{1,2}", "[1,2]"),
        ("1", "1"),
        ("1.0", "1.0"),
        ("1.5", "1.5"),
        ("'é\\n'", "\"é\\n\""),
        ("nil", "null"),
        ("{1,2,x=3}", "[1,2]"),
        ("{f=print}", "!! cannot serialize <function>"),
        ("{[1]=1,[3]=3}", "[1]"),
        ("'\\xff'", "[255]"),
    ] {
        assert_eq!(ask(&format!("return kumo.serde.json_encode({code})")), expected, "{code}");
    }
    let nested = ask("return kumo.serde.json_encode { a = {}, b = { x = 1 } }");
    assert!([r#"{"b":{"x":1},"a":{}}"#, r#"{"a":{},"b":{"x":1}}"#].contains(&nested.as_str()), "{nested}");
}

#[test]
fn pretty_printing_sorts_the_keys() {
    let text = ask("return kumo.serde.json_encode_pretty { b = 1, a = { 1 } }");
    assert_eq!(text, "{\n  \"a\": [\n    1\n  ],\n  \"b\": 1\n}");
}

#[test]
fn parsing_keeps_integers_drops_null_and_forgets_what_was_a_list() {
    let code = r#"
        local t = kumo.serde.json_parse '{"a":null,"b":[],"c":1,"d":1.5,"big":18446744073709551615}'
        return table.concat({ type(t.a), type(t.b), #t.b, math.type(t.c), math.type(t.d), math.type(t.big) }, ' | ')"#;
    assert_eq!(ask(code), "nil | table | 0 | integer | float | float");
    assert_eq!(ask("return kumo.serde.json_encode(kumo.serde.json_parse '[]')"), "{}");
    assert_eq!(ask("return kumo.serde.json_parse 'null'"), "nil");
    assert_eq!(ask("return #kumo.serde.json_parse '[1,null,3]'"), "3");
}

#[test]
fn comments_are_blanks_but_not_inside_strings() {
    assert_eq!(ask("return kumo.serde.json_parse('{\"a\":1} // x').a"), "1");
    assert_eq!(ask("return kumo.serde.json_parse('{ /* b\\n */ \"a\": # c\\n 2 }').a"), "2");
    assert_eq!(ask(r#"return kumo.serde.json_parse('{"a":"x // # /* \\" y"}').a"#), "x // # /* \" y");
    assert_eq!(
        ask("return kumo.serde.json_parse('/* never closed')").split(" as ").nth(1),
        Some("json: EOF while parsing a value at line 1 column 15")
    );
}

#[test]
fn text_that_is_not_json_is_quoted_in_the_error() {
    let expected = r#"!! parsing {"a": as json: EOF while parsing a value at line 1 column 5"#;
    assert_eq!(ask(r#"return kumo.serde.json_parse '{"a":'"#), expected);
    let long = ask("return kumo.serde.json_parse(('x'):rep(100000))");
    assert!(long.len() < 1200 && long.contains("xxx... as json: expected value"), "{long}");
}

#[test]
fn nesting_is_bounded_and_a_table_that_contains_itself_says_so() {
    let cyclic = "local t = {} t.t = t return kumo.serde.";
    let expected = "!! cannot serialize a table nested more than 128 levels deep (does it contain itself?)";
    assert_eq!(ask(&format!("{cyclic}json_encode(t)")), expected);
    assert_eq!(ask(&format!("{cyclic}json_encode_pretty(t)")), expected);
    let deep =
        |levels: usize| format!("local t = 1 for _ = 1, {levels} do t = {{ t }} end return kumo.serde.json_encode(t)");
    assert_eq!(ask(&deep(MAX_DEPTH)), format!("{}1{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH)));
    assert_eq!(ask(&deep(MAX_DEPTH + 1)), expected);
    assert!(ask("return kumo.serde.json_parse(('['):rep(100000))").contains("recursion limit exceeded"));
}

#[test]
fn keys_that_are_not_strings_become_text_or_an_error() {
    assert_eq!(ask("return kumo.serde.json_encode { [7] = 1 }"), r#"{"7":1}"#);
    assert_eq!(ask("return kumo.serde.json_encode { [1.5] = 1 }"), r#"{"1.5":1}"#);
    assert_eq!(ask("return kumo.serde.json_encode { [true] = 1 }"), r#"{"true":1}"#);
    assert_eq!(ask("return kumo.serde.json_encode { [{}] = 1 }"), "!! key must be a string");
    assert_eq!(ask("return kumo.serde.json_encode { ['\\xff'] = 1 }"), "!! key must be a string");
}

struct Pairs;

impl UserData for Pairs {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_function(MetaMethod::Pairs, |lua, _: Value| {
            let next: Value = lua.globals().get("next")?;
            let table = lua.create_table()?;
            table.set("a", 1)?;
            Ok((next, table, Value::Nil))
        });
    }
}

struct Opaque;

impl UserData for Opaque {}

#[test]
fn userdata_is_encoded_by_its_pairs_or_not_at_all() {
    let lua = lua();
    lua.globals().set("pairs_object", Pairs).unwrap();
    lua.globals().set("opaque", Opaque).unwrap();
    assert_eq!(ask_in(&lua, "return kumo.serde.json_encode { pairs_object }"), r#"[{"a":1}]"#);
    assert_eq!(ask_in(&lua, "return kumo.serde.json_encode_pretty(pairs_object)"), "{\n  \"a\": 1\n}");
    assert_eq!(ask_in(&lua, "return kumo.serde.json_encode(opaque)"), "!! cannot serialize <userdata>");
}

#[test]
fn the_hook_puts_finished_bytes_in_place_of_its_tables() {
    let lua = lua();
    lua.set_app_data(RawJsonHook(Arc::new(|_: &Lua, table: &Table, out: &mut Vec<u8>| {
        let is_raw = table.raw_get::<bool>("raw").is_ok_and(|raw| raw);
        if is_raw {
            out.extend_from_slice(br#"{"z":1,"a":0.30000000000000004}"#);
        }
        is_raw
    })));
    let code = "return kumo.serde.json_encode { { raw = true }, { raw = false }, 5 }";
    assert_eq!(ask_in(&lua, code), r#"[{"z":1,"a":0.30000000000000004},{"raw":false},5]"#);
    let pretty = ask_in(&lua, "return kumo.serde.json_encode_pretty { raw = true }");
    assert!(pretty.starts_with("{\n  \"a\": 0.3"), "{pretty}");
}

#[test]
fn both_encoders_and_the_decoder_agree() {
    let lua = lua();
    let value: Value = lua.load("return { a = { 1, 2.0, 'x' }, b = true, c = { d = -7, e = 1e300 } }").eval().unwrap();
    let json = to_json(&lua, &value).unwrap();
    let encoded: serde_json::Value = serde_json::from_slice(&encode(&lua, &value).unwrap()).unwrap();
    assert_eq!(json, encoded);
    assert_eq!(to_json(&lua, &from_json(&lua, &json).unwrap()).unwrap(), json);
}
