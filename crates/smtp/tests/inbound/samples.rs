//! The conversations of a live KumoMTA (contract/samples/smtp.txt): said to us, each line is answered with the same code
//! and enhanced code. The wording of replies is our own, but for what a client or a script reads.

use crate::common::{Client, Setup};
use serde_json::json;
use waybill_policy::{Args, Returned, Value};

struct Sample<'a> {
    name: &'a str,
    lines: Vec<Line<'a>>,
}

#[derive(Debug)]
enum Line<'a> {
    /// What the client sent, which may be the several lines of a message.
    Client(Vec<&'a str>),
    Server(&'a str),
}

fn samples(text: &str) -> Vec<Sample<'_>> {
    let mut samples: Vec<Sample<'_>> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            samples.push(Sample { name, lines: Vec::new() });
            continue;
        }
        let lines = &mut samples.last_mut().expect("a heading").lines;
        if let Some(said) = line.strip_prefix("S: ") {
            lines.push(Line::Server(said));
        } else if let Some(said) = line.strip_prefix("C: ") {
            lines.push(Line::Client(vec![said]));
        } else if let Some(Line::Client(message)) = lines.last_mut() {
            message.push(line);
        } else {
            assert_eq!(line, "", "only an empty line stands between conversations");
        }
    }
    samples
}

/// The live server relayed for nobody but `example.com`.
fn server() -> Setup {
    Setup::default().config(json!({"relay_hosts": []})).on("get_listener_domain", |args: Args| match &args[0] {
        Value::Bytes(domain) if domain == b"example.com" => Ok(Returned(vec![Value::Json(json!({"relay_to": true}))])),
        _ => Ok(Returned::default()),
    })
}

/// `xxx...(2105 bytes)` stands for so many in all.
fn expand(line: &str) -> String {
    let Some((start, rest)) = line.split_once("...(") else { return line.to_owned() };
    let count: usize = rest.strip_suffix(" bytes)").and_then(|count| count.parse().ok()).expect("a count");
    let last = start.chars().last().expect("something to repeat");
    format!("{start}{}", last.to_string().repeat(count.saturating_sub(start.len())))
}

/// A command with its line end, or a message up to and with its dot.
fn sent(sample: &str, lines: &[&str]) -> String {
    // Where the sample is about bare line feeds, the lines of its message end with them; the end itself does not.
    let end = if sample.starts_with("bare LF") { "\n" } else { "\r\n" };
    match lines.iter().filter(|line| !line.is_empty()).collect::<Vec<_>>()[..] {
        [command] => format!("{}\r\n", expand(command)),
        _ => {
            let mut lines: Vec<String> = lines.iter().map(|line| expand(line)).collect();
            // A long message was cut where it was written down.
            lines.truncate(lines.iter().rposition(|line| line != "." && !line.is_empty()).map_or(0, |last| last + 1));
            format!("{}\r\n.\r\n", lines.join(end))
        }
    }
}

/// Code, what separates it from the text, and the enhanced code if the text begins with one.
fn codes(line: &str) -> (&str, Option<&str>) {
    let (code, text) = line.split_at(4);
    let first = text.split(' ').next().unwrap_or_default();
    let is_enhanced = first.split('.').count() == 3 && first.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    (code, is_enhanced.then_some(first))
}

/// What is the same to the letter: the greeting, the offers, what is echoed, and ids.
fn is_read_by_others(line: &str) -> bool {
    ["220 mta.", "250-", "250 OK <", "250 STARTTLS"].iter().any(|start| line.starts_with(start))
}

/// Ours to differ: STARTTLS is announced with a code that the sample leaves out.
fn differs_on_purpose(theirs: &str) -> bool {
    theirs == "220 Ready to Start TLS"
}

#[tokio::test]
async fn every_conversation_of_a_live_server_has_the_same_codes_here() {
    let samples = samples(include_str!("samples/smtp.txt"));
    assert_eq!(samples.len(), 7);
    for sample in samples {
        play(&sample, server().connect()).await;
    }
}

async fn play(sample: &Sample<'_>, mut client: Client) {
    let name = sample.name;
    for line in &sample.lines {
        match line {
            Line::Client(lines) => client.send(sent(name, lines)).await,
            Line::Server(theirs) => {
                let ours = client.line().await.unwrap_or_else(|| panic!("{name}: gone instead of {theirs}"));
                assert_eq!(codes(&ours).0, codes(theirs).0, "{name}: {theirs} {ours}");
                if !differs_on_purpose(theirs) {
                    assert_eq!(codes(&ours).1, codes(theirs).1, "{name}: {theirs} {ours}");
                }
                if is_read_by_others(theirs) {
                    assert_eq!(&ours, theirs, "{name}");
                }
                if theirs.starts_with("250 OK ids=") {
                    let id = ours.strip_prefix("250 OK ids=").unwrap_or_else(|| panic!("{name}: {ours}"));
                    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}: {ours}");
                }
            }
        }
    }
}

#[test]
fn messages_are_sent_as_the_samples_mean_them() {
    assert_eq!(sent("x", &["NOOP xx...(12 bytes)"]), format!("NOOP {}\r\n", "x".repeat(7)));
    assert_eq!(sent("bare LF in data", &["Subject: x", "", "a", "."]), "Subject: x\n\na\r\n.\r\n");
    assert_eq!(sent("x", &["Subject: x", "", "..two", ""]), "Subject: x\r\n\r\n..two\r\n.\r\n");
    assert_eq!(codes("552 5.6.0 no"), ("552 ", Some("5.6.0")));
    assert_eq!(codes("250-mta.example"), ("250-", None));
}
