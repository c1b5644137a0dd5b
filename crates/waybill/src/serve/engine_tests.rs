//! The engine as the binary builds it: with all its modules.

use super::*;
use std::collections::BTreeMap;
use std::path::PathBuf;
use waybill_policy::PolicyHost;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

/// Loads a policy that is written for the test.
async fn load_text(text: &str) -> Result<Engine> {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("test.lua");
    std::fs::write(&path, text).expect("write the policy");
    let parts = Parts::alone(Arc::default(), false);
    load(&Policy::File(path), dir.path(), parts).await
}

#[tokio::test]
async fn the_lua_tests_of_policy_extras_pass_in_the_daemon() {
    let root = root();
    let tests = root.join("policy-extras/tests");
    let mut ran = 0;
    for entry in std::fs::read_dir(&tests).expect("the tests") {
        let path = entry.expect("an entry").path();
        if !path.to_string_lossy().ends_with("_test.lua") {
            continue;
        }
        let text = format!("package.path = '{}/?.lua;' .. package.path\ndofile '{}'", root.display(), path.display());
        load_text(&text).await.unwrap_or_else(|error| panic!("{}: {error:#}", path.display()));
        ran += 1;
    }
    assert!(ran >= 7, "only {ran} test files in {}", tests.display());
}

/// Pages below a folder.
fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of pages") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            pages(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "md") {
            found.push(path);
        }
    }
}

#[test]
fn every_piece_of_lua_in_the_documentation_compiles() {
    let mut found = Vec::new();
    pages(&root().join("docs"), &mut found);
    let lua = mlua::Lua::new();
    let mut compiled = 0;
    for page in found {
        let text = std::fs::read_to_string(&page).expect("a page");
        for piece in text.split("```lua\n").skip(1) {
            let piece = piece.split("```").next().unwrap_or_default();
            let result = lua.load(piece).into_function();
            assert!(result.is_ok(), "{}: {}\n{piece}", page.display(), result.unwrap_err());
            compiled += 1;
        }
    }
    assert!(compiled > 30, "only {compiled} pieces of Lua in docs");
}

/// `label => value` and `label !! error` lines.
fn facts(text: &str) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    for line in text.lines() {
        let found = [" => ", " !! "].iter().find_map(|mark| line.split_once(mark).map(|split| (mark, split)));
        if let Some((mark, (label, value))) = found {
            facts.insert(label.to_owned(), format!("{}{value}", mark.trim()));
        }
    }
    facts
}

/// Differ on purpose, or where upstream has no fixed order: see the reasons.
const NOT_COMPARED: [&str; 8] = [
    // The order of keys is not fixed.
    "encode nested",
    "parse null",
    // Ours says what is wrong and what is accepted.
    "make_queue_config bad protocol",
    "make_egress_path bad key",
    // An address, left out of the golden file.
    "parse comment",
    // Allowed in `main`, which runs under another name here.
    "kumo.on inside handler",
    // Ours takes a filter.
    "log_hooks new_json filter",
    // The file's name is another one.
    "second handler",
];

#[tokio::test]
async fn conversions_and_errors_read_as_those_of_a_live_daemon() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let text = format!(
        "local kumo = require 'kumo'
         local out, main, on = {{}}, nil, kumo.on
         print = function(...)
           local all = table.pack(...)
           for i = 1, all.n do all[i] = tostring(all[i]) end
           out[#out + 1] = table.concat(all, '\\t')
         end
         kumo.on = function(event, handler)
           if event == 'main' then main = handler else return on(event, handler) end
         end
         dofile '{}'
         kumo.on = on
         kumo.on('facts', function() main('one', 'two') return table.concat(out, '\\n') end)",
        golden.join("lua-facts.lua").display()
    );
    let engine = load_text(&text).await.expect("the facts load");
    let ours = engine.call("facts", Vec::new()).await.expect("the facts run").text().expect("a text");
    let expected = facts(&std::fs::read_to_string(golden.join("lua-facts.txt")).expect("the golden file"));
    let ours_by_label = facts(&ours);
    let mut wrong = Vec::new();
    for (label, value) in &expected {
        if NOT_COMPARED.contains(&label.as_str()) {
            continue;
        }
        match ours_by_label.get(label) {
            Some(our) if without_places(our) == without_places(value) => {}
            our => wrong.push(format!("{label}\n  expected {value}\n  got      {}", our.map_or("nothing", |our| our))),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(expected.len() > 40, "only {} facts", expected.len());
}

/// Without `FILE:LINE` in front of words, and without the field that our errors name beside what theirs say.
fn without_places(text: &str) -> String {
    let named = text.split_once("deserialize error: field `");
    let unnamed =
        named.and_then(|(before, rest)| Some(format!("{before}deserialize error: {}", rest.split_once("`: ")?.1)));
    let text = unnamed.as_deref().unwrap_or(text);
    let is_place = |word: &str| {
        let word = word.trim_end_matches(':');
        word.rsplit_once(':').is_some_and(|(file, line)| {
            !line.is_empty()
                && line.bytes().all(|b| b.is_ascii_digit())
                && (file.ends_with(".lua") || file.ends_with(']'))
        })
    };
    let words = text.replace("[string \"s.lua\"]", "s.lua");
    words
        .split(' ')
        .filter(|word| !is_place(word.trim_start_matches("!!").trim_start_matches("=>")))
        .collect::<Vec<_>>()
        .join(" ")
}
