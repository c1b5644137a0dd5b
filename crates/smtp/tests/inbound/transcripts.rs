//! Whole conversations, one per file in `transcripts/`.
//!
//! `C:` is sent with CRLF, `S:` is one line of a reply; `C*5:` and `S*5:` are five of them. In both, `{x*N}` stands for N
//! times x, `{lf}` for a bare LF, `{cr}` for a bare CR, `{crlf}` for a line end, `{ff}` for a byte that begins no character;
//! `<id>` in a reply for any message id. `#` begins a remark. What
//! is to happen besides stands behind `!`; see [`crate::stage`].

use crate::common::Client;
use crate::spelling::expand;
use crate::stage::{Cue, Stage};
use std::fs;
use std::panic::AssertUnwindSafe;
use std::path::Path;

/// Every conversation: its file's name and what is in it.
pub(crate) fn all() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inbound/transcripts");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| (file.display().to_string(), fs::read_to_string(file).unwrap())).collect()
}

#[test]
fn every_conversation_goes_as_written() {
    let all = all();
    assert!(all.len() >= 15, "the transcripts are there");
    // All that go wrong are told of, not the first alone.
    let mut wrong = Vec::new();
    for (name, script) in all {
        let stage = Stage::of(&name, &script);
        let talk = || stage.runtime().block_on(async { play(&name, &script, stage.connect().await).await });
        if std::panic::catch_unwind(AssertUnwindSafe(talk)).is_err() {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "not as written:\n{}", wrong.join("\n"));
}

async fn play(name: &str, script: &str, mut client: Client) {
    for (number, line) in script.lines().enumerate() {
        let place = format!("{name}:{}", number + 1);
        match spoken(line) {
            Some(('C', times, sent)) => {
                for _ in 0..times {
                    client.send(bytes(&format!("{}\r\n", expand(sent)))).await;
                }
            }
            Some((_, times, expected)) => {
                for _ in 0..times {
                    let got = client.line().await.unwrap_or_else(|| panic!("{place}: the server has gone"));
                    assert_eq!(without_id(&got).trim_end(), expected.trim_end(), "{place}");
                }
            }
            None => match Cue::of(line) {
                Some(Cue::Tls) => drop(client.negotiate(&crate::tls_client::config()).await.expect("a handshake")),
                Some(Cue::Stop) => drop(client.stop.send_replace(true)),
                Some(Cue::Took(body)) => {
                    let taken =
                        client.intake.accepted().pop().unwrap_or_else(|| panic!("{place}: no message was taken"));
                    assert_eq!(taken.data, expand(&body), "{place}");
                }
                Some(Cue::Setup) => {}
                None => assert!(line.is_empty() || line.starts_with('#'), "{place}: {line}"),
            },
        }
    }
    assert_eq!(client.rest().await, "", "{name}: nothing more is said");
    client.ended().await;
}

/// Who says what, and how often.
pub(crate) fn spoken(line: &str) -> Option<(char, usize, &str)> {
    let (head, text) = line.split_once(':')?;
    let (who, times) = match head.split_once('*') {
        Some((who, times)) => (who, times.parse().ok()?),
        None => (head, 1),
    };
    let who = ["C", "S"].contains(&who).then(|| who.chars().next())??;
    Some((who, times, text.strip_prefix(' ').unwrap_or(text)))
}

fn bytes(text: &str) -> Vec<u8> {
    text.split("{ff}").map(str::as_bytes).collect::<Vec<_>>().join(&0xff)
}

fn without_id(line: &str) -> String {
    let is_id = |word: &str| word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let word = |word: &str| match word.strip_prefix("ids=") {
        Some(id) if is_id(id) => "ids=<id>".to_owned(),
        None if is_id(word) => "<id>".to_owned(),
        _ => word.to_owned(),
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}
