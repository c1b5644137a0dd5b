//! No reply without a conversation that shows it: whatever the server's source can say stands in a file of
//! `transcripts/`.

use crate::stage::{errors, states};
use crate::transcripts::{all, spoken};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What the source says: the code and the text, with `{}` where something of the moment stands.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Said(String);

impl Said {
    /// Whether a line of a reply can be this.
    fn is(&self, line: &str) -> bool {
        let mut rest = line.trim_end();
        let mut parts = self.0.trim_end().split("{}").peekable();
        let begins = parts.next().unwrap_or_default();
        let Some(behind) = rest.strip_prefix(begins) else { return false };
        rest = behind;
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            let found = if last { rest.ends_with(part).then(|| rest.len() - part.len()) } else { rest.find(part) };
            let Some(at) = found else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.is_empty()
    }
}

/// Replies that no session says: with the test that shows each.
const ELSEWHERE: [(&str, &str, &str); 1] =
    [("421 4.3.2 {} too many connections", "421 4.3.2 mta.example too many connections", include_str!("shutdown.rs"))];

/// Replies whose words come from somewhere else, by the file and what stands where the text would: policy's own words,
/// what a reply was before, and lists of the moment (EHLO).
const WORDS_OF_OTHERS: [(&str, &str); 6] = [
    ("ehlo.rs", "text"),
    ("reply.rs", "response.text()"),
    ("reply.rs", "format!(\"{enhanced} {host} {}\", response.content)"),
    ("session.rs", "&rejected.text"),
    ("session.rs", "text"),
    ("mail.rs", "format!(\"4.3.2 {} {why}\", self.host)"),
];

#[test]
fn every_reply_of_the_source_is_in_a_conversation() {
    let heard: Vec<String> = all()
        .iter()
        .flat_map(|(_, script)| script.lines())
        .filter_map(spoken)
        .filter(|(who, ..)| *who == 'S')
        .map(|(_, _, line)| line.to_owned())
        .collect();
    let (said, foreign) = replies();
    assert!(said.len() > 40, "the source is read: {said:?}");
    let missing: Vec<String> = said
        .iter()
        .filter(|(said, _)| !heard.iter().any(|line| said.is(line)))
        .filter(|(said, _)| {
            let elsewhere = ELSEWHERE.iter().find(|(reply, ..)| *reply == said.0);
            !elsewhere.is_some_and(|(_, words, test)| test.contains(words))
        })
        .map(|(said, file)| format!("{file}: {}", said.0))
        .collect();
    assert!(missing.is_empty(), "no conversation shows\n{}", missing.join("\n"));
    let unknown: Vec<_> = foreign
        .iter()
        .filter(|(file, words)| !WORDS_OF_OTHERS.iter().any(|(name, text)| name == file && text == words))
        .collect();
    assert!(unknown.is_empty(), "a reply in words that this test cannot find: {unknown:?}");
}

#[test]
fn every_state_and_error_of_the_intake_is_in_a_conversation() {
    let cues: Vec<String> = all()
        .iter()
        .flat_map(|(_, script)| script.lines())
        .filter_map(|line| line.strip_prefix("! intake "))
        .map(str::to_owned)
        .collect();
    let names = states().into_iter().map(|(name, _)| name).chain(errors().into_iter().map(|(name, _)| name));
    for name in names {
        assert!(cues.iter().any(|cue| cue == name), "no conversation with `! intake {name}`");
    }
}

/// All replies of `src/inbound`, each with its file, and those with words of somebody else.
fn replies() -> (BTreeMap<Said, String>, Vec<(String, String)>) {
    let (mut said, mut foreign) = (BTreeMap::new(), Vec::new());
    for (file, source) in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/inbound")) {
        for call in calls(&source, "Reply::new(") {
            match call.split_once(',').map(|(code, text)| (code.trim().parse::<u16>(), text.trim())) {
                Some((Ok(code), text)) if literal(text).is_some() && !is_foreign(&file, text) => {
                    let text = literal(text).unwrap_or_default();
                    said.insert(Said(format!("{code} {text}")), file.clone());
                }
                Some((_, text)) => foreign.push((file.clone(), text.to_owned())),
                None => panic!("{file}: {call}"),
            }
        }
        for call in ["not_now(", ".leave("].iter().flat_map(|name| calls(&source, name)) {
            if let Some(why) = literal(call) {
                said.insert(Said(format!("421 4.3.2 {{}} {why}")), file.clone());
            }
        }
        for text in source.match_indices("format!(\"421 ").filter_map(|(at, _)| literal(&source[at..])) {
            said.insert(Said(text.trim_end_matches("\\r\\n").to_owned()), file.clone());
        }
    }
    (said, foreign)
}

fn is_foreign(file: &str, text: &str) -> bool {
    WORDS_OF_OTHERS.iter().any(|(name, words)| *name == file && *words == text)
}

/// Every file, without its tests.
fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut sources = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            sources.extend(self::sources(&path));
        } else if name != "tests.rs" {
            let text = fs::read_to_string(&path).unwrap();
            sources.push((name, text.split("#[cfg(test)]").next().unwrap_or_default().to_owned()));
        }
    }
    sources
}

/// What stands between the brackets of every call.
fn calls<'a>(source: &'a str, name: &str) -> Vec<&'a str> {
    let arguments = |at: usize| {
        let rest = &source[at + name.len()..];
        let (mut depth, mut quoted) = (1, false);
        for (end, c) in rest.char_indices() {
            match c {
                '"' => quoted = !quoted,
                '(' if !quoted => depth += 1,
                ')' if !quoted => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return &rest[..end];
            }
        }
        panic!("a call without an end: {}", &rest[..rest.len().min(80)]);
    };
    source.match_indices(name).map(|(at, _)| arguments(at)).collect()
}

/// The text of a literal, or of the first one in `format!`, with `{}` for everything that is put into it.
fn literal(code: &str) -> Option<String> {
    let inner = code.trim_start();
    let inner = inner.strip_prefix("format!(").unwrap_or(inner).trim_start().strip_prefix('"')?;
    let inner = &inner[..inner.find('"')?];
    let (mut text, mut depth) = (String::new(), 0);
    for c in inner.chars() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                text.push_str("{}");
            }
            c if depth == 0 => text.push(c),
            _ => {}
        }
    }
    Some(text)
}

#[test]
fn what_the_source_says_is_found_in_all_its_forms() {
    let source = "Err(Reply::new(501, \"5.5.4 XCLIENT (x): {\")).closing(); Reply::new(code, text)";
    assert_eq!(calls(source, "Reply::new("), ["501, \"5.5.4 XCLIENT (x): {\"", "code, text"]);
    assert_eq!(literal("format!(\"4.3.2 {} busy {why}\", self.host)"), Some("4.3.2 {} busy {}".into()));
    assert_eq!(literal("\"OK\""), Some("OK".into()));
    assert_eq!(literal("response.text()"), None);
    let said = Said("421 4.3.2 {} busy".into());
    assert!(said.is("421 4.3.2 mta.example busy") && !said.is("421 4.3.2 mta.example idle") && !said.is("421 4.3.2"));
    assert!(Said("250 OK".into()).is("250 OK") && !Said("250 OK".into()).is("250 OK <a>"));
    assert!(Said("334 ".into()).is("334"));
}
