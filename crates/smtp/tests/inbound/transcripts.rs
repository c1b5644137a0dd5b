//! Whole conversations, one per file in `transcripts/`.
//!
//! `C:` is sent with CRLF, `S:` is one line of a reply. In both, `{x*N}` stands for N times x, `{lf}` for a bare LF;
//! `<id>` in a reply for any message id.

use crate::common::Setup;
use std::fs;
use std::path::Path;

#[tokio::test]
async fn every_conversation_goes_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inbound/transcripts");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 6, "the transcripts are there");
    for file in files {
        play(&file.display().to_string(), &fs::read_to_string(&file).unwrap()).await;
    }
}

async fn play(name: &str, script: &str) {
    let mut client = Setup::default().connect();
    for (number, line) in script.lines().enumerate() {
        let number = number + 1;
        match (line.strip_prefix("C: ").or_else(|| line.strip_prefix("C:")), line.strip_prefix("S: ")) {
            (Some(sent), _) => client.send(format!("{}\r\n", expand(sent))).await,
            (_, Some(expected)) => {
                let got = client.line().await.unwrap_or_else(|| panic!("{name}:{number}: the server has gone"));
                assert_eq!(without_id(&got), expected, "{name}:{number}");
            }
            _ => assert!(line.is_empty() || line.starts_with('#'), "{name}:{number}: {line}"),
        }
    }
    assert_eq!(client.rest().await, "", "{name}: nothing more is said");
    client.ended().await;
}

fn expand(text: &str) -> String {
    let mut out = text.replace("{lf}", "\n");
    while let Some(start) = out.find("{x*") {
        let end = start + out[start..].find('}').unwrap();
        let count: usize = out[start + 3..end].parse().unwrap();
        out.replace_range(start..=end, &"x".repeat(count));
    }
    out
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
