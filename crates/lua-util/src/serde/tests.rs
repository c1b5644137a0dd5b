use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::files::FileReadHook;
use crate::testing::{ask, ask_in, lua};

#[test]
fn older_names_are_the_same_functions() {
    assert_eq!(
        ask("return kumo.json_encode == kumo.serde.json_encode and kumo.json_parse == kumo.serde.json_parse"),
        "true"
    );
    assert_eq!(ask("return kumo.toml_encode_pretty == kumo.serde.toml_encode_pretty"), "true");
    assert_eq!(ask("return kumo.toml_parse 'a = 1'.a"), "1");
}

#[test]
fn toml_keeps_types_and_dates_are_text() {
    let code = r#"
        local t = kumo.serde.toml_parse [[
            a = 1
            b = 1.0
            c = [1, 2]
            when = 2026-08-01T10:00:00Z
            [d.e]
            f = "x"
        ]]
        return table.concat({ math.type(t.a), math.type(t.b), #t.c, t.when, t.d.e.f }, ' | ')"#;
    assert_eq!(ask(code), "integer | float | 2 | 2026-08-01T10:00:00Z | x");
    assert!(ask("return kumo.serde.toml_parse 'a = '").starts_with("!! parsing a =  as toml: "));
}

#[test]
fn toml_is_encoded_in_three_layouts() {
    let value = "{ b = { y = 1, x = {} }, a = { 1, 2 }, c = { d = { e = true } } }";
    assert_eq!(ask("return kumo.serde.toml_encode { a = { 1, 2 } }"), "a = [1, 2]\n");
    assert_eq!(ask("return kumo.serde.toml_encode_pretty { a = { 1, 2 } }"), "a = [\n    1,\n    2,\n]\n");
    assert_eq!(
        ask(&format!("return kumo.serde.toml_encode_pretty_compact {value}")),
        "a = [\n    1,\n    2,\n]\n\n[b]\nx = {}\ny = 1\n\n[c.d]\ne = true\n"
    );
    assert_eq!(
        ask("return kumo.serde.toml_encode { 1 }"),
        "!! only a table with names can be encoded as toml, not a list"
    );
}

#[test]
fn the_compact_layout_parses_to_what_was_encoded() {
    let code = r#"
        local value = { ['odd key'] = 'a"b\n', list = { { x = 1 }, { x = 2, y = {} } }, ["d.e"] = { f = 1.5 }, mixed = { { 1 }, { 'z' } } }
        local text = kumo.serde.toml_encode_pretty_compact(value)
        local same = kumo.serde.json_encode_pretty(kumo.serde.toml_parse(text)) == kumo.serde.json_encode_pretty(value)
        return same and 'same' or text"#;
    assert_eq!(ask(code), "same");
}

#[test]
fn yaml_is_parsed_and_encoded() {
    let code = "local t = kumo.serde.yaml_parse 'a: [1, 2.5, x]\\nb: null\\n1: one\\n' \
                return kumo.serde.json_encode_pretty(t)";
    assert_eq!(ask(code), "{\n  \"1\": \"one\",\n  \"a\": [\n    1,\n    2.5,\n    \"x\"\n  ]\n}");
    assert_eq!(ask("return kumo.serde.yaml_encode { a = { 1, 'two' } }"), "a:\n- 1\n- two\n");
    assert!(ask("return kumo.serde.yaml_parse 'a: ['").starts_with("!! parsing a: [ as yaml: "));
}

#[test]
fn loading_reads_the_file_tells_the_hook_and_names_the_path_in_errors() {
    let dir = tempfile::tempdir().unwrap();
    let good = dir.path().join("good.json");
    let bad = dir.path().join("bad.json");
    std::fs::write(&good, "{\"a\": 1} # note").unwrap();
    std::fs::write(&bad, "{").unwrap();
    let seen: Arc<Mutex<Vec<PathBuf>>> = Arc::default();
    let lua = lua();
    let log = Arc::clone(&seen);
    lua.set_app_data(FileReadHook(Arc::new(move |path: &Path| log.lock().unwrap().push(path.to_owned()))));

    assert_eq!(ask_in(&lua, &format!("return kumo.serde.json_load('{}').a", good.display())), "1");
    let error = ask_in(&lua, &format!("return kumo.serde.json_load('{}')", bad.display()));
    assert!(error.starts_with(&format!("!! parsing {} as json: ", bad.display())), "{error}");
    let missing = ask_in(&lua, "return kumo.serde.toml_load '/nonexistent.toml'");
    assert!(missing.starts_with("!! reading /nonexistent.toml: "), "{missing}");
    assert_eq!(*seen.lock().unwrap(), [good, bad, PathBuf::from("/nonexistent.toml")]);
}
