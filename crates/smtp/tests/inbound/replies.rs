//! No reply without a conversation that shows it: whatever the server's source can say stands in a file of
//! `transcripts/`.

use crate::source::{Said, calls, literal, literals, on_the_page, sources};
use crate::stage::{errors, states};
use crate::transcripts::{all, spoken};
use std::collections::BTreeMap;
use std::path::Path;

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

/// Events that no reply comes from: it is there already, or the client has long had it.
const NO_ANSWERS: [&str; 2] = ["smtp_server_rewrite_response", "smtp_server_message_deferred_inject"];

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

#[test]
fn every_reply_of_the_source_is_on_its_page() {
    let page = on_the_page("smtp.md");
    let missing: Vec<_> = replies().0.into_iter().filter(|(said, _)| !page.iter().any(|line| said.is(line))).collect();
    assert!(missing.is_empty(), "docs/reference/smtp.md has no row for {missing:#?}");
}

#[test]
fn every_event_of_a_session_refuses_in_a_conversation() {
    let said = all();
    let refused = |event: &str| said.iter().any(|(_, script)| script.contains(&format!("! reject {event} ")));
    let mut events = 0;
    for (file, source) in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/inbound")) {
        for event in literals(&source) {
            let is_event = event.starts_with("smtp_server_") || event == "get_listener_domain";
            if !is_event || NO_ANSWERS.contains(&event.as_str()) {
                continue;
            }
            events += 1;
            assert!(refused(&event), "{file}: no conversation with `! reject {event} ..`");
        }
    }
    assert!(events >= 10, "the source is read: {events}");
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
