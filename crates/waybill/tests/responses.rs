//! No response in words of ours is forgotten: whatever the crates between the queue and a peer can say where nobody else has
//! spoken stands in `golden/responses.txt`, is heard by the test that is named there, and is on its page of the reference.
//! (The SMTP client has conversations of its own for that, in its crate.)

#[path = "../../smtp/tests/source/mod.rs"]
mod source;

use source::{Said, calls, literals, on_the_page, sources, without_calls};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The crates that say such things, or a part of one.
const CRATES: [&str; 6] = ["queue", "queue-core", "ready", "custom-lua", "delivery", "policy"];

/// What makes a file one of those that are read.
const SPEAKS: [&str; 5] =
    ["Response::new(", "Response::plain(", "failure::", "PolicyError::unusable(", "#[error(\"policy "];

/// Calls whose words only the log hears, or a panic.
const NO_RECORD: [&str; 8] = [
    "#[expect(",
    "tracing::debug!(",
    "tracing::info!(",
    "tracing::warn!(",
    "tracing::error!(",
    ".expect(",
    "survive(",
    ".spawn(",
];

/// Words that are no response, or a piece of one, by the file and how they begin.
const NO_RESPONSES: [(&str, &str, &str); 9] = [
    ("asking.rs", "sending on", "the name of a task"),
    ("perform.rs", "route of {}", "the name of a task"),
    ("returns.rs", "requeue_message of what", "the name of a task"),
    ("session.rs", "Lua via {}", "who the peer is"),
    ("results.rs", "true or false", "what is expected of a field"),
    ("results.rs", "a ", "what is expected of a field, and kinds of values"),
    ("error.rs", "{} {}", "a rejection of the policy's"),
    ("error.rs", ", ", "between places"),
    ("error.rs", " ({})", "around places"),
];

/// Responses whose words come from somewhere else, by the file and what stands where the text would.
const WORDS_OF_OTHERS: [(&str, &str, &str); 5] = [
    ("asking.rs", "&rejected.text", "of the policy"),
    ("results.rs", "&rejected.text", "of the policy"),
    ("results.rs", "text", "of the policy"),
    ("results.rs", "self.text.unwrap_or_default()", "of the policy"),
    ("board.rs", "why", "one of the constants of that file"),
];

fn path(under: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(under)
}

/// The files of these crates that say something.
fn speaking() -> Vec<(String, String)> {
    let files = CRATES.iter().flat_map(|name| sources(&path(&format!("{name}/src"))));
    files.filter(|(_, source)| SPEAKS.iter().any(|words| source.contains(words))).collect()
}

/// All their words, each with its file.
fn words() -> Vec<(String, Said)> {
    let mut found = Vec::new();
    for (file, source) in speaking() {
        let source = NO_RECORD.iter().fold(source, |source, call| without_calls(&source, call));
        let no_response =
            |words: &str| NO_RESPONSES.iter().any(|(name, start, _)| *name == file && words.starts_with(start));
        // A word alone is a name of something; what is told of has several.
        let told = literals(&source).into_iter().filter(|words| words.contains(' ') && !no_response(words));
        found.extend(told.map(|words| (file.clone(), Said(words.replace("\\\"", "\"")))));
    }
    assert!(found.len() > 30, "the source is read: {}", found.len());
    found
}

/// A line of the golden list: the response, or a reason that stands in one, and the test that hears it.
struct Row {
    response: String,
    heard_in: String,
}

fn golden() -> Vec<Row> {
    let text = fs::read_to_string(path("waybill/tests/golden/responses.txt")).expect("the golden list");
    let (mut rows, mut heard_in) = (Vec::new(), String::new());
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(file) => file.clone_into(&mut heard_in),
            None => rows.push(Row {
                response: line.strip_prefix("REASON ").unwrap_or(line).to_owned(),
                heard_in: heard_in.clone(),
            }),
        }
    }
    rows
}

/// The longest words of a row without a word that stands for something of the moment.
fn fixed(response: &str) -> String {
    let is_a_place = |word: &str| {
        let letters: Vec<char> = word.chars().filter(|c| c.is_alphabetic()).collect();
        !letters.is_empty() && letters.iter().all(char::is_ascii_uppercase)
    };
    let is_a_code = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
    let (mut longest, mut run) = (String::new(), String::new());
    for word in response.split(' ') {
        // `max_age=DURATION` and `"lua: METHOD"` end where the place begins.
        let before = word.split_once('=').filter(|(_, behind)| is_a_place(behind)).map(|(before, _)| before);
        if is_a_place(word) || is_a_code(word) || before.is_some() || word.contains('"') || word.contains("METHOD") {
            run.clear();
            continue;
        }
        run = if run.is_empty() { word.to_owned() } else { format!("{run} {word}") };
        if run.len() > longest.len() {
            longest.clone_from(&run);
        }
    }
    longest
}

/// The words of an argument: a literal, `format!` with one, or the variable in front of the call that has one of these.
fn told(source: &str, argument: &str) -> Option<String> {
    let start = argument.as_ptr() as usize - source.as_ptr() as usize;
    let before = source.get(..start)?;
    let named = before.rfind(&format!("let {argument} =")).and_then(|at| before[at..].split_once('='));
    let words = named.map_or(argument, |(_, value)| value).trim_start();
    let quoted = words.strip_prefix("format!(").unwrap_or(words).trim_start();
    quoted.starts_with('"').then(|| literals(quoted).swap_remove(0).replace("\\\"", "\""))
}

/// A source as it would be read aloud: a literal that goes on in the next line is one.
fn aloud(text: &str) -> String {
    let mut pieces = text.split("\\\n");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| text + piece.trim_start())
}

#[test]
fn all_words_of_ours_are_in_the_golden_list() {
    let golden = golden();
    let missing: Vec<_> =
        words().into_iter().filter(|(_, said)| !golden.iter().any(|row| said.stands_in(&row.response))).collect();
    assert!(missing.is_empty(), "golden/responses.txt does not say {missing:#?}");
}

#[test]
fn the_golden_list_says_nothing_that_the_source_does_not() {
    let words = words();
    let stale: Vec<_> = golden()
        .into_iter()
        .map(|row| row.response)
        .filter(|response| !words.iter().any(|(_, said)| said.0.contains(&fixed(response))))
        .collect();
    assert!(stale.is_empty(), "nobody says {stale:#?}");
}

#[test]
fn all_codes_of_ours_go_with_their_words() {
    let golden = golden();
    let (mut found, mut missing, mut foreign) = (BTreeSet::new(), Vec::new(), Vec::new());
    for (file, source) in speaking() {
        for call in ["Response::new(", "Response::plain("].iter().flat_map(|name| calls(&source, name)) {
            let (code, text) = call.split_once(',').expect("a code and a text");
            let text = text.trim().trim_end_matches(',');
            match told(&source, text).filter(|_| code.chars().all(|c| c.is_ascii_digit())) {
                // Nothing, or the word of a double.
                Some(text) if !text.contains(' ') => {}
                Some(text) => {
                    let said = Said(format!("{code} {text}"));
                    if !golden.iter().any(|row| said.is(&row.response)) {
                        missing.push(format!("{file}: {}", said.0));
                    }
                    found.insert(said);
                }
                None if WORDS_OF_OTHERS.iter().any(|(name, words, _)| *name == file && *words == text) => {}
                None => foreign.push(format!("{file}: {code}, {text}")),
            }
        }
        for line in source.lines().filter(|line| line.contains("Response {")) {
            assert!(line.contains("->"), "{file}: a response without a call: {line}");
        }
    }
    assert!(missing.is_empty(), "golden/responses.txt has no line for {missing:#?}");
    assert!(foreign.is_empty(), "responses in words that this test cannot find: {foreign:#?}");
    assert!(found.len() >= 10, "the source is read: {found:?}");
}

#[test]
fn all_words_of_ours_are_heard_by_the_test_that_is_named() {
    let mut unheard = Vec::new();
    for Row { response, heard_in } in golden().into_iter().filter(|row| row.heard_in != "nowhere") {
        let test = fs::read_to_string(path(&heard_in)).unwrap_or_else(|error| panic!("{heard_in}: {error}"));
        let words = fixed(&response);
        assert!(words.len() >= 6, "too little to be found: {response}");
        if !aloud(&test).contains(&words) {
            unheard.push(format!("{heard_in}: {words}"));
        }
    }
    assert!(unheard.is_empty(), "not heard:\n{}", unheard.join("\n"));
}

#[test]
fn the_page_has_the_golden_list_and_nothing_else() {
    let page: BTreeSet<String> =
        on_the_page("internal-responses.md").into_iter().filter(|code| code.contains(' ')).collect();
    let golden: BTreeSet<String> = golden().into_iter().map(|row| row.response).collect();
    let (missing, more): (Vec<_>, Vec<_>) = (golden.difference(&page).collect(), page.difference(&golden).collect());
    assert!(missing.is_empty() && more.is_empty(), "not on the page: {missing:#?}\nonly there: {more:#?}");
}
