//! No outcome without a conversation that shows it: whatever words of its own the client's source has stand in an `=` line
//! of `transcripts/`, with the codes that go with them.

use crate::source::{Said, calls, literals, on_the_page, sources, without_calls};
use crate::transcripts::all;
use std::path::Path;

/// Words that become no outcome, by the file and how they begin.
const NO_OUTCOMES: [(&str, &str); 21] = [
    // What is said to the server.
    ("auth.rs", "AUTH PLAIN {}"),
    ("delivery.rs", "MAIL FROM:<{}>"),
    ("delivery.rs", " BODY=8BITMIME"),
    ("delivery.rs", " SMTPUTF8"),
    ("delivery.rs", "RCPT TO:<{}>"),
    ("greeting.rs", "{} {}"),
    // What only the log is told, and those who listen.
    ("demand.rs", "the host is not listed"),
    ("demand.rs", "there is no TLS"),
    ("demand.rs", "the certificate was not checked"),
    ("session.rs", "no connection: {}"),
    ("session.rs", "connection lost: {}"),
    ("sts.rs", "the one before goes on"),
    ("sts.rs", "it counts as none"),
    ("rewrite.rs", "expected nil or a code"),
    // Why a source is suspended.
    ("settings.rs", "source {}: {}"),
    // What is wrong with a policy, told when it is read.
    ("mod.rs", "ha_proxy_server "),
    ("mod.rs", "socks5_proxy_"),
    ("secret.rs", "this kind of key source"),
    ("secret.rs", "expected a file path"),
    ("settings.rs", "{}: {}"),
    ("told.rs", "TLS: {}"),
];

/// Outcomes that no conversation can have, and why.
const CANNOT_BE_PLAYED: [(&str, &str, &str); 2] = [
    (
        "delivery.rs",
        "an address has control characters",
        "no address that can be written down has one: the last resort",
    ),
    ("haproxy.rs", "{} and {} are not of one family", "the plan leaves such hosts out: the last resort"),
];

fn outcomes() -> Vec<String> {
    all().iter().flat_map(|scene| scene.outcomes().into_iter().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// The client's source without what goes to the log, and without errors of a policy.
fn client() -> Vec<(String, String)> {
    let mut files = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/outbound"));
    for (_, source) in &mut files {
        for name in ["tracing::debug!(", "tracing::info!(", "tracing::warn!(", "tracing::error!(", "ConfigError("] {
            *source = without_calls(source, name);
        }
    }
    files
}

/// The client's own words that become outcomes, each with its file.
fn words() -> Vec<(String, Said)> {
    let mut found = Vec::new();
    for (file, source) in client() {
        // A word alone is a name of something; what is told of has several.
        for words in literals(&source).into_iter().filter(|words| words.contains(' ')) {
            let no_outcome = NO_OUTCOMES.iter().any(|(name, start)| *name == file && words.starts_with(start));
            if !no_outcome {
                found.push((file.clone(), Said(words)));
            }
        }
    }
    assert!(found.len() > 50, "the source is read: {}", found.len());
    found
}

#[test]
fn all_words_of_the_client_are_in_an_outcome() {
    let outcomes = outcomes();
    let heard = |said: &Said| outcomes.iter().any(|outcome| said.stands_in(outcome));
    let last_resort = |(file, said): &(String, Said)| {
        CANNOT_BE_PLAYED.iter().any(|(name, words, _)| name == file && said.0.starts_with(words))
    };
    let missing: Vec<_> = words().into_iter().filter(|words| !heard(&words.1) && !last_resort(words)).collect();
    assert!(missing.is_empty(), "no conversation ends with {missing:#?}");
}

#[test]
fn all_words_of_the_client_are_on_their_page() {
    let page = on_the_page("smtp.md");
    // The page says once what all of them begin with.
    let shown = |said: &Said| {
        let said = Said(said.0.replace("KumoMTA internal: ", ""));
        page.iter().any(|line| said.stands_in(line))
    };
    let missing: Vec<_> = words().into_iter().filter(|(_, said)| !shown(said)).collect();
    assert!(missing.is_empty(), "docs/reference/smtp.md does not say {missing:#?}");
}

#[test]
fn all_codes_of_the_client_are_in_an_outcome() {
    let outcomes = outcomes();
    let mut missing = Vec::new();
    let mut found = 0;
    for (file, source) in client() {
        // `(550, "5.4.4", ..)`, and `Response::new(451, "4.3.0 ..")`.
        for (at, _) in source.match_indices(", \"") {
            let code = source[..at].rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
            let words = literals(&source[at..]).swap_remove(0);
            let enhanced = words.split(' ').next().unwrap_or_default();
            let is_enhanced = enhanced.split('.').count() == 3 && enhanced.starts_with(|c: char| c.is_ascii_digit());
            if code.len() != 3
                || !is_enhanced
                || CANNOT_BE_PLAYED.iter().any(|(_, other, _)| source[at..].split('"').nth(3) == Some(*other))
            {
                continue;
            }
            found += 1;
            let codes = format!(" {code} {enhanced} KumoMTA internal: ");
            if !outcomes.iter().any(|outcome| outcome.contains(&codes)) {
                missing.push(format!("{file}: {codes}"));
            }
        }
    }
    assert!(missing.is_empty(), "no conversation ends with\n{}", missing.join("\n"));
    assert!(found > 10, "the source is read: {found}");
}

#[test]
fn every_step_ends_in_some_conversation() {
    let outcomes = outcomes();
    let failure = client().into_iter().find(|(file, _)| file == "failure.rs").expect("the words for failures").1;
    let names = failure.split("impl fmt::Display for Step").nth(1).expect("the names of steps");
    let names = calls(names, "f.write_str(").swap_remove(0);
    let mut steps = literals(names);
    // Whatever comes of QUIT, everybody has an outcome before it.
    steps.retain(|step| step != "QUIT");
    assert!(steps.len() > 10, "the source is read: {steps:?}");
    let how = ["the connection was closed by the other side", "no answer within "];
    for step in &steps {
        let told = |why: &str| outcomes.iter().any(|outcome| outcome.contains(&format!(": {step}: {why}")));
        assert!(told(""), "no conversation ends at {step}");
        // To connect is answered by a refusal; the message and its handshake break with words of the system.
        let broken = ["connect", "the message", "the TLS handshake"].contains(&step.as_str());
        assert!(broken || told(how[0]), "no conversation ends with a connection that is closed at {step}");
        assert!(step == "the message" || told(how[1]), "no conversation ends with silence at {step}");
    }
}
